"""The entries of a zarr store, a folder or a zip file, and its group opened by the library.

A store is a tree of small files. They are listed here without following a link and
without the library: what a store may hold is judged before it opens anything
(`pmcell.io.submitted.preflight_zarr`).
"""

from __future__ import annotations

import hashlib
import os
import stat
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from pmcell.io.atomic import sha256_file

METADATA = ("zarr.json", ".zarray", ".zgroup", ".zattrs", ".zmetadata")


@dataclass(frozen=True)
class Entry:
    """A file of a store: its key below the store's root, its sizes, and what speaks against it."""

    key: str
    size: int
    stored: int
    refused: str = ""


def is_store(path: Path) -> bool:
    """Whether `path` is a zarr group: a folder with its metadata, or a zip file."""
    if path.is_dir():
        return any((path / name).is_file() for name in ("zarr.json", ".zgroup"))
    return path.suffix.lower() == ".zip"


def list_entries(path: Path) -> Iterator[Entry]:
    """Every file of the store; links, devices and names that lead out of it are marked refused."""
    if path.is_dir():
        yield from _folder_entries(path, "")
        return
    with zipfile.ZipFile(path) as archive:
        seen: set[str] = set()
        for info in archive.infolist():
            if not info.is_dir():
                yield Entry(info.filename, info.file_size, info.compress_size, _refusal(info, seen))
                seen.add(info.filename)


def read_entry(path: Path, key: str) -> bytes:
    """The bytes of one file of the store."""
    if path.is_dir():
        return (path / key).read_bytes()
    with zipfile.ZipFile(path) as archive:
        return archive.read(key)


def prefix_of(keys: list[str]) -> str:
    """Where in a zip file the store lies: '', or the one folder that `zip -r` puts around it."""
    tops: set[str] = set()
    for key in keys:
        if key in ("zarr.json", ".zgroup"):
            return ""
        tops.add(key.split("/")[0])
    return next(iter(tops)) if len(tops) == 1 else ""


def store_digest(path: Path) -> str:
    """SHA-256 of a store's folder: of the lines `digest  key` of all its files, in order of key."""
    lines = sorted((entry.key, sha256_file(path / entry.key)) for entry in list_entries(path))
    return hashlib.sha256("".join(f"{sha}  {key}\n" for key, sha in lines).encode()).hexdigest()


@contextmanager
def opened_store(path: Path) -> Iterator[Any]:
    """The store's root group; only what each array says of itself counts, no consolidated copy."""
    import zarr
    from zarr.storage import LocalStore, ZipStore

    folder = path.is_dir()
    store = LocalStore(path, read_only=True) if folder else ZipStore(path, mode="r")
    try:
        prefix = "" if folder else prefix_of([entry.key for entry in list_entries(path)])
        yield zarr.open_group(store, path=prefix, mode="r", use_consolidated=False)
    finally:
        store.close()


def _folder_entries(folder: Path, prefix: str) -> Iterator[Entry]:
    with os.scandir(folder) as found:
        items = sorted(found, key=lambda item: item.name)
    for item in items:
        key = prefix + item.name
        if item.is_symlink():
            yield Entry(key, 0, 0, "a link")
        elif item.is_dir(follow_symlinks=False):
            yield from _folder_entries(Path(item.path), key + "/")
        else:
            state = item.stat(follow_symlinks=False)
            regular = stat.S_ISREG(state.st_mode)
            yield Entry(key, state.st_size, state.st_size, "" if regular else "a device or pipe")


def _refusal(info: zipfile.ZipInfo, seen: set[str]) -> str:
    parts = PurePosixPath(info.filename).parts
    if ".." in parts or info.filename.startswith("/") or "\\" in info.filename:
        return "a name that leads out of the store"
    if stat.S_ISLNK(info.external_attr >> 16):
        return "a link"
    if info.flag_bits & 1:
        return "an encrypted file"
    if info.filename in seen:
        return "a name that stands twice"
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        return f"ZIP compression {info.compress_type}"
    return ""
