"""Batch-aware selection of highly variable genes from exact moments.

The variance-stabilised ranking of Stuart et al. 2019
(doi:10.1016/j.cell.2019.05.031), as `flavor="seurat_v3"` of scanpy: in each
batch log variance is fitted on log mean, counts are standardised with the
fitted deviation and clipped at the square root of the number of cells; genes
are ranked by the variance of these values and the ranks joined by their median
over batches. A gene takes part only in batches that measured it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pmcell.core.counts.blocks import StoredCounts
from pmcell.core.counts.moments import COUNT, COUNT2, DETECTED, Moments, clipped_sums, moments
from pmcell.errors import DataError, UsageError
from pmcell.pp._adata import column, counts_and_rows
from pmcell.schema.text import as_text

if TYPE_CHECKING:
    from anndata import AnnData

SPAN = 0.3
MIN_CELLS_OF_BATCH = 30


@dataclass(frozen=True)
class BatchVariances:
    """Standardised variance of each gene in one batch (n_genes); NaN if unmeasured or constant."""

    batch: str
    n_cells: int
    values: NDArray[np.float64]


def highly_variable_genes(
    adata: AnnData,
    *,
    batch: str = "batch_id",
    n_top: int = 2000,
    counts: StoredCounts | None = None,
    layer: str | None = None,
) -> None:
    """Mark the `n_top` most variable genes of raw counts in X, `layer`, or the file `counts`.

    Writes var `is_highly_variable` and `hvg_rank` (median rank over batches,
    NaN where a gene is in no batch's top).

    >>> import pmcell as pm
    >>> adata = pm.simulate.simulate(n_donors=6, cells_per_sample=60, seed=1)
    >>> pm.pp.highly_variable_genes(adata, n_top=100)
    >>> int(adata.var["is_highly_variable"].sum())
    100
    """
    labels = as_text(column(adata, batch))
    batches = sorted(labels.unique())
    codes = labels.map({name: at for at, name in enumerate(batches)}).to_numpy(np.int64)
    source, rows = counts_and_rows(adata, counts, layer)
    batch_of_cell = np.full(source.n_cells, -1, np.int64)
    batch_of_cell[rows] = codes
    found = moments(source, batch_of_cell, batches)
    measured = np.ones((len(batches), adata.n_vars), bool)
    ranks = rank_genes(standardised_variances(found, measured), n_top)
    chosen = choose(ranks, np.isfinite(ranks), n_top)
    adata.var["hvg_rank"] = np.where(chosen, ranks, np.nan)
    adata.var["is_highly_variable"] = chosen


def standardised_variances(found: Moments, measured: NDArray[np.bool_]) -> list[BatchVariances]:
    """Standardised variances of each batch; `measured` is (n_batches, n_genes).

    Batches with fewer than 30 cells say too little and are left out, unless
    all are that small: then all cells count as one batch.
    """
    large = [at for at, n in enumerate(found.n_cells) if n >= MIN_CELLS_OF_BATCH]
    if not large and found.n_cells.sum() > 1:
        found, measured, large = _pooled(found), np.asarray(measured.any(axis=0))[None], [0]
    return [
        BatchVariances(
            found.batches[at], int(found.n_cells[at]), _standardised(found, at, measured[at])
        )
        for at in large
    ]


def rank_genes(
    variances: Sequence[BatchVariances], n_top: int, allowed: NDArray[np.bool_] | None = None
) -> NDArray[np.float64]:
    """Median rank of each gene over the batches where it is among the `n_top`; lower is better.

    Only the genes that are `allowed` (n_genes; default all) are ranked.

    Genes that are in the top of more batches come first among equals; the
    result (n_genes) is a strict order, NaN for genes in no batch's top.
    """
    if not variances:
        raise DataError(
            "at least one batch must have two cells to rank genes; none has", reason="too_few_cells"
        )
    if n_top < 1:
        raise UsageError(f"n_top must be at least 1, got {n_top}")
    n_genes = variances[0].values.size
    tops = np.full((len(variances), n_genes), np.nan)
    for at, item in enumerate(variances):
        is_ranked = ~np.isnan(item.values) if allowed is None else allowed & ~np.isnan(item.values)
        known = np.where(is_ranked, item.values, -np.inf)
        order = np.argsort(-known, kind="stable")[:n_top]
        order = order[np.isfinite(known[order])]
        tops[at, order] = np.arange(order.size)
    in_top = ~np.isnan(tops)
    n_batches = in_top.sum(axis=0)
    median = np.full(n_genes, np.nan)
    median[n_batches > 0] = np.nanmedian(tops[:, n_batches > 0], axis=0)
    order = np.lexsort((np.arange(n_genes), -n_batches, np.where(n_batches > 0, median, np.inf)))
    ranks = np.full(n_genes, np.nan)
    n_ranked = int((n_batches > 0).sum())
    ranks[order[:n_ranked]] = np.arange(1, n_ranked + 1)
    return ranks


def choose(ranks: NDArray[np.float64], allowed: NDArray[np.bool_], n_top: int) -> NDArray[np.bool_]:
    """The `n_top` best-ranked genes among the allowed ones (n_genes, bool)."""
    score = np.where(allowed & np.isfinite(ranks), ranks, np.inf)
    order = np.argsort(score, kind="stable")[:n_top]
    chosen = np.zeros(ranks.size, bool)
    chosen[order[np.isfinite(score[order])]] = True
    return chosen


def _standardised(found: Moments, batch: int, measured: NDArray[np.bool_]) -> NDArray[np.float64]:
    n_cells = float(found.n_cells[batch])
    sums = found.sums[batch]
    mean = sums[:, COUNT] / n_cells
    # Exact integers: the difference of large sums loses nothing before the division.
    spread = [
        int(n_cells) * int(square) - int(total) ** 2
        for square, total in zip(sums[:, COUNT2], sums[:, COUNT], strict=True)
    ]
    variance = np.array(spread, np.float64) / (n_cells * (n_cells - 1))
    varies = measured & (variance > 0) & (sums[:, DETECTED] > 0)
    if varies.sum() == 0:
        return np.full(mean.size, np.nan)
    deviation = np.zeros(mean.size)
    fitted = _trend(np.log10(mean[varies]), np.log10(variance[varies]))
    deviation[varies] = np.sqrt(10.0**fitted)
    clip = deviation * np.sqrt(n_cells) + mean
    own = found.histogram[:, 0] == batch
    total, squares = clipped_sums(found.histogram[own, 1:], found.histogram_cells[own], clip)
    values = np.full(mean.size, np.nan)
    values[varies] = (
        n_cells * mean[varies] ** 2 + squares[varies] - 2 * total[varies] * mean[varies]
    ) / ((n_cells - 1) * deviation[varies] ** 2)
    return values


def _trend(log_mean: NDArray[np.float64], log_variance: NDArray[np.float64]) -> NDArray[np.float64]:
    from skmisc.loess import loess

    if np.unique(log_mean).size >= 20:
        try:
            model = loess(log_mean, log_variance, span=SPAN, degree=2)
            model.fit()
            return np.asarray(model.outputs.fitted_values)
        except ValueError:
            # Local fits are singular where many genes share one mean.
            pass
    degree = min(2, np.unique(log_mean).size - 1)
    return np.asarray(np.polyval(np.polyfit(log_mean, log_variance, degree), log_mean), np.float64)


def _pooled(found: Moments) -> Moments:
    import pandas as pd

    pairs = pd.DataFrame(found.histogram[:, 1:], columns=["gene", "count"])
    pairs["cells"] = found.histogram_cells
    joined = pairs.groupby(["gene", "count"], as_index=False)["cells"].sum()
    zeros = np.zeros(len(joined), np.int64)
    return Moments(
        batches=("all",),
        n_cells=found.n_cells.sum(keepdims=True),
        sums=found.sums.sum(axis=0, keepdims=True),
        histogram=np.column_stack([zeros, joined["gene"], joined["count"]]).astype(np.int64),
        histogram_cells=joined["cells"].to_numpy(np.int64),
    )
