"""Harmony's kernel: against a dense oracle, ridge regression by least squares, and harmonypy."""

from __future__ import annotations

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pmcell.core import harmony_kernels as kernels
from pmcell.core.donors.donor_stats import sum_groups
from pmcell.core.harmony import (
    HarmonySettings,
    SoftClusters,
    batch_shifts,
    first_centres,
    harmony,
)
from repository import ROOT


@pytest.fixture(scope="module")
def recorded():
    """Cells of the embedded cohorts, and what harmonypy 2.1.0 made of them with seeds 0 to 2.

    12 principal components of 1,200 cells in three batches; options as they are by default.
    """
    with np.load(ROOT / "tests" / "golden" / "harmonypy_demo.npz") as arrays:
        return dict(arrays)


def made_cells(n=600, seed=0):
    """Three types in two batches, one batch moved; one type in one batch only."""
    rng = np.random.default_rng(seed)
    kind = rng.integers(0, 3, n)
    batch = np.where(kind == 2, 0, rng.integers(0, 2, n))
    places = rng.normal(size=(3, 8)) * 5
    x = places[kind] + rng.normal(size=(n, 8)) + np.where(batch[:, None] == 1, 2.0, 0.0)
    return x.astype(np.float32), batch, kind


def dense_update(sphere, batch, centres, reward, softness):
    """Memberships written as in the paper: a softmax of rewards less distances."""
    distance = 2 - 2 * sphere.astype(float) @ centres.T.astype(float)
    weight = np.exp(-distance / softness + reward[batch])
    return weight / weight.sum(1, keepdims=True), distance


def test_memberships_equal_a_dense_softmax():
    x, batch, _ = made_cells(200)
    sphere = kernels.on_sphere(x)
    centres = sphere[:7]
    reward = np.random.default_rng(1).normal(size=(2, 7)).astype(np.float32)
    membership = np.zeros((200, 7), np.uint16)
    added, objective = kernels.update(
        sphere, batch, np.arange(200), centres.T.copy(), reward, 0.1, membership, 3
    )
    wanted, distance = dense_update(sphere, batch, centres, reward, 0.1)
    np.testing.assert_allclose(membership / kernels.MEMBERSHIP, wanted, atol=1e-4)
    by_batch = [membership[batch == b].sum(0, dtype=np.int64) for b in (0, 1)]
    np.testing.assert_array_equal(added.sum(0), by_batch)
    entropy = np.where(wanted > 0, wanted * np.log(np.maximum(wanted, 1e-300)), 0)
    np.testing.assert_allclose(
        objective.sum() / kernels.OBJECTIVE, (wanted * distance + 0.1 * entropy).sum(), rtol=1e-3
    )


def test_shifts_equal_ridge_regression_by_least_squares():
    rng = np.random.default_rng(2)
    batch = rng.integers(0, 3, 90)
    weights = rng.random((90, 2))
    x = rng.normal(size=(90, 4)) + batch[:, None]
    share = np.bincount(batch) / 90
    n = np.stack([weights[batch == b].sum(0) for b in range(3)])
    total = np.stack([weights[batch == b].T @ x[batch == b] for b in range(3)])
    found = batch_shifts(n, total, share, 0.2)
    for cluster in range(2):
        design = np.column_stack([np.ones(90), np.eye(3)[batch]])
        penalty = np.diag([0.0, *(0.2 * share * n[:, cluster].sum())])
        weighted = design * weights[:, [cluster]]
        wanted = np.linalg.solve(design.T @ weighted + penalty, weighted.T @ x)[1:]
        np.testing.assert_allclose(found[:, cluster], wanted, atol=1e-10)


def test_a_batch_that_a_cluster_lacks_has_no_shift():
    n = np.array([[10.0, 5.0], [0.0, 5.0]])
    found = batch_shifts(n, n[..., None] * np.ones(3), np.array([0.75, 0.25]), 0.2)
    assert np.isfinite(found).all()
    np.testing.assert_array_equal(found[1, 0], 0)


def test_sums_of_places_are_the_products_of_whole_numbers():
    x, batch, _ = made_cells(150)
    membership = np.random.default_rng(3).integers(0, 2**15, (150, 4)).astype(np.uint16)
    scale = 2.0**10
    found = kernels.sum_places(x, scale, batch, membership, 2, 2).sum(0)
    whole = np.rint(x.astype(float) * scale).astype(np.int64)
    for b in range(2):
        own = membership[batch == b].astype(np.int64).T @ whole[batch == b]
        np.testing.assert_array_equal(found[b], own)


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_order_and_threads_change_no_bit(seed):
    x, batch, _ = made_cells(300, seed % 1000)
    order = np.random.default_rng(seed).permutation(300)
    moved = harmony(x, batch)
    np.testing.assert_array_equal(moved[order], harmony(x[order], batch[order]))
    before = numba.get_num_threads()
    numba.set_num_threads(1)
    try:
        np.testing.assert_array_equal(moved, harmony(x, batch))
    finally:
        numba.set_num_threads(before)


