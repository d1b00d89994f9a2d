"""Exact sums of counts and log-normalised values, per batch and gene, in one pass.

Everything is an integer, so pooled cohorts give the same bits as separate
ones, whatever the number of threads and the order of the cells. Besides the
first two moments the pass keeps, per batch and gene, how many cells hold each
count: from that histogram the moments of counts *clipped at any value* follow
exactly, which the variance-stabilised HVG selection needs (Stuart et al. 2019,
doi:10.1016/j.cell.2019.05.031, section "Feature selection for individual
datasets"), without a second pass over the cells.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pmcell.core.blocks import Counts
from pmcell.core.compiler import Array, parallel_kernel, prange, thread_count
from pmcell.core.lognorm import N_LOOKUP, TARGET, fill_lookup, q_of

COUNT, COUNT2, Q, Q2, DETECTED = range(5)
"""Columns of the sums: Σcount, Σcount², Σq, Σq², cells with a count."""


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
    sums = np.zeros((len(batches), counts.n_genes, 5), np.int64)
    parts: list[tuple[NDArray[np.int64], NDArray[np.int64]]] = []
    for block in counts.iter_blocks():
        of_row = np.asarray(batch_of_cell[block.rows], np.int64)
        for batch in np.unique(of_row[of_row >= 0]):
            rows = np.flatnonzero(of_row == batch)
            shards = np.array_split(rows, thread_count())
            bounds = np.cumsum([0, *(shard.size for shard in shards)])
            sums[batch] += _sum_rows(
                block.indptr, block.indices, block.data, rows, bounds, counts.n_genes
            ).sum(axis=0)
        parts.append(_count_histogram(block.indptr, block.indices, block.data, of_row))
        if len(parts) > 16:
            parts = [_merge_histograms(parts)]
    key, cells = _merge_histograms(parts)
    n_cells = np.bincount(batch_of_cell[batch_of_cell >= 0], minlength=len(batches))
    return Moments(tuple(batches), n_cells.astype(np.int64), sums, _split_key(key), cells)


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


def _count_histogram(
    indptr: NDArray[np.int64],
    indices: NDArray[np.int32],
    data: NDArray[np.int32],
    batch_of_row: NDArray[np.int64],
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    batch = np.repeat(batch_of_row, np.diff(indptr))
    used = (batch >= 0) & (data > 0)
    # One sortable 64-bit key: 12 bits of batch, 20 of gene, 31 of count.
    key = (batch[used] << 51) | (indices[used].astype(np.int64) << 31) | data[used]
    return np.unique(key, return_counts=True)


def _merge_histograms(
    parts: list[tuple[NDArray[np.int64], NDArray[np.int64]]],
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    if not parts:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    key, where = np.unique(np.concatenate([part[0] for part in parts]), return_inverse=True)
    cells = np.zeros(key.size, np.int64)
    np.add.at(cells, where, np.concatenate([part[1] for part in parts]))
    return key, cells


def _split_key(key: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.stack([key >> 51, (key >> 31) & 0xFFFFF, key & 0x7FFFFFFF], axis=1)


@parallel_kernel
def _sum_rows(
    indptr: Array, indices: Array, data: Array, rows: Array, bounds: Array, n_genes: int
) -> Array:
    n_shards = bounds.size - 1
    sums = np.zeros((n_shards, n_genes, 5), np.int64)
    for shard in prange(n_shards):
        lookup = np.zeros(N_LOOKUP, np.int64)
        for at in range(bounds[shard], bounds[shard + 1]):
            row = rows[at]
            total = np.int64(0)
            for entry in range(indptr[row], indptr[row + 1]):
                total += data[entry]
            if total == 0:
                continue
            factor = TARGET / total
            fill_lookup(lookup, factor)
            for entry in range(indptr[row], indptr[row + 1]):
                count = np.int64(data[entry])
                if count == 0:
                    continue
                q = q_of(count, factor, lookup)
                gene = indices[entry]
                sums[shard, gene, 0] += count
                sums[shard, gene, 1] += count * count
                sums[shard, gene, 2] += q
                sums[shard, gene, 3] += q * q
                sums[shard, gene, 4] += 1
    return sums
