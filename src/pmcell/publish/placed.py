"""Files of the results or of an earlier release in a release: the same bytes, held once."""

from __future__ import annotations

import errno
import os
import shutil
import stat
from pathlib import Path

from pmcell.io.atomic import atomic_path
from pmcell.io.modes import current_umask


def place_file(source: Path, target: Path) -> None:
    """Link a file where the release is as closed as it is, else copy it.

    A link has the modes of the file: where a release is more open than the study, it is a copy.
    """
    if stat.S_IMODE(source.stat().st_mode) == 0o666 & ~current_umask():
        link_file(source, target)
    else:
        _copy(source, target)


def link_file(source: Path, target: Path) -> None:
    """Make `target` the file `source`: a second name of it, or a copy where there can be none.

    A release is never edited in place, so that a shared file is changed through neither name.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise
        _copy(source, target)


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(target) as temporary:
        shutil.copyfile(source, temporary)
