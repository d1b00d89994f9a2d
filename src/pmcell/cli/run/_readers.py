"""Who reads the results of a study: none while a run works in it, and no run begins meanwhile.

A run replaces results one by one over hours, so what is read beside it may be of two runs. A
reader leaves a mark beside the lock of runs and then looks for a run; a run takes its lock and
then looks for marks: whichever comes second sees the other.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pmcell.cli.run import _lock
from pmcell.errors import PmcellError
from pmcell.io.atomic import write_json

JOB_OF_RUN = "PMCELL_JOB_OF_RUN"
"""Variable by which a job knows that the run that works in the study is its own."""


@contextmanager
def reading_results(folder: Path, command: str) -> Iterator[None]:
    """Read the results of the study in `folder`, which no run changes meanwhile.

    A folder in which no run ever worked is read as it is, and jobs of a run read what it gives
    them. Where nobody may write beside the lock, runs are looked for before and after.

    Raises
    ------
    PmcellError
        A run works in the study, or began while its results were read.
    """
    place = (folder / _lock.LOCK).parent
    if not place.is_dir() or _is_job(folder):
        yield
        return
    mark = _put_mark(place, command)
    try:
        _refuse_beside_run(folder)
        yield
        if mark is None:
            _refuse_beside_run(folder)
    finally:
        if mark is not None:
            mark.unlink(missing_ok=True)


def _put_mark(place: Path, command: str) -> Path | None:
    mark = place / _lock.MARKS.replace("*", f"{socket.gethostname()}.{os.getpid()}")
    try:
        write_json(mark, {**_lock.owner_now(mark), "command": command})
    except OSError:
        return None
    return mark


def _refuse_beside_run(folder: Path) -> None:
    _lock.refuse_while_held(folder)
    ours = _ancestors()
    if left := [pid for pid in _lock.snakemakes(folder) if pid not in ours]:
        raise PmcellError(
            f"{folder} is in use: Snakemake works in it (process {', '.join(map(str, left))}). "
            "Wait until it ends."
        )


def _is_job(folder: Path) -> bool:
    """Whether this process is a job of the run in `folder`, which Snakemake or its child started.

    A scheduler may start jobs without the variable; then Snakemake stands above them.
    """
    if os.environ.get(JOB_OF_RUN) == os.path.realpath(folder):
        return True
    return bool(set(_ancestors()) & set(_lock.snakemakes(folder)))


def _ancestors() -> list[int]:
    """Processes above this one, where the system tells."""
    found: list[int] = []
    pid = os.getpid()
    while pid > 1:
        try:
            text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        except OSError:
            break
        pid = int(text.rpartition(")")[2].split()[1])
        found.append(pid)
    return found
