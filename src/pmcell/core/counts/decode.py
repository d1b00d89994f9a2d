"""From stored bytes to counts: undo HDF5's byte shuffle, check values and positions.

Each kernel is serial and free of Python's lock, so that several decode at once.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pmcell.core.compiler import Array, kernel

MAX_COUNT = 2**31 - 1

RUN = 4096
"""Values that are checked together, without a branch for each."""


def unshuffled(stored: bytes, dtype: np.dtype) -> NDArray:  # type: ignore[type-arg]
    """Values of a chunk that HDF5's shuffle filter wrote: all first bytes, all second bytes, …

    >>> unshuffled(bytes([1, 2, 0, 0, 0, 0, 0, 0]), np.dtype("<i4")).tolist()
    [1, 2]
    """
    planes = np.frombuffer(stored, np.uint8).reshape(dtype.itemsize, -1)
    if dtype.itemsize != 4:
        return np.ascontiguousarray(planes.T).reshape(-1).view(dtype)
    words = np.empty(planes.shape[1], np.uint32)
    _join_planes(planes, words)
    return words.view(dtype)


def copy_counts(values: NDArray, counts: NDArray[np.int32]) -> int:  # type: ignore[type-arg]
    """Copy whole numbers from 0 to 2^31 - 1; the place of the first that is none, or -1."""
    if values.dtype == np.int32:
        counts[:] = values
        return int(np.argmax(values < 0)) if values.size and values.min() < 0 else -1
    return int(_copy_counts(values, counts))


def first_bad_row(indptr: NDArray[np.int64], indices: NDArray[np.int32], n_genes: int) -> int:
    """The first row whose positions are not in [0, n_genes) and rising, or -1."""
    return int(_first_bad_row(indptr, indices, n_genes))


@kernel
def _join_planes(planes: Array, words: Array) -> None:
    for at in range(words.size):
        words[at] = (
            np.uint32(planes[0, at])
            | (np.uint32(planes[1, at]) << np.uint32(8))
            | (np.uint32(planes[2, at]) << np.uint32(16))
            | (np.uint32(planes[3, at]) << np.uint32(24))
        )


@kernel
def _copy_counts(values: Array, counts: Array) -> int:
    for low in range(0, values.size, RUN):
        given, kept = values[low : low + RUN], counts[low : low + RUN]
        n_bad = np.int64(0)
        for at in range(given.size):
            value = np.float64(given[at])
            is_count = value >= 0 and value <= MAX_COUNT and value == np.floor(value)
            kept[at] = np.int32(value if is_count else 0.0)
            n_bad += not is_count
        if n_bad > 0:
            for at in range(given.size):
                if np.float64(given[at]) != np.float64(kept[at]):
                    return low + at
    return -1


@kernel
def _first_bad_row(indptr: Array, indices: Array, n_genes: int) -> int:
    for row in range(indptr.size - 1):
        # A view from its own 0: numba guards against negative positions, which stops vectors.
        own = indices[indptr[row] : indptr[row + 1]]
        if own.size == 0:
            continue
        n_falls = np.int64(0)
        for at in range(own.size - 1):
            n_falls += own[at + 1] <= own[at]
        if n_falls > 0 or own[0] < 0 or own[own.size - 1] >= n_genes:
            return row
    return -1
