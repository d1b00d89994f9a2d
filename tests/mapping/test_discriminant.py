"""Directions that tell groups apart whatever the batch."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from pmcell.core.discriminant import find_discriminants
from pmcell.core.pca.gram import Basis
from pmcell.core.weighted_products import weighted_products
from pmcell.mapping.residual import left_over


def made(seed, n_features=12):
    rng = np.random.default_rng(seed)
    group = rng.integers(0, 3, 600)
    batch = rng.integers(0, 2, 600)
    means, shifts = rng.normal(size=(3, n_features)) * 3, rng.normal(size=(2, n_features)) * 5
    x = rng.normal(size=(600, n_features)) + means[group] + shifts[batch]
    return x, group, batch, shifts


def test_offsets_are_those_that_were_added():
    x, group, batch, shifts = made(0)
    found = find_discriminants(x, group, batch)
    apart = (found.offsets[1] - found.offsets[0]) - (shifts[1] - shifts[0])
    assert np.abs(apart).max() < 0.5


def test_a_batch_without_a_group_does_not_move_the_group():
    x, group, batch, shifts = made(1)
    kept = ~((group == 0) & (batch == 1))
    found = find_discriminants(x[kept], group[kept], batch[kept])
    apart = (found.offsets[1] - found.offsets[0]) - (shifts[1] - shifts[0])
    assert np.abs(apart).max() < 0.5


def test_within_one_batch_they_lie_in_the_space_of_fishers_directions():
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

    x, group, batch, shifts = made(2)
    x = x - shifts[batch]
    ours = find_discriminants(x, group, np.zeros(600, np.int64))
    theirs = LinearDiscriminantAnalysis(solver="eigen").fit(x, group)
    space = np.linalg.svd(theirs.scalings_[:, :2], full_matrices=False)[0]
    directions = ours.directions / np.linalg.norm(ours.directions, axis=0)
    inside = np.linalg.norm(space.T @ directions, axis=0)
    assert inside.min() > 0.97


def test_sparse_cells_of_32_bits_give_what_dense_ones_of_64_give():
    x, group, batch, _ = made(3, n_features=150)
    x = np.where(x > 1, x, 0.0).astype(np.float32)
    apart = x.astype(np.float64)
    mean = np.stack(
        [[apart[(group == g) & (batch == b)].mean(0) for b in (0, 1)] for g in range(3)]
    )
    apart -= mean[group, batch]
    n = np.array([[((group == g) & (batch == b)).sum() for b in (0, 1)] for g in range(3)])
    weight = 1.0 / (n - 1).sum(axis=1) / 3
    products = weighted_products(sparse.csr_matrix(x), weight[group])
    between = np.einsum("gb,gbi,gbj->ij", weight[:, None] * n, mean, mean)
    naive = (apart * weight[group][:, None]).T @ apart
    np.testing.assert_allclose(products - between, naive, rtol=0, atol=1e-12)
    dense, thin = (find_discriminants(own, group, batch) for own in (x, sparse.csr_matrix(x)))
    np.testing.assert_allclose(thin.directions, dense.directions, rtol=1e-9, atol=1e-12)
    basis = Basis(np.zeros(150), np.ones(150), np.eye(150)[:, :2], np.ones(2), 150.0)
    left = left_over(sparse.csr_matrix(x), basis, np.ones(150, bool))
    np.testing.assert_allclose(left[2:], x.mean(axis=0, dtype=np.float64)[2:], rtol=1e-13)


def test_one_group_is_refused():
    with pytest.raises(ValueError, match="at least two groups, got 1"):
        find_discriminants(np.ones((4, 2)), np.zeros(4, np.int64), np.zeros(4, np.int64))
