"""Exact sums of counts and log-normalised values per group of cells and gene.

A group is usually one sample × one cluster. All sums are integers, so they are
bit-identical for any number of threads, any order of the cells and any way of
cutting the matrix into blocks, and groups of several cohorts can be added.

Memory: a table of groups × genes (`group_table`), and 24 bytes for each gene that was seen in a
group. Where groups are too small to fill a table: one block (its rows grouped, at most 36 bytes a
stored value) and about twice the result, which then holds 36 bytes for each gene that was seen.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pmcell.core.compiler import Array, kernel, parallel_kernel, prange, thread_count
from pmcell.core.counts.blocks import Block, Counts
from pmcell.core.counts.group_table import sum_in_tables
from pmcell.core.counts.lognorm import N_LOOKUP, open_cell, q_of
from pmcell.core.counts.sums import GroupedSums, SmallSums

MAX_TABLE = 600 << 20
"""Bytes of a table of groups × genes; more groups are summed some at a time."""

CELLS_FOR_TABLE = 16
"""Cells a group from which a table takes less than what was seen in parts that are merged."""


def grouped_sums(
    counts: Counts,
    group_of_cell: NDArray[np.int64],
    n_groups: int,
    *,
    max_table: int = MAX_TABLE,
) -> GroupedSums | SmallSums:
    """Sum over all blocks of `counts`; cells with group -1 are left out.

    `group_of_cell` (n_cells) holds each cell's group, 0 to `n_groups` - 1. Values
    are normalised by the cell's total over all genes of `counts`. Groups and genes have places
    in tables of up to `max_table` bytes where groups are not too small to fill them; else
    partial sums are merged. More than one table means to read the counts more than once.
    """
    if counts.n_cells >= CELLS_FOR_TABLE * n_groups:
        found = sum_in_tables(counts, group_of_cell, n_groups, max_table=max_table)
        if found is not None:
            return found
    parts: list[GroupedSums] = []
    for block in counts.iter_blocks():
        part = _sum_block(block, group_of_cell[block.rows], n_groups, counts.n_genes)
        # Merging only parts of similar size keeps the work at O(n log n) of all partial sums.
        while parts and parts[-1].indices.size <= 2 * part.indices.size:
            part = add_sums(parts.pop(), part)
        parts.append(part)
    total = _empty(n_groups, counts.n_genes)
    while parts:
        total = add_sums(parts.pop(), total)
    return total


def add_sums(left: GroupedSums, right: GroupedSums) -> GroupedSums:
    """Entry by entry sum of two results with the same groups and genes."""
    if (left.n_groups, left.n_genes) != (right.n_groups, right.n_genes):
        raise ValueError(
            "add_sums needs the same groups and genes on both sides, got "
            f"{left.n_groups} × {left.n_genes} and {right.n_groups} × {right.n_genes}"
        )
    if not right.indices.size:
        return left
    indptr = np.zeros(left.n_groups + 1, np.int64)
    _merged_sizes(left.indptr, left.indices, right.indptr, right.indices, indptr[1:])
    np.cumsum(indptr, out=indptr)
    indices = np.empty(indptr[-1], np.int32)
    values = np.empty((indptr[-1], 4), np.int64)
    _merge(
        (left.indptr, left.indices, left.values),
        (right.indptr, right.indices, right.values),
        (indptr, indices, values),
    )
    return GroupedSums(left.n_genes, indptr, indices, values)


def _sum_block(
    block: Block, group_of_row: NDArray[np.int64], n_groups: int, n_genes: int
) -> GroupedSums:
    rows = np.argsort(group_of_row, kind="stable")
    rows = rows[np.searchsorted(group_of_row[rows], 0) :]
    groups, first = np.unique(group_of_row[rows], return_index=True)
    if not groups.size:
        return _empty(n_groups, n_genes)
    bounds = np.append(first, rows.size).astype(np.int64)
    n_values = np.add.reduceat(np.diff(block.indptr)[rows], first)
    # A group fills at most one slot a gene, and at most one a stored value.
    slots = np.append(0, np.cumsum(np.minimum(n_values, n_genes))).astype(np.int64)
    genes = np.empty(slots[-1], np.int32)
    values = np.empty((slots[-1], 4), np.int64)
    used = np.zeros(groups.size, np.int64)
    shards = _even_shards(n_values, thread_count())
    _sum_groups(
        (block.indptr, block.indices, block.data),
        rows,
        bounds,
        shards,
        n_genes,
        slots,
        genes,
        values,
        used,
    )
    filled = np.arange(slots[-1]) < np.repeat(slots[:-1] + used, np.diff(slots))
    sizes = np.zeros(n_groups, np.int64)
    sizes[groups] = used
    indptr = np.append(0, np.cumsum(sizes)).astype(np.int64)
    return GroupedSums(n_genes, indptr, genes[filled], values[filled])


def _even_shards(sizes: NDArray[np.int64], n_shards: int) -> NDArray[np.int64]:
    """Bounds that cut consecutive groups into shards of about the same number of values."""
    done = np.cumsum(sizes)
    targets = done[-1] * np.arange(1, n_shards) / n_shards
    cuts = np.searchsorted(done, targets, side="left") + 1
    return np.concatenate([[0], np.minimum(cuts, sizes.size), [sizes.size]]).astype(np.int64)


def _empty(n_groups: int, n_genes: int) -> GroupedSums:
    return GroupedSums(
        n_genes,
        np.zeros(n_groups + 1, np.int64),
        np.zeros(0, np.int32),
        np.zeros((0, 4), np.int64),
    )


@parallel_kernel
def _sum_groups(
    matrix: tuple[Array, Array, Array],
    rows: Array,
    bounds: Array,
    shards: Array,
    n_genes: int,
    slots: Array,
    genes: Array,
    values: Array,
    used: Array,
) -> None:
    indptr, indices, data = matrix
    for shard in prange(shards.size - 1):
        sums = np.zeros((n_genes, 4), np.int64)
        lookup = np.zeros(N_LOOKUP, np.int64)
        for group in range(shards[shard], shards[shard + 1]):
            for at in range(bounds[group], bounds[group + 1]):
                row = rows[at]
                factor = open_cell(data, indptr[row], indptr[row + 1], lookup)
                if factor == 0:
                    continue
                for entry in range(indptr[row], indptr[row + 1]):
                    count = np.int64(data[entry])
                    if count == 0:
                        continue
                    q = q_of(count, factor, lookup)
                    gene = indices[entry]
                    sums[gene, 0] += count
                    sums[gene, 1] += 1
                    sums[gene, 2] += q
                    sums[gene, 3] += q * q
            slot = slots[group]
            for gene in range(n_genes):
                if sums[gene, 1] > 0:
                    genes[slot] = gene
                    for column in range(4):
                        values[slot, column] = sums[gene, column]
                        sums[gene, column] = 0
                    slot += 1
            used[group] = slot - slots[group]


@kernel
def _merged_sizes(
    left_indptr: Array, left_indices: Array, right_indptr: Array, right_indices: Array, sizes: Array
) -> None:
    for row in range(sizes.size):
        left, right = left_indptr[row], right_indptr[row]
        left_end, right_end = left_indptr[row + 1], right_indptr[row + 1]
        n = 0
        while left < left_end and right < right_end:
            a, b = left_indices[left], right_indices[right]
            left += a <= b
            right += b <= a
            n += 1
        sizes[row] = n + (left_end - left) + (right_end - right)


@kernel
def _merge(
    left_matrix: tuple[Array, Array, Array],
    right_matrix: tuple[Array, Array, Array],
    out_matrix: tuple[Array, Array, Array],
) -> None:
    left_indptr, left_indices, left_values = left_matrix
    right_indptr, right_indices, right_values = right_matrix
    indptr, indices, values = out_matrix
    for row in range(indptr.size - 1):
        left, right = left_indptr[row], right_indptr[row]
        left_end, right_end = left_indptr[row + 1], right_indptr[row + 1]
        for slot in range(indptr[row], indptr[row + 1]):
            from_left = right == right_end or (
                left < left_end and left_indices[left] <= right_indices[right]
            )
            from_right = left == left_end or (
                right < right_end and right_indices[right] <= left_indices[left]
            )
            indices[slot] = left_indices[left] if from_left else right_indices[right]
            for column in range(4):
                value = np.int64(0)
                if from_left:
                    value += left_values[left, column]
                if from_right:
                    value += right_values[right, column]
                values[slot, column] = value
            left += from_left
            right += from_right
