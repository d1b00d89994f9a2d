"""Exact sums of counts and log-normalised values, per batch and gene, in one pass.

Everything is an integer, so pooled cohorts give the same bits as separate
ones, whatever the number of threads and the order of the cells. Besides the
first two moments the pass keeps, per batch and gene, how many cells hold each
count: from that histogram the moments of counts *clipped at any value* follow
exactly, which the variance-stabilised HVG selection needs (Stuart et al. 2019,
doi:10.1016/j.cell.2019.05.031, section "Feature selection for individual
datasets"), without a second pass over the cells.

One cache line holds what a stored count touches: Σq, Σq² and the cells with each
small count of its batch and gene. Larger counts are rare and are listed. Threads
share the genes, not the cells, so that there is one table and nothing to add up.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pmcell.core.compiler import Array, parallel_kernel, prange, thread_count
from pmcell.core.counts.blocks import Block, Counts
from pmcell.core.counts.lognorm import open_cells, q_of

COUNT, COUNT2, Q, Q2, DETECTED = range(5)
"""Columns of the sums: Σcount, Σcount², Σq, Σq², cells with a count."""

N_SMALL = 12
"""Counts up to this have a place of their own in the table."""


@dataclass(frozen=True)
class Moments:
    """Sums over the cells of each batch.

    `sums` is (n_batches, n_genes, 5) int64, its last axis in the order COUNT,
    COUNT2, Q, Q2, DETECTED. The histogram is a sorted list of `(batch, gene,
    count)` rows (n, 3) int64 with `histogram_cells` cells each; zeros are left out.
    """

    batches: tuple[str, ...]
    n_cells: NDArray[np.int64]
    sums: NDArray[np.int64]
    histogram: NDArray[np.int64]
    histogram_cells: NDArray[np.int64]


def moments(counts: Counts, batch_of_cell: NDArray[np.int64], batches: Sequence[str]) -> Moments:
    """Sum over all blocks of `counts`; cells with batch -1 are left out.

    `batch_of_cell` holds for each cell the position of its batch in `batches`.
    """
    table = np.zeros((len(batches), counts.n_genes, 2 + N_SMALL // 2), np.int64)
    large: list[tuple[NDArray[np.int64], NDArray[np.int64]]] = []
    for block in counts.iter_blocks():
        of_row = np.asarray(batch_of_cell[block.rows], np.int64)
        large.append(_add_block(block, of_row, table))
        if len(large) > 16:
            large = [_merge_histograms(large)]
    key, cells = _merge_histograms(large)
    histogram, histogram_cells = _join_histograms(table, key, cells)
    n_cells = np.bincount(batch_of_cell[batch_of_cell >= 0], minlength=len(batches))
    sums = _sums(table, histogram, histogram_cells)
    return Moments(tuple(batches), n_cells.astype(np.int64), sums, histogram, histogram_cells)


def take_batches(found: Moments, batches: NDArray[np.int64]) -> Moments:
    """Return the moments of some batches, given by ascending positions."""
    position = np.full(len(found.batches), -1, np.int64)
    position[batches] = np.arange(batches.size)
    own = position[found.histogram[:, 0]] >= 0
    histogram = found.histogram[own]
    histogram[:, 0] = position[histogram[:, 0]]
    return Moments(
        tuple(found.batches[at] for at in batches),
        found.n_cells[batches],
        found.sums[batches],
        histogram,
        found.histogram_cells[own],
    )


def clipped_sums(
    histogram: NDArray[np.int64],
    histogram_cells: NDArray[np.int64],
    clip: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Σmin(count, clip) and Σmin(count, clip)² of each gene of one batch (n_genes, float64 each).

    `histogram` holds `(gene, count)` rows; `clip` one limit for each gene.
    """
    gene = histogram[:, 0]
    value = np.minimum(histogram[:, 1].astype(np.float64), clip[gene])
    total = np.zeros(clip.size)
    squares = np.zeros(clip.size)
    total[:] = np.bincount(gene, weights=value * histogram_cells, minlength=clip.size)
    squares[:] = np.bincount(gene, weights=value**2 * histogram_cells, minlength=clip.size)
    return total, squares


