"""Exact k nearest neighbours by Euclidean distance, the same for any number of threads.

Points are read in tiles stored dimension by dimension, so that the inner loop
runs over the points of a tile: it vectorises without reordering the sum over
dimensions, and the distances do not depend on the machine's vector width.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pmcell.core.compiler import Array, parallel_kernel, prange

TILE = 256


def nearest_neighbors(
    points: NDArray[np.float32], k: int
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """The `k` nearest other points of each point: positions and distances (n, k), nearest first.

    Ties go to the lower position. Cost is n² distances; memory n × k.
    Raises ValueError when there are not more than `k` points.
    """
    n_points, n_dims = points.shape
    if not 1 <= k < n_points:
        raise ValueError(f"k must be at least 1 and below the number of points {n_points}, got {k}")
    n_tiles = -(-n_points // TILE)
    tiles = np.full((n_tiles, n_dims, TILE), np.float32(np.inf), np.float32)
    for tile in range(n_tiles):
        chunk = points[tile * TILE : (tile + 1) * TILE]
        tiles[tile, :, : chunk.shape[0]] = chunk.T
    positions, distances = _nearest(np.ascontiguousarray(points, np.float32), tiles, k)
    return positions, distances


@parallel_kernel
def _nearest(points: Array, tiles: Array, k: int) -> tuple[Array, Array]:
    n_points, n_dims = points.shape
    positions = np.empty((n_points, k), np.int32)
    distances = np.empty((n_points, k), np.float32)
    for query in prange(n_points):
        best = np.full(k, np.float32(np.inf), np.float32)
        where = np.full(k, -1, np.int32)
        squares = np.empty(TILE, np.float32)
        for tile in range(tiles.shape[0]):
            squares[:] = np.float32(0)
            for dim in range(n_dims):
                coordinate = points[query, dim]
                values = tiles[tile, dim]
                for at in range(TILE):
                    difference = values[at] - coordinate
                    squares[at] += difference * difference
            for at in range(TILE):
                square = squares[at]
                if square < best[k - 1]:
                    other = tile * TILE + at
                    if other == query:
                        continue
                    slot = k - 1
                    while slot > 0 and best[slot - 1] > square:
                        best[slot] = best[slot - 1]
                        where[slot] = where[slot - 1]
                        slot -= 1
                    best[slot] = square
                    where[slot] = other
        for slot in range(k):
            positions[query, slot] = where[slot]
            distances[query, slot] = np.sqrt(best[slot])
    return positions, distances
