import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import naive
from pmcell.core.graph.knn import nearest_neighbors
from pmcell.core.graph.weights import fuzzy_weights, shared_weights


def cloud(n_points=700, n_dims=7, seed=0):
    return np.random.default_rng(seed).normal(size=(n_points, n_dims)).astype(np.float32)


def test_neighbors_equal_those_by_all_distances():
    points = cloud()
    positions, distances = nearest_neighbors(points, 9)
    expected, expected_distances = naive.nearest(points, 9)
    np.testing.assert_array_equal(positions, expected)
    np.testing.assert_allclose(distances, expected_distances, rtol=1e-5)


def test_neighbors_equal_those_of_scikit_learn():
    from sklearn.neighbors import NearestNeighbors

    points = cloud(400, 20)
    expected = NearestNeighbors(n_neighbors=6, algorithm="kd_tree").fit(points).kneighbors(points)
    np.testing.assert_array_equal(nearest_neighbors(points, 5)[0], expected[1][:, 1:])


@pytest.mark.parametrize("n_threads", [1, 2])
def test_one_and_two_threads_give_the_same_bits(n_threads):
    numba.set_num_threads(n_threads)
    try:
        positions, distances = nearest_neighbors(cloud(), 5)
    finally:
        numba.set_num_threads(numba.config.NUMBA_NUM_THREADS)
    np.testing.assert_array_equal(positions, naive.nearest(cloud(), 5)[0])
    assert distances.dtype == np.float32


@settings(max_examples=20, deadline=None)
@given(st.integers(2, 40), st.integers(1, 3), st.data())
def test_equal_points_are_their_own_nearest_at_distance_zero(n_points, n_dims, data):
    k = data.draw(st.integers(1, n_points - 1))
    positions, distances = nearest_neighbors(np.ones((n_points, n_dims), np.float32), k)
    assert (distances == 0).all()
    for point, row in enumerate(positions):
        assert row.tolist() == [other for other in range(n_points) if other != point][:k]


def test_k_must_be_below_the_number_of_points():
    with pytest.raises(ValueError, match="below the number of points 3, got 3"):
        nearest_neighbors(np.zeros((3, 2), np.float32), 3)


def test_weights_equal_those_of_umap_learn():
    """Numbers of umap-learn 0.5.12, which takes longer to compile than all tests here to run.

    Made by umap.umap_.fuzzy_simplicial_set(points, 15, RandomState(0), "euclidean",
    knn_indices, knn_dists) with each point put before its 14 neighbours, at distance 0.
    """
    positions, distances = nearest_neighbors(cloud(300, 10), 14)
    before = positions.copy()
    weights = fuzzy_weights(positions, distances)
    np.testing.assert_array_equal(positions, before)
    assert weights.nnz == 6224
    assert weights[7].indices.tolist() == [
        25, 31, 45, 49, 54, 75, 76, 90, 111, 116, 131, 136, 157, 225, 261, 274, 295,
    ]  # fmt: skip
    np.testing.assert_allclose(
        weights[7].data,
        [
            0.33231065, 0.12872212, 0.27228147, 0.24868414, 0.21925943, 0.07121862,
            0.24606292, 1.0, 0.22053340, 0.12988962, 0.22712013, 0.06199380,
            0.32580775, 0.36821446, 0.36559647, 0.12280393, 0.36390565,
        ],
        atol=1e-6,
    )  # fmt: skip
    np.testing.assert_allclose(
        np.asarray(weights.sum(axis=1)).ravel()[::30],
        [
            6.79161978, 4.07440233, 6.91786575, 7.48204616, 4.49356222,
            7.26446486, 3.91759849, 4.95462465, 5.36278009, 7.38414860,
        ],
        rtol=1e-5,
    )  # fmt: skip
    assert weights.sum() == pytest.approx(1965.6488, rel=1e-6)
    assert weights.power(2).sum() == pytest.approx(1086.5023, rel=1e-6)


def test_weights_are_symmetric_and_within_zero_and_one():
    weights = fuzzy_weights(*nearest_neighbors(cloud(), 5))
    assert abs(weights - weights.T).max() < 1e-7
    assert weights.data.min() > 0
    assert weights.data.max() <= 1


def test_shared_weights_are_the_jaccard_index_of_neighbouring_points():
    positions, _ = nearest_neighbors(cloud(120, 4), 6)
    members = [{own, *row.tolist()} for own, row in enumerate(positions)]
    expected = np.zeros((120, 120))
    for own, row in enumerate(positions):
        for other in row:
            index = len(members[own] & members[other]) / len(members[own] | members[other])
            expected[own, other] = expected[other, own] = index
    np.testing.assert_allclose(shared_weights(positions).toarray(), expected, rtol=1e-6)


def test_shared_weights_have_the_same_bits_for_one_and_two_threads():
    positions, _ = nearest_neighbors(cloud(), 9)
    found = []
    for n_threads in (1, min(2, numba.config.NUMBA_NUM_THREADS)):
        numba.set_num_threads(n_threads)
        try:
            found.append(shared_weights(positions))
        finally:
            numba.set_num_threads(numba.config.NUMBA_NUM_THREADS)
    np.testing.assert_array_equal(found[0].toarray(), found[1].toarray())


@settings(max_examples=20, deadline=None)
@given(st.integers(2, 40), st.integers(0, 9))
def test_shared_weights_are_symmetric_and_tie_each_point_to_all_its_neighbors(n_points, seed):
    k = min(4, n_points - 1)
    positions, _ = nearest_neighbors(cloud(n_points, 2, seed).round(), k)
    weights = shared_weights(positions)
    assert abs(weights - weights.T).max() == 0
    assert (weights.toarray()[np.arange(n_points)[:, None], positions] > 0).all()
    assert weights.data.max() <= 1
    assert weights.diagonal().sum() == 0
