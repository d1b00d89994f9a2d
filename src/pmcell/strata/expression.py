"""Genes that differ between strata: pseudobulk counts per cell type, DESeq2, held-out donors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pmcell.core.association import benjamini_hochberg
from pmcell.core.resample import stream
from pmcell.errors import UsageError
from pmcell.strata import slots
from pmcell.strata.cluster import DONORS_PER_K
from pmcell.strata.existence import STRATA
from pmcell.strata.model import require
from pmcell.strata.refit import full_labels, refit

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData

Ints = NDArray[np.int64]

DESCRIPTIVE, CONFIRMED = "descriptive", "confirmed"
COLUMNS = (
    "stratum",
    "cell_type",
    "gene_id",
    "log2_fold_change",
    "log2_fold_change_low",
    "log2_fold_change_high",
    "mean_count",
    "p_value",
    "q_value",
    "q_value_held_out",
    "inference",
    "n_donors",
)
MIN_DONORS = 3
"""Donors each stratum needs in a cell type."""
MIN_COUNT = 10
HALVES = 12
"""Purpose of the random stream that splits donors."""


def differential_expression(
    donors: AnnData,
    *,
    pseudobulk: Mapping[str, pd.DataFrame],
    alpha: float = 0.05,
    confirm: bool = True,
    seed: int = 0,
    n_threads: int = 1,
) -> pd.DataFrame:
    """Genes of each cell type that a stratum has more or less of than the mean of the others.

    `pseudobulk` maps a cell type to raw counts, donor × gene, of each donor's
    discovery visit; a gene that a donor's cohort did not measure must not be in it.
    DESeq2 (Love et al. 2014, doi:10.1186/s13059-014-0550-8; PyDESeq2) with
    design ~ batch + stratum; types where that has no full rank or a stratum has
    fewer than 3 donors are left out, and so are genes with fewer than 10 counts
    in as many donors as the smallest stratum has. The 95 % interval is Wald's; q
    is Benjamini-Hochberg over all genes, types and strata.

    Strata are learned from the same cells, so every row is `descriptive`, unless it is
    found again: donors are split in two halves within batch, strata found in
    the first only, the second placed on them, and its donors tested alone.
    `confirmed` is q ≤ `alpha` in both, with the same sign. That confirms the
    difference along the strata in new donors, not that the strata are groups: the
    existence test does. No rows unless strata are published.

    >>> import pmcell as pm
    >>> cells = pm.simulate.simulate_latent(n_donors=8, cells_per_donor=150, n_types=3)
    >>> donors = pm.strata.profile(cells)
    >>> pm.strata.distances(donors), pm.strata.cluster(donors), pm.strata.existence(donors)
    (None, None, None)
    >>> len(differential_expression(donors, pseudobulk={}))
    0
    """
    require(donors, "existence", "existence")
    import pandas as pd

    if not 0 < alpha < 1:
        raise UsageError(f"alpha must be in (0, 1), got {alpha}")
    if donors.uns["existence"]["decision"] != STRATA:
        return pd.DataFrame({name: [] for name in COLUMNS})
    rows = np.flatnonzero(donors.obs[slots.DISCOVERY].to_numpy())
    table = _test(donors, rows, full_labels(donors)[rows], pseudobulk, n_threads)
    key = ["stratum", "cell_type", "gene_id"]
    table["q_value_held_out"] = np.nan
    held = _held_out(donors, rows, seed) if confirm else None
    if held is not None and len(table):
        again = _test(donors, *held, pseudobulk, n_threads).set_index(key)
        again = again.reindex(pd.MultiIndex.from_frame(table[key]))
        same = np.sign(again["log2_fold_change"].to_numpy()) == np.sign(table["log2_fold_change"])
        table["q_value_held_out"] = again["q_value"].to_numpy(float)
        found = (table["q_value"] <= alpha) & (table["q_value_held_out"] <= alpha) & same
        table["inference"] = np.where(found, CONFIRMED, DESCRIPTIVE).astype(object)
    return table[list(COLUMNS)].sort_values(key, ignore_index=True)


def _held_out(donors: AnnData, rows: Ints, seed: int) -> tuple[Ints, Ints] | None:
    """Donors of the second half and their strata as found in the first; None with too few."""
    k = int(donors.uns["existence"]["k"])
    if rows.size // 2 < k * DONORS_PER_K:
        return None
    batch = donors.obs["batch_id"].astype(str).to_numpy()[rows]
    order = np.lexsort((stream(seed, HALVES, 0).random(rows.size), batch))
    second = rows[np.sort(order[1::2])]
    names = donors.obs["donor_id"].astype(str).to_numpy(object)
    model = refit(donors, ~np.isin(names, names[second]))
    return second, np.asarray(model.to_strata[second].argmin(axis=1), np.int64)


def _test(
    donors: AnnData,
    rows: Ints,
    labels: Ints,
    pseudobulk: Mapping[str, pd.DataFrame],
    n_threads: int,
) -> pd.DataFrame:
    import pandas as pd

    obs = donors.obs.iloc[rows]
    who = pd.DataFrame(
        {"batch": obs["batch_id"].astype(str).to_numpy(object), "stratum": labels},
        index=obs["donor_id"].astype(str).to_numpy(object),
    )
    n_strata = int(donors.uns["existence"]["k"])
    parts = [
        part
        for name in sorted(pseudobulk)
        for part in _one_type(name, pseudobulk[name], who, n_strata, n_threads)
    ]
    if not parts:
        return pd.DataFrame({name: [] for name in COLUMNS})
    table = pd.concat(parts, ignore_index=True)
    # Genes that DESeq2 sets aside as outliers have no p; they stay, untested.
    tested = table["p_value"].notna()
    table["q_value"] = np.nan
    table.loc[tested, "q_value"] = benjamini_hochberg(table.loc[tested, "p_value"].to_numpy())
    table["inference"] = DESCRIPTIVE
    return table


def _one_type(
    name: str, counts: pd.DataFrame, who: pd.DataFrame, n_strata: int, n_threads: int
) -> list[pd.DataFrame]:
    import pandas as pd

    used = who[who.index.isin(counts.index)]
    size = np.bincount(used["stratum"].to_numpy(np.int64), minlength=n_strata)
    design = pd.get_dummies(used["batch"], drop_first=True, dtype=float)
    design.columns = [f"batch_{column}" for column in design.columns]
    for stratum in range(n_strata):
        design[f"S{stratum + 1}"] = (used["stratum"] == stratum).astype(float)
    full = np.linalg.matrix_rank(design.to_numpy()) == design.shape[1] < len(design)
    if size.min() < MIN_DONORS or not full:
        return []
    own = counts.loc[used.index]
    own = own.loc[:, ((own >= MIN_COUNT).sum(axis=0) >= size.min()).to_numpy()]
    if own.shape[1] < 2:
        return []
    out = []
    for stratum, frame in enumerate(_deseq2(own, used, design, n_strata, n_threads)):
        margin = 1.959964 * frame["lfcSE"].to_numpy()
        change = frame["log2FoldChange"].to_numpy()
        out.append(
            pd.DataFrame(
                {
                    "stratum": f"S{stratum + 1}",
                    "cell_type": name,
                    "gene_id": frame.index.astype(str).to_numpy(object),
                    "log2_fold_change": change,
                    "log2_fold_change_low": change - margin,
                    "log2_fold_change_high": change + margin,
                    "mean_count": frame["baseMean"].to_numpy(),
                    "p_value": frame["pvalue"].to_numpy(),
                    "n_donors": len(used),
                }
            )
        )
    return out


def _deseq2(
    counts: pd.DataFrame, who: pd.DataFrame, design: pd.DataFrame, n_strata: int, n_threads: int
) -> list[Any]:
    """DESeq2's table of each stratum against the mean of the others."""
    try:
        from pydeseq2.dds import DeseqDataSet
        from pydeseq2.default_inference import DefaultInference
        from pydeseq2.ds import DeseqStats
    except ImportError as error:
        raise UsageError(
            "differential expression needs PyDESeq2: pip install 'pmcell[de]'"
        ) from error
    import warnings

    inference = DefaultInference(n_cpus=n_threads)
    out = []
    with warnings.catch_warnings():
        # Too few genes for a dispersion trend is answered by their mean, as it should be.
        warnings.simplefilter("ignore")
        fit = DeseqDataSet(
            counts=counts, metadata=who, design=design, quiet=True, inference=inference
        )
        fit.deseq2()
        for stratum in range(n_strata):
            contrast = np.zeros(design.shape[1])
            contrast[-n_strata:] = -1 / (n_strata - 1)
            contrast[design.shape[1] - n_strata + stratum] = 1.0
            result = DeseqStats(
                fit, contrast=contrast, independent_filter=False, quiet=True, inference=inference
            )
            with _silence():
                result.summary()
            out.append(result.results_df)
    return out


def _silence() -> Any:
    import contextlib
    import io

    return contextlib.redirect_stdout(io.StringIO())
