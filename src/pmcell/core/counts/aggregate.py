"""Sums per sample, cluster, source label and gene, and their reduction over cohorts.

An aggregate belongs to one cohort and knows only the genes that the cohort
measured. Aggregates are pooled by adding; for each gene only the cells of
cohorts that measured it count, so "not measured" is never taken for zero.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from pmcell.core.counts.blocks import Counts
from pmcell.core.counts.lognorm import SCALE
from pmcell.core.counts.sums import COUNTS, N_DETECTED, SUM_Q, SUM_Q2, Sums
from pmcell.errors import DataError

Labels = NDArray[Any]
"""A one-dimensional array of str."""

TypeOfCells = Mapping[str | tuple[str, str], str]
"""Type of the cells of a cluster, or of those of a cluster that have one label of the source."""


@dataclass(frozen=True)
class Groups:
    """What one cohort's sums are over: a group is a sample × cluster × label × half with a cell.

    `sample_ids`, `sample_donors` and `sample_tissues` have one entry a sample,
    `clusters` one a cluster, `labels` one a Cell Ontology term that the source gave
    ('unknown' where it gave none), `gene_ids` one a measured gene. `group_sample`,
    `group_cluster` and `group_label` give each group's positions in them, `group_half` 0 or 1,
    `group_n_cells` its cells. The halves are sampled independently (`pmcell.schema.halves`):
    what repeats in both is the donor's, what does not is the noise of its cells.
    """

    sample_ids: Labels
    sample_donors: Labels
    sample_tissues: Labels
    clusters: Labels
    labels: Labels
    gene_ids: Labels
    group_sample: NDArray[np.int64]
    group_cluster: NDArray[np.int64]
    group_label: NDArray[np.int64]
    group_half: NDArray[np.int64]
    group_n_cells: NDArray[np.int64]


@dataclass(frozen=True)
class Aggregate(Groups):
    """Exact sums of one cohort, for each of its groups and genes."""

    sums: Sums


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


def groups_of(aggregates: Sequence[Aggregate]) -> Sequence[Groups]:
    """The groups of each aggregate; where they lie in files, the sums are not read for it.

    >>> groups_of([])
    []
    """
    stored = getattr(aggregates, "groups", None)
    return aggregates if stored is None else stored()


def measured_genes(aggregates: Sequence[Aggregate]) -> list[str]:
    """Genes that any of the cohorts measured, sorted."""
    return sorted({str(gene) for part in groups_of(aggregates) for gene in part.gene_ids})


def pool_clusters(aggregates: Sequence[Aggregate]) -> ClusterSums:
    """Add the aggregates up to one row a cluster, one column a gene measured in any of them.

    Genes are sorted by id, clusters in natural order ('2' before '10').
    """
    known = groups_of(aggregates)
    clusters = natural_order({str(name) for part in known for name in part.clusters})
    gene_ids = np.array(measured_genes(aggregates), dtype=object)
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


def membership(part: Groups, clusters: Labels) -> sparse.csr_matrix:
    """Indicator matrix (n_clusters, n_groups) int64 of the cluster of each group."""
    row = positions(clusters, part.clusters)[part.group_cluster]
    n_groups = part.group_cluster.size
    ones = np.ones(n_groups, np.int64)
    return sparse.csr_matrix((ones, (row, np.arange(n_groups))), shape=(clusters.size, n_groups))


def type_of_groups(part: Groups, cell_types: TypeOfCells) -> Labels:
    """The type of the cells of each group: that of cluster and label, else that of the cluster.

    Raises
    ------
    DataError
        Where a group's cells have no type.
    """
    groups = zip(part.clusters[part.group_cluster], part.labels[part.group_label], strict=True)
    pairs = [(str(cluster), str(label)) for cluster, label in groups]
    lost = sorted({pair for pair in pairs if pair not in cell_types and pair[0] not in cell_types})
    if lost:
        raise DataError(
            f"every cluster and source label must have a type; {len(lost)} have none, the first is "
            f"cluster {lost[0][0]!r} with label {lost[0][1]!r}. Run annotate again.",
            reason="stale_intermediate",
        )
    found = [cell_types[pair] if pair in cell_types else cell_types[pair[0]] for pair in pairs]
    return np.array(found, object)


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
