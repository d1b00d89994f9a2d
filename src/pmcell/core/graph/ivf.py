"""Approximate k nearest neighbours for many points, the same for any number of threads.

Inverted lists (Jégou et al. 2011, doi:10.1109/TPAMI.2010.57): k-means cuts the
points in lists, and a point is compared with those of the few lists whose
centres are nearest. How few is measured: for 1,000 random points the exact
neighbours are found, and how far down each point's ranking of lists they lie
gives the recall of every number of lists at once.

Ours, since at the recall that a peer reaches it takes less processor time on 200,000
cells × 50: 0.8 of that of brisc 0.2.3, at recall 0.995 as at 0.9999, and 0.3 of that of
faiss 1.15 (`tests/benchmarks/core/knn.py`), and alone has the same bits for any threads.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pmcell.core.compiler import Array, kernel, parallel_kernel, prange
from pmcell.core.graph.knn import (
    NO_INDEX,
    TILE,
    check_k,
    in_tiles,
    keep_nearest,
    nearest_among,
    tile_squares,
)

N_QUERIES = 1000
N_ITERATIONS = 4
SAMPLE_OF_LIST = 32
BLOCK = 64


@dataclass(frozen=True)
class Neighbors:
    """Neighbours of each point and how well they were found.

    `positions` (int32) and `distances` (float32) are (n, k), nearest first,
    ties by position. `recall` is the share of true neighbours among them,
    `n_probe` the number of lists that each point was compared with.
    """

    positions: NDArray[np.int32]
    distances: NDArray[np.float32]
    recall: float
    n_probe: int


def approximate_neighbors(
    points: NDArray[np.float32],
    k: int,
    *,
    recall: float = 0.99,
    seed: int = 0,
    n_lists: int | None = None,
) -> Neighbors:
    """The `k` nearest other points of each point, at least the share `recall` of them.

    Recall is measured on 1,000 random points; at recall 1 all their neighbours
    are found. Distances are exact. Raises ValueError for missing or infinite
    coordinates and for a `k` that is not below n.
    """
    n_points = points.shape[0]
    check_k(n_points, k)
    check_finite(points)
    if not 0 < recall <= 1:
        raise ValueError(f"recall must be above 0 and at most 1, got {recall}")
    points = np.ascontiguousarray(points, np.float32)
    rng = np.random.default_rng(seed)
    centers = _centers(points, n_lists or default_lists(n_points), rng)
    reached = _recall_by_probes(points, centers, k, rng)
    n_probe = int(np.argmax(reached >= recall)) + 1
    probes = nearest_among(points, centers, n_probe)[0]
    sizes = np.bincount(probes[:, 0], minlength=centers.shape[0])
    while (sizes[probes].sum(axis=1) <= k).any():
        n_probe = min(2 * n_probe, centers.shape[0])
        probes = nearest_among(points, centers, n_probe)[0]
    positions, squares = _search(points, probes, sizes, k)
    return Neighbors(positions, np.sqrt(squares), float(reached[n_probe - 1]), n_probe)


def default_lists(n_points: int) -> int:
    """Lists for n points, by measurement: centres to rank and points to compare cost least."""
    return max(1, min(n_points, round(2 * math.sqrt(n_points))))


def check_finite(points: NDArray[np.float32]) -> None:
    """ValueError that names the first point with a missing or infinite coordinate."""
    wrong = ~np.isfinite(points).all(axis=1)
    if wrong.any():
        raise ValueError(
            "points must have finite coordinates; "
            f"{int(wrong.sum())} have not, the first is point {int(wrong.argmax())}"
        )


def _centers(
    points: NDArray[np.float32], n_lists: int, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Lloyd's k-means on a random sample; a centre that loses all its points stays."""
    n_points = points.shape[0]
    n_lists = min(n_lists, n_points)
    n_sample = min(n_points, SAMPLE_OF_LIST * n_lists)
    sample = points[np.sort(rng.choice(n_points, n_sample, replace=False))]
    first = np.sort(rng.choice(n_sample, n_lists, replace=False))
    centers: NDArray[np.float32] = sample[first]
    for _ in range(N_ITERATIONS):
        nearest = nearest_among(sample, centers, 1)[0][:, 0]
        sums, sizes = _sums(sample, nearest, n_lists)
        kept = sizes > 0
        centers[kept] = sums[kept] / sizes[kept, None]
    return centers


def _recall_by_probes(
    points: NDArray[np.float32],
    centers: NDArray[np.float32],
    k: int,
    rng: np.random.Generator,
) -> NDArray[np.float64]:
    """Share of true neighbours in the nearest 1, 2, … lists of a point (n_lists)."""
    n_points, n_lists = points.shape[0], centers.shape[0]
    asked = np.sort(rng.choice(n_points, min(N_QUERIES, n_points), replace=False))
    truth = nearest_among(points[asked], points, k, asked)[0]
    members, inverse = np.unique(truth, return_inverse=True)
    list_of_truth = nearest_among(points[members], centers, 1)[0][inverse.reshape(truth.shape), 0]
    ranks = _ranks(points[asked], centers, list_of_truth)
    found = np.bincount(ranks.ravel(), minlength=n_lists)
    return np.cumsum(found) / truth.size


