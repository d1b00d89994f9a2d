"""Candidate strata: axes, spectral clusters for each k, and how stable they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pmcell.core.donor_map import (
    Partitions,
    fit_channels,
    fused_distances,
    partition,
    place_all,
)
from pmcell.core.resample import CONSENSUS, resample_cells, stream, subset
from pmcell.core.spectral import align, principal_coordinates, proportion_ambiguous
from pmcell.errors import UsageError
from pmcell.strata import slots
from pmcell.strata._threads import single_thread
from pmcell.strata.distances import fitted
from pmcell.strata.model import DonorMap, require

if TYPE_CHECKING:
    from anndata import AnnData

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

MIN_STRATUM = 5
MIN_SHARE = 0.05
MAX_K = 8
DONORS_PER_K = 10
"""k goes from 2 to min(8, donors/10): fewer donors cannot carry more strata."""


@single_thread
def cluster(
    donors: AnnData, *, n_bootstraps: int = 200, donor_share: float = 0.8, seed: int = 0
) -> None:
    """Cut the discovery rows into k candidate strata for each k, and judge their stability.

    Axes are principal coordinates of the fused distance, clusters are spectral
    with self-tuned affinity, and no stratum may have fewer than max(5, 5 %)
    donors. Each bootstrap takes `donor_share` of the donors and draws their
    cells again from the sufficient statistics, refits everything, and is
    aligned with the full partition. Visits that took no part in discovery get
    the stratum whose members are nearest on average.

    Writes obsm X_axes, candidate_by_k and support_by_k (one column a k, -1 or
    NaN where nothing is assigned), and uns['clustering']: ks, silhouette (NaN
    where a stratum is too small), pac, min_size, axes_share, and consensus
    (k → donors × donors). With fewer than 20 donors with enough cells there
    are axes and no candidates.

    >>> import pmcell as pm
    >>> cells = pm.simulate.simulate_latent(n_donors=30, cells_per_donor=120, n_types=3)
    >>> donors = pm.strata.profile(cells)
    >>> pm.strata.distances(donors)
    >>> cluster(donors, n_bootstraps=5)
    >>> donors.obsm["candidate_by_k"].shape  # k = 2 and k = 3
    (30, 2)
    """
    require(donors, "channels", "distances")
    if n_bootstraps < 1 or not 0.5 <= donor_share < 1:
        raise UsageError(
            "n_bootstraps must be at least 1 and donor_share in [0.5, 1), "
            f"got {n_bootstraps} and {donor_share}"
        )
    opened = fitted(donors)
    ks = k_range(opened.rows.size)
    squared = np.asarray(donors.obsp[slots.DISTANCE])
    own = squared[np.ix_(opened.rows, opened.rows)]
    min_size = min_stratum_size(opened.rows.size)
    donors.obsm[slots.AXES], axes_share = _axes(squared, opened.rows)
    labels = np.full((donors.n_obs, len(ks)), -1, np.int64)
    support = np.full((donors.n_obs, len(ks)), np.nan)
    found = Partitions(ks, np.zeros((0, own.shape[0]), np.int64), np.zeros(0))
    consensus = np.zeros((0, own.shape[0], own.shape[0]))
    pac: list[float] = []
    if len(ks):
        found = partition(own, ks, min_size)
        labels = _assign_all(donors, squared, opened.rows, found)
        runs = _bootstrap(opened, found, labels, n_bootstraps, donor_share, seed)
        consensus, support = runs.consensus, runs.support
        pac = [proportion_ambiguous(matrix, runs.counted) for matrix in consensus]
    donors.obsm[slots.LABELS] = labels
    donors.obsm[slots.SUPPORT] = support
    donors.uns["clustering"] = {
        "ks": np.array(ks, np.int64),
        "silhouette": found.silhouette,
        "pac": np.array(pac),
        "min_size": min_size,
        "axes_share": axes_share,
        "consensus": {str(k): consensus[index] for index, k in enumerate(ks)},
        "n_bootstraps": int(n_bootstraps),
        "donor_share": float(donor_share),
        "seed": int(seed),
    }


def k_range(n_donors: int) -> range:
    """The numbers of strata that `n_donors` can carry; empty below 20."""
    return range(2, min(MAX_K, n_donors // DONORS_PER_K) + 1)


def min_stratum_size(n_donors: int) -> int:
    """Fewest donors that may be called a stratum."""
    return max(MIN_STRATUM, int(np.ceil(MIN_SHARE * n_donors)))


def distance_to_members(squared: Floats, members: Ints) -> Floats:
    """Squared distance of each row to the mean of the members, from pairwise ones (rows,).

    mean_j D²(i, j) - ½ mean_jj' D²(j, j'), which is exact for Euclidean
    distances; a member does not count itself, so that it has no advantage.
    """
    own = squared[np.ix_(members, members)]
    size = members.size
    inside = own.sum() / max(size * (size - 1), 1)
    out = squared[:, members].mean(axis=1) - 0.5 * inside
    if size > 1:
        out[members] = own.sum(axis=1) / (size - 1) - 0.5 * inside
    return np.asarray(out)


@dataclass(frozen=True)
class _Runs:
    consensus: Floats
    counted: NDArray[np.bool_]
    support: Floats


def _axes(squared: Floats, rows: Ints) -> tuple[Floats, Floats]:
    """Principal coordinates of the discovery rows; other rows are projected (Gower 1968)."""
    own = squared[np.ix_(rows, rows)]
    if rows.size < 2 or not np.isfinite(own).all():
        return np.full((squared.shape[0], 1), np.nan), np.zeros(0)
    axes, values = principal_coordinates(own)
    if axes.shape[1] == 0:
        return np.zeros((squared.shape[0], 1)), np.zeros(0)
    centred = -0.5 * (squared[:, rows] - own.mean(axis=1)[None, :])
    out = (centred - centred.mean(axis=1, keepdims=True)) @ (axes / values)
    out[rows] = axes
    centre = own.mean(axis=0)
    positive = np.linalg.eigvalsh(-0.5 * (own - centre[:, None] - centre[None, :] + own.mean()))
    return out, values / positive[positive > 0].sum()


def _assign_all(donors: AnnData, squared: Floats, rows: Ints, found: Partitions) -> Ints:
    """Labels of all rows with enough cells: discovery rows their own, other visits the nearest."""
    enough = donors.obs[slots.ENOUGH].to_numpy()
    out = np.full((donors.n_obs, len(found.ks)), -1, np.int64)
    for index, k in enumerate(found.ks):
        near = nearest(squared, [rows[found.labels[index] == c] for c in range(k)])
        out[:, index] = np.where(enough, near, -1)
        out[rows, index] = found.labels[index]
    return out


def nearest(squared: Floats, members: list[Ints]) -> Ints:
    """For each row, the stratum whose members are nearest."""
    columns = [
        distance_to_members(squared, own) if own.size else np.full(squared.shape[0], np.inf)
        for own in members
    ]
    return np.asarray(np.array(columns).argmin(axis=0), np.int64)


def _bootstrap(
    opened: DonorMap, found: Partitions, labels: Ints, n_runs: int, share: float, seed: int
) -> _Runs:
    rows, ks = opened.rows, found.ks
    together = np.zeros((len(ks), rows.size, rows.size))
    both = np.zeros((rows.size, rows.size))
    agree = np.zeros(labels.shape)
    seen = np.zeros(labels.shape[0])
    visits_of = _visits_of(opened.donor, rows)
    for number in range(n_runs):
        rng = stream(seed, CONSENSUS, number)
        drawn = subset(rows.size, share, rng)
        squared = _resampled_distances(opened, rows[drawn], rng)
        run = partition(squared[np.ix_(rows[drawn], rows[drawn])], ks, 1)
        visits = np.concatenate([visits_of[index] for index in drawn])
        both[np.ix_(drawn, drawn)] += 1
        seen[visits] += 1
        for index, k in enumerate(ks):
            aligned = align(run.labels[index], found.labels[index][drawn], k)
            together[index][np.ix_(drawn, drawn)] += aligned[:, None] == aligned[None, :]
            placed = nearest(squared, [rows[drawn][aligned == c] for c in range(k)])
            placed[rows[drawn]] = aligned
            agree[visits, index] += placed[visits] == labels[visits, index]
    with np.errstate(divide="ignore", invalid="ignore"):
        consensus = np.where(both > 0, together / both, 0.0)
        share_agreeing = agree / seen[:, None]
    known = (labels >= 0) & (seen > 0)[:, None]
    return _Runs(consensus, both > 0, np.where(known, share_agreeing, np.nan))


def _resampled_distances(opened: DonorMap, fitted_on: Ints, rng: np.random.Generator) -> Floats:
    """Distances between all rows after drawing every cell again, the map fitted on some rows."""
    sums = resample_cells(opened.sums, rng)
    settings, batch = opened.settings, opened.batch
    channels = fit_channels(sums.take(fitted_on), batch[fitted_on], settings)
    return fused_distances(channels, settings, place_all(channels, sums, batch, settings))


def _visits_of(donor: NDArray[np.object_], rows: Ints) -> list[Ints]:
    """All rows of each discovery row's donor."""
    return [np.flatnonzero(donor == donor[row]) for row in rows]
