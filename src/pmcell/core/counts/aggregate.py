"""Sums per sample, cluster and gene with their labels, and their reduction over cohorts.

An aggregate belongs to one cohort and knows only the genes that the cohort
measured. Aggregates are pooled by adding; for each gene only the cells of
cohorts that measured it count, so "not measured" is never taken for zero.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from pmcell.core.counts.blocks import Counts
from pmcell.core.counts.grouped import COUNTS, N_DETECTED, SUM_Q, SUM_Q2, GroupedSums
from pmcell.core.counts.lognorm import SCALE

Labels = NDArray[Any]
"""A one-dimensional array of str."""


@dataclass(frozen=True)
class Aggregate:
    """Exact sums of one cohort: a group is a sample × cluster × half with at least one cell.

    `sample_ids`, `sample_donors` and `sample_tissues` have one entry a sample,
    `clusters` one a cluster, `gene_ids` one a measured gene. `group_sample` and
    `group_cluster` give each group's positions in them, `group_half` 0 or 1, `group_n_cells`
    its cells. The halves are sampled independently (`pmcell.schema.halves`): what repeats in
    both is the donor's, what does not is the noise of its cells.
    """

    sample_ids: Labels
    sample_donors: Labels
    sample_tissues: Labels
    clusters: Labels
    gene_ids: Labels
    group_sample: NDArray[np.int64]
    group_cluster: NDArray[np.int64]
    group_half: NDArray[np.int64]
    group_n_cells: NDArray[np.int64]
    sums: GroupedSums


@dataclass(frozen=True)
class ClusteredCounts:
    """Counts of one cohort, the gene of each column, the cluster of each cell (null: left out)."""

    counts: Counts
    gene_ids: Labels
    clusters: Labels


@dataclass(frozen=True)
class ClusterSums:
    """Sums over all cohorts, dense (n_clusters, n_genes) int64.

    `n_cells[c, g]` counts the cells of cluster c in cohorts that measured gene g;
    `q` is log-normalised expression in fixed point.
    """

    clusters: Labels
    gene_ids: Labels
    n_cells: NDArray[np.int64]
    n_detected: NDArray[np.int64]
    counts: NDArray[np.int64]
    sum_q: NDArray[np.int64]
    sum_q2: NDArray[np.int64]

    def mean(self) -> NDArray[np.float64]:
        """Mean log-normalised expression (n_clusters, n_genes); NaN where no cell was measured."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(self.sum_q / self.n_cells / SCALE, np.float64)

    def share_detected(self) -> NDArray[np.float64]:
        """Share of cells with a count (n_clusters, n_genes); NaN where no cell was measured."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(self.n_detected / self.n_cells, np.float64)


def pool_clusters(aggregates: Sequence[Aggregate]) -> ClusterSums:
    """Add the aggregates up to one row a cluster, one column a gene measured in any of them.

    Genes are sorted by id, clusters in natural order ('2' before '10').
    """
    clusters = natural_order({str(name) for part in aggregates for name in part.clusters})
    gene_ids = np.array(
        sorted({str(gene) for part in aggregates for gene in part.gene_ids}), dtype=object
    )
    shape = (clusters.size, gene_ids.size)
    n_cells = np.zeros(shape, np.int64)
    sums = np.zeros((4, *shape), np.int64)
    for part in aggregates:
        columns = positions(gene_ids, part.gene_ids)
        member = membership(part, clusters)
        n_cells[:, columns] += (member @ part.group_n_cells)[:, None]
        for column in (COUNTS, N_DETECTED, SUM_Q, SUM_Q2):
            sums[column][:, columns] += (member @ part.sums.matrix(column)).toarray()
    return ClusterSums(
        clusters, gene_ids, n_cells, sums[N_DETECTED], sums[COUNTS], sums[SUM_Q], sums[SUM_Q2]
    )


def membership(part: Aggregate, clusters: Labels) -> sparse.csr_matrix:
    """Indicator matrix (n_clusters, n_groups) int64 of the cluster of each group."""
    row = positions(clusters, part.clusters)[part.group_cluster]
    n_groups = part.group_cluster.size
    ones = np.ones(n_groups, np.int64)
    return sparse.csr_matrix((ones, (row, np.arange(n_groups))), shape=(clusters.size, n_groups))


def positions(known: Labels, wanted: Labels) -> NDArray[np.int64]:
    """Position of each wanted label in `known`, which must hold it."""
    at = {str(name): index for index, name in enumerate(known)}
    return np.array([at[str(name)] for name in wanted], dtype=np.int64)


def natural_order(names: set[str]) -> Labels:
    """Labels sorted so that numbers come first and by value."""
    return np.array(
        sorted(
            names, key=lambda name: (not name.isdigit(), int(name) if name.isdigit() else 0, name)
        ),
        dtype=object,
    )
