"""Marker genes of clusters from exact sums: no pass over the cells.

Each cluster is compared with all other cells by Welch's t test on
log-normalised expression, as scanpy's `rank_genes_groups(method="t-test")`
does; mean and variance follow exactly from integer sums.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pmcell.core.aggregate import Aggregate, ClusterSums, membership, pool_clusters
from pmcell.core.grouped import SUM_Q
from pmcell.core.lognorm import SCALE
from pmcell.errors import UsageError
from pmcell.schema import MARKERS
from pmcell.tl.aggregate import aggregate, symbols_of

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData

MIN_CELLS_DONOR = 5
"""Cells that a donor needs inside and outside the cluster to count for `share_donors`."""


@dataclass(frozen=True)
class WelchTests:
    """Results of every cluster × gene (n_clusters, n_genes); untested: score 0, p 1."""

    score: NDArray[np.float64]
    p_value: NDArray[np.float64]
    q_value: NDArray[np.float64]
    log2_fold_change: NDArray[np.float64]
    share_in: NDArray[np.float64]
    share_out: NDArray[np.float64]


def markers(
    adata: AnnData, *, by: tuple[str, str] = ("sample_id", "cluster"), n_top: int = 100
) -> pd.DataFrame:
    """Marker genes of each cluster of cells, best first (table `schema.MARKERS`).

    `adata.X` holds raw counts, `by` names the sample and the cluster column of
    `adata.obs`, and `adata.var["symbol"]` the gene symbols where they are not
    the index. What the columns mean: `find_markers`.

    >>> import anndata, numpy as np, pandas as pd
    >>> obs = pd.DataFrame({"sample_id": "s", "cluster": list("0011")}, list("abcd"))
    >>> counts = np.array([[9, 1], [8, 2], [1, 9], [2, 9]])
    >>> markers(anndata.AnnData(counts, obs=obs))[["cluster", "gene_id"]].values.tolist()
    [['0', '0'], ['1', '1']]
    """
    return find_markers(aggregate(adata, by=by), symbols=symbols_of(adata), n_top=n_top)


def find_markers(
    aggregates: Aggregate | Sequence[Aggregate],
    *,
    symbols: Mapping[str, str] | None = None,
    n_top: int = 100,
) -> pd.DataFrame:
    """The `n_top` genes with the highest positive score of each cluster, from sums of any cohorts.

    Aggregates are added; a gene is tested only in the cells of cohorts that
    measured it. `log2_fold_change` is log2 of the ratio of expm1(mean
    log-normalised expression), each plus 1e-9, as in scanpy. `q_value` is
    Benjamini-Hochberg over all genes tested in the cluster. `symbols` maps gene
    ids to symbols; a gene without one keeps its id.
    """
    import pandas as pd

    if n_top < 1:
        raise UsageError(f"n_top must be at least 1, got {n_top}")
    parts = [aggregates] if isinstance(aggregates, Aggregate) else aggregates
    sums = pool_clusters(parts)
    tests = welch_tests(sums)
    cluster, gene, rank = _top_positive(tests.score, n_top)
    named = symbols or {}
    gene_ids = sums.gene_ids[gene]
    frame = pd.DataFrame(
        {
            "cluster": sums.clusters[cluster],
            "gene_id": gene_ids,
            "symbol": [named.get(str(name), str(name)) for name in gene_ids],
            "rank": rank,
            "score": tests.score[cluster, gene],
            "log2_fold_change": tests.log2_fold_change[cluster, gene],
            "p_value": tests.p_value[cluster, gene],
            "q_value": tests.q_value[cluster, gene],
            "share_in": tests.share_in[cluster, gene],
            "share_out": tests.share_out[cluster, gene],
            "share_donors": _share_donors(parts, sums, cluster, gene),
        }
    )
    return frame[[field.name for field in MARKERS.fields]]


def welch_tests(sums: ClusterSums) -> WelchTests:
    """Welch's t test of each cluster against all other cells, for each gene.

    Source: Welch 1947, doi:10.1093/biomet/34.1-2.28. A pair with fewer than two
    measured cells inside or outside, or without any variance, is not tested.
    """
    from scipy import stats

    n_in, sum_in, square_in = sums.n_cells, sums.sum_q, sums.sum_q2
    n_out, sum_out, square_out = (
        values.sum(axis=0) - values for values in (n_in, sum_in, square_in)
    )
    detected_out = sums.n_detected.sum(axis=0) - sums.n_detected
    with np.errstate(divide="ignore", invalid="ignore"):
        mean_in, mean_out = sum_in / n_in / SCALE, sum_out / n_out / SCALE
        score, p_value = stats.ttest_ind_from_stats(
            mean_in,
            np.sqrt(_variance(n_in, sum_in, square_in)),
            n_in,
            mean_out,
            np.sqrt(_variance(n_out, sum_out, square_out)),
            n_out,
            equal_var=False,
        )
        fold = (np.expm1(mean_in) + 1e-9) / (np.expm1(mean_out) + 1e-9)
        share_in, share_out = sums.n_detected / n_in, detected_out / n_out
    comparable = (n_in >= 2) & (n_out >= 2)
    tested = comparable & np.isfinite(score)
    p_value = np.where(tested, p_value, 1.0)
    q_value = np.ones_like(p_value)
    for row in range(p_value.shape[0]):
        seen = comparable[row]
        if seen.any():
            q_value[row, seen] = stats.false_discovery_control(p_value[row, seen])
    return WelchTests(
        np.where(tested, score, 0.0), p_value, q_value, np.log2(fold), share_in, share_out
    )


def _variance(
    n: NDArray[np.int64], total: NDArray[np.int64], squares: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Unbiased variance of log-normalised values from Σq and Σq².

    Deviations are taken from the integer below the mean, so the sum of squares
    is an exact integer and what is subtracted from it is less than one unit a
    cell: nothing cancels.
    """
    centre = total // np.maximum(n, 1)
    rest = total - centre * n
    deviations = squares - 2 * centre * total + n * centre * centre
    variance = (deviations - rest.astype(np.float64) ** 2 / n) / (n - 1)
    return np.asarray(np.maximum(variance, 0.0) / SCALE**2, np.float64)


