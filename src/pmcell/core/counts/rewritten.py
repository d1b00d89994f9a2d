"""Counts of cells over other genes than they came with, and numbers that tell equal cells.

One pass over a block each: what numpy does in a dozen passes with an array apiece took most of
the time of intake. All sums are of whole numbers.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pmcell.core.compiler import Array, kernel

_ODD, _FIRST, _SECOND = (
    np.uint64(number) for number in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB)
)
_DE_BRUIJN = np.uint64(0x03F79D71B4CB0A89)
_BIT_OF = np.zeros(64, np.int64)
"""Which bit is set in a power of two, by the upper six bits of its product with `_DE_BRUIJN`."""
for _bit in range(64):
    _BIT_OF[((int(_DE_BRUIJN) << _bit) & (2**64 - 1)) >> 58] = _bit


def over_columns(
    rows: tuple[Array, Array, Array], columns: NDArray[np.int32], sums: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.int32]]:
    """CSR arrays of the same cells over other columns, rising in each row, without zeros.

    Parameters
    ----------
    rows
        indptr, indices and data of whole counts (any type) whose sum in a row fits int32.
    columns
        New column of each old one, -1 for none; the counts of columns that become one are added.
    sums
        To each old column's number its counts are added.

    Returns
    -------
    tuple
        indptr (int64), indices and data (int32).

    Examples
    --------
    >>> rows = np.array([0, 3]), np.array([0, 1, 2]), np.array([5, 6, 7])
    >>> [part.tolist() for part in over_columns(rows, np.array([1, 0, 1]), np.zeros(3, int))]
    [[0, 2], [0, 1], [6, 12]]
    """
    indptr, indices, data = rows
    new = np.zeros(indptr.size, np.int64)
    positions, counts = np.empty(data.size, np.int32), np.empty(data.size, np.int32)
    n_columns = int(columns.max(initial=-1)) + 1
    n_kept = _over_columns(indptr, indices, data, columns, n_columns, sums, new, positions, counts)
    return new, positions[:n_kept], counts[:n_kept]


def fingerprints(
    rows: tuple[Array, Array, Array], names: NDArray[np.uint64]
) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """A number for the counts of each row, equal for equal counts, and how many it has.

    `names` holds a number for each column; zeros that are stored do not count.
    """
    indptr, indices, data = rows
    numbers, n_counts = np.zeros(indptr.size - 1, np.uint64), np.zeros(indptr.size - 1, np.int64)
    _fingerprints(indptr, indices, data, names, numbers, n_counts)
    return numbers, n_counts


@kernel
def _over_columns(
    indptr: Array,
    indices: Array,
    data: Array,
    columns: Array,
    n_columns: int,
    sums: Array,
    new: Array,
    positions: Array,
    counts: Array,
) -> int:
    held = np.zeros(n_columns, np.int64)
    # A bit for each column that a row has: read in order, they sort it.
    words = np.zeros((n_columns + 63) // 64, np.uint64)
    n_kept = 0
    for row in range(indptr.size - 1):
        for at in range(indptr[row], indptr[row + 1]):
            count, gene = np.int64(data[at]), indices[at]
            column = columns[gene]
            sums[gene] += count
            if column >= 0 and count > 0:
                held[column] += count
                words[column >> 6] |= np.uint64(1) << np.uint64(column & 63)
        for word in range(words.size):
            bits = words[word]
            words[word] = np.uint64(0)
            while bits != 0:
                lowest = bits & (~bits + np.uint64(1))
                bits ^= lowest
                column = 64 * word + _BIT_OF[(lowest * _DE_BRUIJN) >> np.uint64(58)]
                positions[n_kept], counts[n_kept] = column, held[column]
                held[column] = 0
                n_kept += 1
        new[row + 1] = n_kept
    return n_kept


@kernel
def _mix(value: np.uint64) -> np.uint64:
    """The finaliser of SplitMix64 (Steele et al. 2014, doi:10.1145/2660193.2660195), shortened."""
    value = (value + _ODD) * _FIRST
    value = (value ^ (value >> np.uint64(27))) * _SECOND
    return value ^ (value >> np.uint64(31))


@kernel
def _fingerprints(
    indptr: Array, indices: Array, data: Array, names: Array, numbers: Array, n_counts: Array
) -> None:
    for row in range(numbers.size):
        for at in range(indptr[row], indptr[row + 1]):
            count = np.uint64(np.int64(data[at]))
            if count != 0:
                numbers[row] += _mix(names[indices[at]] ^ _mix(count))
            n_counts[row] += np.int64(data[at]) > 0
