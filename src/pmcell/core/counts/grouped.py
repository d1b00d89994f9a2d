"""Exact sums of counts and log-normalised values per group of cells and gene, in one pass.

A group is usually one sample × one cluster. All sums are integers, so they are
bit-identical for any number of threads, any order of the cells and any way of
cutting the matrix into blocks, and groups of several cohorts can be added.

Memory: a table of 32 bytes for each group × gene where that fits, and the result.
Else one block (its rows grouped, at most 36 bytes a stored value) and about twice
the result, which holds 36 bytes for each gene that was seen in a group.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from pmcell.core.compiler import Array, kernel, parallel_kernel, prange, thread_count
from pmcell.core.counts.blocks import Block, Counts
from pmcell.core.counts.lognorm import N_LOOKUP, open_cell, open_cells, q_of

COUNTS, N_DETECTED, SUM_Q, SUM_Q2 = range(4)
"""Columns of `GroupedSums.values`: Σcount, cells with a count, Σq, Σq²."""

MAX_TABLE = 2**30
"""Bytes of a table of all groups × genes, 32 a place; above, only what was seen is kept."""

_NO_GENE = np.zeros(0, np.int32)

CELLS_FOR_TABLE = 32
"""Cells a group from which most places of the table are filled."""


class Sums(Protocol):
    """What `GroupedSums` holds, in memory or elsewhere."""

    @property
    def n_genes(self) -> int:
        """Number of genes."""

    @property
    def n_groups(self) -> int:
        """Number of groups."""

    @property
    def indptr(self) -> NDArray[np.int64]:
        """Where the entries of each group begin, and the end."""

    @property
    def indices(self) -> NDArray[np.int32]:
        """The gene of each entry."""

    @property
    def values(self) -> NDArray[np.int64]:
        """The four sums of each entry."""

    def matrix(self, column: int) -> sparse.csr_matrix:
        """One of the sums: groups × genes."""


@dataclass(frozen=True)
class GroupedSums:
    """Sums of every group as one CSR matrix (groups × genes) with four int64 values an entry.

    Entries of a group are sorted by gene; a gene that no cell of the group
    detected has no entry.
    """

    n_genes: int
    indptr: NDArray[np.int64]
    indices: NDArray[np.int32]
    values: NDArray[np.int64]

    @property
    def n_groups(self) -> int:
        """Number of groups."""
        return self.indptr.size - 1

    def matrix(self, column: int) -> sparse.csr_matrix:
        """One of the sums (COUNTS, N_DETECTED, SUM_Q, SUM_Q2): groups × genes, CSR, int64."""
        shape = (self.n_groups, self.n_genes)
        return sparse.csr_matrix((self.values[:, column], self.indices, self.indptr), shape=shape)


def grouped_sums(
    counts: Counts,
    group_of_cell: NDArray[np.int64],
    n_groups: int,
    *,
    max_table: int = MAX_TABLE,
) -> GroupedSums:
    """Sum over all blocks of `counts`; cells with group -1 are left out.

    `group_of_cell` (n_cells) holds each cell's group, 0 to `n_groups` - 1. Values
    are normalised by the cell's total over all genes of `counts`. Up to `max_table`
    bytes all groups × genes have a place in one table, where groups are not too small
    to fill it; else partial sums are merged.
    """
    fits = n_groups * counts.n_genes * 32 <= max_table
    if fits and counts.n_cells >= CELLS_FOR_TABLE * n_groups:
        return _sum_in_table(counts, group_of_cell, n_groups)
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


def take_groups(sums: Sums, groups: NDArray[np.int64]) -> GroupedSums:
    """Return the sums of some groups, given by their positions."""
    sizes = np.diff(sums.indptr)[groups]
    indptr = np.append(0, np.cumsum(sizes)).astype(np.int64)
    entries = np.repeat(sums.indptr[:-1][groups] - indptr[:-1], sizes) + np.arange(indptr[-1])
    return GroupedSums(sums.n_genes, indptr, sums.indices[entries], sums.values[entries])


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


def _sum_in_table(counts: Counts, group_of_cell: NDArray[np.int64], n_groups: int) -> GroupedSums:
    values = np.zeros((n_groups * counts.n_genes, 4), np.int64)
    table = values.reshape(n_groups, counts.n_genes, 4)
    shares = np.linspace(0, counts.n_genes, thread_count() + 1).astype(np.int64)
    for block in counts.iter_blocks():
        group_of_row = np.asarray(group_of_cell[block.rows], np.int64)
        rows = np.flatnonzero(group_of_row >= 0)
        # Group by group: the part of the table in use then stays in the cache.
        rows = rows[np.argsort(group_of_row[rows], kind="stable")]
        lookups, factors, _ = open_cells(block.indptr, block.data, rows, 0)
        matrix = (block.indptr, block.indices, block.data)
        _add_to_table(matrix, rows, group_of_row, lookups, factors, shares, table)
    genes = [np.flatnonzero(own[:, N_DETECTED]).astype(np.int32) for own in table]
    indptr = np.cumsum([0, *(own.size for own in genes)], dtype=np.int64)
    # What was seen moves to the front of the table, whose rest is given back: no second copy.
    for group, own in enumerate(genes):
        values[indptr[group] : indptr[group + 1]] = table[group, own]
    del table
    values.resize((int(indptr[-1]), 4), refcheck=False)
    return GroupedSums(counts.n_genes, indptr, np.concatenate([*genes, _NO_GENE]), values)


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
def _add_to_table(
    matrix: tuple[Array, Array, Array],
    rows: Array,
    group_of_row: Array,
    lookups: Array,
    factors: Array,
    shares: Array,
    table: Array,
) -> None:
    indptr, indices, data = matrix
    for share in prange(shares.size - 1):
        low, high = shares[share], shares[share + 1]
        for at in range(rows.size):
            factor = factors[at]
            if factor == 0:
                continue
            row = rows[at]
            sums = table[group_of_row[row]]
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
                sums[gene, 0] += count
                sums[gene, 1] += 1
                sums[gene, 2] += q
                sums[gene, 3] += q * q


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
