"""Every place of an HDF5 file: names, attributes, texts, numbers that are letters, and cells."""

from __future__ import annotations

import io
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from pmcell.consent.place import MAX_DENSE, ROWS, Into, Place, dense_prints, matrix_prints
from pmcell.consent.place import sparse_prints as prints_of_parts
from pmcell.io.filters import register_filters

SIGNATURE = b"\x89HDF\r\n\x1a\n"
TEXT_ROWS = 1 << 18
SAMPLED = 4096
"""Numbers by which it is told whether a dataset of numbers holds letters."""


def begin_of(data: bytes) -> int:
    """Where the HDF5 file within the bytes begins, after what others wrote before it; else -1."""
    begin = 0
    while begin < len(data):
        if data.startswith(SIGNATURE, begin):
            return begin
        begin = max(512, begin * 2)
    return -1


def hdf5_places(
    data: bytes, where: str, depth: int, path: Path | None, *, into: Into, free: Into
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

    with h5py.File(path or io.BytesIO(data), "r", **({"locking": False} if path else {})) as file:
        register_filters(file)
        names: list[str] = []
        file.visit(names.append)
        for name in ["/", *names]:
            item = file[name]
            place = f"{where}{name}"
            yield from into(f"{name}\n".encode() + _attributes(item), place, depth)
            if isinstance(item, h5py.Dataset):
                yield from _dataset(item, place, depth, into)
            elif {"data", "indices", "indptr"} <= set(item):
                yield from _sparse(item, place)
        # What was deleted is still in the file until it is packed anew; compressed, too.
        used = _chunks([file[name] for name in names])
        yield from free(_without(data, used), f"{where}free space", depth)


def _chunks(items: list[Any]) -> list[tuple[int, int]]:
    """Offset and size of every chunk that a dataset holds."""
    import h5py

    found = []
    for item in items:
        if isinstance(item, h5py.Dataset) and item.chunks is not None:
            # One call a chunk, as its index is walked once; by number each would walk it anew.
            item.id.chunk_iter(lambda chunk: found.append((chunk.byte_offset, chunk.size)))
    return sorted(chunk for chunk in found if chunk[0] is not None)


def _without(data: bytes, used: list[tuple[int, int]]) -> bytes:
    parts, at = [], 0
    for begin, size in used:
        parts.append(data[at:begin])
        at = max(at, begin + size)
    return b"\0".join([*parts, data[at:]])


def raw_text(value: Any) -> bytes:
    """A value as text, all of an array, however deep."""
    if isinstance(value, bytes):
        return value
    if isinstance(value, np.ndarray | list | tuple):
        return b"\n".join(raw_text(item) for item in value)
    if isinstance(value, np.void):
        return raw_text(value.item()) if value.dtype.names else value.tobytes()
    return str(value).encode("utf-8", "surrogateescape")


def _attributes(item: Any) -> bytes:
    said = []
    for key, value in item.attrs.items():
        said.append(key.encode("utf-8", "replace") + b"=" + raw_text(value))
        if isinstance(value, np.ndarray) and value.dtype.kind in "iu":
            said.append(_letters(value))
    return b"\n".join(said)


def _dataset(item: Any, where: str, depth: int, into: Into) -> Iterator[Place]:
    import h5py

    kind, shape = item.dtype.kind, item.shape
    labels = h5py.check_enum_dtype(item.dtype)
    if labels:
        yield from into("\n".join(labels).encode(), where, depth)
    if shape is None or 0 in shape:
        return
    if item.dtype.names or kind in "OSV":
        blocks = [item[()]] if shape == () else (
            item[at : at + TEXT_ROWS] for at in range(0, shape[0], TEXT_ROWS)
        )  # fmt: skip
        for block in blocks:
            yield from into(raw_text(np.atleast_1d(block)), where, depth)
    elif kind in "iu" and _holds_letters(item):
        yield from into(_letters(np.asarray(item[()])), where, depth)
    elif item.ndim == 2 and kind in "iuf":
        yield Place(where, prints=partial(dense_prints, item))


def _holds_letters(item: Any) -> bool:
    """Whether numbers are letters, one each: bytes, or code points of UTF-32."""
    if item.dtype.itemsize == 1:
        return True
    rows = max(SAMPLED // max(int(np.prod(item.shape[1:])), 1), 1)
    sample = np.asarray(item[()] if item.shape == () else item[:rows]).ravel()
    sample = sample[sample != 0]
    is_letter = (sample >= 32) & (sample < 127)
    return bool(sample.size) and bool(is_letter.mean() > 0.9)


def _letters(values: np.ndarray) -> bytes:
    """Numbers as the letters that they stand for, rows apart; others as no letter."""
    if values.dtype.itemsize > 1:
        values = np.where((values >= 0) & (values < 128), values, 0).astype(np.uint8)
    if values.ndim < 2:
        return values.tobytes()
    # Where a text goes on over rows, and where each row is one.
    return values.tobytes() + b"\0" + b"\0".join(row.tobytes() for row in values)


def _sparse(group: Any, where: str) -> Iterator[Place]:
    """Cells of a sparse matrix: what it stores in its order, and rows of one in columns."""
    if group["data"].dtype.kind not in "iuf" or group["data"].ndim != 1:
        return
    yield Place(where, prints=partial(_stored_prints, group))
    encoding = str(group.attrs.get("encoding-type", ""))
    if encoding.startswith("csc") and group["data"].size <= MAX_DENSE:
        yield Place(f"{where}/rows", prints=partial(_row_prints, group))


def _stored_prints(group: Any) -> frozenset[bytes]:
    indptr = group["indptr"][()]
    found: set[bytes] = set()
    for at in range(0, max(len(indptr) - 1, 0), ROWS):
        bounds = indptr[at : at + ROWS + 1]
        values = group["data"][bounds[0] : bounds[-1]]
        found |= prints_of_parts(bounds - bounds[0], values)
    return frozenset(found)


def _row_prints(group: Any) -> frozenset[bytes]:
    from scipy.sparse import csc_matrix

    parts = (group["data"][()], group["indices"][()], group["indptr"][()])
    return matrix_prints(csc_matrix(parts, shape=tuple(group.attrs["shape"])))
