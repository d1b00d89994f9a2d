"""Candidate strata: axes, spectral clusters for each k, and how stable they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pmcell.core.donors.donor_map import (
    Partitions,
    fit_channels,
    fused_distances,
    partition,
    place_all,
)
from pmcell.core.donors.resample import CONSENSUS, resample_cells, stream, subset
from pmcell.core.donors.spectral import (
    align,
    eigenvalues,
    principal_coordinates,
    proportion_ambiguous,
)
from pmcell.errors import UsageError
from pmcell.strata._threads import in_order, single_thread
from pmcell.strata.discovery.distances import fitted
from pmcell.strata.discovery.sizes import k_range, min_stratum_size
from pmcell.strata.profiles import slots
from pmcell.strata.profiles.model import DonorMap, require

if TYPE_CHECKING:
    from anndata import AnnData

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


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
    where a stratum is too small), silhouette_of_runs (bootstraps × ks), pac, min_size, axes_share,
    and consensus (k → donors × donors). With fewer than 20 donors with enough cells there
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
    found = Partitions(ks, np.zeros((0, own.shape[0]), np.int64), np.zeros(0), np.zeros(0))
    consensus, widths = np.zeros((0, own.shape[0], own.shape[0])), np.zeros((0, 0))
    pac: list[float] = []
    if len(ks):
        found = partition(own, ks, min_size)
        labels = _assign_all(donors, squared, opened.rows, found)
        runs = _bootstrap(opened, found, labels, n_bootstraps, donor_share, seed)
        consensus, support, widths = runs.consensus, runs.support, runs.silhouette
        pac = [proportion_ambiguous(matrix, runs.counted) for matrix in consensus]
    donors.obsm[slots.LABELS] = labels
    donors.obsm[slots.SUPPORT] = support
    donors.uns["clustering"] = {
        "ks": np.array(ks, np.int64),
        "silhouette": found.silhouette,
        "silhouette_of_runs": widths,
        "pac": np.array(pac),
        "min_size": min_size,
        "axes_share": axes_share,
        "consensus": {str(k): consensus[index] for index, k in enumerate(ks)},
        "n_bootstraps": int(n_bootstraps),
        "donor_share": float(donor_share),
        "seed": int(seed),
    }


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
    silhouette: Floats


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
    positive = eigenvalues(own)
    return out, values / positive[positive > 0].sum()


def _assign_all(donors: AnnData, squared: Floats, rows: Ints, found: Partitions) -> Ints:
    """Labels of all rows with enough cells: discovery rows their own, other visits the nearest."""
    enough = donors.obs[slots.ENOUGH].to_numpy()
    out = np.full((donors.n_obs, len(found.ks)), -1, np.int64)
    for index, k in enumerate(found.ks):
        near = distance_to_groups(squared, rows, found.labels[index], k)
        out[:, index] = np.where(enough, near.argmin(axis=1), -1)
        out[rows, index] = found.labels[index]
    return out


def distance_to_groups(squared: Floats, rows: Ints, labels: Ints, k: int) -> Floats:
    """`distance_to_members` for the groups 0 … k-1 of `rows` (all rows, k); infinite if empty."""
    member = (labels[:, None] == np.arange(k)).astype(np.float64)
    size = member.sum(axis=0)
    total = squared[:, rows] @ member
    own = total[rows]
    inside = (own * member).sum(axis=0) / np.maximum(size * (size - 1), 1)
    out = total / np.maximum(size, 1) - 0.5 * inside
    among = own / np.maximum(size - 1, 1) - 0.5 * inside
    out[rows] = np.where((member > 0) & (size > 1), among, out[rows])
    return np.where(size > 0, out, np.inf)


@dataclass(frozen=True)
class _Run:
    """One bootstrap: donors drawn, their clusters per k, and where visits fall.

    The silhouettes (ks,) are of its spectral clusters, as those of draws without strata are.
    """

    drawn: Ints
    labels: Ints
    silhouette: Floats
    visits: Ints
    placed: Ints


def _bootstrap(
    opened: DonorMap, found: Partitions, labels: Ints, n_runs: int, share: float, seed: int
) -> _Runs:
    rows, ks = opened.rows, found.ks
    visits_of = [np.flatnonzero(opened.donor == opened.donor[row]) for row in rows]

    def run(number: int) -> _Run:
        rng = stream(seed, CONSENSUS, number)
        drawn = subset(rows.size, share, rng)
        visits = np.sort(np.concatenate([visits_of[index] for index in drawn]))
        fitted_on = np.searchsorted(visits, rows[drawn])
        squared = _resampled_distances(opened, visits, fitted_on, rng)
        cut = partition(squared[np.ix_(fitted_on, fitted_on)], ks, 1)
        again = cut.labels
        aligned, placed = np.empty_like(again), np.empty((visits.size, len(ks)), np.int64)
        for index, k in enumerate(ks):
            aligned[index] = align(again[index], found.labels[index][drawn], k)
            near = distance_to_groups(squared, fitted_on, aligned[index], k)
            placed[:, index] = near.argmin(axis=1)
            placed[fitted_on, index] = aligned[index]
        return _Run(drawn, aligned, cut.of_spectral, visits, placed)

    runs = in_order(run, range(n_runs))
    agree, seen = np.zeros(labels.shape), np.zeros(labels.shape[0])
    for one in runs:
        seen[one.visits] += 1
        agree[one.visits] += one.placed == labels[one.visits]
    both = _together(runs, rows.size, [np.zeros(one.drawn.size, np.int64) for one in runs], 1)
    consensus = np.zeros((len(ks), rows.size, rows.size))
    for index, k in enumerate(ks):
        together = _together(runs, rows.size, [one.labels[index] for one in runs], k)
        np.divide(together, both, out=consensus[index], where=both > 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        share_agreeing = agree / seen[:, None]
    known = (labels >= 0) & (seen > 0)[:, None]
    widths = np.array([one.silhouette for one in runs])
    return _Runs(consensus, both > 0, np.where(known, share_agreeing, np.nan), widths)


def _together(runs: list[_Run], n: int, labels: list[Ints], k: int) -> Floats:
    """In how many runs each pair of donors was drawn and had the same label (n × n), exact."""
    member = np.zeros((n, len(runs) * k), np.float32)
    for number, (one, label) in enumerate(zip(runs, labels, strict=True)):
        member[one.drawn, number * k + label] = 1.0
    return np.asarray(member @ member.T, np.float64)


def _resampled_distances(
    opened: DonorMap, visits: Ints, fitted_on: Ints, rng: np.random.Generator
) -> Floats:
    """Distances between some rows, their cells drawn again, the map fitted on some of these."""
    sums = resample_cells(opened.sums_in_use.take(visits), rng)
    settings, batch = opened.settings, opened.batch[visits]
    channels = fit_channels(sums.take(fitted_on), batch[fitted_on], settings)
    return fused_distances(channels, settings, place_all(channels, sums, batch, settings))


def histogram(consensus: Floats) -> list[int]:
    """Pairs of donors by consensus, in 20 bins from 0 to 1."""
    pairs = consensus[np.triu_indices(consensus.shape[0], 1)]
    return [int(n) for n in np.histogram(pairs, 20, (0.0, 1.0))[0]]
