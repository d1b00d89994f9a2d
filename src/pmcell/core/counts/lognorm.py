"""Log-normalised values in fixed point: q = round(log1p(10,000 · count / total) · 2048).

Integers can be summed in any order with the same result, so every statistic
built on q is bit-identical for any number of threads, any order of the cells
and any split into cohorts. The rounding error of one value is at most 2.5e-4.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pmcell.core.compiler import Array, kernel, parallel_kernel, prange

SCALE = 2048
TARGET = 10_000.0
MAX_Q = int(math.log1p(TARGET) * SCALE) + 1
"""No value exceeds this: a cell whose counts all lie on one gene reaches it."""

N_LOOKUP = 16


def log_normalised(counts: NDArray[Any], totals: NDArray[Any]) -> NDArray[np.float64]:
    """log1p(10,000 · count / total of the cell), not rounded; `totals` broadcasts to `counts`.

    What people read: X of a file of cells, expression asked of a release. A
    cell without counts gives zeros.
    """
    values: NDArray[np.float64] = np.log1p(counts * (TARGET / np.maximum(totals, 1.0)))
    return values


def cell_totals(indptr: NDArray[np.int64], data: NDArray[np.int32]) -> NDArray[np.int64]:
    """Sum of counts of each row of a CSR matrix, exact (n_rows, int64)."""
    totals: NDArray[np.int64] = _cell_totals(indptr, data)
    return totals


def quantise(indptr: NDArray[np.int64], data: NDArray[np.int32]) -> NDArray[np.int32]:
    """Fixed-point log-normalised value of each stored count of a CSR matrix (as long as `data`).

    Rows are normalised to 10,000 counts; a row without counts has no values.
    """
    values: NDArray[np.int32] = _quantise(indptr, data)
    return values


@kernel
def fill_lookup(lookup: Array, factor: float) -> None:
    """Fill `lookup[c]` with q of count c for a cell whose counts are multiplied by `factor`."""
    for count in range(1, lookup.size):
        lookup[count] = np.int64(np.rint(np.log1p(count * factor) * SCALE))


@kernel
def q_of(count: np.int64, factor: float, lookup: Array) -> np.int64:
    """q of one count; small counts are looked up, because log1p costs more than the rest."""
    if count < lookup.size:
        return np.int64(lookup[count])
    return np.int64(np.rint(np.log1p(count * factor) * SCALE))


@kernel
def open_cell(data: Array, low: np.int64, high: np.int64, lookup: Array) -> float:
    """The factor that normalises the cell with counts `data[low:high]`; 0 for a cell without any.

    Fills `lookup` for `q_of`.
    """
    own = data[low:high]
    total = np.int64(0)
    for at in range(own.size):
        total += own[at]
    if total == 0:
        return 0.0
    factor = TARGET / total
    fill_lookup(lookup, factor)
    return factor


@parallel_kernel
def open_cells(indptr: Array, data: Array, rows: Array, above: int) -> tuple[Array, Array, Array]:
    """`open_cell` of each row: its lookup table, its factor, and its counts over `above`."""
    lookups = np.zeros((rows.size, N_LOOKUP), np.int64)
    factors = np.zeros(rows.size, np.float64)
    n_above = np.zeros(rows.size, np.int64)
    for at in prange(rows.size):
        low, high = indptr[rows[at]], indptr[rows[at] + 1]
        factors[at] = open_cell(data, low, high, lookups[at])
        own = data[low:high]
        n = np.int64(0)
        for entry in range(own.size):
            n += own[entry] > above
        n_above[at] = n
    return lookups, factors, n_above


@parallel_kernel
def _cell_totals(indptr: Array, data: Array) -> Array:
    totals = np.zeros(indptr.size - 1, np.int64)
    for row in prange(indptr.size - 1):
        total = np.int64(0)
        for entry in range(indptr[row], indptr[row + 1]):
            total += data[entry]
        totals[row] = total
    return totals


@parallel_kernel
def _quantise(indptr: Array, data: Array) -> Array:
    values = np.zeros(data.size, np.int32)
    for row in prange(indptr.size - 1):
        lookup = np.zeros(N_LOOKUP, np.int64)
        factor = open_cell(data, indptr[row], indptr[row + 1], lookup)
        if factor > 0:
            for entry in range(indptr[row], indptr[row + 1]):
                values[entry] = q_of(data[entry], factor, lookup)
    return values
