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
from functools import partial
from pathlib import Path

from pmcell.consent.removal.needles import Needles
from pmcell.consent.removal.place import Place
from pmcell.consent.removal.places import inside, of_bytes, of_text
from pmcell.consent.removal.places_zarr import MARKS, is_store, store_places
from pmcell.io.atomic import sha256_file

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

    def add(self, content: ScanReport, name: str) -> None:
        """Add what was seen in the content of a file of this name."""
        self.hits += [(name, where, kind) for _, where, kind in content.hits]
        self.unread += [(name, problem) for _, problem in content.unread]
        self.encrypted += [name for _ in content.encrypted]
        self.n_files += content.n_files
        self.n_objects += content.n_objects
        self.n_bytes += content.n_bytes

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
    paths = [path for root in roots for path in _files(root)]
    files = [path for path in paths if path.is_file() and not path.is_symlink()]
    first = _first_copies(files)
    read = sorted(set(first.values()))
    # Passes over bytes let go of the interpreter, so that files are read side by side.
    with ThreadPoolExecutor(MAX_THREADS) as pool:
        seen = dict(zip(read, pool.map(partial(_scan_content, needles=needles), read), strict=True))
    for path in paths:
        name = str(path.relative_to(base)) if base and path.is_relative_to(base) else str(path)
        _scan_names(path, name, needles, report)
        if path in first:
            report.add(seen[first[path]], _hidden(name, needles))
    report.seconds = time.monotonic() - start
    report.hits = sorted(set(report.hits))
    return report


def _first_copies(files: Sequence[Path]) -> dict[Path, Path]:
    """Of each file the first one that is the same, byte by byte: its content is read once."""
    of_size: dict[tuple[int, str], list[Path]] = {}
    found: dict[Path, Path] = {}
    for path in files:
        try:
            of_size.setdefault((path.stat().st_size, path.suffix), []).append(path)
        except OSError:  # It is gone, or nobody may see it: reading it says so.
            found[path] = path
    for same in of_size.values():
        firsts: dict[str, Path] = {}
        for path in same:
            # A mark of a store stands for what lies beside it.
            is_alone = len(same) == 1 or path.name in MARKS
            try:
                digest = str(path) if is_alone else sha256_file(path)
            except OSError:
                digest = str(path)
            found[path] = firsts.setdefault(digest, path)
    return found


def _scan_content(path: Path, needles: Needles) -> ScanReport:
    """What stands in one file, or in the store of which it is the mark."""
    report = ScanReport(n_files=1)
    try:
        report.n_bytes = path.stat().st_size
        _scan_places(inside(path), needles, report)
        if is_store(path):
            _scan_places(store_places(path.parent), needles, report)
    except (OSError, MemoryError) as error:
        report.unread.append(("", type(error).__name__))
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


def _scan_places(places: Iterator[Place], needles: Needles, report: ScanReport) -> None:
    for place in places:
        report.n_objects += 1
        if place.problem:
            report.unread.append(("", f"{place.where}: {place.problem}"))
            continue
        if place.is_encrypted:
            report.encrypted.append("")
            continue
        kinds = needles.in_bytes(place.text, is_joined=place.is_joined) if place.text else set()
        try:
            if needles.cells and any(needles.are_among(*cells) for cells in place.cells()):
                kinds.add("cells")
            if needles.genes and place.genes and needles.genes.are_in(place.genes()):
                kinds.add("cells")
        except Exception as error:
            # Cells are looked for after the texts of a place were; a reader may fail then only.
            report.unread.append(("", f"{place.where}: {type(error).__name__}"))
        where = "[named]" if kinds and _kinds(place.where, needles) else place.where
        report.hits += [("", where, kind) for kind in kinds]
