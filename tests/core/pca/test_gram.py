import numba
import numpy as np
import pytest
from scipy import sparse

import naive
from counts_data import random_counts
from pmcell.core.counts.blocks import MatrixCounts
from pmcell.core.counts.lognorm import MAX_Q
from pmcell.core.pca import gram as gram_module
from pmcell.core.pca.gram import Gram, basis, gram
from pmcell.core.pca.products import PANEL, TILE_ROWS, TOGETHER
from pmcell.core.pca.project import project, projection_weights

FEATURES = np.array([3, 0, 17, 25, 40, 41, 59])


def feature_of_gene(n_genes=60, features=FEATURES):
    position = np.full(n_genes, -1, np.int64)
    position[features] = np.arange(features.size)
    return position


def gram_of(matrix, position=None, n_features=FEATURES.size) -> Gram:
    position = feature_of_gene(matrix.shape[1]) if position is None else position
    return gram(MatrixCounts(matrix), position, n_features, np.ones(matrix.shape[0], bool))


def test_sums_and_products_equal_the_naive_ones():
    matrix = random_counts()
    found = gram_of(matrix)
    sums, products = naive.gram(matrix.toarray(), FEATURES)
    np.testing.assert_array_equal(found.sums, sums)
    np.testing.assert_array_equal(found.products, products)


def test_sums_over_several_tiles_and_panels_equal_the_naive_ones():
    matrix = random_counts(TILE_ROWS + 77, PANEL + 30)
    features = np.random.default_rng(0).permutation(matrix.shape[1])[: PANEL + 5]
    found = gram_of(matrix, feature_of_gene(matrix.shape[1], features), features.size)
    sums, products = naive.gram(matrix.toarray(), features)
    np.testing.assert_array_equal(found.sums, sums)
    np.testing.assert_array_equal(found.products, products)


def test_the_largest_values_do_not_overflow():
    # Each cell has all its counts on one gene, which gives the largest q there is.
    n_cells = 3 * TOGETHER
    matrix = sparse.csr_matrix(np.full((n_cells, 1), 10_000, np.int32))
    found = gram_of(matrix, np.zeros(1, np.int64), 1)
    assert found.sums[0] == n_cells * MAX_Q
    assert found.products[0, 0] == n_cells * MAX_Q**2


def test_a_count_stored_in_two_pieces_is_one_count():
    matrix = random_counts()
    halves = sparse.csr_matrix(
        (np.repeat(matrix.data, 2), np.repeat(matrix.indices, 2), 2 * matrix.indptr), matrix.shape
    )
    np.testing.assert_array_equal(gram_of(halves).products, gram_of(2 * matrix).products)


@pytest.mark.parametrize("n_threads", [1, 2])
def test_one_and_two_threads_give_the_same_bits(n_threads):
    matrix = random_counts(500)
    numba.set_num_threads(n_threads)
    try:
        found = gram_of(matrix)
    finally:
        numba.set_num_threads(numba.config.NUMBA_NUM_THREADS)
    np.testing.assert_array_equal(found.products, naive.gram(matrix.toarray(), FEATURES)[1])


def test_components_equal_those_of_a_singular_value_decomposition():
    matrix = random_counts(400)
    found = basis([gram_of(matrix)], 3)
    values = naive.quantised(matrix.toarray())[:, FEATURES] / 2048
    _, scale, right = np.linalg.svd(values - values.mean(0), full_matrices=False)
    np.testing.assert_allclose(found.variances, (scale**2 / 399)[:3], rtol=1e-10)
    np.testing.assert_allclose(np.abs((found.components * right[:3].T).sum(0)), 1.0, atol=1e-9)


