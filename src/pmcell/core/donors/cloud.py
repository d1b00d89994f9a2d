"""Cluster-free sufficient statistics: random waves summed over the cells of a row.

The mean of cos(w·x) and sin(w·x) over a row's cells, for random w, is its
characteristic function at w; squared distances between these means are the
maximum mean discrepancy of a Gaussian kernel (Rahimi & Recht 2007; Gretton et
al. 2012, jmlr.org/papers/v13/gretton12a). No cell type is needed. A wave is
looked up in a table of integers, so the sums are integers: the same bits for
any split of the cells, any order and any number of threads.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pmcell.core.compiler import Array, parallel_kernel, prange
from pmcell.core.donors.donor_stats import order_by_group

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

SCALE = 1 << 20
"""Waves are rounded to multiples of 2^-20."""

N_PHASES = 1 << 12
"""A phase is rounded to 1/4096 turn, which moves a wave by at most 0.0008."""

BANDWIDTHS = (0.5, 0.7, 1.0)
"""Kernel widths in units of the local distance: wide kernels see little but composition."""

N_PER_BANDWIDTH = 64

NEIGHBOUR_SHARE = 0.005
"""Which neighbour is local: this share of the cells looked at lies nearer."""


def random_waves(n_dims: int, local: float, seed: int = 0) -> Floats:
    """Frequencies (dims, waves) in turns per unit, of Gaussian kernels as wide as `local`."""
    rng = np.random.Generator(np.random.Philox(np.random.SeedSequence((seed, n_dims))))
    blocks = [
        rng.standard_normal((N_PER_BANDWIDTH, n_dims)).T / (2 * np.pi * width * max(local, 1e-12))
        for width in BANDWIDTHS
    ]
    return np.ascontiguousarray(np.hstack(blocks))


def local_distance(x: NDArray[np.floating]) -> float:
    """Median distance of the cells `x` (cells × dims) to their near neighbours; 1 below two cells.

    Rounded to three digits, so that it is the same wherever it is computed.
    """
    n = x.shape[0]
    if n < 2:
        return 1.0
    rank = min(max(round(NEIGHBOUR_SHARE * n), 1), n - 1)
    median = float(np.median(np.sqrt(_near_squared(np.ascontiguousarray(x, np.float64), rank))))
    return float(f"{median:.3g}") if median > 0 else 1.0


def sum_waves(x: NDArray[np.floating], group: Ints, n_groups: int, waves: Floats) -> Ints:
    """Sums over the cells of each group (groups, waves, 2: cos and sin), in units of 1/SCALE.

    `group` has one code a cell; negative codes are left out.
    """
    order, start = order_by_group(group, n_groups)
    return np.asarray(_sum_waves(np.ascontiguousarray(x), order, start, waves, _table()))


def error_root(x: NDArray[np.floating], group: Ints, n_groups: int, waves: Floats) -> Floats:
    """Symmetric root R (2·waves square) of the covariance R² of a cell's waves, pooled over groups.

    A cell has a place on every wave, so the sampling errors of a row's means go
    together. The cells given may be a sample of all. Of all roots this one does not hang on the
    signs of eigenvectors, nor on where those of equal eigenvalues lie: processors differ in both.
    """
    kept = np.flatnonzero(group >= 0)
    each = sum_waves(x[kept], np.arange(kept.size), kept.size, waves).reshape(kept.size, -1) / SCALE
    n = np.bincount(group[kept], minlength=n_groups).astype(np.float64)
    sums = np.zeros((n_groups, each.shape[1]))
    np.add.at(sums, group[kept], each)
    each = each - (sums / np.maximum(n, 1.0)[:, None])[group[kept]]
    freedom = max(float(np.maximum(n - 1, 0).sum()), 1.0)
    values, vectors = np.linalg.eigh(each.T @ each / freedom)
    return np.asarray((vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T)


@dataclass(frozen=True)
class Clouds:
    """Mean waves of each row: `mean` (rows, 2·waves), NaN below two cells; `n` (rows,) cells.

    `error` (2·waves square) is a root of the covariance of one cell's waves: a
    standard normal row times it, over √n, is a row's sampling error.
    """

    mean: Floats
    n: Floats
    error: Floats

    def take(self, rows: Ints) -> Clouds:
        """The same for some rows."""
        return Clouds(self.mean[rows], self.n[rows], self.error)

    def with_error(self, rng: np.random.Generator) -> Clouds:
        """The same with the sampling error of each row's cells added."""
        drawn = rng.standard_normal((self.n.size, self.error.shape[0])) @ self.error
        return Clouds(
            self.mean + drawn / np.sqrt(np.maximum(self.n, 1.0))[:, None], self.n, self.error
        )


def clouds(n: NDArray[np.integer], total: Ints, error: Floats) -> Clouds:
    """Mean waves from sums (rows, 2·waves) in units of 1/SCALE."""
    size = np.asarray(n, np.float64)
    mean = np.where(size[:, None] >= 2, total / (np.maximum(size, 1.0)[:, None] * SCALE), np.nan)
    return Clouds(mean, size, error)


def squared_error(cloud: Clouds, noise: float) -> Floats:
    """What sampling adds to |mean|² of each wave (rows, waves), unbiased.

    cos² + sin² = 1, so a wave's variance is 1 - |mean|² and no sum of squares
    is needed; `noise` multiplies the sampling variance of n cells.
    """
    power = (np.nan_to_num(cloud.mean).reshape(cloud.n.size, -1, 2) ** 2).sum(axis=2)
    free = np.maximum(cloud.n - noise, 1.0)[:, None]
    return np.asarray(noise * np.maximum(1.0 - power, 0.0) / free)


def _table() -> NDArray[np.int64]:
    turns = np.arange(N_PHASES) / N_PHASES
    table: Ints = np.rint(np.cos(2 * np.pi * turns) * SCALE).astype(np.int64)
    return table


@parallel_kernel
def _sum_waves(x: Array, order: Array, start: Array, waves: Array, table: Array) -> Array:
    n_groups, n_dims = start.size - 1, x.shape[1]
    n_waves = waves.shape[1]
    n_phases = table.size
    quarter = n_phases // 4
    out = np.zeros((n_groups, n_waves, 2), np.int64)
    for group in prange(n_groups):
        turns = np.empty(n_waves)
        for place in range(start[group], start[group + 1]):
            cell = order[place]
            turns[:] = 0.0
            for dim in range(n_dims):
                value = np.float64(x[cell, dim])
                for wave in range(n_waves):
                    turns[wave] += value * waves[dim, wave]
            for wave in range(n_waves):
                phase = np.int64(np.rint((turns[wave] - np.floor(turns[wave])) * n_phases))
                out[group, wave, 0] += table[phase & (n_phases - 1)]
                out[group, wave, 1] += table[(phase - quarter) & (n_phases - 1)]
    return out


@parallel_kernel
def _near_squared(x: Array, rank: int) -> Array:
    """Squared distance of each row to its `rank`-th nearest other row."""
    n, n_dims = x.shape
    out = np.empty(n)
    for row in prange(n):
        near = np.full(rank, np.inf)
        for other in range(n):
            if other == row:
                continue
            squared = 0.0
            for dim in range(n_dims):
                difference = x[row, dim] - x[other, dim]
                squared += difference * difference
            if squared < near[rank - 1]:
                place = rank - 1
                while place > 0 and near[place - 1] > squared:
                    near[place] = near[place - 1]
                    place -= 1
                near[place] = squared
        out[row] = near[rank - 1]
    return out
