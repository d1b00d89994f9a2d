"""Files of the results in a release: linked where the release is as closed as they are."""

from __future__ import annotations

import errno
import os
import shutil
import stat
from pathlib import Path

from pmcell.io.atomic import atomic_path
from pmcell.io.modes import current_umask


def place_file(source: Path, target: Path) -> None:
    """Link a file, or copy it where it cannot be linked.

    A link has the modes of the file: where a release is more open than the study, it is a copy.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    if stat.S_IMODE(source.stat().st_mode) == 0o666 & ~current_umask():
        try:
            os.link(source, target)
            return
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise
    with atomic_path(target) as temporary:
        shutil.copyfile(source, temporary)
