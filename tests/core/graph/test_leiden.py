import itertools

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from scipy.sparse.csgraph import connected_components

import naive
from pmcell.core.graph.communities import connected, grouped, merged_rows, order_by_size
from pmcell.core.graph.knn import nearest_neighbors
from pmcell.core.graph.leiden import as_graph, leiden, quality, thinned
from pmcell.core.graph.weights import fuzzy_weights

RESOLUTION = {"modularity": 1.0, "cpm": 0.3}


def symmetric(dense):
    return sparse.csr_matrix(np.triu(dense) + np.triu(dense, 1).T)


@st.composite
def graphs(draw, max_nodes=24):
    """Random graphs: sparse or dense, in parts, with self loops, isolated nodes, equal weights."""
    n_nodes = draw(st.integers(1, max_nodes))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    dense = rng.random((n_nodes, n_nodes)) < draw(st.sampled_from([0.0, 0.05, 0.15, 0.4, 1.0]))
    if draw(st.booleans()):
        dense = dense * rng.gamma(0.5, 2.0, dense.shape)
    if not draw(st.booleans()):
        np.fill_diagonal(dense, 0)
    return symmetric(dense.astype(np.float32))


@pytest.fixture(scope="module")
def cells():
    """Neighbour graph of 1,500 points in eight overlapping groups."""
    rng = np.random.default_rng(1)
    points = rng.normal(0, 1.2, (8, 10))[rng.integers(0, 8, 1500)] + rng.normal(size=(1500, 10))
    return fuzzy_weights(*nearest_neighbors(points.astype(np.float32), 14))


def assert_connected(weights, labels):
    for community in np.unique(labels):
        own = labels == community
        assert connected_components(weights[own][:, own], directed=False)[0] == 1


def igraph_median_quality(weights, n_iterations):
    import random

    import igraph

    upper = sparse.triu(weights, 1).tocoo()
    graph = igraph.Graph(n=weights.shape[0], edges=np.stack([upper.row, upper.col], 1).tolist())
    found = []
    for seed in range(5):
        igraph.set_random_number_generator(random.Random(seed))
        membership = graph.community_leiden(
            "modularity", weights=upper.data.tolist(), n_iterations=n_iterations
        ).membership
        found.append(quality(weights, np.array(membership)))
    igraph.set_random_number_generator(random)
    return np.median(found)


@settings(max_examples=60, deadline=None)
@given(graphs(), st.sampled_from(["modularity", "cpm"]), st.floats(0.05, 3.0))
def test_quality_equals_the_sum_over_all_pairs(weights, objective, resolution):
    labels = np.random.default_rng(0).integers(0, 4, weights.shape[0])
    expected = naive.partition_quality(weights.toarray(), labels, resolution, objective)
    found = quality(weights, labels, resolution, objective=objective)
    assert found == pytest.approx(expected, rel=1e-5, abs=1e-6)


@settings(max_examples=60, deadline=None)
@given(graphs(), st.sampled_from(["modularity", "cpm"]), st.floats(0.05, 3.0))
def test_communities_are_connected_and_no_worse_than_the_trivial_ones(
    weights, objective, resolution
):
    labels = leiden(weights, resolution, objective=objective)
    assert_connected(weights, labels)
    found = quality(weights, labels, resolution, objective=objective)
    n_nodes = weights.shape[0]
    for trivial in (np.arange(n_nodes), np.zeros(n_nodes, int)):
        assert found >= quality(weights, trivial, resolution, objective=objective) - 1e-5
    sizes = np.bincount(labels)
    assert (np.diff(sizes) <= 0).all()
    assert sizes.min() > 0


@settings(max_examples=60, deadline=None)
@given(graphs(), st.integers(0, 5))
def test_other_names_of_the_nodes_leave_quality_and_connectedness(weights, seed):
    labels = leiden(weights, seed=seed)
    order = np.random.default_rng(seed).permutation(labels.size)
    renamed = weights[order][:, order]
    assert quality(renamed, labels[order]) == pytest.approx(quality(weights, labels), abs=1e-6)
    assert_connected(renamed, leiden(renamed, seed=seed))


