"""Bound the processor time of reading tables, within the process that reads a cohort."""

from __future__ import annotations

import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pmcell.errors import DataError

TABLE_SECONDS = 300
"""Tables of the largest allowed size take seconds."""


@contextmanager
def cpu_limit(seconds: int, what: str) -> Iterator[None]:
    """Raise `DataError` when the block takes more processor time than `seconds`.

    For the main thread of a process only, as signals are.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_CPU)
    used = resource.getrusage(resource.RUSAGE_SELF)
    end = int(used.ru_utime + used.ru_stime) + seconds
    if soft != resource.RLIM_INFINITY and soft <= end:
        yield
        return

    def stop(*_: Any) -> None:
        raise DataError(
            f"{what} must be read within {seconds} s of processor time; it took more. "
            "Remove what does not belong there.",
            reason="time_limit",
        )

    before = signal.signal(signal.SIGXCPU, stop)
    resource.setrlimit(resource.RLIMIT_CPU, (end, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_CPU, (soft, hard))
        signal.signal(signal.SIGXCPU, before)
