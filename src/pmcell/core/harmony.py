"""Harmony: move cells of different batches together, the same for any threads and any split.

Korsunsky et al. 2019 (doi:10.1038/s41592-019-0619-0, Online Methods): cells on
the unit sphere are put into soft clusters that are paid for holding every
batch in its share, then each cluster's batches are moved onto its common place
by ridge regression; the two take turns. What is added over cells (members of a
cluster by batch, sums of their coordinates) is added as integers, and a cell's
turn in the clustering follows from its own coordinates. So neither the order
of the cells, nor the number of threads, nor the cohorts that they came in
change a bit, and the sums of several sites add up to the sums of all.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pmcell.core import harmony_kernels as kernels
from pmcell.core.compiler import Array, thread_count
from pmcell.core.donors.donor_stats import order_by_group, sum_groups

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

COORDINATE_BITS = 20
"""Coordinates are rounded to integers of so many bits before they are added."""

CELLS_PER_CLUSTER = 30
MAX_CLUSTERS = 100
SAMPLE_PER_CLUSTER = 100
"""Cells a cluster that the first centres are found among."""

N_KMEANS = 10
N_TURNS = 20
"""Memberships change for one in so many cells at the same time."""


@dataclass(frozen=True)
class HarmonySettings:
    """Constants of the method; the defaults are those of its published implementation."""

    diversity: float = 2.0
    """Weight of the batches' shares in the clustering (theta)."""
    softness: float = 0.1
    """Width of a soft cluster, in cosine distance (sigma)."""
    ridge: float = 0.2
    """Ridge penalty, as a share of the cells that a cluster should have of a batch (alpha)."""
    n_rounds: int = 10
    n_steps: int = 4
    round_tolerance: float = 0.01
    step_tolerance: float = 0.001


def harmony(
    embedding: NDArray[np.floating],
    batch: NDArray[np.integer],
    *,
    seed: int = 0,
    settings: HarmonySettings | None = None,
) -> NDArray[np.float32]:
    """Return the embedding (cells × dims, float32) with the batches moved together.

    Parameters
    ----------
    embedding
        Coordinates (cells × dims), for example principal components.
    batch
        One code a cell, from 0.
    seed
        Decides the first centres and the turns of the cells.
    settings
        Constants of the method.

    Raises
    ------
    ValueError
        If a coordinate is not finite, or there is not one batch a cell.

    Notes
    -----
    Korsunsky et al. 2019, doi:10.1038/s41592-019-0619-0, Online Methods:
    maximum diversity clustering, and linear mixture model correction.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> batch = np.arange(400) % 2
    >>> cells = 4.0 + rng.normal(size=(400, 5))
    >>> moved = harmony(cells + 2.0 * batch[:, None], batch)
    >>> gap = moved[batch == 1].mean(0) - moved[batch == 0].mean(0)
    >>> bool(np.abs(gap).max() < 0.5)
    True
    """
    settings = settings or HarmonySettings()
    # -0.0 becomes 0.0, so that equal coordinates have equal bits.
    x = np.ascontiguousarray(embedding, np.float32) + np.float32(0)
    codes = np.ascontiguousarray(batch, np.int64)
    if x.ndim != 2 or codes.shape != (x.shape[0],):
        raise ValueError(
            f"embedding must be cells × dims with one batch a cell, got {x.shape}, {codes.shape}"
        )
    if not np.isfinite(x).all():
        raise ValueError("every coordinate must be finite; some are not")
    n_clusters = min(round(x.shape[0] / CELLS_PER_CLUSTER), MAX_CLUSTERS)
    if np.unique(codes).size < 2 or n_clusters < 1:
        return x
    keys = np.asarray(kernels.cell_keys(x, np.uint64(seed)))
    # A power of two: scaling then changes no digit.
    scale = 2.0 ** (COORDINATE_BITS - np.ceil(np.log2(max(float(np.abs(x).max()), 2.0**-64))))
    sphere = kernels.on_sphere(x)
    clusters = SoftClusters.of(sphere, codes, first_centres(sphere, keys, n_clusters, seed))
    moved, before = x, np.inf
    for number in range(settings.n_rounds):
        objective = clusters.fit(sphere, keys ^ np.uint64(number), settings)
        moved = np.asarray(clusters.displaced(x, scale, settings.ridge))
        if before - objective < settings.round_tolerance * abs(before):
            break
        before, sphere = objective, kernels.on_sphere(moved)
    return moved


def first_centres(sphere: Array, keys: Array, n_clusters: int, seed: int = 0) -> Array:
    """Return centres (clusters × dims, float32, unit length) found among a sample of the cells.

    The sample are the cells with the smallest keys, the same for any order of
    the cells. k-means++ (Arthur & Vassilvitskii 2007), then k-means by cosine.
    """
    chosen = np.argsort(keys, kind="stable")[: SAMPLE_PER_CLUSTER * n_clusters]
    sample = np.ascontiguousarray(sphere[chosen])
    rng = np.random.Generator(np.random.Philox(seed))
    rows = [int(rng.integers(sample.shape[0]))]
    distance = np.full(sample.shape[0], np.inf)
    while len(rows) < n_clusters:
        distance = np.minimum(distance, np.maximum(1 - kernels.dots(sample, sample[rows[-1]]), 0))
        below = np.cumsum(distance)
        row = np.searchsorted(below, rng.random() * below[-1], side="right")
        rows.append(int(min(row, sample.shape[0] - 1)))
    centres = sample[rows]
    for _ in range(N_KMEANS):
        label = kernels.nearest(sample, np.ascontiguousarray(centres.T))
        sums = sum_groups(sample, label, n_clusters)
        found = np.where(sums.n[:, None] > 0, _unit_rows(sums.total), centres)
        if np.array_equal(found, centres):
            break
        centres = found
    return np.ascontiguousarray(centres)


