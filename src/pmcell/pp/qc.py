"""Quality control: marks cells, drops none.

Thresholds adapt to each sample: median ± n MADs of log counts and log detected
genes, an upper limit for the mitochondrial share (Germain et al. 2020,
doi:10.1186/s13059-020-02136-7, section "Filtering"; Heumos et al. 2023,
doi:10.1038/s41576-023-00586-w), and a doublet score as Scrublet's (Wolock et
al. 2019, doi:10.1016/j.cels.2018.11.005) within the sample.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pmcell.core.counts.blocks import Block, Counts, MatrixCounts, StoredCounts
from pmcell.core.counts.cell_metrics import block_metrics, cell_metrics
from pmcell.core.pca.doublets import sample_scores
from pmcell.errors import UsageError
from pmcell.pp._adata import column, counts_and_rows, write_columns
from pmcell.registry.terms.mitochondria import mitochondrial_features
from pmcell.schema import QC
from pmcell.schema.text import as_text

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData

MAD_TO_SD = 1.4826

EXCLUSIONS = ("low_counts", "high_counts", "low_genes", "high_mitochondrial", "doublet")


@dataclass(frozen=True)
class QcOptions:
    """Limits of `qc`; a MAD is scaled to the standard deviation of a normal distribution."""

    n_mads: float = 5.0
    n_mads_mitochondrial: float = 5.0
    min_counts: int = 1
    min_genes: int = 1
    max_share_mitochondrial: float = 0.3
    min_cells_for_mad: int = 30
    min_cells_for_doublets: int = 100
    min_doublet_score: float = 0.25
    score_doublets: bool = True
    seed: int = 0


def qc(
    adata: AnnData,
    *,
    sample: str = "sample_id",
    options: QcOptions | None = None,
    counts: StoredCounts | None = None,
    layer: str | None = None,
) -> None:
    """Mark the cells of `adata` (raw counts in X, in `layer`, or in the file `counts`).

    Writes obs `total_counts`, `n_genes_detected`, `share_mitochondrial`,
    `doublet_score`, `passes_qc` and `exclusion`, and uns `qc` with the
    thresholds of each sample. Mitochondrial genes are found by the names in the index of var
    and in its usual columns of symbols and ids, in any spelling that intake knows; where there
    are none, a warning says so and the share is NaN. Columns of these names that came with the
    cells are kept as source_<name>.

    >>> import pmcell as pm
    >>> adata = pm.simulate.simulate(n_donors=3, cells_per_sample=60, seed=1)
    >>> pm.pp.qc(adata)
    >>> bool(adata.obs["passes_qc"].mean() > 0.8)
    True
    """
    options = options or QcOptions()
    source, rows = counts_and_rows(adata, counts, layer)
    is_mitochondrial = mitochondrial_features(adata.var)
    if not is_mitochondrial.any():
        warnings.warn(
            "no gene of var is mitochondrial: share_mitochondrial is NaN and excludes no cell. "
            "Where the data have such genes, put their symbols into var['symbol'].",
            stacklevel=2,
        )
    samples = as_text(column(adata, sample)).to_numpy()
    if not isinstance(source, MatrixCounts) and rows.size != source.n_cells:
        raise UsageError(
            f"adata must hold all {source.n_cells} cells of counts, got {rows.size}; "
            "begin with adata = counts.read_cells()"
        )
    metrics, scores = measure_cells(source, is_mitochondrial, samples, options)
    cells, thresholds = mark_cells(metrics, bool(is_mitochondrial.any()), scores, samples, options)
    write_columns(adata, {name: cells[name].to_numpy() for name in cells.columns})
    adata.uns["qc"] = thresholds


def measure_cells(
    counts: Counts, is_mitochondrial: np.ndarray, samples: np.ndarray, options: QcOptions
) -> tuple[np.ndarray, np.ndarray]:
    """Metrics (`core.cell_metrics`) and doublet score (n_cells, float64) of each cell.

    The score is NaN where a sample is too small or its cells are all alike. Counts are read
    once for the metrics, and once more for the scores.
    """
    _, sample_of_cell, n_cells = np.unique(samples, return_inverse=True, return_counts=True)
    is_scored = (n_cells >= options.min_cells_for_doublets) & options.score_doublets
    if not is_scored.any():
        metrics = cell_metrics(counts, is_mitochondrial)
        return metrics, np.full(samples.size, np.nan)
    metrics = np.zeros((counts.n_cells, 3), np.int64)

    def measure(block: Block) -> None:
        metrics[block.rows] = block_metrics(block, is_mitochondrial)

    position = np.where(is_scored, np.cumsum(is_scored) - 1, -1)
    scores = sample_scores(
        counts, position[sample_of_cell], int(is_scored.sum()), options.seed, see=measure
    )
    return metrics, np.round(scores, 6)


def mark_cells(
    metrics: np.ndarray,
    has_mitochondrial: bool,
    scores: np.ndarray,
    samples: np.ndarray,
    options: QcOptions,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Marks of each cell, and thresholds with exclusions of each sample (columns of `schema.QC`).

    `metrics` is the result of `core.cell_metrics`. A sample with fewer than
    `min_cells_for_mad` cells takes its limits from all cells of the cohort.
    """
    import pandas as pd

    total, detected = metrics[:, 0], metrics[:, 1]
    share = np.divide(
        metrics[:, 2], total, out=np.full(total.size, np.nan), where=(total > 0) & has_mitochondrial
    )
    reasons = np.zeros((total.size, len(EXCLUSIONS)), bool)
    rows = []
    for name in np.unique(samples):
        own = samples == name
        basis = own if own.sum() >= options.min_cells_for_mad else np.ones(own.size, bool)
        limits = _limits(total[basis], detected[basis], share[basis], scores[own], options)
        reasons[own] = np.stack(
            [
                total[own] < limits["min_total_counts"],
                total[own] > limits["max_total_counts"],
                detected[own] < limits["min_genes_detected"],
                share[own] > limits["max_share_mitochondrial"],
                scores[own] > limits["max_doublet_score"],
            ],
            axis=1,
        )
        counted = dict(
            zip(
                (
                    "n_low_counts",
                    "n_high_counts",
                    "n_low_genes",
                    "n_high_mitochondrial",
                    "n_doublets",
                ),
                reasons[own].sum(axis=0).tolist(),
                strict=True,
            )
        )
        rows.append(
            {
                "sample_id": name,
                "n_cells_submitted": int(own.sum()),
                "n_cells": int((~reasons[own].any(axis=1)).sum()),
                "median_total_counts": float(np.median(total[own])),
                "median_genes_detected": float(np.median(detected[own])),
                "median_share_mitochondrial": _median(share[own]),
                **limits,
                **counted,
            }
        )
    cells = pd.DataFrame(
        {
            "total_counts": total,
            "n_genes_detected": detected,
            "share_mitochondrial": share,
            "doublet_score": scores,
            "passes_qc": ~reasons.any(axis=1),
            "exclusion": _join_reasons(reasons),
        }
    )
    columns = [field.name for field in QC.fields if field.name != "cohort_id"]
    return cells, pd.DataFrame(rows, columns=columns)


