"""Wilcoxon rank-sum test of every cluster against all other cells, exact, from sparse counts.

Values are the fixed-point integers of `core.lognorm`, so cells tie exactly and
twice a midrank is an integer: rank sums have the same bits for any number of
threads, any order of the cells and any split into cohorts. A gene's cells
without a count are one block of ties that is never stored.

The values of as many genes as fit are gathered by gene and cluster, two bytes
each, in one pass over the counts; where `max_values` is less than there are,
the next genes take another pass. Nothing is sorted: a gene's values are
counted, all clusters at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pmcell.core.compiler import Array, parallel_kernel, prange, thread_count
from pmcell.core.counts.blocks import Block, Counts
from pmcell.core.counts.lognorm import MAX_Q, N_LOOKUP, TARGET, fill_lookup, q_of

MAX_VALUES = 2**28
"""Values held at once: 512 MiB."""


@dataclass(frozen=True)
class LabelledCounts:
    """Counts of one cohort: cluster of each cell and tested gene of each column, -1 for none."""

    counts: Counts
    cluster_of_cell: NDArray[np.int64]
    gene_of_column: NDArray[np.int64]


@dataclass(frozen=True)
class RankSums:
    """`doubled` (n_clusters, n_genes; int64) is twice the sum of a cluster's midranks.

    `spread` (n_genes, float64) is the sum of squared deviations of all midranks
    from their mean; ties make it less than (n³ - n) / 12.
    """

    doubled: NDArray[np.int64]
    spread: NDArray[np.float64]


@dataclass(frozen=True)
class RankTests:
    """Of every cluster × gene (n_clusters, n_genes): AUC, z and two-sided p.

    `auc` is the chance that a cell of the cluster has the higher value than one
    of the others, ties counted half; NaN without cells on either side. Where all
    values are equal z is 0 and p is 1.
    """

    auc: NDArray[np.float64]
    z: NDArray[np.float64]
    p_value: NDArray[np.float64]


def rank_sums(
    parts: Sequence[LabelledCounts],
    n_cells: NDArray[np.int64],
    n_detected: NDArray[np.int64],
    *,
    max_values: int = MAX_VALUES,
) -> RankSums:
    """Sums of the ranks of all parts' cells together, gene by gene.

    `n_cells` and `n_detected` (n_clusters, n_genes) are the cells of each
    cluster in parts that have the gene, and those with a count; other numbers
    than the counts hold raise ValueError.
    """
    n_clusters, n_genes = n_cells.shape
    doubled = np.zeros((n_genes, n_clusters), np.int64)
    spread = np.zeros(n_genes)
    values_of_gene = n_detected.sum(axis=0)
    first = 0
    while first < n_genes:
        held = np.cumsum(values_of_gene[first:])
        last = first + max(1, int(np.searchsorted(held, max_values, side="right")))
        genes = slice(first, last)
        sizes = np.ascontiguousarray(n_detected[:, genes].T)
        ends = np.cumsum(sizes).reshape(sizes.shape)
        values = _gather(parts, first, ends, sizes)
        cells = np.ascontiguousarray(n_cells[:, genes].T)
        doubled[genes], spread[genes] = _rank_genes(values, ends, sizes, cells)
        first = last
    return RankSums(np.ascontiguousarray(doubled.T), spread)


def rank_tests(
    sums: RankSums, n_cells: NDArray[np.int64], *, continuity: bool = False
) -> RankTests:
    """Mann-Whitney U by its normal approximation, corrected for ties.

    Without `continuity` z and p equal scanpy's `rank_genes_groups(method="wilcoxon",
    tie_correct=True)`, with it those of `scipy.stats.mannwhitneyu(method="asymptotic")`.
    Source: Mann & Whitney 1947, doi:10.1214/aoms/1177730491; the variance is that
    of a sum of ranks drawn without replacement, which holds for any ties.
    """
    from scipy.special import ndtr

    n_in = n_cells.astype(np.float64)
    n_all = n_in.sum(axis=0)
    n_out = n_all - n_in
    u = (sums.doubled - n_cells * (n_cells + 1)) / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        auc = u / (n_in * n_out)
        deviation = u - n_in * n_out / 2
        if continuity:
            deviation = np.sign(deviation) * np.maximum(np.abs(deviation) - 0.5, 0.0)
        variance = n_in * n_out / (n_all * (n_all - 1)) * sums.spread
        z = np.where(variance > 0, deviation / np.sqrt(variance), 0.0)
    return RankTests(auc, z, 2 * ndtr(-np.abs(z)))


def _gather(
    parts: Sequence[LabelledCounts],
    first: int,
    ends: NDArray[np.int64],
    sizes: NDArray[np.int64],
) -> NDArray[np.uint16]:
    """Values of genes `first` on, by gene and cluster; each cluster's segment ends at `ends`."""
    n_genes, n_clusters = sizes.shape
    values = np.empty(int(sizes.sum()), np.uint16)
    cursors = ends - sizes
    for part in parts:
        own = part.gene_of_column - first
        gene_of_column = np.where((own >= 0) & (own < n_genes), own, -1).astype(np.int32)
        if not (gene_of_column >= 0).any():
            continue
        for block in part.counts.iter_blocks():
            _gather_block(
                block, part.cluster_of_cell[block.rows], gene_of_column, cursors, ends, values
            )
    if (cursors != ends).any():
        raise ValueError(
            "n_detected must be the cells with a count of each cluster and gene; "
            f"{int((cursors != ends).sum())} of {n_genes * n_clusters} differ from the counts"
        )
    return values


def _gather_block(
    block: Block,
    cluster_of_row: NDArray[np.int64],
    gene_of_column: NDArray[np.int32],
    cursors: NDArray[np.int64],
    ends: NDArray[np.int64],
    values: NDArray[np.uint16],
) -> None:
    """A shard takes whole clusters, so that no two threads write to one segment."""
    rows = np.argsort(cluster_of_row, kind="stable")
    rows = rows[np.searchsorted(cluster_of_row[rows], 0) :]
    if not rows.size:
        return
    done = np.cumsum(np.diff(block.indptr)[rows])
    n_shards = thread_count()
    cuts = np.searchsorted(done, done[-1] * np.arange(1, n_shards) / n_shards)
    clusters = cluster_of_row[rows]
    # A cut goes to the nearer border between two clusters.
    borders = np.concatenate([[0], np.flatnonzero(np.diff(clusters)) + 1, [rows.size]])
    nearest = np.abs(borders[None, :] - cuts[:, None]).argmin(axis=1)
    shards = np.concatenate([[0], borders[nearest], [rows.size]])
    complete = _scatter(
        (block.indptr, block.indices, block.data),
        rows,
        clusters,
        shards.astype(np.int64),
        gene_of_column,
        cursors,
        ends,
        values,
    )
    if not complete:
        raise ValueError(
            "n_detected must be the cells with a count of each cluster and gene; "
            "the counts hold more"
        )


@parallel_kernel
def _scatter(
    matrix: tuple[Array, Array, Array],
    rows: Array,
    clusters: Array,
    shards: Array,
    gene_of_column: Array,
    cursors: Array,
    ends: Array,
    values: Array,
) -> bool:
    indptr, indices, data = matrix
    n_lost = 0
    for shard in prange(shards.size - 1):
        lookup = np.zeros(N_LOOKUP, np.int64)
        for at in range(shards[shard], shards[shard + 1]):
            row, cluster = rows[at], clusters[at]
            total = np.int64(0)
            for entry in range(indptr[row], indptr[row + 1]):
                total += data[entry]
            if total == 0:
                continue
            factor = TARGET / total
            fill_lookup(lookup, factor)
            for entry in range(indptr[row], indptr[row + 1]):
                gene = gene_of_column[indices[entry]]
                if gene < 0 or data[entry] == 0:
                    continue
                slot = cursors[gene, cluster]
                if slot == ends[gene, cluster]:
                    n_lost += 1
                    continue
                values[slot] = q_of(np.int64(data[entry]), factor, lookup)
                cursors[gene, cluster] = slot + 1
    return n_lost == 0


@parallel_kernel
def _rank_genes(values: Array, ends: Array, sizes: Array, n_cells: Array) -> tuple[Array, Array]:
    """Twice the rank sums (n_genes, n_clusters) and the spread of the ranks (n_genes)."""
    n_genes, n_clusters = sizes.shape
    doubled = np.zeros((n_genes, n_clusters), np.int64)
    spread = np.zeros(n_genes)
    for gene in prange(n_genes):
        # How often each value occurs; then twice its midrank.
        table = np.zeros(MAX_Q + 1, np.int64)
        n_all = np.int64(0)
        highest = np.int64(0)
        for cluster in range(n_clusters):
            n_all += n_cells[gene, cluster]
            table[0] += n_cells[gene, cluster] - sizes[gene, cluster]
            for at in range(ends[gene, cluster] - sizes[gene, cluster], ends[gene, cluster]):
                value = np.int64(values[at])
                table[value] += 1
                if value > highest:
                    highest = value
        below = np.int64(0)
        for step in range(highest + 1):
            n_tied = table[step]
            if n_tied > 0:
                table[step] = 2 * below + n_tied + 1
                deviation = float(table[step] - (n_all + 1)) / 2.0
                spread[gene] += n_tied * deviation * deviation
                below += n_tied
        for cluster in range(n_clusters):
            total = (n_cells[gene, cluster] - sizes[gene, cluster]) * table[0]
            for at in range(ends[gene, cluster] - sizes[gene, cluster], ends[gene, cluster]):
                total += table[np.int64(values[at])]
            doubled[gene, cluster] = total
    return doubled, spread