def _search(
    points: NDArray[np.float32], probes: NDArray[np.int32], sizes: NDArray[np.int64], k: int
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Nearest points in the probed lists and their squared distances, in the points' order."""
    source = np.argsort(probes[:, 0], kind="stable")
    start = np.concatenate([[0], np.cumsum(sizes)])
    first_tile = np.concatenate([[0], np.cumsum(-(-sizes // TILE))])
    grouped = points[source]
    tiles = np.empty((first_tile[-1], points.shape[1], TILE), np.float32)
    for at in range(sizes.size):
        tiles[first_tile[at] : first_tile[at + 1]] = in_tiles(grouped[start[at] : start[at + 1]])
    probes = np.sort(probes, axis=1)[source]
    where, best = _scan(grouped, probes, start, tiles, first_tile, k)
    return _in_order(where, best, source.astype(np.int32))


@parallel_kernel
def _scan(
    points: Array, probes: Array, start: Array, tiles: Array, first_tile: Array, k: int
) -> tuple[Array, Array]:
    """The nearest points in the lists that each point probes; `probes` rows ascend."""
    n_points, n_probe = probes.shape
    n_lists = start.size - 1
    where = np.full((n_points, k), np.int32(NO_INDEX), np.int32)
    best = np.full((n_points, k), np.float32(np.inf), np.float32)
    for block in prange(-(-n_points // BLOCK)):
        first = block * BLOCK
        last = min(first + BLOCK, n_points)
        squares = np.empty((BLOCK, TILE), np.float32)
        rows = np.empty(BLOCK, np.int64)
        done = np.zeros(BLOCK, np.int64)
        while True:
            # Points of a block are of one list or two, so they probe much the same lists.
            current = n_lists
            for row in range(first, last):
                if done[row - first] < n_probe:
                    current = min(current, probes[row, done[row - first]])
            if current == n_lists:
                break
            n_rows = 0
            for row in range(first, last):
                at = done[row - first]
                if at < n_probe and probes[row, at] == current:
                    done[row - first] += 1
                    rows[n_rows] = row
                    n_rows += 1
            for tile in range(first_tile[current], first_tile[current + 1]):
                position = start[current] + (tile - first_tile[current]) * TILE
                n_open = 0
                for at in range(n_rows):
                    # Nothing is nearer than k equal points: many copies cost little.
                    if best[rows[at], k - 1] > 0:
                        rows[n_open] = rows[at]
                        n_open += 1
                n_rows = n_open
                tile_squares(points, rows[:n_rows], tiles[tile], squares)
                for at in range(n_rows):
                    row = rows[at]
                    keep_nearest(squares[at], position, row, best[row], where[row])
    return where, best


@kernel
def _sums(points: Array, group: Array, n_groups: int) -> tuple[Array, Array]:
    sums = np.zeros((n_groups, points.shape[1]))
    sizes = np.zeros(n_groups, np.int64)
    for point in range(points.shape[0]):
        sizes[group[point]] += 1
        for dim in range(points.shape[1]):
            sums[group[point], dim] += points[point, dim]
    return sums, sizes


@parallel_kernel
def _ranks(queries: Array, centers: Array, lists: Array) -> Array:
    """How many centres are nearer to each query than those of the given lists."""
    n_queries, n_lists = lists.shape
    ranks = np.zeros((n_queries, n_lists), np.int64)
    for query in prange(n_queries):
        squares = np.zeros(centers.shape[0], np.float32)
        for center in range(centers.shape[0]):
            for dim in range(centers.shape[1]):
                difference = centers[center, dim] - queries[query, dim]
                squares[center] += difference * difference
        for slot in range(n_lists):
            own = lists[query, slot]
            for center in range(centers.shape[0]):
                square = squares[center]
                if square < squares[own] or (square == squares[own] and center < own):
                    ranks[query, slot] += 1
    return ranks


@parallel_kernel
def _in_order(where: Array, best: Array, source: Array) -> tuple[Array, Array]:
    """Row `source[row]` from each row, its points by their source; equals by position."""
    n_points, k = where.shape
    positions = np.empty((n_points, k), np.int32)
    squares = np.empty((n_points, k), np.float32)
    for row in prange(n_points):
        own = source[row]
        for at in range(k):
            square, position = best[row, at], source[where[row, at]]
            slot = at
            while slot > 0 and squares[own, slot - 1] == square:
                if positions[own, slot - 1] < position:
                    break
                positions[own, slot] = positions[own, slot - 1]
                slot -= 1
            squares[own, at] = square
            positions[own, slot] = position
    return positions, squares
