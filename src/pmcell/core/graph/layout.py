"""Layout of a weighted graph in the plane by UMAP's objective, the same for any threads.

McInnes et al. 2018 (arXiv:1802.03426, section 3.2): linked points attract each
other as often as their weight says, and are pushed off random others. The
reference implementation moves both ends of one link after another, which only
one thread can do in a fixed order. Here a point moves along its own links, one
after another, while the points that move at the same time stay where they
were: an epoch goes through the points in `N_TURNS` turns, so few neighbours
move in the same turn. A point first follows its links, then is pushed off
random others, `MAX_PUSHES` at most, which stand for the `N_PUSHES` that each
link of the epoch has in the reference. Links and random others are drawn by
counters of (seed, epoch, point), not from one stream. The forces are read from
a table of the squared distance.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pmcell.core.compiler import Array, kernel, parallel_kernel, prange

N_TURNS = 8
N_TABLE = 8192
N_PUSHES, MAX_PUSHES = 5, 12
MAX_STEP = 4.0
SMALL_EPOCHS, LARGE_EPOCHS, LARGE = 300, 130, 10_000
"""Fewer epochs above 10,000 points, as UMAP has them; its own numbers are 500 and 200."""


def curve(spread: float, min_dist: float) -> tuple[float, float]:
    """a and b for which 1 / (1 + a d^2b) falls as UMAP's membership does (section 3.2)."""
    from scipy.optimize import curve_fit

    distance = np.linspace(0, 3 * spread, 300)
    wanted = np.exp(-np.maximum(distance - min_dist, 0.0) / spread)
    (a, b), _ = curve_fit(lambda x, a, b: 1 / (1 + a * x ** (2 * b)), distance, wanted)
    return float(a), float(b)


def layout(
    weights: Any,
    start: NDArray[np.float32],
    *,
    seed: int = 0,
    min_dist: float = 0.5,
    spread: float = 1.0,
    n_epochs: int | None = None,
) -> NDArray[np.float32]:
    """Coordinates (n_points, 2; float32) after moving from `start` along the graph.

    `weights` is a symmetric CSR matrix of weights in (0, 1].
    """
    n_points = start.shape[0]
    if n_epochs is None:
        n_epochs = SMALL_EPOCHS if n_points <= LARGE else LARGE_EPOCHS
    points = np.ascontiguousarray(start, np.float32).copy()
    if not weights.nnz:
        return points
    pull, push = _forces(*curve(spread, min_dist))
    rng = np.random.default_rng(seed)
    graph = (
        weights.indptr.astype(np.int64),
        weights.indices.astype(np.int32),
        (weights.data / weights.data.max()).astype(np.float32),
        rng.random(weights.nnz, np.float32),
    )
    # In the order of the points, whose links lie one after another.
    turns = [np.sort(turn) for turn in np.array_split(rng.permutation(n_points), N_TURNS)]
    moved = np.empty_like(points)
    for epoch in range(n_epochs):
        step = np.float32(1.0 - epoch / n_epochs)
        for movers in turns:
            _move(graph, movers, points, moved, pull, push, step, epoch, seed)
            points[movers] = moved[: movers.size]
    return points


def _forces(a: float, b: float) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Factors of the difference of two points, by d² / (1 + d²) in equal steps."""
    # One more than the place of an infinite distance, so that each place has a next.
    at = np.arange(N_TABLE + 2) / N_TABLE
    square = at / np.maximum(1 - at, 1e-9)
    with np.errstate(divide="ignore"):
        pull = -2 * a * b * square ** (b - 1) / (1 + a * square**b)
    push = 2 * b / ((0.001 + square) * (1 + a * square**b))
    pull[0] = pull[1]
    return pull.astype(np.float32), push.astype(np.float32)


@kernel
def _mix(state: np.uint64) -> np.uint64:
    """SplitMix64 (Steele et al. 2014, doi:10.1145/2660193.2660195)."""
    z = state + np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


@kernel
def _factor(square: Any, table: Array) -> Any:
    """The table's value at a squared distance, between its two nearest entries."""
    place = square / (np.float32(1.0) + square) * np.float32(N_TABLE)
    low = np.int32(place)
    share = place - np.float32(low)
    return table[low] + share * (table[low + 1] - table[low])


@kernel
def _clip(change: Any) -> Any:
    return min(max(change, np.float32(-MAX_STEP)), np.float32(MAX_STEP))


@parallel_kernel
def _move(
    graph: tuple[Array, Array, Array, Array],
    movers: Array,
    points: Array,
    moved: Array,
    pull: Array,
    push: Array,
    step: Any,
    epoch: int,
    seed: int,
) -> None:
    indptr, indices, rates, offsets = graph
    n_points = np.uint64(points.shape[0])
    this, following = np.float32(epoch), np.float32(epoch + 1)
    for at in prange(movers.size):
        point = movers[at]
        x, y = points[point, 0], points[point, 1]
        key = _mix(_mix(np.uint64(seed) ^ np.uint64(point)) + np.uint64(epoch))
        n_links = 0
        for link in range(indptr[point], indptr[point + 1]):
            # A link is used when its rate passes the next whole number.
            rate, offset = rates[link], offsets[link]
            if np.int32(rate * following + offset) == np.int32(rate * this + offset):
                continue
            n_links += 1
            other = np.int64(indices[link])
            dx, dy = x - points[other, 0], y - points[other, 1]
            square = dx * dx + dy * dy
            if square > 0:
                # Twice: the reference moves both ends of a link, in either direction.
                force = np.float32(2.0) * _factor(square, pull)
                x += step * _clip(force * dx)
                y += step * _clip(force * dy)
        n_pushes = min(N_PUSHES * n_links, MAX_PUSHES)
        weight = np.float32(N_PUSHES * n_links) / np.float32(max(n_pushes, 1))
        # All from where the point is now: one after the other they would wait for each other.
        away_x, away_y = np.float32(0.0), np.float32(0.0)
        for _ in range(n_pushes):
            key = key * np.uint64(6364136223846793005) + np.uint64(1442695040888963407)
            other = np.int64(((key >> np.uint64(32)) * n_points) >> np.uint64(32))
            dx, dy = x - points[other, 0], y - points[other, 1]
            force = weight * _factor(dx * dx + dy * dy, push)
            away_x += _clip(force * dx)
            away_y += _clip(force * dy)
        x += step * away_x
        y += step * away_y
        moved[at, 0] = x
        moved[at, 1] = y
