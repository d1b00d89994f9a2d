"""Files of an earlier release in a new one: the same bytes, held once where the disk allows it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from pmcell.io.atomic import atomic_path


def link_file(source: Path, target: Path) -> None:
    """Make `target` the file `source`: a second name of it, or a copy where there can be none.

    A release is never edited in place, so that a shared file is changed through neither name.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except OSError:
        with atomic_path(target) as temporary:
            shutil.copyfile(source, temporary)
