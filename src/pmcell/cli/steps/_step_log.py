"""First and last lines of a job's log: the command that repeats it by hand, and what it took."""

from __future__ import annotations

import contextlib
import resource
import shlex
import sys
import time
from collections.abc import Callable, Sequence

from pmcell.steps import BY_NAME
from pmcell.version import __version__


def start_log(name: str, arguments: Sequence[str]) -> Callable[[int | None], None]:
    """Write the head on standard error; the function that is given writes the end.

    It takes the exit code, None after an error that nobody foresaw. Paths are
    those of the command: relative to the study's folder. On a terminal nothing
    is written: whoever types a command knows it.
    """
    if name not in BY_NAME or sys.stderr.isatty():
        return lambda code: None
    start = time.monotonic()
    _write(f"$ {shlex.join(['pmcell', name, *arguments])}")
    _write(f"# pmcell {__version__}, run in the study's folder")

    def end(code: int | None) -> None:
        how = "failed" if code is None else "done" if code == 0 else f"exit code {code}"
        took = time.monotonic() - start
        _write(f"# {how} in {took:.1f} s, peak memory {peak_mb():.0f} MB")

    return end


def _write(line: str) -> None:
    # A log on a full disk, or one that nobody reads any more, is no reason to fail.
    with contextlib.suppress(OSError):
        # What the command printed must stand before, though it may still be held back.
        sys.stdout.flush()
        print(line, file=sys.stderr, flush=True)


def peak_mb() -> float:
    """Highest resident memory of this process, or of a child that has ended, in MB."""
    kinds = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    unit = 1e6 if sys.platform == "darwin" else 1e6 / 1024
    return max(resource.getrusage(kind).ru_maxrss for kind in kinds) / unit
