"""What a run on a Slurm cluster needs beside its profile: names of its jobs, and no orphans."""

from __future__ import annotations

import getpass
import hashlib
import subprocess
import sys
from pathlib import Path

from pmcell.errors import PmcellError


def stop_jobs(folder: Path) -> None:
    """Cancel the jobs that a killed run of a study left in Slurm's queue, and say so.

    To be called where it is known that the run is no more: its jobs write where the next run does.
    """
    if jobs := cancel_left_over(job_prefix(folder)):
        print(f"pmcell run: cancelled jobs of a killed run: {', '.join(jobs)}", file=sys.stderr)


def job_prefix(folder: Path) -> str:
    """What the names of all jobs of a study begin with, so that they are found in the queue."""
    return "pmcell-" + hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:10]


def queued_jobs(prefix: str) -> list[str]:
    """Ids of this user's jobs in the queue whose name begins with `prefix`.

    Raises `PmcellError` when the queue cannot be read: then nothing can be submitted either.
    """
    command = ["squeue", "--noheader", "--user", getpass.getuser(), "--format", "%i %j"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    except FileNotFoundError as error:
        raise PmcellError(
            "a Slurm profile needs Slurm's commands; there is no squeue here. Run on a login node, "
            "or load the site's module"
        ) from error
    except subprocess.TimeoutExpired as error:
        raise PmcellError("Slurm must answer; squeue gave no answer in 60 s") from error
    if done.returncode:
        raise PmcellError(f"Slurm must answer; squeue said: {done.stderr.strip()}")
    rows = [line.split(maxsplit=1) for line in done.stdout.splitlines()]
    return [row[0] for row in rows if len(row) == 2 and row[1].startswith(prefix)]


def cancel_left_over(prefix: str) -> list[str]:
    """Cancel the jobs whose name begins with `prefix`; their ids."""
    jobs = queued_jobs(prefix)
    if jobs:
        subprocess.run(["scancel", *jobs], timeout=60, check=False)
    return jobs
