"""Every place of a zarr store, by its own library: chunks alone do not say how they are packed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pmcell.consent.removal.place import Place
from pmcell.consent.removal.places import of_text
from pmcell.consent.removal.places_hdf5 import object_places

MARKS = ("zarr.json", ".zgroup", ".zarray")
"""Files that a store, or a group in one, is known by."""


def is_store(path: Path) -> bool:
    """Whether a file marks a folder as the root of a zarr store."""
    if path.name not in MARKS:
        return False
    # Once a store: by the first of its marks, and not by those of groups within.
    above = [path.parent.parent / mark for mark in MARKS]
    first = next(mark for mark in MARKS if (path.parent / mark).is_file())
    return path.name == first and not any(mark.is_file() for mark in above)


def store_places(folder: Path) -> Iterator[Place]:
    """Places of every group and array of a store; one that cannot be read has a `problem`."""
    import zarr

    try:
        root = zarr.open(folder, mode="r")
        members = dict(root.members(max_depth=None)) if isinstance(root, zarr.Group) else {}
        yield from of_text("\n".join(members).encode(), "zarr names", 0)
        for name, item in [("/", root), *sorted(members.items())]:
            yield from object_places(item, f"zarr {name}", name, 0, of_text, members)
    except Exception as error:
        # As with any file: whatever the library says, nothing was seen there.
        yield Place("zarr", problem=type(error).__name__)
