"""What the release folder holds, from its manifest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pmcell.spelling import plural

_FOLDERS = ("cells", "tables", "expression", "reference", "validation")
_PAGES = {"tables": "dictionary.html", "expression": "dictionary.html#table-expression"}
_FIRST = ("report.html", "README.md", "strata.json", "donors.h5ad")


@dataclass(frozen=True)
class Item:
    """A file or a folder; `href` is '' where there is nothing to open in a browser."""

    name: str
    prose: str
    size: str
    href: str


def files(manifest: Mapping[str, Any], prose: Mapping[str, str]) -> list[Item]:
    """Folders and files at the top of the release, cells file by file."""
    sizes = {
        name: int(entry.get("size") or 0)
        for name, entry in (manifest.get("files") or {}).items()
        if isinstance(entry, dict) and not name.startswith("site/")
    }
    tops: dict[str, list[str]] = {}
    for name in sizes:
        if "/" in name:
            tops.setdefault(name.split("/", 1)[0], []).append(name)
    found = []
    for top in sorted(tops, key=lambda top: (_place(_FOLDERS, top), top)):
        own = tops[top]
        about, href = prose.get(f"{top}/", ""), _PAGES.get(top, "")
        total = f"{plural(len(own), 'file')}, {readable(sum(sizes[name] for name in own))}"
        found.append(Item(f"{top}/", about, total, href))
        if top == "cells":
            found += [
                Item(name, prose.get(name, ""), readable(sizes[name]), f"../{name}")
                for name in sorted(own)
            ]
    flat = sorted(
        (name for name in sizes if "/" not in name),
        key=lambda name: (_place(_FIRST, name), name),
    )
    found += [Item(name, prose.get(name, ""), readable(sizes[name]), f"../{name}") for name in flat]
    return found


def _place(first: tuple[str, ...], name: str) -> int:
    return first.index(name) if name in first else len(first)


def readable(size: int) -> str:
    """A size in bytes with two digits.

    >>> readable(7_601_673)
    '7.6 MB'
    """
    value, unit = float(size), "B"
    for larger in ("kB", "MB", "GB", "TB"):
        if value < 1000:
            break
        value, unit = value / 1000, larger
    return f"{value:.1f} {unit}" if value < 10 and unit != "B" else f"{value:.0f} {unit}"
