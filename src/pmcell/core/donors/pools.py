"""Types too rare to be looked at alone are looked at together with their kin.

In a pool every cell counts as its difference from its own type's mean. So a pool
tells how the cells of a donor are moved, and not which of the types it has: that is
the composition's part. Types that are common enough stay alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

N_SWEEPS = 5
"""Types' means and batch offsets of a pool are fitted in turn, so often."""


@dataclass(frozen=True)
class Pools:
    """The pool of each type (types,), -1 for none, and the mean that is taken out (types, dims).

    The mean is 0 where a type is alone: there it would only move all rows alike.
    """

    of_type: Ints
    centre: Floats

    @property
    def n_pools(self) -> int:
        """How many pools there are."""
        return len(self.members)

    @cached_property
    def members(self) -> list[Ints]:
        """The types of each pool."""
        n_pools = int(self.of_type.max(initial=-1)) + 1
        return [np.flatnonzero(self.of_type == pool) for pool in range(n_pools)]

    @cached_property
    def _alone(self) -> tuple[Ints, Ints]:
        """The pools of one type, and their types."""
        pools = [pool for pool, own in enumerate(self.members) if own.size == 1]
        return np.array(pools, np.int64), np.array([self.members[p][0] for p in pools], np.int64)

    def summed(self, x: Floats) -> Floats:
        """Sums over the types of each pool (rows × types to rows × pools)."""
        return np.stack([x[:, own].sum(axis=1) for own in self.members], axis=1)

    def means(self, n: Floats, mean: Floats) -> Floats:
        """Mean difference of a row's cells from their types' means (rows, pools, dims).

        NaN where a row has no cell of the pool. `n` (rows, types) are the cells, `mean`
        (rows, types, dims) the types' means, NaN where n is 0.
        """
        out = np.empty((n.shape[0], self.n_pools, mean.shape[2]))
        alone, types = self._alone
        out[:, alone] = mean[:, types]
        for pool, own in enumerate(self.members):
            if own.size == 1:
                continue
            cells = n[:, own]
            moved = np.where((cells > 0)[:, :, None], mean[:, own] - self.centre[own], 0.0)
            total = (cells[:, :, None] * moved).sum(axis=1)
            count = cells.sum(axis=1)[:, None]
            out[:, pool] = np.where(count > 0, total / np.maximum(count, 1.0), np.nan)
        return out


def pool_rare(n: Floats, centre: Floats, min_cells: int, min_share: float) -> Ints:
    """The pool of each type, so that pools have `min_cells` cells in `min_share` of the rows.

    `n` (rows, types) are the cells, `centre` (types, dims) the types' means. A type that
    has enough alone stays alone. Of the others the least common joins the nearest of
    its kind, or of what was pooled before, until all have enough; what is left alone
    without enough, and types without a cell, have no pool (-1). Pools are numbered by their first
    type.
    """
    total = n.sum(axis=0)

    def share(own: list[int]) -> float:
        return float((n[:, own].sum(axis=1) >= min_cells).mean())

    def middle(own: list[int]) -> Floats:
        return np.asarray((centre[own] * total[own, None]).sum(axis=0) / total[own].sum())

    pools = [[int(kind)] for kind in np.flatnonzero(total > 0)]
    while pools:
        rare = [pool for pool in pools if share(pool) < min_share]
        if not rare:
            break
        least = min(rare, key=lambda pool: (share(pool), total[pool].sum(), pool[0]))
        kin = [pool for pool in pools if pool is not least and (len(pool) > 1 or pool in rare)]
        pools = [pool for pool in pools if pool is not least]
        if kin:
            own = middle(least)
            near = min(kin, key=lambda pool: (float(((middle(pool) - own) ** 2).sum()), pool[0]))
            near.extend(least)
    of_type = np.full(n.shape[1], -1, np.int64)
    for number, pool in enumerate(sorted(sorted(pool) for pool in pools)):
        of_type[pool] = number
    return of_type


def fit_pools(of_type: Ints, n: Floats, mean: Floats, batch: Ints, n_batches: int) -> Pools:
    """The pools with the means of their types, from these rows.

    In a pool a cell is its type's mean plus what its batch adds plus the rest; types
    and batches are fitted in turn, so that a type that is common in one batch does
    not take the batch for its own. A pooled type without a cell in these rows leaves its pool.
    """
    of_type = of_type.copy()
    centre = np.zeros((n.shape[1], mean.shape[2]))
    for pool in range(int(of_type.max(initial=-1)) + 1):
        every = np.flatnonzero(of_type == pool)
        own = every[n[:, every].sum(axis=0) > 0]
        if own.size:
            of_type[every] = -1
            of_type[own] = pool
        if own.size < 2:
            continue
        cells = n[:, own]
        known = np.where((cells > 0)[:, :, None], mean[:, own], 0.0)
        sums = cells[:, :, None] * known
        of_batch = np.array([cells[batch == name].sum(axis=0) for name in range(n_batches)])
        batch_sums = np.array([sums[batch == name].sum(axis=(0, 1)) for name in range(n_batches)])
        count = of_batch.sum(axis=0)[:, None]
        added = np.zeros((n_batches, mean.shape[2]))
        for _ in range(N_SWEEPS):
            means = (sums.sum(axis=0) - of_batch.T @ added) / count
            whole = np.maximum(of_batch.sum(axis=1), 1.0)[:, None]
            added = (batch_sums - of_batch @ means) / whole
        centre[own] = means
    return Pools(of_type, centre)
