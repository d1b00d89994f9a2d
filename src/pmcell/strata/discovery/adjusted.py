"""Strata once more with age, sex or other covariates taken out: do they stay the same?"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pmcell.core.donors.association import adjusted_rand
from pmcell.core.donors.donor_map import partition
from pmcell.core.donors.permanova import dummies, gower, without
from pmcell.schema.text import as_text
from pmcell.spelling import plural
from pmcell.strata._threads import single_thread
from pmcell.strata.discovery.distances import fitted
from pmcell.strata.discovery.null import compare_with_null
from pmcell.strata.discovery.sizes import DONORS_PER_K, k_range
from pmcell.strata.profiles import slots
from pmcell.strata.profiles.model import require
from pmcell.strata.statistics.covariates import Design, design

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData

Floats = NDArray[np.float64]

MIN_DONORS = 2 * DONORS_PER_K


@single_thread
def adjusted_strata(
    donors: AnnData, *, adjust_for: tuple[str, ...], people: pd.DataFrame | None = None
) -> dict[str, Any]:
    """Take covariates out of the donors' distances, cut them again, compare with the strata.

    The covariates' part beyond that of the batch is regressed out of the
    centred configuration (the inner products of the fused distance, so of the
    features themselves, whatever channels they come from; after Freedman & Lane
    1983), and the rest is cut into as many strata. `ari` near 1: the covariates
    do not make the strata; near 0: they do, or the strata are weak.
    `share_explained` is the covariates' share of all squared distances. `p` is
    that of the existence test made again on the rest: with as many draws of the
    model without strata, fitted to the rest and adjusted as the data are, on the donors
    with all values; it touches no cell and takes as long as the first. A small `ari` with a
    small `p` says that there are strata besides the covariates, but others. `people` gives
    the covariates, a row for each row of `donors`; by default donors.obs.

    Returns and writes uns['adjusted']: adjust_for, k, n_donors, ari,
    share_explained, sizes, p, n_null, and `refused`: why there is nothing else (no
    candidate strata; a covariate that is unknown, constant, or follows from the
    batch; fewer than 20 donors with all values).

    Raises UsageError for a covariate that is no column.

    >>> import pmcell as pm
    >>> cells = pm.simulate.simulate_latent(n_donors=8, cells_per_donor=150, n_types=3)
    >>> donors = pm.strata.profile(cells)
    >>> pm.strata.distances(donors), pm.strata.cluster(donors), pm.strata.existence(donors)
    (None, None, None)
    >>> adjusted_strata(donors, adjust_for=("batch_id",))["refused"]
    'there are no candidate strata to compare with'
    """
    require(donors, "existence", "existence")
    chosen = donors.obs[slots.DISCOVERY].to_numpy(bool)
    table = donors.obs if people is None else people
    columns = design(table[chosen].reset_index(drop=True), adjust_for)
    batch = as_text(donors.obs["batch_id"]).to_numpy()[chosen]
    k = int(donors.uns["existence"]["k"])
    out: dict[str, Any] = {
        "adjust_for": list(columns.used) or list(adjust_for),
        "k": k,
        "n_donors": int(columns.known.sum()),
        "refused": _refusal(columns, batch, k),
    }
    if not out["refused"]:
        out |= _again(donors, np.flatnonzero(chosen)[columns.known], columns, batch, k)
    donors.uns["adjusted"] = out
    return out


def _refusal(columns: Design, batch: NDArray[Any], k: int) -> str:
    """Why there are no adjusted strata; '' when there can be."""
    if k < 2:
        return "there are no candidate strata to compare with"
    if columns.left_out:
        return "; ".join(f"{name}: {why}" for name, why in columns.left_out.items())
    n = int(columns.known.sum())
    if n < MIN_DONORS:
        return f"{plural(n, 'donor has', 'donors have')} all values, {MIN_DONORS} are needed"
    known = np.column_stack([_batches(batch[columns.known]), columns.columns[columns.known]])
    n_batches = np.unique(batch[columns.known]).size
    if np.linalg.matrix_rank(known) < n_batches + columns.columns.shape[1]:
        names = ", ".join(columns.used)
        return f"{names}: the covariates follow from the batch or from one another"
    return ""


def _batches(batch: NDArray[Any]) -> Floats:
    return dummies(np.asarray(np.unique(batch, return_inverse=True)[1], np.int64))


def _again(
    donors: AnnData, rows: NDArray[np.int64], columns: Design, batch: NDArray[Any], k: int
) -> dict[str, Any]:
    left_out, kept = columns.columns[columns.known], _batches(batch[columns.known])

    def adjust(squared: Floats) -> Floats:
        left = without(gower(squared), left_out, kept)
        norm = np.diag(left)
        again = norm[:, None] + norm[None, :] - 2 * left
        np.fill_diagonal(again, 0.0)
        return np.asarray(again)

    squared = np.asarray(donors.obsp[slots.DISTANCE])[np.ix_(rows, rows)]
    adjusted = adjust(squared)
    found = partition(adjusted, range(k, k + 1), 1).labels[0]
    ks = [int(value) for value in donors.uns["clustering"]["ks"]]
    label = np.asarray(donors.obsm[slots.LABELS])[rows, ks.index(k)]
    existence = donors.uns["existence"]
    n_null = int(existence["n_null"])
    test = compare_with_null(
        replace(fitted(donors), rows=rows),
        k_range(rows.size),
        n_null,
        int(existence["seed"]),
        adjust,
    )
    return {
        "ari": adjusted_rand(label, found),
        "share_explained": float(1 - adjusted.sum() / squared.sum()),
        "sizes": [int(n) for n in np.bincount(found, minlength=k)],
        "p": min(int(existence.get("n_views", 1)) * test.p, 1.0),
        "n_null": n_null,
    }
