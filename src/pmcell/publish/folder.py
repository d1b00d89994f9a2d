"""A folder that is written whole or not at all."""

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

from pmcell.errors import UsageError
from pmcell.io.held_folder import when_nobody_reads
from pmcell.io.modes import current_umask
from pmcell.io.outputs import is_dossier, is_package, is_release
from pmcell.schema import TABLES

A_DAY = 24 * 3600


@contextmanager
def whole_folder(target: Path) -> Iterator[Path]:
    """Give an empty folder beside `target`; put it in `target`'s place if the block ends well.

    An older release at `target` is replaced as a whole and stays as it was on
    any error, and in its place for as long as a command reads it. A run that
    was killed between the two renames leaves the older one as `.<name>.old`;
    the next run puts it back first. A folder that is not a release is refused.
    What a killed writer left beside it is removed. While it is written it is
    its owner's alone, then as open as the umask lets it be.
    """
    target = Path(os.path.abspath(target))
    old = target.with_name(f".{target.name}.old")
    target.parent.mkdir(parents=True, exist_ok=True)
    _recover(target, old)
    _refuse_foreign(target)
    _remove_leftovers(target)
    new = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=".part", dir=target.parent))
    try:
        with _marked_as_written(new):
            yield new
            new.chmod(0o777 & ~current_umask())
            with when_nobody_reads(target):
                if target.exists():
                    os.rename(target, old)
                os.rename(new, target)
    finally:
        # Wherever it was stopped: the older one is put back, or goes once the new one is there.
        with suppress(OSError):
            _recover(target, old)
        shutil.rmtree(new, ignore_errors=True)


@contextmanager
def _marked_as_written(folder: Path) -> Iterator[None]:
    """Lock a folder while it is written; where the disk has no locks, do not."""
    mark = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):
            fcntl.flock(mark, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(mark)


def _remove_leftovers(target: Path) -> None:
    for left in target.parent.glob(f".{escape(target.name)}.*.part"):
        mark = os.open(left, os.O_RDONLY)
        try:
            fcntl.flock(mark, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            continue  # Another process writes it now.
        except OSError:
            if time.time() - left.stat().st_mtime < A_DAY:
                continue
        finally:
            os.close(mark)
        shutil.rmtree(left, ignore_errors=True)


def _recover(target: Path, old: Path) -> None:
    if old.exists() and not target.exists():
        os.rename(old, target)
    elif old.exists():
        shutil.rmtree(old)


def _refuse_foreign(target: Path) -> None:
    if target.is_symlink() or (target.exists() and not target.is_dir()):
        raise UsageError(f"--out must be a folder; {target.name} is a file or a link")
    if (
        target.is_dir()
        # Snakemake makes the folders of a job's files before it.
        and any(not path.is_dir() for path in target.rglob("*"))
        and not any(made(target) for made in (is_release, is_package, is_dossier, _has_tables))
    ):
        raise UsageError(
            "--out must be a new or empty folder or an earlier release, package or dossier; "
            f"{target.name} holds other files. Name another folder."
        )


def _has_tables(folder: Path) -> bool:
    """Whether what lost its manifest, or has a damaged one, is a release by its tables."""
    places = folder / "tables"
    names = [path.name for path in places.iterdir()] if places.is_dir() else []
    known = {"README.md", *(f"{table.name}.parquet" for table in TABLES)}
    return any(name != "README.md" for name in names) and set(names) <= known
