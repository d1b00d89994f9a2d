"""Texts that a file holds about itself, in `uns` of AnnData: title, DOI, accession, region."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pmcell.io.submitted.parts import is_array

MAX_ENTRIES = 200
MAX_DEPTH = 3
MAX_LETTERS = 2000


def read_uns(root: Any) -> dict[str, str]:
    """Single texts and numbers below `uns` of an open file, by dotted path; what is damaged is not.

    At most `MAX_ENTRIES` of at most `MAX_LETTERS`: they are hints for a draft, not data.
    """
    if "uns" not in root or is_array(root["uns"]):
        return {}
    found: dict[str, str] = {}
    for path, item in _entries(root["uns"], "", MAX_DEPTH):
        if len(found) == MAX_ENTRIES:
            break
        text = _text(item)
        if text:
            found[path] = text
    return found


def _entries(group: Any, path: str, depth: int) -> Iterator[tuple[str, Any]]:
    for name in sorted(group)[:MAX_ENTRIES]:
        below = f"{path}.{name}" if path else str(name)
        try:
            item = group[name]
        except (KeyError, OSError, ValueError):
            continue
        if is_array(item):
            yield below, item
        elif depth > 1:
            yield from _entries(item, below, depth - 1)


def _text(item: Any) -> str:
    """The one value of a scalar dataset as text; '' for arrays and what cannot be read."""
    try:
        if item.shape not in ((), (1,)) or item.dtype.itemsize > 4 * MAX_LETTERS:
            return ""
        value = item[()] if item.shape == () else item[0]
    except (OSError, TypeError, ValueError, RuntimeError):
        return ""
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    return " ".join(str(value).split())[:MAX_LETTERS]
