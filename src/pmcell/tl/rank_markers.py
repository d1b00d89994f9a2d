"""The rank-sum test of clusters for chosen genes, from the counts of any cohorts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pmcell.core.counts.aggregate import ClusteredCounts, ClusterSums, Labels, positions
from pmcell.core.counts.ranks import LabelledCounts, rank_sums, rank_tests
from pmcell.errors import DataError


@dataclass(frozen=True)
class RankColumns:
    """AUC, z, p and q of every cluster × gene (n_clusters, n_genes); NaN where not tested."""

    auc: NDArray[np.float64]
    score: NDArray[np.float64]
    p_value: NDArray[np.float64]
    q_value: NDArray[np.float64]


def rank_columns(
    sums: ClusterSums,
    counts: Sequence[ClusteredCounts],
    genes: NDArray[np.int64],
    max_values: int,
) -> RankColumns:
    """Test the `genes` (positions in `sums.gene_ids`) of each cluster against all other cells.

    Benjamini-Hochberg is over all genes that can be compared in the cluster; those
    that are not among `genes` count as p = 1. Raises `DataError` when the counts
    are not those that the sums were made from.
    """
    slot = {str(sums.gene_ids[gene]): at for at, gene in enumerate(genes)}
    parts = [
        LabelledCounts(
            part.counts,
            _codes(part.clusters, sums.clusters),
            np.array([slot.get(str(name), -1) for name in part.gene_ids], np.int64),
        )
        for part in counts
    ]
    n_cells = sums.n_cells[:, genes]
    try:
        ranks = rank_sums(parts, n_cells, sums.n_detected[:, genes], max_values=max_values)
    except ValueError as error:
        raise DataError(
            "the counts must be those that the sums were made from; they have other cells "
            "with a count. Run aggregate again.",
            reason="stale_intermediate",
        ) from error
    tests = rank_tests(ranks, n_cells)
    columns = RankColumns(*np.full((4, *sums.n_cells.shape), np.nan))
    comparable = (sums.n_cells > 0) & (sums.n_cells < sums.n_cells.sum(axis=0))
    for row in range(len(sums.clusters)):
        tested = comparable[row, genes]
        own = genes[tested]
        columns.auc[row, own] = tests.auc[row, tested]
        columns.score[row, own] = tests.z[row, tested]
        columns.p_value[row, own] = tests.p_value[row, tested]
        columns.q_value[row, own] = adjusted(tests.p_value[row, tested], comparable[row].sum())
    return columns


def _codes(labels: Labels, known: Labels) -> NDArray[np.int64]:
    """Position of each label in `known`, -1 for null."""
    import pandas as pd

    given = pd.notna(labels)
    codes = np.full(labels.size, -1, np.int64)
    codes[given] = positions(known, labels[given])
    return codes


def adjusted(p_value: NDArray[np.float64], n_tests: int) -> NDArray[np.float64]:
    """Benjamini-Hochberg q of the given p among `n_tests`, the p of the others being 1.

    Source: Benjamini & Hochberg 1995, doi:10.1111/j.2517-6161.1995.tb02031.x.
    """
    order = np.argsort(p_value)
    scaled = p_value[order] * n_tests / np.arange(1, p_value.size + 1)
    q_value = np.empty_like(p_value)
    q_value[order] = np.minimum(np.minimum.accumulate(scaled[::-1])[::-1], 1.0)
    return q_value