def _limits(
    total: np.ndarray,
    detected: np.ndarray,
    share: np.ndarray,
    scores: np.ndarray,
    options: QcOptions,
) -> dict[str, float]:
    low_counts, high_counts = _mad_range(np.log1p(total), options.n_mads)
    low_genes, _ = _mad_range(np.log1p(detected), options.n_mads)
    _, high_share = _mad_range(share, options.n_mads_mitochondrial)
    _, high_score = _mad_range(scores, options.n_mads)
    return {
        "min_total_counts": max(float(np.expm1(low_counts)), options.min_counts),
        "max_total_counts": float(np.expm1(high_counts)),
        "min_genes_detected": max(float(np.expm1(low_genes)), options.min_genes),
        # The MAD limit may only tighten to the ceiling, and never below a twentieth:
        # in clean samples five MADs are less than the noise of the share.
        "max_share_mitochondrial": float(
            np.clip(high_share, 0.05, options.max_share_mitochondrial)
        ),
        "max_doublet_score": max(high_score, options.min_doublet_score),
    }


def _mad_range(values: np.ndarray, n_mads: float) -> tuple[float, float]:
    known = values[~np.isnan(values)]
    if known.size == 0:
        return float("nan"), float("nan")
    median = float(np.median(known))
    mad = float(np.median(np.abs(known - median))) * MAD_TO_SD
    # Without any spread there is nothing to adapt to.
    reach = n_mads * mad if mad > 0 else float("inf")
    return median - reach, median + reach


def _median(values: np.ndarray) -> float:
    known = values[~np.isnan(values)]
    return float(np.median(known)) if known.size else float("nan")


def _join_reasons(reasons: np.ndarray) -> list[str]:
    kind_of_row = reasons @ (1 << np.arange(len(EXCLUSIONS)))
    texts = [
        ";".join(name for at, name in enumerate(EXCLUSIONS) if kind >> at & 1)
        for kind in range(1 << len(EXCLUSIONS))
    ]
    return [texts[kind] for kind in kind_of_row]
