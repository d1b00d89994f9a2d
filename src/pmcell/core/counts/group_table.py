"""Sums per group and gene in a table with a place for each: few bytes, and no merging.

A place has 20 bytes: three sums of 32 bits and one of 64. Where the table is too large for its
limit, groups are summed some at a time, and the counts are read as often.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pmcell.core.compiler import Array, parallel_kernel, prange, thread_count
from pmcell.core.counts.blocks import Counts
from pmcell.core.counts.lognorm import MAX_Q, cell_totals, open_cells, q_of
from pmcell.core.counts.sums import N_DETECTED, SmallSums

BYTES_A_PLACE = 20
"""Of a group × gene."""

LIMIT = 2**32
"""No sum of 32 bits reaches it."""

_NO_GENE = np.zeros(0, np.int32)

_Table = tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.uint32], NDArray[np.int64]]
"""Number of genes seen in each group; then of each, group by group: which it is, its sums."""


def sum_in_tables(
    counts: Counts, group_of_cell: NDArray[np.int64], n_groups: int, *, max_table: int
) -> SmallSums | None:
    """Sum as `grouped_sums` does, in tables of `max_table` bytes; None where 32 bits are too few.

    A table holds one group at least, whatever its limit.
    """
    n_cells = np.bincount(group_of_cell[group_of_cell >= 0], minlength=1)
    if int(n_cells.max()) * MAX_Q >= LIMIT:
        return None
    at_a_time = max(max_table // (BYTES_A_PLACE * max(counts.n_genes, 1)), 1)
    tables: list[_Table] = []
    for first in range(0, max(n_groups, 1), at_a_time):
        last = min(first + at_a_time, n_groups)
        is_in = (group_of_cell >= first) & (group_of_cell < last)
        table = _sum_table(counts, np.where(is_in, group_of_cell - first, -1), last - first)
        if table is None:
            return None
        tables.append(table)
    sizes, genes, sums, squares = zip(*tables, strict=True)
    indptr = np.append(0, np.cumsum(np.concatenate(sizes))).astype(np.int64)
    return SmallSums(counts.n_genes, indptr, np.concatenate(genes), sums, squares)


def _sum_table(counts: Counts, group_of_cell: NDArray[np.int64], n_groups: int) -> _Table | None:
    """Sums of groups, or None where 32 bits are too few."""
    n_genes = counts.n_genes
    sums = np.zeros((n_groups * n_genes, 3), np.uint32)
    squares = np.zeros(n_groups * n_genes, np.int64)
    tables = sums.reshape(n_groups, n_genes, 3), squares.reshape(n_groups, n_genes)
    shares = np.linspace(0, n_genes, thread_count() + 1).astype(np.int64)
    totals = np.zeros(n_groups, np.int64)
    for block in counts.iter_blocks():
        group_of_row = np.asarray(group_of_cell[block.rows], np.int64)
        rows = np.flatnonzero(group_of_row >= 0)
        if not rows.size:
            continue
        # Group by group: the part of the table in use then stays in the cache.
        rows = rows[np.argsort(group_of_row[rows], kind="stable")]
        np.add.at(totals, group_of_row[rows], cell_totals(block.indptr, block.data)[rows])
        if totals.max() >= LIMIT:
            return None
        lookups, factors, _ = open_cells(block.indptr, block.data, rows, 0)
        matrix = (block.indptr, block.indices, block.data)
        _add_to_table(matrix, rows, group_of_row, lookups, factors, shares, *tables)
    genes = [np.flatnonzero(own[:, N_DETECTED]).astype(np.int32) for own in tables[0]]
    sizes = np.array([own.size for own in genes], np.int64)
    # What was seen moves to the front of the table, whose rest is given back: no second copy.
    end = 0
    for group, own in enumerate(genes):
        start, end = end, end + own.size
        sums[start:end] = tables[0][group, own]
        squares[start:end] = tables[1][group, own]
    del tables
    sums.resize((end, 3), refcheck=False)
    squares.resize(end, refcheck=False)
    return sizes, np.concatenate([*genes, _NO_GENE]), sums, squares


@parallel_kernel
def _add_to_table(
    matrix: tuple[Array, Array, Array],
    rows: Array,
    group_of_row: Array,
    lookups: Array,
    factors: Array,
    shares: Array,
    sums: Array,
    squares: Array,
) -> None:
    indptr, indices, data = matrix
    for share in prange(shares.size - 1):
        low, high = shares[share], shares[share + 1]
        for at in range(rows.size):
            factor = factors[at]
            if factor == 0:
                continue
            row = rows[at]
            own_sums, own_squares = sums[group_of_row[row]], squares[group_of_row[row]]
            lookup = lookups[at]
            genes = indices[indptr[row] : indptr[row + 1]]
            first, last = np.searchsorted(genes, low), np.searchsorted(genes, high)
            genes = genes[first:last]
            own = data[indptr[row] + first : indptr[row] + last]
            for entry in range(own.size):
                count = np.int64(own[entry])
                if count == 0:
                    continue
                gene = np.uint64(genes[entry])
                q = q_of(count, factor, lookup)
                own_sums[gene, 0] += np.uint32(count)
                own_sums[gene, 1] += np.uint32(1)
                own_sums[gene, 2] += np.uint32(q)
                own_squares[gene] += q * q