@pytest.mark.parametrize("objective", ["modularity", "cpm"])
def test_the_best_of_all_partitions_of_small_graphs_is_nearly_always_found(objective):
    rng = np.random.default_rng(5)
    gaps = []
    for _ in range(60):
        n_nodes = int(rng.integers(2, 8))
        dense = (rng.random((n_nodes, n_nodes)) < 0.5) * rng.random((n_nodes, n_nodes))
        np.fill_diagonal(dense, 0)
        weights = symmetric(dense.astype(np.float32))
        resolution = RESOLUTION[objective]
        best = naive.best_partition_quality(weights.toarray(), resolution, objective)
        found = quality(
            weights, leiden(weights, resolution, objective=objective), resolution,
            objective=objective,
        )  # fmt: skip
        gaps.append(best - found)
    gaps = np.array(gaps)
    assert gaps.min() > -1e-5
    assert (gaps < 1e-5).mean() >= 0.9
    assert gaps.max() < 0.05


def test_median_quality_is_that_of_igraph(cells):
    ours = np.median([quality(cells, leiden(cells, seed=seed)) for seed in range(10)])
    assert ours >= igraph_median_quality(cells, 2) - 1e-3
    assert ours >= igraph_median_quality(cells, -1) - 3e-4


@pytest.mark.parametrize("objective", ["modularity", "cpm"])
def test_one_and_two_threads_give_the_same_bits(cells, objective):
    resolution = {"modularity": 1.0, "cpm": 0.01}[objective]
    found = []
    for n_threads in (1, min(2, numba.config.NUMBA_NUM_THREADS)):
        numba.set_num_threads(n_threads)
        try:
            found.append(leiden(cells, resolution, objective=objective, seed=4))
        finally:
            numba.set_num_threads(numba.config.NUMBA_NUM_THREADS)
    np.testing.assert_array_equal(*found)
    assert found[0].max() > 2


def test_the_seed_fixes_the_communities_of_a_neighbour_graph(cells):
    assert_connected(cells, leiden(cells, seed=3))
    np.testing.assert_array_equal(leiden(cells, seed=3), leiden(cells, seed=3))


def test_a_higher_resolution_gives_more_communities(cells):
    n_communities = [leiden(cells, resolution).max() for resolution in (0.2, 1.0, 5.0)]
    assert n_communities[0] < n_communities[1] < n_communities[2]


def test_the_bridge_of_a_community_that_leaves_does_not_leave_it_in_two_parts():
    """The example of Traag et al. 2019, figure 2: Louvain moves node 0 and cuts its community."""
    edges = [(0, 1), (0, 4), (1, 2), (2, 3), (3, 1), (4, 5), (5, 6), (6, 4)]
    outside = [(0, node) for node in range(7, 12)] + list(itertools.combinations(range(7, 12), 2))
    dense = np.zeros((12, 12), np.float32)
    for one, other in edges + outside:
        dense[one, other] = dense[other, one] = 1
    start = np.array([0] * 7 + [1] * 5)
    labels = leiden(sparse.csr_matrix(dense), 0.4, start=start)
    assert_connected(sparse.csr_matrix(dense), labels)


def test_a_start_in_pieces_ends_connected():
    weights = sparse.block_diag([np.ones((5, 5)) - np.eye(5)] * 40).tocsr()
    labels = leiden(weights, 0.01, start=np.zeros(200, int))
    np.testing.assert_array_equal(labels, np.repeat(np.arange(40), 5))


def test_parts_of_a_community_are_told_apart():
    path = sparse.diags([np.ones(5), np.ones(5)], [-1, 1]).tocsr()
    parts, n_parts = connected(path.indptr, path.indices, np.array([0, 0, 1, 1, 0, 0], np.uint32))
    assert (parts.tolist(), n_parts) == ([0, 0, 1, 1, 2, 2], 3)


@pytest.mark.parametrize("objective", ["modularity", "cpm"])
def test_nodes_without_edges_stay_alone(objective):
    dense = np.zeros((7, 7))
    dense[1, 2] = dense[2, 1] = 1
    dense[5, 5] = 3
    labels = leiden(sparse.csr_matrix(dense), RESOLUTION[objective], objective=objective)
    assert labels.tolist() == [1, 0, 0, 2, 3, 4, 5]


@pytest.mark.parametrize("n_nodes", [0, 1, 4])
def test_a_graph_without_edges_gives_single_nodes(n_nodes):
    weights = sparse.csr_matrix((n_nodes, n_nodes))
    assert leiden(weights).tolist() == list(range(n_nodes))
    assert quality(weights, np.arange(n_nodes)) == 0


def test_one_node_with_a_loop_is_one_community():
    assert leiden(sparse.csr_matrix([[2.0]])).tolist() == [0]


