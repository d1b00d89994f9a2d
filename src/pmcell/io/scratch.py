"""Folders for what may not outlive a step: plaintext, and what a reader said of a foreign file.

A process that is killed removes nothing. Each folder is locked while its process
lives, so that the next one that makes such a folder removes those that nobody
holds any more.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from glob import escape
from pathlib import Path

YOUNG_SECONDS = 60
"""A folder may be this old before it is locked."""


@contextmanager
def scratch_folder(parent: Path | str, prefix: str) -> Iterator[Path]:
    """Give a folder for this user's eyes alone in `parent`; remove it, and dead ones, afterwards.

    Folders of the same prefix that a killed process of this user left in `parent`
    are removed first.
    """
    parent = Path(parent)
    remove_dead(parent, prefix)
    folder = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
    try:
        mark = os.open(folder, os.O_RDONLY)
        try:
            # A disk without locks keeps the folder of a killed process: nothing tells it is dead.
            with suppress(OSError):
                fcntl.flock(mark, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield folder
        finally:
            os.close(mark)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def remove_dead(parent: Path, prefix: str) -> None:
    """Remove the scratch folders of this user in `parent` that no living process holds."""
    for folder in parent.glob(f"{escape(prefix)}*"):
        with suppress(OSError):
            found = folder.lstat()
            if found.st_uid != os.geteuid() or time.time() - found.st_mtime < YOUNG_SECONDS:
                continue
            mark = os.open(folder, os.O_RDONLY | os.O_NOFOLLOW | os.O_DIRECTORY)
            try:
                fcntl.flock(mark, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(mark)
