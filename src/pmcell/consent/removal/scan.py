"""Removal scan: walk every object of every file below some folders, and say where a person is.

A scan proves nothing unless it can find: before each one canaries are planted in
every place that it knows (`canaries`), and a canary that is missed fails it. What
cannot be read is named, and no scan with such a file is clean.
"""

from __future__ import annotations

import base64
import binascii
import os
import re
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from pmcell.consent.removal.needles import Needles
from pmcell.consent.removal.place import Place
from pmcell.consent.removal.places import inside, of_bytes, of_text
from pmcell.consent.removal.places_zarr import is_store, store_places

MAX_THREADS = min(len(os.sched_getaffinity(0)), 4)
"""Files that are read at once: each is in memory."""


@dataclass
class ScanReport:
    """What a scan saw: hits (file, place in it, what), files that could not be read, size, time.

    `encrypted` are files that only who has a key can read: they are named and nothing is said
    of what they hold. `left_out` are folders beside that nobody asked to look into.
    """

    hits: list[tuple[str, str, str]] = field(default_factory=list)
    unread: list[tuple[str, str]] = field(default_factory=list)
    encrypted: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    n_files: int = 0
    n_objects: int = 0
    n_bytes: int = 0
    seconds: float = 0.0

    @property
    def is_clean(self) -> bool:
        """Whether everything was read and nothing was found."""
        return not self.hits and not self.unread


def scan(roots: Sequence[Path], needles: Needles, *, base: Path | None = None) -> ScanReport:
    """Look for the needles in all files below the roots, their names, and what is packed in them.

    Parameters
    ----------
    roots
        Folders and files; what is missing is passed over.
    needles
        What to look for.
    base
        Names in the report are relative to it.
    """
    report = ScanReport()
    start = time.monotonic()
    needles.prepare()

    def of_file(path: Path) -> ScanReport:
        name = str(path.relative_to(base)) if base and path.is_relative_to(base) else str(path)
        return _scan_file(path, name, needles)

    paths = [path for root in roots for path in _files(root)]
    # Passes over bytes let go of the interpreter, so that files are read side by side.
    with ThreadPoolExecutor(MAX_THREADS) as pool:
        for found in pool.map(of_file, paths):
            report.hits += found.hits
            report.unread += found.unread
            report.encrypted += found.encrypted
            report.n_files += found.n_files
            report.n_objects += found.n_objects
            report.n_bytes += found.n_bytes
    report.seconds = time.monotonic() - start
    report.hits = sorted(set(report.hits))
    return report


def _scan_file(path: Path, name: str, needles: Needles) -> ScanReport:
    """What one file, folder or link says."""
    report = ScanReport()
    _scan_names(path, name, needles, report)
    if path.is_symlink() or not path.is_file():
        return report
    report.n_files += 1
    try:
        report.n_bytes += path.stat().st_size
        _scan_place(inside(path), name, needles, report)
        if is_store(path):
            _scan_place(store_places(path.parent), name, needles, report)
    except (OSError, MemoryError) as error:
        report.unread.append((name, type(error).__name__))
    return report


def _files(root: Path) -> Iterator[Path]:
    """The root and everything below it, folders and links too."""
    if not os.path.lexists(root):
        return
    yield root
    if root.is_dir() and not root.is_symlink():
        for folder, folders, files in os.walk(root):
            folders.sort()
            for name in sorted([*folders, *files]):
                yield Path(folder, name)


def _scan_names(path: Path, name: str, needles: Needles, report: ScanReport) -> None:
    """A file's name, as it is and as the base64 that workflow records are named by; its link."""
    # Long names of records are parts of one in base64, folders within each other.
    whole = f"{path.parent.name}{path.name}" if path.parent.name.startswith("@") else path.name
    kinds = _kinds(whole, needles) | needles.in_bytes(os.fsencode(name))
    # Some tools put the first letters of a name into folders.
    parts = needles.in_bytes(os.fsencode("".join(Path(name).parts)), is_joined=True)
    places = [("file name", kind) for kind in kinds | parts]
    if path.is_symlink():
        places += [("link", kind) for kind in _kinds(os.readlink(path), needles)]
    try:
        for key in os.listxattr(path, follow_symlinks=False):
            value = os.getxattr(path, key, follow_symlinks=False)
            for place in of_bytes(key.encode() + b"\n" + value, "", 0):
                kinds = needles.in_bytes(place.text)
                places += [("extended attribute", kind) for kind in kinds]
    except OSError:
        pass  # This file system keeps none.
    # A hit's own name would carry what was found into the report.
    report.hits += [(_hidden(name, needles), where, kind) for where, kind in places]


def _kinds(name: str, needles: Needles) -> set[str]:
    """What of the person a file name says, in whatever way of writing."""
    texts = [place.text for place in of_text(os.fsencode(name), "", 0)]
    return set().union(*(needles.in_bytes(text) for text in [*texts, *decoded_names(name)]))


def decoded_names(name: str) -> Iterator[bytes]:
    """What a file name says in base64, with or without padding; nothing where it is none."""
    for part in re.findall(r"[A-Za-z0-9+/_-]{8,}={0,2}", name):
        text = part.replace("-", "+").replace("_", "/").rstrip("=")
        try:
            yield base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
        except (binascii.Error, ValueError):
            continue


def _hidden(name: str, needles: Needles) -> str:
    """A path without the parts that hold what was looked for."""
    parts = Path(name).parts
    hidden = ["[named]" if _kinds(part, needles) else part for part in parts]
    if "[named]" not in hidden and needles.in_bytes(os.fsencode("".join(parts)), is_joined=True):
        hidden = ["[named]"] * len(parts)
    return str(Path(*hidden))


def _scan_place(places: Iterator[Place], name: str, needles: Needles, report: ScanReport) -> None:
    for place in places:
        report.n_objects += 1
        if place.problem:
            report.unread.append((_hidden(name, needles), f"{place.where}: {place.problem}"))
            continue
        if place.is_encrypted:
            report.encrypted.append(_hidden(name, needles))
            continue
        kinds = needles.in_bytes(place.text, is_joined=place.is_joined) if place.text else set()
        try:
            if needles.cells and not needles.cells.isdisjoint(place.prints()):
                kinds.add("cells")
            if needles.genes and place.genes and needles.genes.are_in(place.genes()):
                kinds.add("cells")
        except Exception as error:
            # Cells are looked for after the texts of a place were; a reader may fail then only.
            report.unread.append((_hidden(name, needles), f"{place.where}: {type(error).__name__}"))
        where = "[named]" if kinds and _kinds(place.where, needles) else place.where
        report.hits += [(_hidden(name, needles), where, kind) for kind in kinds]
