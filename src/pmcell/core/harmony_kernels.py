"""Passes over the cells for Harmony: each thread has sums of its own, and all sums are integers."""

from __future__ import annotations

from typing import Any

import numpy as np

from pmcell.core.compiler import Array, kernel, parallel_kernel, prange

MEMBERSHIP = 1 << 15
"""Memberships are rounded to multiples of 2^-15."""

OBJECTIVE = 1 << 20
"""A cell's part of the objective is rounded to multiples of 2^-20."""

SMALLEST = -11.0
"""Memberships below e^-11 of a cell's largest round to nothing, and are not computed."""


@parallel_kernel
def cell_keys(x: Array, seed: Any) -> Array:
    """A number for each row of float32, from its own bits (splitmix64 steps)."""
    keys = np.empty(x.shape[0], np.uint64)
    bits = x.view(np.uint32)
    for i in prange(x.shape[0]):
        key = seed + np.uint64(0x9E3779B97F4A7C15)
        for j in range(x.shape[1]):
            key = (key ^ np.uint64(bits[i, j])) * np.uint64(0xBF58476D1CE4E5B9)
            key ^= key >> np.uint64(29)
        keys[i] = key
    return keys


@parallel_kernel
def on_sphere(x: Array) -> Array:
    """Each row at unit length; rows of zeros stay so."""
    out = np.zeros(x.shape, np.float32)
    for i in prange(x.shape[0]):
        length = 0.0
        for j in range(x.shape[1]):
            length += np.float64(x[i, j]) * np.float64(x[i, j])
        if length > 0:
            factor = 1.0 / np.sqrt(length)
            for j in range(x.shape[1]):
                out[i, j] = np.float32(x[i, j] * factor)
    return out


@parallel_kernel
def dots(x: Array, point: Array) -> Array:
    """The dot product of each row with one point."""
    out = np.empty(x.shape[0])
    for i in prange(x.shape[0]):
        total = 0.0
        for j in range(x.shape[1]):
            total += np.float64(x[i, j]) * np.float64(point[j])
        out[i] = total
    return out


@kernel
def _dots_with(row: Array, centres: Array, out: Array) -> None:
    """Write the dot products of a row with each centre (dims × clusters), four dims at a time."""
    out[:] = 0.0
    n_dims = row.size
    for j in range(0, n_dims - 3, 4):
        a, b, c, d = row[j], row[j + 1], row[j + 2], row[j + 3]
        for k in range(out.size):
            out[k] += (a * centres[j, k] + b * centres[j + 1, k]) + (
                c * centres[j + 2, k] + d * centres[j + 3, k]
            )
    for j in range(n_dims - n_dims % 4, n_dims):
        for k in range(out.size):
            out[k] += row[j] * centres[j, k]


@parallel_kernel
def nearest(sphere: Array, centres: Array) -> Array:
    """The centre (dims × clusters) that each cell is nearest to, the first of equal ones."""
    label = np.empty(sphere.shape[0], np.int64)
    for i in prange(sphere.shape[0]):
        near = np.empty(centres.shape[1], np.float32)
        _dots_with(sphere[i], centres, near)
        label[i] = np.argmax(near)
    return label


@parallel_kernel
def update(
    sphere: Array,
    codes: Array,
    cells: Array,
    centres: Array,
    reward: Array,
    softness: float,
    membership: Array,
    n_parts: int,
) -> Any:
    """Write new memberships of `cells`; return what they add to the members and the objective.

    `centres` (dims × clusters) and `reward` (batches × clusters) are float32; the log membership
    of a cell is its reward less its cosine distance over `softness`, up to a constant.
    """
    n_clusters = centres.shape[1]
    sharp = np.float32(2.0 / softness)
    added = np.zeros((n_parts, reward.shape[0], n_clusters), np.int64)
    objective = np.zeros(n_parts, np.int64)
    for part in prange(n_parts):
        near = np.empty(n_clusters, np.float32)
        weight = np.empty(n_clusters, np.float32)
        for place in range(part * cells.size // n_parts, (part + 1) * cells.size // n_parts):
            i = cells[place]
            batch = codes[i]
            _dots_with(sphere[i], centres, near)
            for k in range(n_clusters):
                weight[k] = (near[k] - np.float32(1)) * sharp + reward[batch, k]
            largest = weight[0]
            for k in range(1, n_clusters):
                largest = max(largest, weight[k])
            total = 0.0
            for k in range(n_clusters):
                if weight[k] - largest > SMALLEST:
                    total += np.exp(np.float64(weight[k] - largest))
            log_total = np.log(total)
            own = 0.0
            for k in range(n_clusters):
                if weight[k] - largest > SMALLEST:
                    log_share = np.float64(weight[k] - largest) - log_total
                    share = np.exp(log_share)
                    own += share * (2.0 - 2.0 * near[k] + softness * log_share)
                    rounded = np.int64(share * MEMBERSHIP + 0.5)
                    membership[i, k] = rounded
                    added[part, batch, k] += rounded
                else:
                    membership[i, k] = 0
            objective[part] += np.int64(np.rint(own * OBJECTIVE))
    return added, objective


@parallel_kernel
def sum_members(
    codes: Array, cells: Array, membership: Array, n_batches: int, n_parts: int
) -> Array:
    """Members of each batch and cluster among `cells`, in units of 1/MEMBERSHIP, part by part."""
    n_clusters = membership.shape[1]
    total = np.zeros((n_parts, n_batches, n_clusters), np.int64)
    for part in prange(n_parts):
        for place in range(part * cells.size // n_parts, (part + 1) * cells.size // n_parts):
            i = cells[place]
            for k in range(n_clusters):
                total[part, codes[i], k] += membership[i, k]
    return total


@parallel_kernel
def sum_places(
    places: Array, scale: float, codes: Array, membership: Array, n_batches: int, n_parts: int
) -> Array:
    """Coordinates of the members of each batch and cluster, in units of 1/(MEMBERSHIP·scale)."""
    n_cells, n_dims = places.shape
    total = np.zeros((n_parts, n_batches, membership.shape[1], n_dims), np.int64)
    for part in prange(n_parts):
        rounded = np.empty(n_dims, np.int64)
        for i in range(part * n_cells // n_parts, (part + 1) * n_cells // n_parts):
            for j in range(n_dims):
                rounded[j] = np.int64(np.rint(places[i, j] * scale))
            for k in range(membership.shape[1]):
                weight = np.int64(membership[i, k])
                if weight:
                    for j in range(n_dims):
                        total[part, codes[i], k, j] += weight * rounded[j]
    return total


@parallel_kernel
def displace(x: Array, codes: Array, membership: Array, shift: Array) -> Array:
    """Each cell less the shifts (batches × clusters × dims) of its batch, by its memberships."""
    n_dims = x.shape[1]
    out = np.empty(x.shape, np.float32)
    for i in prange(x.shape[0]):
        total = np.int64(0)
        away = np.zeros(n_dims)
        for k in range(membership.shape[1]):
            weight = np.int64(membership[i, k])
            if weight:
                total += weight
                for j in range(n_dims):
                    away[j] += weight * shift[codes[i], k, j]
        for j in range(n_dims):
            out[i, j] = np.float32(x[i, j] - away[j] / total)
    return out
