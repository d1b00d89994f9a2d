"""A simulated study through a real one-node Slurm to its release, and the same on this machine.

    scripts/slurm-one-node install && scripts/slurm-one-node start >/dev/null
    eval "$(scripts/slurm-one-node env)"
    python tests/benchmarks/workflow/slurm_study.py [--cohorts 20] [--samples 200] [--keep FOLDER]

Prints a table: jobs in Slurm's queue, wall time, what a step costs beside its work, and whether the
content digests of both releases are equal (exit code 1 where they are not). A folder that is kept
is gone on with, so an interrupted benchmark is not begun anew; then the wall times are of the rest.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from pmcell.cli.run._slurm import job_prefix

ROOT = Path(__file__).resolve().parents[3]
POLL = ("--slurm-init-seconds-before-status-checks", "10", "--latency-wait", "10")


def main() -> int:
    """Run both and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cohorts", type=int, default=20)
    parser.add_argument("--samples", type=int, default=200, help="in all cohorts together")
    parser.add_argument("--cells", type=int, default=60, help="of a sample")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--keep", type=Path, help="folder of both studies, kept")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        parent = (args.keep or Path(temporary)).resolve()
        cluster, alone = parent / "slurm", parent / "alone"
        if not cluster.is_dir():
            simulate(cluster, args)
            shutil.copytree(cluster, alone)
        wall = run(cluster, "--profile", "slurm", "--", *POLL)
        wall_alone = run(alone)
        report(cluster, wall, wall_alone)
        one, other = digests(cluster), digests(alone)
        differing = sorted(name for name in one | other if one.get(name) != other.get(name))
        print(differing or f"digests             {len(one)} of {len(one)} equal")
    return 1 if differing else 0


def simulate(study: Path, args: argparse.Namespace) -> None:
    """Write the study by scripts/simulate_study.py."""
    sizes = ("--cohorts", args.cohorts, "--donors", args.samples, "--cells", args.cells)
    command = [sys.executable, ROOT / "scripts" / "simulate_study.py", study, *sizes]
    subprocess.run([str(word) for word in [*command, "--seed", args.seed]], check=True)


def run(study: Path, *options: str) -> float:
    """`pmcell run` to its end, shown; wall seconds."""
    start = time.monotonic()
    command = [sys.executable, "-m", "pmcell", "run", "--directory", str(study), *options]
    subprocess.run(command, check=True)
    return time.monotonic() - start


def report(study: Path, wall: float, wall_alone: float) -> None:
    """What Slurm says of its jobs against the records of the steps in them."""
    said = subprocess.run(
        ["scontrol", "show", "job", "--oneliner"], capture_output=True, text=True, check=True
    ).stdout
    lines = [line for line in said.splitlines() if f"JobName={job_prefix(study)}" in line]
    states = [re.findall(r"JobState=(\S+)", line)[0] for line in lines]
    in_jobs = sum(
        60 * (60 * int(hours) + int(minutes)) + int(seconds)
        for line in lines
        for hours, minutes, seconds in re.findall(r"RunTime=(\d+):(\d+):(\d+)", line)
    )
    records = list((study / "results" / "benchmarks").rglob("*.tsv"))
    in_steps = sum(float(path.read_text().splitlines()[-1].split("\t")[0]) for path in records)
    counts = ", ".join(f"{states.count(state)} {state.lower()}" for state in sorted(set(states)))
    print(f"steps               {len(records)}")
    print(f"Slurm jobs          {len(lines)} ({counts})")
    print(f"wall                {wall:.0f} s on Slurm, {wall_alone:.0f} s on this machine")
    print(f"beside its work     {(in_jobs - in_steps) / max(len(records), 1):.1f} s a step")


def digests(study: Path) -> dict[str, str]:
    """Content digest of each file of the release."""
    manifest = json.loads((study / "results/release/manifest.json").read_text(encoding="utf-8"))
    return {name: entry["content_sha256"] for name, entry in manifest["files"].items()}


if __name__ == "__main__":
    sys.exit(main())
