"""The one way in which pmcell writes a file: temporary name, fsync, rename.

A reader never sees half a file: either the old content or the whole new one.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from glob import escape
from pathlib import Path
from typing import Any

from pmcell.errors import DataError
from pmcell.io.json_text import parse_json
from pmcell.io.modes import current_umask
from pmcell.io.outputs import refuse_device
from pmcell.io.scratch import scratch_folder

SCRATCH = ".pmcell-write-"


@contextmanager
def atomic_path(target: Path | str, *, replace: bool = True) -> Iterator[Path]:
    """Give a temporary path beside `target`; rename it to `target` if the block ends well.

    The temporary file keeps the target's suffix, so writers that look at the
    suffix behave. On any error the temporary file is removed and `target` is
    untouched. With `replace=False` a `target` that is there, a link too, is
    left as it is: `FileExistsError`. A device or pipe is never replaced: `UsageError`.
    """
    target = Path(target)
    refuse_device(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(
        prefix=f".{target.stem}.", suffix=f".part{target.suffix}", dir=target.parent
    )
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        _sync(temporary)
        os.chmod(temporary, 0o666 & ~current_umask())
        if not replace:
            # Made by nobody but us from here on, so that the rename replaces nothing else.
            os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600))
        os.replace(temporary, target)
        _sync(target.parent)
    except OSError as error:
        # What a person knows is the target; a write on a full disk names nothing.
        if error.filename in (None, name):
            error.filename = str(target)
        raise
    finally:
        temporary.unlink(missing_ok=True)


def remove_leftovers(target: Path | str) -> None:
    """Remove temporary files of `target` that a killed writer left; nothing may write it now."""
    target = Path(target)
    for left in target.parent.glob(f".{escape(target.stem)}.*.part{escape(target.suffix)}"):
        left.unlink(missing_ok=True)


def write_text(target: Path | str, text: str) -> None:
    """Write UTF-8 text atomically."""
    with atomic_path(target) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_texts(folder: Path, texts: Mapping[str, str], *, last: str) -> None:
    """Write files of a folder that belong together: none is in place before all are on the disk.

    The file that is called `last`, by which the others count, is put there last.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with scratch_folder(folder, SCRATCH) as made:
        for name, text in texts.items():
            write_text(made / name, text)
        for name in sorted(texts, key=lambda name: name == last):
            refuse_device(folder / name)
            os.replace(made / name, folder / name)
    _sync(folder)


def write_json(target: Path | str, value: Any) -> None:
    """Write JSON atomically, keys sorted, so that equal values give equal bytes."""
    write_text(target, json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n")


class DamagedJsonError(DataError, ValueError):
    """A JSON file of pmcell's own is not what was written."""


def read_json(path: Path | str) -> dict[str, Any]:
    """Read a JSON object that pmcell wrote; `DamagedJsonError` where it is none."""
    try:
        value = parse_json(Path(path).read_text(encoding="utf-8"))
    except ValueError as error:
        found = f"no JSON ({error})"
    else:
        if isinstance(value, dict):
            return value
        found = "JSON of another kind"
    raise DamagedJsonError(
        f"{path} must be a JSON object, as pmcell wrote it; found {found}. Restore it from a "
        "backup, or remove it and run again the step that writes it.",
        reason="damaged",
    )


def sha256_file(path: Path | str) -> str:
    """Hexadecimal SHA-256 of a file's bytes."""
    with Path(path).open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        # Some network disks write folders through, and refuse to be asked for it.
        with suppress(OSError) if path.is_dir() else nullcontext():
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