def _add_block(
    block: Block, batch_of_row: NDArray[np.int64], table: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Add a block to the table; keys of its large counts and the cells that hold each."""
    rows = np.flatnonzero(batch_of_row >= 0)
    # Batch by batch: the part of the table in use then stays in the cache.
    rows = rows[np.argsort(batch_of_row[rows], kind="stable")]
    lookups, factors, n_large = open_cells(block.indptr, block.data, rows, N_SMALL)
    slots = np.concatenate([[0], np.cumsum(n_large)])
    keys = _large_keys(block.indptr, block.indices, block.data, rows, batch_of_row, slots)
    shares = np.linspace(0, table.shape[1], thread_count() + 1).astype(np.int64)
    _add_small(
        (block.indptr, block.indices, block.data),
        rows,
        batch_of_row,
        lookups,
        factors,
        shares,
        table,
        table.view(np.int32),
    )
    return np.unique(keys, return_counts=True)


def _merge_histograms(
    parts: list[tuple[NDArray[np.int64], NDArray[np.int64]]],
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    if not parts:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    key, where = np.unique(np.concatenate([part[0] for part in parts]), return_inverse=True)
    cells = np.zeros(key.size, np.int64)
    np.add.at(cells, where, np.concatenate([part[1] for part in parts]))
    return key, cells


def _join_histograms(
    table: NDArray[np.int64], key: NDArray[np.int64], cells: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    small = table.view(np.int32)[:, :, 4:]
    batch, gene, at = np.nonzero(small)
    rows = np.concatenate([np.stack([batch, gene, at + 1], axis=1), _split_key(key)])
    held = np.concatenate([small[batch, gene, at].astype(np.int64), cells])
    order = np.lexsort((rows[:, 2], rows[:, 1], rows[:, 0]))
    return np.ascontiguousarray(rows[order]), held[order]


def _sums(
    table: NDArray[np.int64], histogram: NDArray[np.int64], cells: NDArray[np.int64]
) -> NDArray[np.int64]:
    n_batches, n_genes, _ = table.shape
    sums = np.zeros((n_batches * n_genes, 5), np.int64)
    place = histogram[:, 0] * n_genes + histogram[:, 1]
    count = histogram[:, 2]
    if place.size:
        first = np.flatnonzero(np.diff(place, prepend=-1))
        for column, values in ((COUNT, count), (COUNT2, count * count), (DETECTED, 1)):
            sums[place[first], column] = np.add.reduceat(values * cells, first)
    sums[:, Q : Q2 + 1] = table[:, :, :2].reshape(-1, 2)
    return sums.reshape(n_batches, n_genes, 5)


def _split_key(key: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.stack([key >> 51, (key >> 31) & 0xFFFFF, key & 0x7FFFFFFF], axis=1)


@parallel_kernel
def _large_keys(
    indptr: Array, indices: Array, data: Array, rows: Array, batch_of_row: Array, slots: Array
) -> Array:
    keys = np.empty(slots[-1], np.int64)
    for at in prange(rows.size):
        row = rows[at]
        slot = slots[at]
        if slots[at + 1] == slot:
            continue
        genes = indices[indptr[row] : indptr[row + 1]]
        own = data[indptr[row] : indptr[row + 1]]
        for entry in range(own.size):
            if own[entry] > N_SMALL:
                # One sortable 64-bit key: 12 bits of batch, 20 of gene, 31 of count.
                gene = np.int64(genes[entry])
                keys[slot] = (batch_of_row[row] << 51) | (gene << 31) | np.int64(own[entry])
                slot += 1
    return keys


@parallel_kernel
def _add_small(
    matrix: tuple[Array, Array, Array],
    rows: Array,
    batch_of_row: Array,
    lookups: Array,
    factors: Array,
    shares: Array,
    sums: Array,
    held: Array,
) -> None:
    """Add each row's values to its batch; `held` is the table `sums` seen as int32."""
    indptr, indices, data = matrix
    for share in prange(shares.size - 1):
        low, high = shares[share], shares[share + 1]
        for at in range(rows.size):
            factor = factors[at]
            if factor == 0:
                continue
            row = rows[at]
            batch = batch_of_row[row]
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
                sums[batch, gene, 0] += q
                sums[batch, gene, 1] += q * q
                if count <= N_SMALL:
                    held[batch, gene, np.uint64(3 + count)] += 1
