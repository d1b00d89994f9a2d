import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import naive
from pmcell.core.graph.ivf import approximate_neighbors, default_lists
from pmcell.core.graph.knn import nearest_neighbors


def clusters(n_points=3000, n_dims=12, seed=0):
    rng = np.random.default_rng(seed)
    centers = rng.normal(scale=3.0, size=(20, n_dims))
    spread = rng.normal(size=(n_points, n_dims))
    return (centers[rng.integers(0, 20, n_points)] + spread).astype(np.float32)


def share_found(positions, truth):
    return np.mean([np.isin(own, true).mean() for own, true in zip(positions, truth, strict=True)])


@pytest.mark.parametrize("target", [0.8, 0.95, 0.99])
def test_the_share_of_true_neighbors_is_the_recall_that_is_reported(target):
    points = clusters()
    found = approximate_neighbors(points, 10, recall=target)
    share = share_found(found.positions, naive.nearest(points, 10)[0])
    assert found.recall >= target
    assert share == pytest.approx(found.recall, abs=0.02)


def test_fewer_lists_are_searched_when_less_recall_is_asked():
    few, many = (approximate_neighbors(clusters(), 10, recall=share) for share in (0.7, 0.999))
    assert few.n_probe < many.n_probe < default_lists(3000)


def test_distances_are_those_of_the_exact_search_bit_for_bit():
    points = clusters()
    found = approximate_neighbors(points, 10, recall=0.99)
    positions, distances = nearest_neighbors(points, 10)
    same = (found.positions == positions).all(axis=1)
    assert same.mean() > 0.8
    np.testing.assert_array_equal(found.distances[same], distances[same])


def test_recall_one_finds_every_neighbor_of_the_points_it_was_measured_on():
    points = clusters(900)
    found = approximate_neighbors(points, 5, recall=1.0)
    assert found.recall == 1.0
    np.testing.assert_array_equal(found.positions, nearest_neighbors(points, 5)[0])


def test_one_and_two_threads_give_the_same_bits():
    results = []
    try:
        for n_threads in (1, 2):
            numba.set_num_threads(n_threads)
            results.append(approximate_neighbors(clusters(), 8, seed=3))
    finally:
        numba.set_num_threads(numba.config.NUMBA_NUM_THREADS)
    one, two = results
    np.testing.assert_array_equal(one.positions, two.positions)
    np.testing.assert_array_equal(one.distances, two.distances)
    assert (one.recall, one.n_probe) == (two.recall, two.n_probe)


@settings(max_examples=25, deadline=None)
@given(st.integers(2, 120), st.integers(1, 6), st.booleans(), st.data())
def test_every_point_gets_k_different_others_nearest_first(n_points, n_dims, coarse, data):
    k = data.draw(st.integers(1, n_points - 1))
    seed = data.draw(st.integers(0, 9))
    points = np.random.default_rng(seed).normal(size=(n_points, n_dims)).astype(np.float32)
    # Whole coordinates repeat, so that many points are equal.
    points = np.round(points) if coarse else points
    found = approximate_neighbors(points, k, recall=0.5, seed=seed)
    for row, (own, distances) in enumerate(zip(found.positions, found.distances, strict=True)):
        assert len({row, *own.tolist()}) == k + 1
        expected = np.sqrt(((points[own].astype(float) - points[row]) ** 2).sum(1))
        np.testing.assert_allclose(distances, expected, rtol=1e-5, atol=1e-6)
        assert sorted(zip(distances, own, strict=True)) == [*zip(distances, own, strict=True)]


def test_k_of_all_other_points_gives_all_other_points():
    points = clusters(150)
    found = approximate_neighbors(points, 149, recall=0.1)
    np.testing.assert_array_equal(found.positions, nearest_neighbors(points, 149)[0])


def test_copies_of_one_point_are_neighbors_at_distance_zero():
    points = np.vstack([np.ones((500, 4), np.float32), clusters(100, 4)])
    found = approximate_neighbors(points, 7)
    assert (found.distances[:500] == 0).all()
    assert (found.positions[:500] < 500).all()
    assert np.isfinite(found.distances).all()


def test_one_dimension_and_more_lists_than_points_are_fine():
    points = np.arange(60, dtype=np.float32)[:, None]
    found = approximate_neighbors(points, 2, recall=1.0, n_lists=500)
    assert found.positions[30].tolist() == [29, 31]
    assert found.positions[0].tolist() == [1, 2]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_missing_and_infinite_coordinates_are_refused(bad):
    points = clusters(50)
    points[[7, 9], 3] = bad
    with pytest.raises(ValueError, match="2 have not, the first is point 7"):
        approximate_neighbors(points, 3)


def test_impossible_requests_are_refused():
    with pytest.raises(ValueError, match="below the number of points 5, got 5"):
        approximate_neighbors(clusters(5), 5)
    with pytest.raises(ValueError, match=r"recall must be above 0 and at most 1, got 1\.5"):
        approximate_neighbors(clusters(5), 2, recall=1.5)