def test_sums_of_two_sites_add_up_to_the_sums_of_all():
    x, batch, _ = made_cells(200)
    membership = np.random.default_rng(4).integers(0, 2**15, (200, 5)).astype(np.uint16)
    parts = [slice(0, 70), slice(70, 200)]
    whole = kernels.sum_places(x, 1024.0, batch, membership, 2, 2).sum(0)
    added = sum(
        kernels.sum_places(x[part], 1024.0, batch[part], membership[part], 2, 1).sum(0)
        for part in parts
    )
    np.testing.assert_array_equal(whole, added)


def test_batches_meet_and_types_stay_apart():
    x, batch, kind = made_cells(900)
    moved = harmony(x, batch)
    for name in (0, 1):
        places = [moved[(kind == name) & (batch == b)].mean(0) for b in (0, 1)]
        assert np.linalg.norm(places[0] - places[1]) < 1.5
    centres = np.stack([moved[kind == name].mean(0) for name in range(3)])
    apart = np.linalg.norm(centres[:, None] - centres[None], axis=2)
    assert apart[np.triu_indices(3, 1)].min() > 4


def test_it_lies_as_near_to_harmonypy_as_harmonypy_with_another_seed(recorded):
    """Median distance of a cell, as a part of how far Harmony moves it: 0.10 to 0.11 there."""
    x, others = recorded["embedding"], recorded["corrected"]

    def apart(one, two):
        gone = np.linalg.norm(x - two, axis=1)
        return float(np.median(np.linalg.norm(one - two, axis=1) / gone))

    between = max(apart(others[0], others[1]), apart(others[0], others[2]))
    for seed in range(3):
        ours = harmony(x, recorded["batch"].astype(int), seed=seed)
        assert min(apart(ours, other) for other in others) < 1.5 * between
        assert np.corrcoef(ours.ravel(), others[0].ravel())[0, 1] > 0.997


def test_it_mixes_batches_as_harmonypy_does(recorded):
    ours = harmony(recorded["embedding"], recorded["batch"].astype(int))
    batch, label = recorded["batch"].astype(int), recorded["label"].astype(int)

    def gap(points):
        """Mean distance of the batches' means within a type, by the spread of the types."""
        found = []
        for name in np.unique(label):
            sizes = [(label == name) & (batch == b) for b in range(3)]
            if min(mask.sum() for mask in sizes) >= 10:
                places = np.stack([points[mask].mean(0) for mask in sizes])
                found.append(np.linalg.norm(places - places.mean(0), axis=1).mean())
        return np.mean(found) / points.std()

    before, after = gap(recorded["embedding"]), gap(ours)
    assert after < 0.7 * before
    assert after == pytest.approx(gap(recorded["corrected"][0]), rel=0.1)


def test_first_centres_are_of_unit_length_and_the_same_for_any_order():
    x, _, _ = made_cells(400)
    sphere = kernels.on_sphere(x)
    keys = kernels.cell_keys(x, np.uint64(0))
    centres = first_centres(sphere, keys, 6)
    np.testing.assert_allclose(np.linalg.norm(centres, axis=1), 1, atol=1e-6)
    order = np.random.default_rng(0).permutation(400)
    np.testing.assert_array_equal(centres, first_centres(sphere[order], keys[order], 6))


def test_the_objective_of_the_clusters_falls():
    x, batch, _ = made_cells(600)
    sphere = kernels.on_sphere(x)
    keys = kernels.cell_keys(x, np.uint64(0))
    clusters = SoftClusters.of(sphere, batch, first_centres(sphere, keys, 8))
    one_step = HarmonySettings(n_steps=1)
    found = [clusters.fit(sphere, keys ^ np.uint64(step), one_step) for step in range(5)]
    assert found[-1] < found[0]


def test_one_batch_moves_no_cell():
    x, _, _ = made_cells(100)
    np.testing.assert_array_equal(harmony(x, np.zeros(100, int)), x)


def test_few_cells_and_equal_cells_are_answered():
    assert harmony(np.ones((3, 2), np.float32), np.array([0, 1, 0])).shape == (3, 2)
    moved = harmony(np.ones((100, 4), np.float32), np.arange(100) % 2)
    np.testing.assert_allclose(moved, 1, atol=1e-5)
    assert np.isfinite(harmony(np.zeros((100, 4), np.float32), np.arange(100) % 2)).all()


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_coordinates_that_are_not_finite_are_refused(value):
    x, batch, _ = made_cells(100)
    x[3, 1] = value
    with pytest.raises(ValueError, match="every coordinate must be finite"):
        harmony(x, batch)


def test_one_batch_a_cell_is_wanted():
    x, batch, _ = made_cells(100)
    with pytest.raises(ValueError, match="one batch a cell"):
        harmony(x, batch[:-1])


def test_labels_are_grouped_as_sum_groups_does():
    x, _, _ = made_cells(120)
    sphere = kernels.on_sphere(x)
    label = kernels.nearest(sphere, sphere[:5].T.copy())
    np.testing.assert_array_equal(label, (sphere @ sphere[:5].T).argmax(1))
    assert sum_groups(sphere, label, 5).n.sum() == 120
