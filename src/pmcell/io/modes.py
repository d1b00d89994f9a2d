"""Who may read what pmcell writes: data about people who are not open to all are their owner's.

Three rules. What is made of a cohort without open access is written with the
umask `private_umask`. What is made of other files is never more open than the
closest of them (`as_private_as`). A release is written with the operator's own
umask, because it holds nothing but what is published.

An operator whose umask already denies all others everything (027, 007) has
decided on a group: such a umask is kept, and the group reads what it lets it.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

OTHERS = stat.S_IRWXO
GROUP_AND_OTHERS = stat.S_IRWXG | stat.S_IRWXO
OPERATORS_UMASK = "PMCELL_UMASK"
"""Environment variable with the operator's umask (octal) where the workflow set a closer one."""


def private_umask(umask: int) -> int:
    """The umask for data of people: the owner's alone, or also a group's that `umask` names.

    >>> f"{private_umask(0o022):03o} {private_umask(0o027):03o} {private_umask(0o077):03o}"
    '077 027 077'
    """
    return umask if umask & OTHERS == OTHERS else umask | GROUP_AND_OTHERS


@contextmanager
def umask_of(mask: int) -> Iterator[None]:
    """Write files and folders with this umask, in the whole process, while the block runs."""
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


@contextmanager
def private_files() -> Iterator[None]:
    """Write files and folders for their owner (or chosen group) alone while the block runs."""
    with umask_of(private_umask(current_umask())):
        yield


@contextmanager
def as_private_as(paths: Iterable[Path]) -> Iterator[None]:
    """Write nothing more open than the closest of `paths` while the block runs."""
    with umask_of(current_umask() | denied_by(paths)):
        yield


@contextmanager
def operators_umask() -> Iterator[None]:
    """Write with the umask that the operator had before the workflow set a closer one."""
    named = os.environ.get(OPERATORS_UMASK, "")
    is_mask = named.isascii() and named.isdigit() and not set(named) - set("01234567")
    with umask_of(int(named, 8) & 0o777 if is_mask else current_umask()):
        yield


def denied_by(paths: Iterable[Path]) -> int:
    """What group and others may not do with at least one of these files, as bits of a umask.

    Who may not read a file may not read, write or enter what is made of it.
    """
    denied = 0
    for path in paths:
        with suppress(FileNotFoundError):
            mode = path.stat().st_mode
            denied |= 0 if mode & stat.S_IRGRP else stat.S_IRWXG
            denied |= 0 if mode & stat.S_IROTH else stat.S_IRWXO
    return denied


def close_folder(folder: Path) -> None:
    """Take from group and others what the umask takes, also from a folder that was there."""
    found = folder.stat()
    closed = stat.S_IMODE(found.st_mode) & ~current_umask()
    if found.st_uid == os.geteuid() and closed != stat.S_IMODE(found.st_mode):
        folder.chmod(closed)


def current_umask() -> int:
    """The umask of this process."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
