"""Sufficient statistics of groups of cells: count, Σx and Σx² of an embedding, exact.

Everything the stratification does after this step (distances, bootstraps, null
draws) reads only these sums, never a cell again. The embedding is quantised to
fixed point, so the sums are integers: the same bits for any number of threads
and any order of the cells, and sums of parts add up to the sum of the whole.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pmcell.core.compiler import Array, kernel, parallel_kernel, prange

SCALE = 1 << 20
"""Values and squares are rounded to multiples of 2^-20; the error of one is at most 4.8e-7."""


@dataclass(frozen=True)
class GroupSums:
    """Sums over the cells of each group, in units of 1/SCALE.

    `n` (groups,), `total` and `squares` (groups, dims), all int64.
    """

    n: NDArray[np.int64]
    total: NDArray[np.int64]
    squares: NDArray[np.int64]


def sum_groups(x: NDArray[np.floating], group: NDArray[np.int64], n_groups: int) -> GroupSums:
    """Sum the rows of `x` (cells × dims) by `group` (one code a cell, negative codes are left out).

    Raises ValueError if `x` holds a value that is not finite, or values so
    large that the integer sums could overflow.
    """
    x = np.ascontiguousarray(x)
    if x.ndim != 2 or group.shape != (x.shape[0],):
        raise ValueError(
            f"x must be cells × dims with one group a cell, got {x.shape}, {group.shape}"
        )
    if group.size and int(np.max(group)) >= n_groups:
        raise ValueError(f"group codes must be below {n_groups}, got {int(np.max(group))}")
    order, start = order_by_group(group, n_groups)
    n = np.diff(start)
    _check_range(x, int(n.max(initial=0)))
    total, squares = _sum_groups(x, order, start)
    return GroupSums(n, total, squares)


def order_by_group(group: NDArray[np.integer], n_groups: int) -> tuple[Array, Array]:
    """Cells ordered by group, negative codes left out, and where each group starts (groups + 1)."""
    order, start = _order_by_group(np.ascontiguousarray(group, np.int64), n_groups)
    return order, start


def means(n: NDArray[np.integer], total: NDArray[np.int64]) -> NDArray[np.float64]:
    """Mean of each group (… × dims); NaN, never zero, where the group has no cells."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return total / (n[..., None] * float(SCALE)) + np.where(n > 0, 0.0, np.nan)[..., None]


def within_variance(sums: GroupSums, pool: NDArray[np.int64], n_pools: int) -> NDArray[np.float64]:
    """Variance within groups, pooled over the groups of each pool (pools × dims).

    `pool` is one code a group. Pools without two cells in one group get NaN.
    The sums are exact integers, so subtracting the squared mean loses nothing
    but the quantisation (2^-21 a square).
    """
    n = np.maximum(sums.n, 1).astype(np.float64)[:, None]
    mean = sums.total / (n * SCALE)
    deviations = np.where(sums.n[:, None] > 1, sums.squares / SCALE - n * mean * mean, 0.0)
    out = np.zeros((n_pools, sums.total.shape[1]))
    freedom = np.zeros(n_pools)
    np.add.at(out, pool, np.maximum(deviations, 0.0))
    np.add.at(freedom, pool, np.maximum(sums.n - 1, 0))
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(freedom[:, None] > 0, out / freedom[:, None], np.nan)


def _check_range(x: NDArray[np.floating], largest_group: int) -> None:
    peak = float(np.max(np.abs(x), initial=0.0))
    if not np.isfinite(peak):
        raise ValueError("x must be finite in every cell, found NaN or infinity")
    if max(peak, peak * peak) * SCALE * max(largest_group, 1) >= 2.0**62:
        raise ValueError(f"x is too large for exact sums: |x| reaches {peak:.3g}; scale it down")


@kernel
def _order_by_group(group: Array, n_groups: int) -> tuple[Array, Array]:
    """Cells ordered by group, and where each group starts (counting sort)."""
    start = np.zeros(n_groups + 1, np.int64)
    for code in group:
        if code >= 0:
            start[code + 1] += 1
    for index in range(n_groups):
        start[index + 1] += start[index]
    order = np.empty(start[n_groups], np.int64)
    cursor = start[:-1].copy()
    for cell in range(group.size):
        code = group[cell]
        if code >= 0:
            order[cursor[code]] = cell
            cursor[code] += 1
    return order, start


@parallel_kernel
def _sum_groups(x: Array, order: Array, start: Array) -> tuple[Array, Array]:
    n_groups, n_dims = start.size - 1, x.shape[1]
    total = np.zeros((n_groups, n_dims), np.int64)
    squares = np.zeros((n_groups, n_dims), np.int64)
    for group in prange(n_groups):
        for place in range(start[group], start[group + 1]):
            cell = order[place]
            for dim in range(n_dims):
                value = np.float64(x[cell, dim])
                total[group, dim] += np.int64(np.rint(value * SCALE))
                squares[group, dim] += np.int64(np.rint(value * value * SCALE))
    return total, squares
