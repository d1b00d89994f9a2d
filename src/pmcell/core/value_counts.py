"""How often each value occurs in the rows of a matrix."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pmcell.core.compiler import Array, kernel

ALL_SHAPES = np.ones(1 << 16, np.bool_)
"""Flags that pass over no row."""


def times_of_values(
    indptr: NDArray[np.int64],
    values: NDArray[Any],
    least: int,
    most: int,
    shapes: NDArray[np.bool_] = ALL_SHAPES,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """How often each value occurs in a row, in the order of the values; zeros and NaN left out.

    Parameters
    ----------
    indptr
        Where each row begins and ends in `values` (rows + 1,).
    values
        Values of the rows, one after the other.
    least, most
        Rows of fewer or more values are passed over.
    shapes
        Rows whose shape has no flag are passed over, see `flags_of_shapes`.

    Returns
    -------
    tuple
        Times, and where each row's begin and end among them.

    Examples
    --------
    >>> times, bounds = times_of_values(np.array([0, 5, 6]), np.array([3.0, 1, 3, 0, 2, 7]), 2, 9)
    >>> times.tolist(), bounds.tolist()
    ([1, 1, 2], [0, 3, 3])
    """
    times = np.empty(int(indptr[-1] - indptr[0]), np.int64)
    bounds = np.zeros(indptr.size, np.int64)
    _count(indptr, np.asarray(values, np.float64), least, most, shapes, times, bounds)
    return times[: bounds[-1]], bounds


def flags_of_shapes(n_values: NDArray[Any], n_lowest: NDArray[Any]) -> NDArray[np.bool_]:
    """Flags of rows by how many values they have, and how many times the lowest of them.

    Another shape may have the same flag, by chance.
    """
    flags = np.zeros(ALL_SHAPES.size, np.bool_)
    flags[_place_of(n_values.astype(np.int64), n_lowest.astype(np.int64))] = True
    return flags


def grouped(
    codes: NDArray[np.int64], indptr: NDArray[np.int64], values: NDArray[Any]
) -> NDArray[np.float64]:
    """Values in the order of their groups, and within one as they stand.

    Parameters
    ----------
    codes
        The group of each value, from 0.
    indptr
        Where each group begins and ends in the result (groups + 1,).
    values
        Numbers.

    Examples
    --------
    >>> grouped(np.array([1, 0, 1]), np.array([0, 1, 3]), np.array([7.0, 8, 9])).tolist()
    [8.0, 7.0, 9.0]
    """
    result = np.empty(codes.size, np.float64)
    _group(codes, indptr[:-1].copy(), np.asarray(values, np.float64), result)
    return result


@kernel  # type: ignore[untyped-decorator]
def _group(codes: Array, following: Array, values: Array, result: Array) -> None:
    for k in range(codes.size):
        result[following[codes[k]]] = values[k]
        following[codes[k]] += 1


@kernel  # type: ignore[untyped-decorator]
def _place_of(n_values: Any, n_lowest: Any) -> Any:
    return (n_values * 40503 + n_lowest * 30011) & 0xFFFF


@kernel  # type: ignore[untyped-decorator]
def _shape(values: Array, begin: int, end: int) -> tuple[int, int]:
    """How many values a row has, and how many times the lowest of them; zeros are none."""
    n_values, n_lowest, lowest = 0, 0, np.inf
    for k in range(begin, end):
        value = values[k]
        if value == 0 or value != value:
            continue
        n_values += 1
        if value < lowest:
            lowest, n_lowest = value, 0
        n_lowest += value == lowest
    return n_values, n_lowest


@kernel  # type: ignore[untyped-decorator]
def _count(
    indptr: Array, values: Array, least: int, most: int, shapes: Array, times: Array, bounds: Array
) -> None:
    """Count in a table of the row's different values, which are few, and put only these in order.

    A slot of the table is a row's while `rows` says so: it is never emptied.
    """
    longest = 1
    for row in range(indptr.size - 1):
        n = indptr[row + 1] - indptr[row]
        if least <= n <= most:
            longest = max(longest, n)
    n_bits = np.uint64(1)
    while np.int64(1) << np.int64(n_bits) < 2 * longest:
        n_bits += np.uint64(1)
    size = np.int64(1) << np.int64(n_bits)
    keys, counts = np.empty(size, np.float64), np.empty(size, np.int64)
    rows, used = np.full(size, -1, np.int64), np.empty(longest, np.int64)
    bits = values.view(np.uint64)
    at = 0
    for row in range(indptr.size - 1):
        bounds[row + 1] = at
        begin, end = indptr[row], indptr[row + 1]
        if not least <= end - begin <= most:
            continue
        n, n_lowest = _shape(values, begin, end)
        if n < least or not shapes[_place_of(n, n_lowest)]:
            continue
        n_used = 0
        for k in range(begin, end):
            value = values[k]
            if value == 0 or value != value:
                continue
            slot = np.int64((bits[k] * np.uint64(0x9E3779B97F4A7C15)) >> (np.uint64(64) - n_bits))
            while rows[slot] == row and keys[slot] != value:
                slot = (slot + 1) & (size - 1)
            if rows[slot] != row:
                rows[slot], keys[slot], counts[slot] = row, value, 0
                used[n_used] = slot
                n_used += 1
            counts[slot] += 1
        order = np.argsort(keys[used[:n_used]])
        for k in range(n_used):
            times[at] = counts[used[order[k]]]
            at += 1
        bounds[row + 1] = at
