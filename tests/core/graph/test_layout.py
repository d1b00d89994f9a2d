"""The layout keeps neighbours together, for any number of threads."""

from __future__ import annotations

import numba
import numpy as np
from scipy import sparse

from pmcell.core.graph.knn import nearest_neighbors
from pmcell.core.graph.layout import N_TABLE, _factor, _forces, curve, layout
from pmcell.core.graph.weights import fuzzy_weights


def made(n_points: int = 300, seed: int = 0):
    """Three clusters in ten dimensions: points, their graph, a start at random."""
    rng = np.random.default_rng(seed)
    kind = np.arange(n_points) % 3
    points = (rng.normal(size=(3, 10))[kind] * 6 + rng.normal(size=(n_points, 10))).astype("f4")
    start = rng.uniform(0, 10, (n_points, 2)).astype(np.float32)
    return kind, points, fuzzy_weights(*nearest_neighbors(points, 10)), start


def test_a_and_b_equal_those_of_umap_learn() -> None:
    # umap.umap_.find_ab_params(1.0, 0.5) and (1.0, 0.1) of umap-learn 0.5.12
    np.testing.assert_allclose(curve(1.0, 0.5), [0.5830300, 1.3341670], rtol=1e-5)
    np.testing.assert_allclose(curve(1.0, 0.1), [1.5769434, 0.8950608], rtol=1e-5)


def test_clusters_lie_apart_from_a_start_at_random() -> None:
    kind, points, weights, start = made()
    found = layout(weights, start, n_epochs=100)
    nearest = nearest_neighbors(found, 10)[0]
    assert (kind[nearest] == kind[:, None]).mean() > 0.98
    near = nearest_neighbors(points, 10)[0]
    kept = np.mean([np.isin(a, b).mean() for a, b in zip(near, nearest, strict=True)])
    assert kept > 0.25


def test_threads_change_no_bit_and_seeds_do() -> None:
    _, _, weights, start = made()
    threads = numba.get_num_threads()
    try:
        found = []
        for n_threads in (1, min(2, threads)):
            numba.set_num_threads(n_threads)
            found.append(layout(weights, start, n_epochs=20, seed=1))
    finally:
        numba.set_num_threads(threads)
    np.testing.assert_array_equal(*found)
    assert (layout(weights, start, n_epochs=20, seed=2) != found[0]).any()


def test_forces_of_the_table_are_those_of_the_objective() -> None:
    a, b = curve(1.0, 0.5)
    pull, push = _forces(a, b)
    assert pull.size == push.size == N_TABLE + 2
    for square in (0.01, 0.5, 3.0, 40.0):
        expected = -2 * a * b * square ** (b - 1) / (1 + a * square**b)
        np.testing.assert_allclose(_factor(np.float32(square), pull), expected, rtol=2e-3)
        expected = 2 * b / ((0.001 + square) * (1 + a * square**b))
        np.testing.assert_allclose(_factor(np.float32(square), push), expected, rtol=2e-3)


def test_points_without_links_equal_points_and_far_points_stay_finite() -> None:
    start = np.zeros((5, 2), np.float32)
    alone = sparse.csr_matrix((5, 5), dtype=np.float32)
    np.testing.assert_array_equal(layout(alone, start), start)
    linked = sparse.csr_matrix(np.ones((5, 5), np.float32) - np.eye(5, dtype=np.float32))
    assert np.isfinite(layout(linked, start, n_epochs=5)).all()
    start[0] = 1e15
    assert np.isfinite(layout(linked, start, n_epochs=5)).all()
