"""A folder that is replaced as a whole is not replaced while somebody reads it.

Readers hold a shared lock of the kernel on the folder itself, and the writer waits for them. A
disk that has no such locks lets it be replaced all the same: the reader is then told at the end.
"""

from __future__ import annotations

import fcntl
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pmcell.errors import PmcellError

MAX_WAIT = 600.0
"""Seconds that a writer waits: a reader that was stopped and never ended must not hold up a run."""
POLL_SECONDS = 0.2


@contextmanager
def hold_folder(folder: Path) -> Iterator[None]:
    """Keep a folder in its place while it is read; one that is not there is the block's to report.

    Raises
    ------
    PmcellError
        At the end, where the folder was replaced or taken away meanwhile.
    """
    mark = _open_shared(folder)
    if mark is None:
        yield
        return
    try:
        try:
            yield
        except Exception:
            # What a reader stumbled on in another folder's files is no fault of these.
            _require_same(folder, mark)
            raise
        _require_same(folder, mark)
    finally:
        os.close(mark)


@contextmanager
def when_nobody_reads(folder: Path, *, wait: float = MAX_WAIT) -> Iterator[None]:
    """Wait until nobody reads the folder, then keep readers out for as long as it is replaced."""
    try:
        mark = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:
        yield
        return
    try:
        _wait_for_readers(mark, folder, wait)
        yield
    finally:
        os.close(mark)


def _open_shared(folder: Path) -> int | None:
    """Open a folder with a shared lock, where there is one and its disk has locks."""
    while True:
        try:
            mark = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        except (OSError, ValueError):
            return None
        with suppress(OSError):
            fcntl.flock(mark, fcntl.LOCK_SH)
        if _is_same(folder, mark):
            return mark
        # It was replaced between the two calls: the lock is on what was there before.
        os.close(mark)


def _is_same(folder: Path, mark: int) -> bool:
    try:
        return os.path.samestat(os.stat(folder), os.fstat(mark))
    except OSError:
        return False


def _require_same(folder: Path, mark: int) -> None:
    if not _is_same(folder, mark):
        raise PmcellError(
            f"{folder} must stay in its place while it is read; it was replaced or taken away "
            "meanwhile, so what was read, and what was written of it, may be of two releases. Run "
            "the command again."
        )


def _wait_for_readers(mark: int, folder: Path, wait: float) -> None:
    end, is_told = time.monotonic() + wait, False
    while True:
        try:
            fcntl.flock(mark, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= end:
                return
            if not is_told:
                print(
                    f"pmcell: {folder} is being read; it is replaced as soon as that has ended, "
                    f"or in {wait / 60:.0f} minutes",
                    file=sys.stderr,
                    flush=True,
                )
                is_told = True
            time.sleep(POLL_SECONDS)
        except OSError:
            return
        else:
            return
