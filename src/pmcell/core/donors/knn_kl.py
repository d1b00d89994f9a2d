"""Kullback-Leibler divergence between clouds of cells from distances to the k-th neighbour."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pmcell.core.donors.donor_stats import order_by_group
from pmcell.core.graph.knn import NO_INDEX, nearest_among

Floats = NDArray[np.float64]

MIN_SQUARE = 1e-12
"""Squared distance that stands for 0, between copies of a cell: its logarithm must be finite."""


def knn_kl(
    x: NDArray[np.floating], group: NDArray[np.int64], n_groups: int, k: int, *, count_own: bool
) -> Floats:
    """Symmetric divergence KL(i, j) + KL(j, i) of the cells `x` by `group` (groups × groups).

    KL(i, j) = (d/n_i) Σ log(ν_k(x; j)/ρ_k(x; i)) + log(n_j/(n_i - 1)) over the
    cells x of i, ν_k the distance to the k-th nearest cell of j and ρ_k that to
    the k-th nearest of i: other cells only, or with x itself the first of them
    (`count_own`). Every group needs more than k cells. Exact neighbours.
    Wang, Kulkarni & Verdú 2009, doi:10.1109/TIT.2009.2016060, equation 5.
    """
    order, start = order_by_group(group, n_groups)
    points = np.ascontiguousarray(x[order], np.float32)
    n = np.diff(start).astype(np.float64)
    mean_log = np.empty((n_groups, n_groups))
    for index in range(n_groups):
        members = slice(start[index], start[index + 1])
        own = np.full(points.shape[0], NO_INDEX, np.int64)
        if not count_own:
            own[members] = np.arange(start[index + 1] - start[index])
        squares = nearest_among(points, points[members], k, own)[1][:, -1]
        logs = 0.5 * np.log(np.maximum(squares.astype(np.float64), MIN_SQUARE))
        mean_log[:, index] = np.add.reduceat(logs, start[:-1]) / n
    ratio = mean_log - np.diag(mean_log)[:, None]
    divergence = points.shape[1] * ratio + np.log(n[None, :] / (n[:, None] - 1.0))
    out = divergence + divergence.T
    np.fill_diagonal(out, 0.0)
    return np.asarray(out)