@pytest.mark.parametrize(("scaling", "power"), [("pareto", 0.5), ("unit", 1.0)])
def test_scaled_components_equal_those_of_the_scaled_matrix(scaling, power):
    matrix = random_counts(400)
    found = basis([gram_of(matrix)], 3, scaling)
    values = naive.quantised(matrix.toarray())[:, FEATURES] / 2048
    scaled = (values - values.mean(0)) / values.std(0) ** power
    _, scale, right = np.linalg.svd(scaled, full_matrices=False)
    np.testing.assert_allclose(found.variances, (scale**2 / 399)[:3], rtol=1e-10)
    np.testing.assert_allclose(np.abs((found.components * right[:3].T).sum(0)), 1.0, atol=1e-9)
    scores = (values - found.means) @ found.loadings
    np.testing.assert_allclose(scores, scaled @ found.components, atol=1e-9)


def test_a_constant_feature_has_no_part_in_scaled_components():
    matrix = random_counts(50).tolil()
    matrix[:, FEATURES[0]] = 0
    found = basis([gram_of(matrix.tocsr())], 2, "unit")
    assert found.scales[0] == 0
    assert np.isfinite(found.loadings).all()


def test_the_largest_entry_of_a_component_is_positive():
    components = basis([gram_of(random_counts(400))], 5).components
    largest = np.argmax(np.abs(components), axis=0)
    assert (components[largest, np.arange(5)] > 0).all()


def test_cohorts_add_up_to_the_pooled_basis_bit_for_bit():
    matrix = random_counts(300)
    pooled = basis([gram_of(matrix)], 4)
    split = basis([gram_of(matrix[a:b]) for a, b in ((0, 50), (50, 220), (220, 300))], 4)
    np.testing.assert_array_equal(pooled.components, split.components)
    np.testing.assert_array_equal(pooled.variances, split.variances)


def test_a_gene_that_a_cohort_did_not_measure_keeps_the_mean_of_the_others():
    matrix = random_counts(300)
    masked = feature_of_gene()
    masked[FEATURES[2]] = -1
    both = basis([gram_of(matrix[:200]), gram_of(matrix[200:], masked)], 2)
    alone = basis([gram_of(matrix[:200])], 2)
    assert both.means[2] == alone.means[2]
    assert both.means[1] != alone.means[1]


def test_projection_equals_centred_values_times_components():
    matrix = random_counts(200)
    found = basis([gram_of(matrix)], 4)
    used = np.ones(200, bool)
    scores = project(MatrixCounts(matrix), feature_of_gene(), used, found, np.ones(7, bool))
    values = naive.quantised(matrix.toarray())[:, FEATURES] / 2048
    np.testing.assert_allclose(scores, (values - values.mean(0)) @ found.components, atol=1e-5)


def test_masked_genes_are_estimated_not_taken_as_zero():
    rng = np.random.default_rng(0)
    truth = rng.normal(size=(500, 2)) * [3.0, 2.0]
    loadings = np.linalg.qr(rng.normal(size=(40, 2)))[0]
    values = truth @ loadings.T + rng.normal(size=(500, 40)) * 0.1
    covariance = np.cov(values.T)
    variances, vectors = np.linalg.eigh(covariance)
    from pmcell.core.pca.gram import Basis

    axes, along = vectors[:, ::-1][:, :2], variances[::-1][:2]
    found = Basis(values.mean(0), np.ones(40), axes, along, covariance.trace())
    measured = np.arange(40) % 2 == 0
    full = (values - found.means) @ found.components
    weights = projection_weights(found, measured)
    estimated = (values - found.means) @ weights
    naive_zero = np.where(measured, values - found.means, 0.0) @ found.components
    assert not weights[~measured].any()
    assert np.abs(estimated - full).mean() < 0.1 * np.abs(naive_zero - full).mean()


def test_too_many_cells_are_refused_before_they_overflow(monkeypatch):
    assert gram_module.MAX_CELLS * MAX_Q**2 < 2**63 <= (gram_module.MAX_CELLS + 1) * MAX_Q**2
    monkeypatch.setattr(gram_module, "MAX_CELLS", 119)
    with pytest.raises(OverflowError, match="at most 119 cells, got 120"):
        gram_of(random_counts(120))
