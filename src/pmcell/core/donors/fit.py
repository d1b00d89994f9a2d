"""Channels of the donor distance fitted on some rows: batch offsets, weights, scale."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from pmcell.core.donors.arcsine import mean_composition
from pmcell.core.donors.channels import (
    CLUSTER_FREE,
    COMPOSITION,
    STATE,
    Channel,
    DonorSums,
    place,
    raw_features,
    require_cloud,
    scales,
)
from pmcell.core.donors.cloud import squared_error
from pmcell.core.donors.offsets import batch_offsets
from pmcell.core.donors.pools import Pools, fit_pools

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def fit_composition(
    sums: DonorSums, batch: Ints, n_batches: int, *, residual: bool = True
) -> Channel:
    """Fit the composition channel: arcsine shares, one block of one dimension a type."""
    n_types = sums.n.shape[1]
    each = Pools(np.arange(n_types), np.zeros((n_types, 1)))
    x = raw_features(COMPOSITION, each, sums, 1)
    offset = _offsets(x, batch, n_batches, residual)
    return _finished(COMPOSITION, each, offset, np.ones((n_types, 1)), sums, batch, 1)


def fit_state(
    sums: DonorSums,
    batch: Ints,
    n_batches: int,
    *,
    pool: Ints,
    min_cells: int,
    residual: bool = True,
) -> Channel:
    """Fit the state channel on the given pools of types (types,), -1 for a type that has none.

    A dimension k of pool t weighs rel_tk / mean_k V_tk, rel = B / (B + mean of
    V/n): the share of variance between rows that is not sampling noise. A pool
    weighs by the mean of rel over dimensions, weighted by B.
    """
    pools = fit_pools(pool, sums.n, sums.mean, batch, n_batches)
    x = raw_features(STATE, pools, sums, min_cells)
    offset = _offsets(x, batch, n_batches, residual)
    clean = x - offset[batch]
    known = ~np.isnan(clean)
    count = np.maximum(known.sum(axis=0), 1)
    variance = _variance(clean, known, count)
    cells = np.where(known[:, :, 0], pools.summed(sums.n), np.inf)
    noise = sums.noise * _mean_error(pools, sums, cells) / count
    between = np.maximum(variance - noise, 0.0)
    reliability = between / np.maximum(between + noise, 1e-300)
    of_type = (between * reliability).sum(axis=1) / np.maximum(between.sum(axis=1), 1e-300)
    total = sums.n.sum(axis=0)
    unit = pools.summed((total * sums.within.mean(axis=1))[None]) / pools.summed(total[None])
    weight = of_type[:, None] * reliability / np.maximum(unit.T, 1e-300)
    return _finished(STATE, pools, offset, weight, sums, batch, min_cells)


def fit_cluster_free(
    sums: DonorSums, batch: Ints, n_batches: int, *, residual: bool = True
) -> Channel:
    """Fit the cluster-free channel: mean waves of all cells, one block.

    A wave (its cosine and its sine) weighs by the share of its variance between
    rows that is not sampling noise.
    """
    none = Pools(np.full(sums.n.shape[1], -1), np.zeros((sums.n.shape[1], 1)))
    x = raw_features(CLUSTER_FREE, none, sums, 1)
    offset = _offsets(x, batch, n_batches, residual)
    clean = x - offset[batch]
    known = ~np.isnan(clean)
    variance = _variance(clean, known, np.maximum(known.sum(axis=0), 1))
    present = known[:, 0, 0]
    error = squared_error(require_cloud(sums), sums.noise)[present]
    noise = error.sum(axis=0) / max(int(present.sum()), 1)
    between = np.maximum(variance.reshape(-1, 2).sum(axis=1) - noise, 0.0)
    reliability = between / np.maximum(between + noise, 1e-300)
    return _finished(CLUSTER_FREE, none, offset, np.repeat(reliability, 2)[None], sums, batch, 1)


def _offsets(x: Floats, batch: Ints, n_batches: int, residual: bool) -> Floats:
    """Batch offsets (batches, blocks, dims); zero where they are not to be removed."""
    shape = (n_batches, *x.shape[1:])
    if not residual:
        return np.zeros(shape)
    return batch_offsets(x.reshape(x.shape[0], -1), batch, n_batches).reshape(shape)


def _mean_error(pools: Pools, sums: DonorSums, cells: Floats) -> Floats:
    """Σ over rows of the squared error of a row's mean (pools, dims); no row has infinite cells."""
    out = np.zeros((pools.n_pools, sums.within.shape[1]))
    for pool, own in enumerate(pools.members):
        share = (sums.n[:, own] / cells[:, [pool]] ** 2).sum(axis=0)
        out[pool] = (share[:, None] * sums.within[own]).sum(axis=0)
    return out


def _variance(x: Floats, known: NDArray[np.bool_], count: Ints) -> Floats:
    """Variance over the rows that are known (blocks, dims)."""
    centre = np.where(known, x, 0.0).sum(axis=0) / count
    squares = np.where(known, (x - centre) ** 2, 0.0).sum(axis=0)
    return np.asarray(squares / np.maximum(count - 1, 1))


def _finished(
    name: str,
    pools: Pools,
    offset: Floats,
    weight: Floats,
    sums: DonorSums,
    batch: Ints,
    min_cells: int,
) -> Channel:
    fill = np.zeros(weight.shape[0])
    channel = Channel(name, pools, offset, weight, fill, 1.0, mean_composition(sums.n))
    fill, scale = scales(place(channel, sums, batch, min_cells))
    return replace(channel, fill=fill, scale=scale)
