"""First and last lines of a job's log: the command that repeats it by hand, and what it took."""

from __future__ import annotations

import contextlib
import resource
import shlex
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

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
        _write(
            f"# {how} in {took:.1f} s, {cpu_seconds():.1f} CPU s, peak memory {peak_mb():.0f} MB"
        )

    return end


def _write(line: str) -> None:
    # A log on a full disk, or one that nobody reads any more, is no reason to fail.
    with contextlib.suppress(OSError):
        # What the command printed must stand before, though it may still be held back.
        sys.stdout.flush()
        print(line, file=sys.stderr, flush=True)


def cpu_seconds() -> float:
    """User and system time of this process and of its children that have ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def peak_mb() -> float:
    """Highest resident memory of this process, or of a child that has ended, in MB."""
    unit = 1e6 if sys.platform == "darwin" else 1e6 / 1024
    children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / unit
    return max(_own_peak_mb(), children)


def _own_peak_mb() -> float:
    # Linux lets `ru_maxrss` begin with the peak of whoever started the program; VmHWM does not.
    with contextlib.suppress(OSError, ValueError, StopIteration):
        lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
        line = next(line for line in lines if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024 / 1e6
    unit = 1e6 if sys.platform == "darwin" else 1e6 / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