class SoftClusters:
    """Soft clusters of the cells; the memberships are changed in place, a turn at a time.

    `membership` (cells × clusters, uint16) and `members` (batches × clusters,
    int64) are in units of 1/MEMBERSHIP; `batch_share` is each batch's share of
    the cells.
    """

    def __init__(self, codes: Ints, n_clusters: int) -> None:
        self.codes = codes
        self.batch_share = np.bincount(codes) / codes.size
        self.membership = np.zeros((codes.size, n_clusters), np.uint16)
        self.members = np.zeros((self.batch_share.size, n_clusters), np.int64)

    @classmethod
    def of(cls, sphere: Array, codes: Ints, centres: Array) -> SoftClusters:
        """Clusters around the centres, whatever the batches."""
        clusters = cls(codes, centres.shape[0])
        no_reward = np.zeros(clusters.members.shape, np.float32)
        clusters._update(sphere, np.arange(codes.size), centres, no_reward, HarmonySettings())
        return clusters

    def fit(self, sphere: Array, keys: Array, settings: HarmonySettings) -> float:
        """Change the memberships until the objective stands still, and return it."""
        before = np.inf
        for step in range(settings.n_steps):
            order, start = order_by_group(_turns(keys, step), N_TURNS)
            centres = self._centres(sphere)
            own = 0
            for turn in range(N_TURNS):
                cells = order[start[turn] : start[turn + 1]]
                self.members -= kernels.sum_members(
                    self.codes, cells, self.membership, self.batch_share.size, thread_count()
                ).sum(0)
                reward = (-settings.diversity * self._log_excess()).astype(np.float32)
                own += self._update(sphere, cells, centres, reward, settings)
            mixing = float((self.members * self._log_excess()).sum()) / kernels.MEMBERSHIP
            objective = own / kernels.OBJECTIVE + settings.softness * settings.diversity * mixing
            if before - objective < settings.step_tolerance * abs(before):
                break
            before = objective
        return objective

    def displaced(self, x: Array, scale: float, ridge: float) -> Array:
        """Return the cells with each cluster's batches on the cluster's common place."""
        n_batches = self.batch_share.size
        total = kernels.sum_places(
            x, scale, self.codes, self.membership, n_batches, thread_count()
        ).sum(0)
        unit = float(kernels.MEMBERSHIP)
        shift = batch_shifts(self.members / unit, total / (unit * scale), self.batch_share, ridge)
        return np.asarray(kernels.displace(x, self.codes, self.membership, shift))

    def _centres(self, sphere: Array) -> Array:
        one = np.zeros(self.codes.size, np.int64)
        scale = float(1 << COORDINATE_BITS)
        sums = kernels.sum_places(sphere, scale, one, self.membership, 1, thread_count()).sum(0)
        return _unit_rows(sums[0])

    def _update(
        self, sphere: Array, cells: Ints, centres: Array, reward: Array, settings: HarmonySettings
    ) -> int:
        added, objective = kernels.update(
            sphere,
            self.codes,
            cells,
            np.ascontiguousarray(centres.T),
            reward,
            settings.softness,
            self.membership,
            thread_count(),
        )
        self.members += added.sum(0)
        return int(objective.sum())

    def _log_excess(self) -> Floats:
        """log of a batch's members over those expected (batches × clusters), both plus a cell."""
        observed = self.members / kernels.MEMBERSHIP
        expected = self.batch_share[:, None] * observed.sum(0)
        found: Floats = np.log((observed + 1) / (expected + 1))
        return found


def batch_shifts(n: Floats, total: Floats, batch_share: Floats, ridge: float) -> Floats:
    """Shifts (batches × clusters × dims): how far each batch lies from its cluster's common place.

    `n` (batches × clusters) are members, `total` (… × dims) sums of their
    coordinates. With one categorical variable the method's ridge regression
    has a closed form: shift = (total − n·common) / (n + λ), where λ is `ridge`
    times the members expected, and `common`, which is not penalised, is where
    the residuals add up to nothing.
    """
    penalty = ridge * batch_share[:, None] * n.sum(0)
    free = np.where(n > 0, penalty / np.maximum(n + penalty, 1e-300), 0.0)
    weight = (free * n).sum(0)
    common = (free[..., None] * total).sum(0) / np.where(weight > 0, weight, 1.0)[:, None]
    apart = total - n[..., None] * common
    found: Floats = apart / np.maximum(n + penalty, 1e-300)[..., None]
    return np.where(n[..., None] > 0, found, 0.0)


def _turns(keys: Array, step: int) -> Ints:
    """The turn of each cell, from its key: another one at each step."""
    with np.errstate(over="ignore"):
        mixed = (keys + np.uint64(step + 1)) * np.uint64(0x9E3779B97F4A7C15)
    mixed ^= mixed >> np.uint64(32)
    found: Ints = (mixed % np.uint64(N_TURNS)).astype(np.int64)
    return found


def _unit_rows(rows: Array) -> Array:
    """Rows at unit length, float32; rows of zeros stay so."""
    length = np.sqrt((rows.astype(np.float64) ** 2).sum(1))[:, None]
    found: Array = (rows / np.where(length > 0, length, 1.0)).astype(np.float32)
    return found
