"""Waves of all cells: exact sums, unbiased noise, and a channel that needs no cell types."""

from __future__ import annotations

import numba
import numpy as np
import pytest

from pmcell.core.donors.channels import DonorSums, place, squared_distances
from pmcell.core.donors.cloud import (
    N_PHASES,
    SCALE,
    Clouds,
    clouds,
    error_root,
    local_distance,
    random_waves,
    squared_error,
    sum_waves,
)
from pmcell.core.donors.fit import fit_cluster_free
from pmcell.core.donors.resample import resample_cells, stream


def cells(n: int = 600, rows: int = 6, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, 4)).astype(np.float32), rng.integers(0, rows, n)


def naive_sums(x: np.ndarray, group: np.ndarray, n_groups: int, waves: np.ndarray) -> np.ndarray:
    out = np.zeros((n_groups, waves.shape[1], 2))
    for cell, code in zip(x.astype(float), group, strict=True):
        if code >= 0:
            out[code, :, 0] += np.cos(2 * np.pi * cell @ waves)
            out[code, :, 1] += np.sin(2 * np.pi * cell @ waves)
    return out


def test_sums_are_those_of_cosines_and_sines() -> None:
    x, group = cells()
    group[:20] = -1
    waves = random_waves(4, 1.5)
    got = sum_waves(x, group, 6, waves) / SCALE
    # Each wave is off by at most half a phase.
    assert np.abs(got - naive_sums(x, group, 6, waves)).max() < 150 * np.pi / N_PHASES
    assert np.abs(got - naive_sums(x, group, 6, waves)).mean() < 0.02


def test_threads_order_and_parts_give_the_same_bits() -> None:
    x, group = cells(5000)
    waves = random_waves(4, 1.0)
    whole = sum_waves(x, group, 6, waves)
    order = np.random.default_rng(1).permutation(x.shape[0])
    assert np.array_equal(whole, sum_waves(x[order], group[order], 6, waves))
    parts = [sum_waves(x[p], group[p], 6, waves) for p in (slice(0, 77), slice(77, None))]
    assert np.array_equal(whole, parts[0] + parts[1])
    before = numba.get_num_threads()
    try:
        numba.set_num_threads(1)
        assert np.array_equal(whole, sum_waves(x, group, 6, waves))
    finally:
        numba.set_num_threads(before)


def test_the_local_distance_is_that_to_a_near_neighbour() -> None:
    x, _ = cells(400)
    full = np.sort(np.linalg.norm(x[:, None].astype(float) - x[None].astype(float), axis=2), axis=1)
    assert local_distance(x) == pytest.approx(np.median(full[:, 2]), rel=0.01)
    assert local_distance(x[:1]) == 1.0
    assert local_distance(np.ones((50, 3))) == 1.0


def test_the_squared_error_is_what_sampling_adds() -> None:
    waves = random_waves(3, 1.0)
    truth = np.exp(-2 * np.pi**2 * (waves**2).sum(axis=0)) ** 2
    rng = np.random.default_rng(0)
    x = rng.normal(size=(400 * 50, 3)).astype(np.float32)
    sums = sum_waves(x, np.repeat(np.arange(400), 50), 400, waves).reshape(400, -1)
    cloud = clouds(np.full(400, 50), sums, np.eye(sums.shape[1]))
    power = (cloud.mean.reshape(400, -1, 2) ** 2).sum(axis=2)
    left = (power - squared_error(cloud, 1.0)).mean(axis=0) - truth
    assert abs(left.mean()) < 1e-3
    assert np.abs(left).max() < 0.02


def test_drawn_errors_have_the_covariance_of_the_cells() -> None:
    x, group = cells(4000)
    waves = random_waves(4, 1.0)
    root = error_root(x, group, 6, waves)
    each = sum_waves(x, np.arange(4000), 4000, waves).reshape(4000, -1) / SCALE
    within = each - np.array([each[group == g].mean(axis=0) for g in range(6)])[group]
    assert np.allclose(root.T @ root, within.T @ within / (4000 - 6), atol=1e-9)
    cloud = Clouds(np.zeros((3000, each.shape[1])), np.full(3000, 25.0), root)
    drawn = cloud.with_error(np.random.default_rng(0)).mean
    assert np.allclose(np.cov(drawn.T) * 25, root.T @ root, atol=0.08)


def rows_of(x: np.ndarray, row: np.ndarray, n_rows: int) -> DonorSums:
    waves = random_waves(x.shape[1], local_distance(x[:1000]))
    x = x.astype(np.float32)
    sums = sum_waves(x, row, n_rows, waves).reshape(n_rows, -1)
    n = np.bincount(row, minlength=n_rows)
    cloud = clouds(n, sums, error_root(x, row, n_rows, waves))
    nothing = np.zeros((n_rows, 1, x.shape[1]))
    return DonorSums(n[:, None].astype(float), nothing, nothing[0], cloud=cloud)


def test_equal_donors_are_at_distance_zero_however_few_their_cells() -> None:
    rng = np.random.default_rng(0)
    row = np.repeat(np.arange(90), np.where(np.arange(90) < 30, 40, 400))
    # The last thirty differ. Weights fitted on equal donors would take some noise for signal.
    moved = np.where(row >= 60, row, 0)[:, None] * 0.01 * np.ones(4)
    sums = rows_of(rng.normal(size=(row.size, 4)) + moved, row, 90)
    batch = np.zeros(90, np.int64)
    channel = fit_cluster_free(sums.take(np.arange(60, 90)), batch[60:], 1)
    for drawn in (sums, resample_cells(sums, stream(0, 1, 0))):
        placed = place(channel, drawn, batch)
        squared = squared_distances(channel, placed) * channel.scale
        for some in (slice(0, 30), slice(30, 60)):
            equal = squared[some, some][np.triu_indices(30, 1)].mean()
            assert abs(equal) < 0.1 * 2 * placed.noise[some].mean()


def test_a_difference_in_spread_alone_is_seen() -> None:
    rng = np.random.default_rng(0)
    row = np.repeat(np.arange(20), 200)
    x = rng.normal(size=(row.size, 4)) * np.where(row < 10, 1.0, 1.5)[:, None]
    sums = rows_of(x, row, 20)
    batch = np.zeros(20, np.int64)
    channel = fit_cluster_free(sums, batch, 1)
    squared = squared_distances(channel, place(channel, sums, batch))
    inside = np.abs(squared[:10, :10]).mean() + np.abs(squared[10:, 10:]).mean()
    assert squared[:10, 10:].mean() > 2 * inside


def test_a_row_without_cells_is_missing_and_never_zero() -> None:
    x, row = cells(rows=5)
    sums = rows_of(x, row, 6)
    assert np.isnan(sums.cloud.mean[5]).all()
    channel = fit_cluster_free(sums.take(np.arange(5)), np.zeros(5, np.int64), 1)
    placed = place(channel, sums, np.zeros(6, np.int64))
    assert placed.present[:, 0].tolist() == [True] * 5 + [False]
    assert np.isfinite(squared_distances(channel, placed)).all()
