"""How probable a donor's stratum is, the number of strata being uncertain too."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from pmcell.strata.profiles import slots

if TYPE_CHECKING:
    from anndata import AnnData

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def stratum_probability(donors: AnnData, refits: Floats) -> Floats:
    """Return the probability of each row's candidate stratum, NaN where it has none.

    Parameters
    ----------
    donors
        Donors after `existence` with the decision `strata`.
    refits
        Share of runs without some donors that place each row in its stratum (rows,): stands for
        the share of bootstraps in donors who took no part in these.

    Returns
    -------
    numpy.ndarray
        Share of bootstraps that agree, averaged over the numbers of strata by how far
        bootstraps are for each (`k_support` of the existence test). In
        another partition a row agrees if its stratum is the one that overlaps most with its
        chosen stratum: a stratum that may be two is certain for the larger part only, and of two
        that may be one the smaller is not.
    """
    ks = [int(k) for k in donors.uns["clustering"]["ks"]]
    chosen = ks.index(int(donors.uns["existence"]["k"]))
    labels = np.asarray(donors.obsm[slots.LABELS], np.int64)
    rows = np.flatnonzero(donors.obs[slots.DISCOVERY].to_numpy())
    support = np.asarray(donors.obsm[slots.SUPPORT], np.float64)
    support = np.where(np.isnan(support), refits[:, None], support)
    known = labels[:, chosen] >= 0
    out = np.zeros(labels.shape[0])
    for index, weight in enumerate(np.asarray(donors.uns["existence"]["k_support"], np.float64)):
        if weight > 0:
            agrees = counterpart(labels[rows, index], labels[rows, chosen])[labels[:, index]]
            same = agrees == labels[:, chosen]
            out += weight * np.where(same, support[:, index], 1.0 - support[:, index])
    return np.where(known, out, np.nan)


def counterpart(labels: Ints, reference: Ints) -> Ints:
    """For each group of `labels` the one of `reference` that it overlaps with, one to one.

    Where `labels` has more groups, those left over get numbers that `reference` does not have.
    """
    size = int(max(labels.max(initial=0), reference.max(initial=0))) + 1
    overlap = np.zeros((size, size))
    np.add.at(overlap, (labels, reference), 1.0)
    source, target = linear_sum_assignment(-overlap)
    out = np.empty(size, np.int64)
    out[source] = target
    return out