def test_stored_zeros_are_no_edges():
    weights = sparse.csr_matrix(np.ones((3, 3)))
    weights.data[:] = [0, 1, 0, 1, 0, 0, 0, 0, 0]
    assert leiden(weights).tolist() == [0, 0, 1]


@settings(max_examples=40, deadline=None)
@given(graphs(), st.integers(0, 9), st.integers(0, 5))
def test_merging_in_two_blocks_equals_the_product_with_the_memberships(weights, seed, cut):
    n_nodes = weights.shape[0]
    labels = np.random.default_rng(seed).integers(0, 5, n_nodes)
    labels = np.unique(labels, return_inverse=True)[1].astype(np.uint32)
    n_communities = int(labels.max()) + 1
    graph = as_graph(weights)
    starts, nodes = grouped(labels, np.arange(n_nodes), n_communities)
    cut = min(cut, n_communities)
    blocks = [
        merged_rows(*graph.arrays, labels, nodes, of, n_communities)
        for of in (starts[: cut + 1], starts[cut:])
    ]
    counts, indices, data = (np.concatenate([block[at] for block in blocks]) for at in range(3))
    indptr = np.concatenate([[0], np.cumsum(counts)])
    found = sparse.csr_matrix((data, indices, indptr), shape=(n_communities, n_communities))
    member = np.eye(n_communities)[labels]
    expected = member.T @ weights.toarray() @ member
    np.fill_diagonal(expected, 0)
    np.testing.assert_allclose(found.toarray(), expected, rtol=1e-5)


def test_thinning_keeps_the_share_of_edges_and_the_symmetry(cells):
    graph = as_graph(cells)
    thin = thinned(graph, 0.8, seed=2)
    matrix = sparse.csr_matrix((thin.weights, thin.indices, thin.indptr), cells.shape)
    assert abs(matrix - matrix.T).max() == 0
    assert matrix.nnz / cells.nnz == pytest.approx(0.8, abs=0.01)
    np.testing.assert_allclose(thin.degrees, np.asarray(matrix.sum(1)).ravel(), rtol=1e-5)
    assert thinned(graph, 0.8, seed=3).weights.size != thin.weights.size


def test_ties_of_size_go_by_the_first_member():
    np.testing.assert_array_equal(order_by_size(np.array([5, 5, 2, 2, 9])), [0, 0, 1, 1, 2])


@pytest.mark.parametrize(
    ("weights", "options", "message"),
    [
        (np.ones((2, 3)), {}, r"square matrix, got shape \(2, 3\)"),
        (np.array([[0, 1], [0, 0]]), {}, "must be symmetric"),
        (np.array([[0, 1], [2, 0]]), {}, "must be symmetric"),
        (np.array([[0, -1], [-1, 0]]), {}, "finite and at least 0"),
        (np.array([[0, np.nan], [np.nan, 0]]), {}, "finite and at least 0"),
        (np.eye(2), {"resolution": 0}, "resolution must be above 0, got 0"),
        (np.eye(2), {"resolution": np.inf}, "resolution must be above 0, got inf"),
        (np.eye(2), {"objective": "map"}, "objective must be one of .* got 'map'"),
        (np.eye(2), {"n_iterations": 0}, "n_iterations must be at least 1, got 0"),
        (np.eye(2), {"start": np.zeros(3)}, "each of the 2 nodes"),
    ],
)
def test_what_cannot_be_clustered_is_refused(weights, options, message):
    with pytest.raises(ValueError, match=message):
        leiden(sparse.csr_matrix(weights), **options)


@pytest.mark.parametrize(
    ("resolution", "best_of_igraph", "median_of_igraph"),
    [(0.05, 0.686538, 0.686538), (0.1, 0.530769, 0.530769), (0.3, 0.217949, 0.214103)],
)
def test_the_constant_potts_model_reaches_the_quality_of_igraph(
    resolution, best_of_igraph, median_of_igraph
):
    """Zachary's karate club; python-igraph 1.0, converged, over 50 seeds."""
    igraph = pytest.importorskip("igraph")
    adjacency = np.array(igraph.Graph.Famous("Zachary").get_adjacency().data, np.float32)
    weights = sparse.csr_matrix(adjacency)
    found = [
        quality(
            weights,
            leiden(weights, resolution, objective="cpm", seed=seed),
            resolution,
            objective="cpm",
        )
        for seed in range(5)
    ]
    assert np.median(found) >= median_of_igraph - 1e-6
    assert max(found) == pytest.approx(best_of_igraph, abs=1e-6)
