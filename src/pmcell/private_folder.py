"""Folders of one's own: what lies in them was put there by this user, or by root.

Some libraries run what they find in their cache (numba's index is a pickle),
so a cache may lie only where nobody else can put a file. The temporary folder
is shared, and its names can be guessed: whoever comes first makes them.
"""

from __future__ import annotations

import atexit
import itertools
import os
import shutil
import stat
import tempfile
from pathlib import Path

ROOT = 0
OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH
MAX_LINKS = 40


class NotPrivateError(OSError):
    """A folder, or a part of the path to it, can be changed by another user."""


def private_folder(path: Path | str) -> Path:
    """Make `path`, or take it as it is, if nobody but this user and root can change it.

    Parameters
    ----------
    path
        The folder; parts that are missing are made with mode 0700. An existing
        folder of this user loses what its group and others may do.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    NotPrivateError
        When a part of the path belongs to another user, or others may write in
        it; when the folder itself is a symbolic link; when a file in it is another
        user's. A folder with the sticky bit, such as `/tmp`, may be a part: what
        lies in it must then be this user's, and no link.
    OSError
        When the folder cannot be made.

    Examples
    --------
    >>> private_folder("/etc/passwd/cache")
    Traceback (most recent call last):
    NotADirectoryError: ...
    """
    folder = Path(os.path.abspath(path))
    _check_path(folder)
    for part in (*reversed(folder.parents), folder):
        if not os.path.lexists(part):
            part.mkdir(mode=0o700, exist_ok=True)
    _check_path(folder)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode):
        raise NotPrivateError(f"{folder} must be a folder and no link")
    if found.st_uid != os.geteuid():
        raise NotPrivateError(f"{folder} must be yours; it is user {found.st_uid}'s")
    if found.st_mode & 0o077:
        folder.chmod(0o700)
    _check_content(folder)
    return folder


def process_folder(prefix: str) -> Path:
    """A new folder in the temporary folder that lives as long as this process.

    Raises
    ------
    NotPrivateError
        When others could exchange it: the temporary folder is open to all and not sticky.
    OSError
        When there is no temporary folder to write in.
    """
    folder = Path(tempfile.mkdtemp(prefix=prefix))
    try:
        _check_path(folder.absolute())
    except OSError:
        folder.rmdir()
        raise
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def _check_path(folder: Path, links: int = 0) -> None:
    """Raise `NotPrivateError` for the first part, from the root on, that others can exchange."""
    place = Path(folder.anchor)
    root = place.lstat()
    # In a container's user namespace the root of the file system belongs to nobody we know.
    trusted = {ROOT, os.geteuid(), root.st_uid}
    parent = root
    for name in folder.parts[1:]:
        place = place / name
        try:
            found = place.lstat()
        except FileNotFoundError:
            return
        is_shared = bool(parent.st_mode & OTHERS_WRITE)
        if found.st_uid not in ({ROOT, os.geteuid()} if is_shared else trusted):
            raise NotPrivateError(f"{place} must be yours or root's; it is user {found.st_uid}'s")
        if stat.S_ISLNK(found.st_mode):
            if is_shared or links >= MAX_LINKS:
                raise NotPrivateError(f"{place} must be no link")
            _check_path(_target_of(place) / folder.relative_to(place), links + 1)
            return
        if found.st_mode & OTHERS_WRITE and not found.st_mode & stat.S_ISVTX:
            raise NotPrivateError(f"{place} must not be writable by others (chmod go-w)")
        parent = found


def _target_of(link: Path) -> Path:
    """Where a link leads whose own folder is reached without links."""
    target = Path(os.readlink(link))
    climbs = len(list(itertools.takewhile(lambda part: part == "..", target.parts)))
    if ".." in target.parts[climbs:]:
        # The system climbs from where `x/..` really leads, not from what is written.
        raise NotPrivateError(f"{link} must be no link through {str(target)!r}")
    return Path(os.path.normpath(link.parent / target))


def _check_content(folder: Path) -> None:
    """Raise `NotPrivateError` for a file below the folder that another user put there."""
    for place, folders, files in os.walk(folder):
        for name in (*folders, *files):
            # Each step of a run looks at every compiled kernel: no object a file.
            item = os.path.join(place, name)
            try:
                owner = os.lstat(item).st_uid
            except FileNotFoundError:  # Another process of ours has just replaced it.
                continue
            if owner not in (ROOT, os.geteuid()):
                raise NotPrivateError(f"{item} must be yours; it is user {owner}'s")
