"""Marker genes of clusters: each is compared with all other cells, on log-normalised expression.

Welch's t test, as scanpy's `rank_genes_groups(method="t-test")` does it, follows
exactly from integer sums, without a pass over the cells. The rank-sum test and
its AUC need the counts; where cells decide, not the mean, they say more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from pmcell.core.counts.aggregate import (
    Aggregate,
    ClusteredCounts,
    ClusterSums,
    Labels,
    membership,
    pool_clusters,
)
from pmcell.core.counts.lognorm import SCALE
from pmcell.core.counts.ranks import MAX_VALUES
from pmcell.core.counts.sums import SUM_Q
from pmcell.errors import UsageError
from pmcell.schema import MARKERS
from pmcell.tl.aggregate import aggregate, counts_of, symbols_of
from pmcell.tl.rank_markers import RankColumns, adjusted, rank_columns
from pmcell.tl.tissues import sums_by_tissue

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData

Method = Literal["t-test", "wilcoxon"]
"""The test whose statistic ranks the genes of a cluster."""

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
    adata: AnnData,
    *,
    by: tuple[str, str] = ("sample_id", "cluster"),
    method: Method = "t-test",
    n_top: int = 100,
    layer: str | None = None,
) -> pd.DataFrame:
    """Marker genes of each cluster of cells, best first (table `schema.MARKERS`).

    `adata.X` or `layer` holds raw counts, `by` names the sample and the cluster column of
    `adata.obs`, and `adata.var["symbol"]` the gene symbols where they are not
    the index. What the columns mean: `find_markers`.

    >>> import anndata, numpy as np, pandas as pd
    >>> obs = pd.DataFrame({"sample_id": "s", "cluster": list("0011")}, list("abcd"))
    >>> counts = np.array([[9, 1], [8, 2], [1, 9], [2, 9]])
    >>> markers(anndata.AnnData(counts, obs=obs))[["cluster", "gene_id", "auc"]].values.tolist()
    [['0', '0', 1.0], ['1', '1', 1.0]]
    """
    sums = aggregate(adata, by=by, layer=layer)
    clusters = adata.obs[by[1]].where(adata.obs[by[0]].notna()).to_numpy(object)
    counts = ClusteredCounts(counts_of(adata, layer), sums.gene_ids, clusters)
    return find_markers(
        sums, counts=[counts], symbols=symbols_of(adata), method=method, n_top=n_top
    )


def find_markers(
    aggregates: Aggregate | Sequence[Aggregate],
    *,
    counts: Sequence[ClusteredCounts] | None = None,
    symbols: Mapping[str, str] | None = None,
    method: Method = "t-test",
    n_top: int = 100,
    max_values: int = MAX_VALUES,
) -> pd.DataFrame:
    """The `n_top` genes with the highest positive statistic of each cluster, for any cohorts.

    Aggregates are added; a gene is tested only in the cells of cohorts that
    measured it, and against the other cells of the cluster's tissue.
    `log2_fold_change` is log2 of the ratio of expm1(mean log-normalised
    expression), each plus 1e-9, as in scanpy. `q_value` is Benjamini-Hochberg over
    all genes tested in the cluster. `symbols` maps gene ids to symbols; a gene without
    one keeps its id.

    `counts` are those of the same cohorts; without them the columns of the
    rank-sum test are empty. With `method="t-test"` it is made for the genes that
    are listed, and its q value takes every other gene for one with p = 1: it may
    be too large, never too small. With `method="wilcoxon"` it is made for all
    genes and its z ranks them. `max_values` bounds the memory: two bytes each.
    """
    import pandas as pd

    if n_top < 1:
        raise UsageError(f"n_top must be at least 1, got {n_top}")
    if method not in get_args(Method):
        raise UsageError(f"method must be one of {get_args(Method)}, got {method!r}")
    if method == "wilcoxon" and counts is None:
        raise UsageError("method 'wilcoxon' needs the counts of the cells: give counts=[…]")
    parts = [aggregates] if isinstance(aggregates, Aggregate) else aggregates
    frames = [
        _markers_of_tissue(
            item.aggregates,
            _counts_of(counts, item.clusters),
            symbols or {},
            method=method,
            n_top=n_top,
            max_values=max_values,
        )
        for item in sums_by_tissue(parts)
    ]
    return pd.concat(frames, ignore_index=True)


def _counts_of(
    counts: Sequence[ClusteredCounts] | None, clusters: frozenset[str]
) -> list[ClusteredCounts] | None:
    """The counts with a cluster for the cells of these clusters only."""
    if counts is None:
        return None
    return [replace(part, clusters=_only(part.clusters, clusters)) for part in counts]


def _only(labels: Labels, clusters: frozenset[str]) -> Labels:
    return np.array([name if name in clusters else None for name in labels], object)


def _markers_of_tissue(
    parts: Sequence[Aggregate],
    counts: Sequence[ClusteredCounts] | None,
    symbols: Mapping[str, str],
    *,
    method: Method,
    n_top: int,
    max_values: int,
) -> pd.DataFrame:
    import pandas as pd

    sums = pool_clusters(parts)
    tests = welch_tests(sums)
    if method == "wilcoxon" and counts is not None:
        ranks = rank_columns(sums, counts, np.arange(sums.gene_ids.size), max_values)
        cluster, gene, rank = _top_positive(ranks.score, n_top)
    else:
        cluster, gene, rank = _top_positive(tests.score, n_top)
        ranks = _rank_listed(sums, counts, gene, max_values)
    gene_ids = sums.gene_ids[gene]
    frame = pd.DataFrame(
        {
            "cluster": sums.clusters[cluster],
            "gene_id": gene_ids,
            "symbol": [symbols.get(str(name), str(name)) for name in gene_ids],
            "rank": rank,
            "score": tests.score[cluster, gene],
            "log2_fold_change": tests.log2_fold_change[cluster, gene],
            "p_value": tests.p_value[cluster, gene],
            "q_value": tests.q_value[cluster, gene],
            "auc": ranks.auc[cluster, gene],
            "score_wilcoxon": ranks.score[cluster, gene],
            "p_wilcoxon": ranks.p_value[cluster, gene],
            "q_wilcoxon": ranks.q_value[cluster, gene],
            "share_in": tests.share_in[cluster, gene],
            "share_out": tests.share_out[cluster, gene],
            "share_donors": _share_donors(parts, sums, cluster, gene),
        }
    )
    return frame[MARKERS.columns]


def _rank_listed(
    sums: ClusterSums,
    counts: Sequence[ClusteredCounts] | None,
    gene: NDArray[np.int64],
    max_values: int,
) -> RankColumns:
    """The rank-sum test of the genes that any cluster lists; NaN for all others."""
    if counts is None:
        return RankColumns(*np.full((4, *sums.n_cells.shape), np.nan))
    return rank_columns(sums, counts, np.unique(gene), max_values)


def welch_tests(sums: ClusterSums) -> WelchTests:
    """Welch's t test of each cluster against all other cells, for each gene.

    Source: Welch 1947, doi:10.1093/biomet/34.1-2.28. A pair with fewer than two
    measured cells inside or outside, or without any variance, is not tested.
    """
    # Not scipy.stats: importing it takes longer than the tests.
    from scipy.special import stdtr

    n_in, sum_in, square_in = sums.n_cells, sums.sum_q, sums.sum_q2
    n_out, sum_out, square_out = (
        values.sum(axis=0) - values for values in (n_in, sum_in, square_in)
    )
    detected_out = sums.n_detected.sum(axis=0) - sums.n_detected
    with np.errstate(divide="ignore", invalid="ignore"):
        mean_in, mean_out = sum_in / n_in / SCALE, sum_out / n_out / SCALE
        error_in = _variance(n_in, sum_in, square_in) / n_in
        error_out = _variance(n_out, sum_out, square_out) / n_out
        error = error_in + error_out
        freedom = error**2 / (error_in**2 / (n_in - 1) + error_out**2 / (n_out - 1))
        score = (mean_in - mean_out) / np.sqrt(error)
        p_value = 2 * stdtr(freedom, -np.abs(score))
        fold = (np.expm1(mean_in) + 1e-9) / (np.expm1(mean_out) + 1e-9)
        share_in, share_out = sums.n_detected / n_in, detected_out / n_out
    comparable = (n_in >= 2) & (n_out >= 2)
    tested = comparable & np.isfinite(score)
    p_value = np.where(tested, p_value, 1.0)
    q_value = np.ones_like(p_value)
    for row in range(p_value.shape[0]):
        seen = comparable[row]
        if seen.any():
            q_value[row, seen] = adjusted(p_value[row, seen], int(seen.sum()))
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
