"""Where a command may write: no release takes in what is not of it, and only what is pmcell's goes.

A folder is known by its `manifest.json`; one that anybody else made may have a file of that name.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pmcell.errors import UsageError
from pmcell.io.json_text import parse_json

MANIFEST = "manifest.json"
MAX_BYTES = 64 * 2**20
"""Bytes of a manifest that are read."""
HEAD_BYTES = 1 << 16
"""Bytes at the beginning of a file by which it is known."""
MAX_NAME = 240
"""Bytes of a name: a file is written under a longer one, then renamed."""
DEVICES = ("/dev", "/dev/fd", "/proc")
"""Folders in which nothing is a file, though it may lead to one, as /dev/stdout does."""


def is_release(folder: Path) -> bool:
    """Whether a folder holds a release, by the form of its manifest."""
    return {"pmcell", "content_sha256", "cohorts"} <= _manifest(folder).keys()


def is_package(folder: Path) -> bool:
    """Whether a folder holds a sealed package, by the form of its manifest."""
    return {"format", "recipients", "signer", "files"} <= _manifest(folder).keys()


def is_dossier(folder: Path) -> bool:
    """Whether a folder holds a dossier, by the form of its manifest."""
    return str(_manifest(folder).get("format")).startswith("pmcell-dossier-")


def refuse_in_release(path: Path, option: str = "--out") -> None:
    """`UsageError` for a place in a release: what lies there is handed on, and no more verified."""
    place = Path(os.path.realpath(path))
    for folder in (place, *place.parents):
        if is_release(folder):
            raise UsageError(
                f"{option} must not lie in a release, which is handed on as it is; {path} lies in "
                f"{folder}. Name another place."
            )


def require_usable(path: Path, option: str) -> None:
    """`UsageError` for a path that leads nowhere whatever is there: too long, or in a circle."""
    try:
        os.stat(path)
    except ValueError as error:
        raise UsageError(f"{option} must be a path; {str(path)!a} holds a zero byte") from error
    except OSError as error:
        if error.errno not in (errno.ELOOP, errno.ENAMETOOLONG):
            return
        is_long = error.errno == errno.ENAMETOOLONG
        found = "is too long for this disk" if is_long else "is a link that leads to itself"
        raise UsageError(
            f"{option} must be a path that can be; {str(path)[:80]} {found}"
        ) from error


def require_input(path: Path) -> None:
    """`UsageError` where there is no file to read, or one under a name that no library can use."""
    name = os.fspath(path)
    if any("\ud800" <= sign <= "\udfff" for sign in name):
        raise UsageError(
            f"FILE must have a path in UTF-8; {name!a} is not. Rename what is in another encoding "
            "(ls -b shows it)."
        )
    if path.exists():
        return
    fix = ""
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]+:/", name):
        fix = " An address is no file: download it, then name the copy."
    elif name.startswith("~"):
        fix = " Leave ~ outside of the quotes: within them a shell takes it as it is."
    raise UsageError(f"FILE must exist; there is no {name!r}.{fix}")


def require_place(path: Path, option: str = "--out", *, is_folder: bool) -> None:
    """`UsageError` where no such file, or folder, can be made: before the work, not after it."""
    kind, other = ("a folder", "a file") if is_folder else ("a file", "a folder")
    try:
        os.fspath(path).encode()
        mode = os.stat(path).st_mode if os.path.lexists(path) else None
        real = Path(os.path.realpath(path))
        above = next(one for one in (*real.parents, real) if os.path.lexists(one))
    except (OSError, ValueError) as error:
        # No UTF-8, a zero byte, a name that is too long, a link that leads nowhere or to itself.
        found = getattr(error, "strerror", "") or "signs that are no UTF-8"
        raise UsageError(
            f"{option} must be a path that can be written; {str(path)!a} is none: {found}. Name "
            "another."
        ) from error
    if not above.is_dir():
        found = f"{above} is a file"
        raise UsageError(f"{option} must lie in a folder; {found}. Name another place.")
    if len(os.fsencode(real.name)) > MAX_NAME:
        raise UsageError(
            f"{option} must have a name of at most {MAX_NAME} bytes; got {len(real.name)}"
        )
    is_fit = stat.S_ISDIR if is_folder else stat.S_ISREG
    if mode is not None and not is_fit(mode):
        what = other if stat.S_ISREG(mode) or stat.S_ISDIR(mode) else "a device or pipe"
        raise UsageError(f"{option} must be {kind}; {path} is {what}. Name another.")


def require_known(path: Path, option: str, mark: bytes, what: str) -> None:
    """`UsageError` for a file that is not `what` a command writes: it would be lost.

    `mark` stands at the beginning of every such file, in small letters. An empty file is nobody's.
    """
    if not path.is_file() or not path.stat().st_size:
        return
    with path.open("rb") as stream:
        begins = stream.read(HEAD_BYTES).lower()
    if mark not in begins:
        raise UsageError(
            f"{option} must be a new file, or {what} from before, which is replaced; {path} is "
            "something else. Nothing was written. Name another file, or remove that one."
        )


def refuse_device(path: Path) -> None:
    """`UsageError` for a device or pipe: a file put in its place would take it away."""
    try:
        mode = os.stat(path).st_mode
    except (OSError, ValueError):
        mode = stat.S_IFREG
    place = os.path.abspath(path)
    is_file = stat.S_ISREG(mode) or stat.S_ISDIR(mode)
    if not is_file or os.path.dirname(place) in DEVICES or place.startswith("/proc/"):
        raise UsageError(
            f"{path} must be a file, for it is replaced as a whole; it is a device or pipe. Name "
            "a file, and read it from there."
        )


def _manifest(folder: Path) -> Mapping[str, Any]:
    try:
        if not (folder / MANIFEST).is_file():
            return {}
        with (folder / MANIFEST).open("rb") as stream:
            value = parse_json(stream.read(MAX_BYTES))
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}