def _top_positive(score: NDArray[np.float64], n_top: int) -> tuple[NDArray[Any], ...]:
    """Cluster, gene and rank of the best positive scores; ties go to the smaller gene id."""
    clusters, genes, ranks = [], [], []
    for cluster in range(score.shape[0]):
        order = np.argsort(-score[cluster], kind="stable")[:n_top]
        order = order[score[cluster, order] > 0]
        clusters.append(np.full(order.size, cluster))
        genes.append(order)
        ranks.append(np.arange(1, order.size + 1))
    if not clusters:
        return (np.zeros(0, np.int64),) * 3
    return np.concatenate(clusters), np.concatenate(genes), np.concatenate(ranks)


def _share_donors(
    parts: Sequence[Aggregate],
    sums: ClusterSums,
    cluster: NDArray[np.int64],
    gene: NDArray[np.int64],
) -> NDArray[np.float64]:
    """Share of donors whose mean is higher inside, for each pair; NaN without donors.

    Only donors with `MIN_CELLS_DONOR` cells inside and outside the cluster, in
    cohorts that measured the gene, are asked.
    """
    pair_genes = sums.gene_ids[gene]
    # Per donor and pair: cells and Σq inside, cells and Σq of all clusters.
    of_donor: dict[str, NDArray[np.int64]] = {}
    for part in parts:
        column_of = {str(name): at for at, name in enumerate(part.gene_ids)}
        column = np.array([column_of.get(str(name), -1) for name in pair_genes], np.int64)
        measured = np.flatnonzero(column >= 0)
        wanted, slot = np.unique(column[measured], return_inverse=True)
        matrix = part.sums.matrix(SUM_Q)[:, wanted]
        member = membership(part, sums.clusters)
        donor_of_group = part.sample_donors[part.group_sample]
        for donor in sorted(set(donor_of_group)):
            groups = np.flatnonzero(donor_of_group == donor)
            inside = member[:, groups]
            n_cells = inside @ part.group_n_cells[groups]
            total = (inside @ matrix[groups]).toarray()
            state = of_donor.setdefault(str(donor), np.zeros((4, gene.size), np.int64))
            state[0, measured] += n_cells[cluster[measured]]
            state[1, measured] += total[cluster[measured], slot]
            state[2, measured] += n_cells.sum()
            state[3, measured] += total.sum(axis=0)[slot]
    asked = np.zeros(gene.size, np.int64)
    higher = np.zeros(gene.size, np.int64)
    for n_in, sum_in, n_all, sum_all in of_donor.values():
        enough = (n_in >= MIN_CELLS_DONOR) & (n_all - n_in >= MIN_CELLS_DONOR)
        # mean inside > mean outside, without division
        above = sum_in * (n_all - n_in) > (sum_all - sum_in) * n_in
        asked += enough
        higher += enough & above
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(higher / asked, np.float64)
