"""Every place of an HDF5 file: names, attributes, texts, numbers that are letters, and cells."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator, Mapping
from functools import partial
from mmap import mmap
from pathlib import Path
from typing import Any

import numpy as np

from pmcell.consent.removal.place import (
    MAX_DENSE,
    ROWS,
    Cells,
    Into,
    Place,
    long_cells,
    matrix_cells,
    once,
)
from pmcell.consent.removal.places_genes import gene_places
from pmcell.consent.removal.places_numbers import array_letters, array_places, in_rows, number_bytes
from pmcell.io.filters import register_filters_of

SIGNATURE = b"\x89HDF\r\n\x1a\n"
TEXT_ROWS = 1 << 18
FREE_PART = 1 << 28
"""Bytes between chunks that are looked at together."""
MAX_COLUMNS = 64
"""Arrays of a group that are looked at as columns of one table."""


def begin_of(data: bytes | mmap) -> int:
    """Where the HDF5 file within the bytes begins, after what others wrote before it; else -1."""
    begin = 0
    while begin < len(data):
        if data[begin : begin + len(SIGNATURE)] == SIGNATURE:
            return begin
        begin = max(512, begin * 2)
    return -1


def hdf5_places(
    data: bytes | mmap, where: str, depth: int, path: Path | None, *, into: Into, free: Into
) -> Iterator[Place]:
    """Places of an HDF5 file.

    Parameters
    ----------
    data, where, depth
        Its bytes, its name and how often it was packed.
    path
        The file itself, where it is one.
    into
        Makes the places of texts that the file holds.
    free
        Makes those of streams in the bytes that no dataset holds.
    """
    import h5py

    options = {"locking": False} if path else {}
    with h5py.File(path or io.BytesIO(data), "r", **options) as file:
        items: dict[str, Any] = {"/": file}
        file.visititems(items.__setitem__)
        chunked = [
            item
            for item in items.values()
            if isinstance(item, h5py.Dataset) and item.chunks is not None
        ]
        register_filters_of(chunked)
        yield from into("\n".join(items).encode("utf-8", "surrogateescape"), f"{where}names", depth)
        into = once(into)
        for name, item in items.items():
            yield from object_places(item, f"{where}{name}", name, depth, into, items)
            if comment := file.id.get_comment(name.encode("utf-8", "surrogateescape")):
                yield from into(comment, f"{where}{name}/comment", depth)
        # What was deleted is still in the file until it is packed anew; compressed, too.
        for part in _without(data, _chunks(chunked)):
            yield from free(part, f"{where}free space", depth)


def object_places(
    item: Any, where: str, name: str, depth: int, into: Into, items: Mapping[str, Any]
) -> Iterator[Place]:
    """Places of a group, a dataset or a type, with its attributes; of zarr as well.

    `items` are all of the file, by their names, which are opened once.
    """
    if attributes := _attributes(item):
        yield from into(attributes, where, depth)
    if hasattr(item, "shape"):
        yield from _dataset(item, where, depth, into)
    elif hasattr(item, "keys"):
        yield from _group(item, where, name.strip("/"), items)
    else:
        yield from into(_labels(item.dtype), where, depth)


def _chunks(items: list[Any]) -> list[tuple[int, int]]:
    """Offset and size of every chunk that a dataset holds."""
    found = []
    for item in items:
        # One call a chunk, as its index is walked once; by number each would walk it anew.
        item.id.chunk_iter(lambda chunk: found.append((chunk.byte_offset, chunk.size)))
    return sorted(chunk for chunk in found if chunk[0] is not None)


def _without(data: bytes | mmap, used: list[tuple[int, int]]) -> Iterator[bytes]:
    """The bytes between chunks, in parts of some size."""
    parts: list[bytes] = []
    at, size = 0, 0
    for begin, n_bytes in [*used, (len(data), 0)]:
        while at < begin:
            parts.append(data[at : min(begin, at + FREE_PART)])
            at, size = at + len(parts[-1]), size + len(parts[-1])
            if size >= FREE_PART:
                yield b"\0".join(parts)
                parts, size = [], 0
        at = max(at, begin + n_bytes)
    yield b"\0".join(parts)


def raw_text(value: Any) -> bytes:
    """A value as text, all of an array, however deep."""
    if isinstance(value, bytes):
        return value
    if isinstance(value, np.ndarray) and value.dtype.kind in "OS":
        with contextlib.suppress(TypeError):  # Not all of it are texts.
            return b"\n".join(value.ravel().tolist())
    if isinstance(value, np.ndarray | list | tuple):
        return b"\n".join(raw_text(item) for item in value)
    if isinstance(value, np.void):
        return raw_text(value.item()) if value.dtype.names else value.tobytes()
    return str(value).encode("utf-8", "surrogateescape")


def _attributes(item: Any) -> bytes:
    said = []
    for key, value in item.attrs.items():
        said.append(key.encode("utf-8", "replace") + b"=" + raw_text(value))
        if isinstance(value, np.ndarray) and value.dtype.kind in "iuf":
            said.append(array_letters(value))
        if hasattr(item.attrs, "get_id") and not isinstance(value, str | bytes):
            said.append(_labels(item.attrs.get_id(key).dtype))
    return b"\n".join(said)


def _labels(kind: Any) -> bytes:
    """Names that a type gives to its values and to its fields."""
    import h5py

    names = [*(h5py.check_enum_dtype(kind) or ()), *(kind.names or ())]
    inner = [kind[name] for name in kind.names or ()]
    return "\n".join(names).encode() + b"\n".join(map(_labels, inner))


def _dataset(item: Any, where: str, depth: int, into: Into) -> Iterator[Place]:
    kind, shape = item.dtype, item.shape
    if isinstance(kind, np.dtype) and (labels := _labels(kind)):
        yield from into(labels, where, depth)
    if kind.kind in "OSUVT" and (fill := getattr(item, "fillvalue", None)) is not None:
        yield from into(raw_text(fill), f"{where}/fill value", depth)
    if shape is None or 0 in shape:
        return
    if getattr(kind, "names", None) or kind.kind in "OSUVT":
        blocks = [item[()]] if shape == () else (
            item[at : at + TEXT_ROWS] for at in range(0, shape[0], TEXT_ROWS)
        )  # fmt: skip
        for block in blocks:
            yield from into(raw_text(np.atleast_1d(block)), where, depth)
        if kind == np.dtype("S1") and len(shape) > 1:
            yield from into(in_rows(np.asarray(item[()]).T), where, depth)
    elif kind.kind in "iufbc":
        for place in array_places(item, where):
            yield place
            yield from into(place.text, where, depth) if place.text else ()
        yield from number_bytes(item, where)


def _group(group: Any, where: str, name: str, items: Mapping[str, Any]) -> Iterator[Place]:
    """Cells of a sparse matrix in its three arrays, or of columns with a row for each value."""
    names = sorted(group.keys())
    yield from gene_places(group, where)
    if {"data", "indices", "indptr"} <= set(names):
        yield from _sparse(group, where)
        return
    paths = {key: f"{name}/{key}" if name else key for key in names[:MAX_COLUMNS]}
    parts = [items[path] if path in items else group[key] for key, path in paths.items()]
    columns = [part for part in parts if getattr(part, "ndim", 0) == 1 and part.dtype.kind in "iuf"]
    if len(columns) >= 2 and len({column.shape for column in columns}) == 1:
        yield Place(where, cells=lambda: long_cells([column[()] for column in columns]))


def _sparse(group: Any, where: str) -> Iterator[Place]:
    """Cells of a sparse matrix: what it stores in its order, and rows of one in columns."""
    if group["data"].dtype.kind not in "iuf" or group["data"].ndim != 1:
        return
    yield Place(where, cells=partial(_stored_cells, group))
    encoding = str(group.attrs.get("encoding-type", ""))
    if not encoding.startswith("csr") and group["data"].size <= MAX_DENSE:
        yield Place(f"{where}/rows", cells=partial(_row_cells, group))


def _stored_cells(group: Any) -> Iterator[Cells]:
    indptr = group["indptr"][()]
    for at in range(0, max(len(indptr) - 1, 0), ROWS):
        bounds = indptr[at : at + ROWS + 1]
        yield bounds - bounds[0], group["data"][bounds[0] : bounds[-1]]


def _row_cells(group: Any) -> Iterator[Cells]:
    from scipy.sparse import csc_matrix

    # Without their shape: 10x and AnnData say it in different places.
    parts = tuple(group[name][()] for name in ("data", "indices", "indptr"))
    return matrix_cells(csc_matrix(parts))
