"""Channels of the donor distance fitted on some rows: batch offsets, weights, scale."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pmcell.core.arcsine import mean_composition
from pmcell.core.channels import (
    CLUSTER_FREE,
    COMPOSITION,
    STATE,
    Channel,
    DonorSums,
    place,
    raw_features,
    require_cloud,
    scaled,
)
from pmcell.core.cloud import squared_error
from pmcell.core.offsets import batch_offsets

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def fit_composition(
    sums: DonorSums, batch: Ints, n_batches: int, *, residual: bool = True
) -> Channel:
    """Fit the composition channel: arcsine shares, one block of one dimension a type."""
    types = np.arange(sums.n.shape[1])
    x = raw_features(COMPOSITION, types, sums, 1)
    offset = _offsets(x, batch, n_batches, residual)
    return _finished(COMPOSITION, types, offset, np.ones((types.size, 1)), sums, batch, 1)


def fit_state(
    sums: DonorSums,
    batch: Ints,
    n_batches: int,
    *,
    types: Ints,
    min_cells: int,
    residual: bool = True,
) -> Channel:
    """Fit the state channel on the given types.

    A dimension k of type t weighs rel_tk / mean_k V_tk, rel = B / (B + mean of
    V/n): the share of variance between rows that is not sampling noise. A type
    weighs by the mean of rel over dimensions, weighted by B.
    """
    x = raw_features(STATE, types, sums, min_cells)
    offset = _offsets(x, batch, n_batches, residual)
    clean = x - offset[batch]
    known = ~np.isnan(clean)
    count = np.maximum(known.sum(axis=0), 1)
    variance = _variance(clean, known, count)
    cells = np.where(known[:, :, 0], sums.n[:, types], np.inf)
    inverse = (1.0 / cells).sum(axis=0) / count[:, 0]
    within = sums.within[types]
    noise = sums.noise * within * inverse[:, None]
    between = np.maximum(variance - noise, 0.0)
    reliability = between / np.maximum(between + noise, 1e-300)
    of_type = (between * reliability).sum(axis=1) / np.maximum(between.sum(axis=1), 1e-300)
    unit = np.maximum(within.mean(axis=1, keepdims=True), 1e-300)
    weight = of_type[:, None] * reliability / unit
    return _finished(STATE, types, offset, weight, sums, batch, min_cells)


def fit_cluster_free(
    sums: DonorSums, batch: Ints, n_batches: int, *, residual: bool = True
) -> Channel:
    """Fit the cluster-free channel: mean waves of all cells, one block.

    A wave (its cosine and its sine) weighs by the share of its variance between
    rows that is not sampling noise.
    """
    types = np.array([-1])
    x = raw_features(CLUSTER_FREE, types, sums, 1)
    offset = _offsets(x, batch, n_batches, residual)
    clean = x - offset[batch]
    known = ~np.isnan(clean)
    variance = _variance(clean, known, np.maximum(known.sum(axis=0), 1))
    present = known[:, 0, 0]
    error = squared_error(require_cloud(sums), sums.noise)[present]
    noise = error.sum(axis=0) / max(int(present.sum()), 1)
    between = np.maximum(variance.reshape(-1, 2).sum(axis=1) - noise, 0.0)
    reliability = between / np.maximum(between + noise, 1e-300)
    return _finished(CLUSTER_FREE, types, offset, np.repeat(reliability, 2)[None], sums, batch, 1)


def _offsets(x: Floats, batch: Ints, n_batches: int, residual: bool) -> Floats:
    """Batch offsets (batches, blocks, dims); zero where they are not to be removed."""
    shape = (n_batches, *x.shape[1:])
    if not residual:
        return np.zeros(shape)
    return batch_offsets(x.reshape(x.shape[0], -1), batch, n_batches).reshape(shape)


def _variance(x: Floats, known: NDArray[np.bool_], count: Ints) -> Floats:
    """Variance over the rows that are known (blocks, dims)."""
    centre = np.where(known, x, 0.0).sum(axis=0) / count
    squares = np.where(known, (x - centre) ** 2, 0.0).sum(axis=0)
    return np.asarray(squares / np.maximum(count - 1, 1))


def _finished(
    name: str,
    types: Ints,
    offset: Floats,
    weight: Floats,
    sums: DonorSums,
    batch: Ints,
    min_cells: int,
) -> Channel:
    fill = np.zeros(types.size)
    channel = Channel(name, types, offset, weight, fill, 1.0, mean_composition(sums.n))
    return scaled(channel, place(channel, sums, batch, min_cells))
