"""The stratification made again without some donors, who are then placed on it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pmcell.core.donors.channels import GENES
from pmcell.core.donors.donor_map import CHANNELS, adapt_all, fused_distances, partition, place_all
from pmcell.core.donors.donor_stats import GroupSums, within_variance
from pmcell.core.donors.spectral import align
from pmcell.schema.text import as_text
from pmcell.strata.discovery.cluster import distance_to_groups
from pmcell.strata.discovery.distances import distances, fitted
from pmcell.strata.profiles import slots
from pmcell.strata.profiles.model import pool_types

if TYPE_CHECKING:
    from anndata import AnnData

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Refit:
    """Strata found on the training donors only, and where all rows lie on them.

    `squared` (rows × rows), `rows` the training donors' discovery rows,
    `labels` their strata, named as in the full analysis, `to_strata` (rows, k)
    squared distance of every row to the mean of each stratum's training donors.
    """

    donors: AnnData
    squared: Floats
    rows: Ints
    labels: Ints
    to_strata: Floats


def full_labels(donors: AnnData) -> Ints:
    """The chosen partition of the full analysis (rows,), -1 where a row is not assigned."""
    ks = [int(k) for k in donors.uns["clustering"]["ks"]]
    column = ks.index(int(donors.uns["existence"]["k"]))
    return np.asarray(donors.obsm[slots.LABELS], np.int64)[:, column]


def refit(donors: AnnData, training: Bools) -> Refit:
    """Fit everything again on the rows in `training`: types, noise, gate, weights, offsets, strata.

    `training` must hold all rows of a donor or none. The number of strata is
    that of the full analysis, and so are the names, by largest overlap on the
    training donors. Rows of a batch without a training donor get no offset.
    """
    gate = donors.uns["channels"]
    limits: dict[str, Any] = {
        name: float(gate[name]) for name in ("max_batch_share", "min_reliability")
    }
    used = tuple(str(name) for name in gate["used"])
    set_aside = any(not gate[name]["dropped"] and name not in used for name in CHANNELS)
    # A choice among channels was made with all donors; it is not made again on some of them.
    limits["channels"] = used if set_aside or gate["n_views"] > 1 else "all"
    limits["even_axes"] = bool(gate[GENES].get("even_axes", False))
    return fit_without(donors, training, int(donors.uns["existence"]["k"]), limits, full_labels)


def fit_without(
    donors: AnnData,
    training: Bools,
    k: int,
    limits: dict[str, Any] | None = None,
    names: Callable[[AnnData], Ints] | None = None,
) -> Refit:
    """k strata of the rows in `training`, from a profile on which nothing else was fitted.

    `limits` are those of `distances`; `names` gives the labels of all rows after
    which the strata are called, else the largest is 0.
    """
    again = without_donors(donors, training)
    distances(again, **(limits or {}))
    rows = np.flatnonzero(again.obs[slots.DISCOVERY].to_numpy()).astype(np.int64)
    squared = np.asarray(again.obsp[slots.DISTANCE])
    labels = cut(squared, rows, k, None if names is None else names(donors))
    return Refit(again, squared, rows, labels, to_strata(squared, rows, labels, k))


def cut(squared: Floats, rows: Ints, k: int, names: Ints | None = None) -> Ints:
    """k strata of `rows`, called as most of their donors are in `names` (all rows) if given."""
    labels = partition(squared[np.ix_(rows, rows)], range(k, k + 1), 1).labels[0]
    return labels if names is None else align(labels, names[rows], k)


def to_strata(squared: Floats, rows: Ints, labels: Ints, k: int) -> Floats:
    """Squared distance of every row to the mean of each stratum (rows, k); infinite if empty."""
    return distance_to_groups(squared, rows, labels, k)


def with_own_offsets(model: Refit, held: Ints) -> Floats:
    """`to_strata` where batches that training has not seen get an offset from the `held` rows.

    Only where their donors lie on average is used, none of their labels; the
    strata stay as they are.
    """
    opened = fitted(model.donors)
    label = as_text(model.donors.obs["batch_id"]).to_numpy()
    batch = opened.batch.copy()
    channels = list(opened.channels)
    for code, name in enumerate(sorted(set(label[held][batch[held] < 0])), len(opened.batches)):
        own = held[label[held] == name]
        training = (opened.discovery, opened.batch[opened.rows])
        channels = adapt_all(channels, training, opened.sums.take(own), opened.settings)
        batch[label == name] = code
    features = place_all(channels, opened.sums, batch, opened.settings)
    squared = fused_distances(channels, opened.settings, features)
    return to_strata(squared, model.rows, model.labels, model.to_strata.shape[1])


def without_donors(donors: AnnData, training: Bools) -> AnnData:
    """Return the same rows, where only the training donors may be learned from.

    Parameters
    ----------
    donors
        Donors after `profile`.
    training
        Rows to learn from (rows,): all rows of a donor or none.

    Returns
    -------
    AnnData
        A profile on which nothing is fitted but types and noise of the training donors.

    Examples
    --------
    >>> import pmcell as pm
    >>> cells = pm.simulate.simulate_latent(n_donors=6, cells_per_donor=150, n_types=3)
    >>> donors = pm.strata.profile(cells)
    >>> int(without_donors(donors, np.arange(6) < 4).obs["discovery"].sum())
    4
    """
    import anndata as ad

    columns = ["donor_id", "visit", "batch_id", slots.ENOUGH, slots.DISCOVERY]
    again = ad.AnnData(X=donors.X, obs=donors.obs[columns].copy(), var=donors.var.copy())
    again.obs[slots.DISCOVERY] = donors.obs[slots.DISCOVERY].to_numpy() & training
    for name in slots.SUMS:
        if name in donors.obsm:
            again.obsm[name] = donors.obsm[name]
    again.uns["profile"] = donors.uns["profile"]
    for name in (slots.CLOUD, slots.GENES):
        if name in donors.uns:
            again.uns[name] = donors.uns[name]
    n = np.asarray(donors.X, np.int64)[training]
    shape = (n.size, -1)
    sums = GroupSums(
        n.ravel(),
        np.asarray(donors.obsm[slots.SUM])[training].reshape(shape),
        np.asarray(donors.obsm[slots.SUM_SQUARES])[training].reshape(shape),
    )
    pool = np.tile(np.arange(donors.n_vars), n.shape[0])
    again.varm[slots.WITHIN] = within_variance(sums, pool, donors.n_vars)
    again.var[slots.POOL] = pool_types(again)
    return again
