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
from dataclasses import dataclass, field
from pathlib import Path

from pmcell.consent.needles import Needles
from pmcell.consent.place import Place
from pmcell.consent.places import inside


@dataclass
class ScanReport:
    """What a scan saw: hits (file, place in it, what), files that could not be read, size, time.

    `encrypted` are files that only who has a key can read: they are named and nothing is said
    of what they hold.
    """

    hits: list[tuple[str, str, str]] = field(default_factory=list)
    unread: list[tuple[str, str]] = field(default_factory=list)
    encrypted: list[str] = field(default_factory=list)
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
    for root in roots:
        for path in _files(root):
            name = str(path.relative_to(base)) if base and path.is_relative_to(base) else str(path)
            _scan_names(path, name, needles, report)
            if path.is_symlink() or not path.is_file():
                continue
            report.n_files += 1
            try:
                report.n_bytes += path.stat().st_size
                _scan_place(inside(path), name, needles, report)
            except OSError as error:
                report.unread.append((name, type(error).__name__))
    report.seconds = time.monotonic() - start
    report.hits = sorted(set(report.hits))
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
    found = needles.in_bytes(path.name.encode("utf-8", "surrogateescape"))
    for text in decoded_names(path.name):
        found |= needles.in_bytes(text)
    # A hit's own name would carry what was found into the report.
    report.hits += [(_hidden(name, needles), "file name", kind) for kind in found]
    if path.is_symlink():
        target = needles.in_bytes(os.fsencode(os.readlink(path)))
        report.hits += [(_hidden(name, needles), "link", kind) for kind in target]
    try:
        for key in os.listxattr(path, follow_symlinks=False):
            value = os.getxattr(path, key, follow_symlinks=False)
            kinds = needles.in_bytes(key.encode() + b"\n" + value)
            report.hits += [(_hidden(name, needles), "extended attribute", kind) for kind in kinds]
    except OSError:
        pass  # This file system keeps none.


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
    return str(Path(*("[named]" if _names(part, needles) else part for part in parts)))


def _names(part: str, needles: Needles) -> bool:
    if needles.in_bytes(part.encode("utf-8", "surrogateescape")):
        return True
    return any(needles.in_bytes(text) for text in decoded_names(part))


def _scan_place(places: Iterator[Place], name: str, needles: Needles, report: ScanReport) -> None:
    for place in places:
        report.n_objects += 1
        if place.problem:
            report.unread.append((_hidden(name, needles), f"{place.where}: {place.problem}"))
            continue
        if place.is_encrypted:
            report.encrypted.append(_hidden(name, needles))
            continue
        kinds = needles.in_bytes(place.text) if place.text else set()
        if needles.cells and not needles.cells.isdisjoint(place.prints()):
            kinds.add("cells")
        where = "[named]" if _names(place.where, needles) else place.where
        report.hits += [(_hidden(name, needles), where, kind) for kind in kinds]
