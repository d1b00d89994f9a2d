"""Exact k nearest neighbours by Euclidean distance, the same for any number of threads.

Points are read in tiles stored dimension by dimension, so that the inner loop
runs over the points of a tile: it vectorises without reordering the sum over
dimensions, and the distances do not depend on the machine's vector width. A
block of queries shares each tile while it lies in the nearest cache.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pmcell.core.compiler import Array, kernel, parallel_kernel, prange

TILE = 64
BLOCK = 16
NO_INDEX = -1


def nearest_neighbors(
    points: NDArray[np.float32], k: int
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """The `k` nearest other points of each point: positions and distances (n, k), nearest first.

    Ties go to the lower position. Cost is n² distances; memory n × k.
    Raises ValueError when there are not more than `k` points.
    """
    check_k(points.shape[0], k)
    points = np.ascontiguousarray(points, np.float32)
    positions, squares = nearest_among(points, points, k, np.arange(points.shape[0]))
    return positions, np.sqrt(squares)


def check_k(n_points: int, k: int) -> None:
    """ValueError unless each point has `k` others."""
    if not 1 <= k < n_points:
        raise ValueError(f"k must be at least 1 and below the number of points {n_points}, got {k}")


def nearest_among(
    queries: NDArray[np.float32],
    points: NDArray[np.float32],
    k: int,
    own: NDArray[np.int64] | None = None,
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """The `k` nearest points of each query: positions and squared distances, nearest first.

    `own[query]` is the position that a query must not find, since it is itself.
    """
    if own is None:
        own = np.full(queries.shape[0], NO_INDEX, np.int64)
    positions, squares = _nearest(queries, own, in_tiles(points), k)
    return positions, squares


def in_tiles(points: NDArray[np.float32]) -> NDArray[np.float32]:
    """Points as (n_tiles, n_dims, TILE); infinity where the last tile has no point."""
    n_points, n_dims = points.shape
    n_tiles = -(-n_points // TILE)
    tiles = np.full((n_tiles, n_dims, TILE), np.float32(np.inf), np.float32)
    for tile in range(n_tiles):
        chunk = points[tile * TILE : (tile + 1) * TILE]
        tiles[tile, :, : chunk.shape[0]] = chunk.T
    return tiles


@parallel_kernel
def _nearest(queries: Array, own: Array, tiles: Array, k: int) -> tuple[Array, Array]:
    n_queries = queries.shape[0]
    positions = np.full((n_queries, k), np.int32(NO_INDEX), np.int32)
    best = np.full((n_queries, k), np.float32(np.inf), np.float32)
    for block in prange(-(-n_queries // BLOCK)):
        first = block * BLOCK
        rows = np.arange(first, min(first + BLOCK, n_queries))
        squares = np.empty((BLOCK, TILE), np.float32)
        for tile in range(tiles.shape[0]):
            tile_squares(queries, rows, tiles[tile], squares)
            for at in range(rows.size):
                row = rows[at]
                keep_nearest(squares[at], tile * TILE, own[row], best[row], positions[row])
    return positions, best


@kernel
def tile_squares(queries: Array, rows: Array, tile: Array, squares: Array) -> None:
    """Squared distances of the queries in `rows` to the points of a tile, into `squares`.

    Four dimensions a pass save three of four loads and stores of the sums;
    they are still added one after another.
    """
    n_dims = tile.shape[0]
    n_fours = n_dims - n_dims % 4
    squares[: rows.size] = np.float32(0)
    for dim in range(0, n_fours, 4):
        values_a, values_b = tile[dim], tile[dim + 1]
        values_c, values_d = tile[dim + 2], tile[dim + 3]
        for at in range(rows.size):
            sums = squares[at]
            query = queries[rows[at]]
            query_a, query_b = query[dim], query[dim + 1]
            query_c, query_d = query[dim + 2], query[dim + 3]
            for point in range(TILE):
                a = values_a[point] - query_a
                b = values_b[point] - query_b
                c = values_c[point] - query_c
                d = values_d[point] - query_d
                sums[point] = (((sums[point] + a * a) + b * b) + c * c) + d * d
    for dim in range(n_fours, n_dims):
        values = tile[dim]
        for at in range(rows.size):
            sums = squares[at]
            coordinate = queries[rows[at], dim]
            for point in range(TILE):
                difference = values[point] - coordinate
                sums[point] += difference * difference


@kernel
def keep_nearest(squares: Array, first: int, own: int, best: Array, where: Array) -> None:
    """Insert the tile's points, from position `first` on, that are nearer than the last kept."""
    worst = best[-1]
    for at in range(TILE):
        if squares[at] < worst and first + at != own:
            insert(squares[at], first + at, best, where)
            worst = best[-1]


@kernel
def insert(square: float, position: int, best: Array, where: Array) -> int:
    """Put a point in its place among the nearest, after its equals; returns the place."""
    slot = best.size - 1
    while slot > 0 and best[slot - 1] > square:
        best[slot] = best[slot - 1]
        where[slot] = where[slot - 1]
        slot -= 1
    best[slot] = square
    where[slot] = position
    return slot
