"""Doublet scores find sums of two cells, for any number of threads."""

from __future__ import annotations

import numba
import numpy as np
import pytest
from scipy import sparse

from pmcell.core.counts.blocks import MatrixCounts
from pmcell.core.pca import doublets
from pmcell.core.pca.doublets import doublet_scores
from pmcell.core.pca.gram import Basis
from pmcell.core.pca.project import project


def made(n_singles: int = 360, n_doublets: int = 40, n_genes: int = 120, seed: int = 0):
    """Cells of three types, and after them sums of two cells of different types."""
    rng = np.random.default_rng(seed)
    rates = rng.gamma(0.3, 4.0, (3, n_genes))
    kind = np.arange(n_singles) % 3
    singles = rng.poisson(rates[kind] * rng.gamma(8, 1 / 8, (n_singles, 1)))
    one = rng.integers(0, n_singles, n_doublets)
    other = (one + 1 + rng.integers(0, 2, n_doublets)) % n_singles
    return sparse.csr_matrix(np.vstack([singles, singles[one] + singles[other]]).astype(np.int32))


def auc(scores: np.ndarray, n_singles: int) -> float:
    return float(np.mean(scores[n_singles:, None] > scores[None, :n_singles]))


def test_doublets_score_higher_than_single_cells() -> None:
    scores = doublet_scores(made())
    assert scores is not None
    assert ((scores > 0) & (scores < 1)).all()
    assert auc(scores, 360) > 0.9


def test_a_sample_larger_than_the_reference_is_judged_as_well(monkeypatch) -> None:
    monkeypatch.setattr(doublets, "MAX_REFERENCE", 150)
    scores = doublet_scores(made())
    assert scores is not None
    assert auc(scores, 360) > 0.85


def test_threads_change_no_bit_and_seeds_change_the_pairs() -> None:
    matrix = made()
    threads = numba.get_num_threads()
    try:
        found = []
        for n_threads in (1, min(2, threads)):
            numba.set_num_threads(n_threads)
            found.append(doublet_scores(matrix, seed=3))
    finally:
        numba.set_num_threads(threads)
    np.testing.assert_array_equal(*found)
    assert (doublet_scores(matrix, seed=4) != found[0]).any()


def test_a_pair_is_placed_where_the_sum_of_its_counts_is() -> None:
    matrix = made(30, 2)
    rng = np.random.default_rng(1)
    genes = np.sort(rng.choice(120, 50, replace=False))
    space = Basis(rng.random(50), np.ones(50), rng.normal(size=(50, 4)), np.ones(4), 5.0)
    pairs = rng.integers(0, 30, (20, 2))
    pairs[0] = 5, 5
    sums = sparse.csr_matrix(matrix[pairs[:, 0]] + matrix[pairs[:, 1]])
    feature = np.full(120, -1)
    feature[genes] = np.arange(50)
    every = np.ones(50, bool)
    expected = project(MatrixCounts(sums), feature, np.ones(20, bool), space, every)
    every_count = matrix.sum(axis=1)
    others = every_count - matrix[:, genes].sum(axis=1)
    chosen = sparse.csr_matrix(sparse.hstack([matrix[:, genes], others], dtype=np.int32))
    np.testing.assert_allclose(doublets._place(chosen, pairs, space), expected, rtol=1e-5)
    alone = np.stack([np.arange(32), np.full(32, -1)], axis=1)
    expected = project(MatrixCounts(matrix), feature, np.ones(32, bool), space, every)
    np.testing.assert_allclose(doublets._place(chosen, alone, space), expected, rtol=1e-5)


def test_the_posterior_equals_the_published_formula() -> None:
    # Wolock et al. 2019: q = (k_sim + 1) / (k + 2), r = 2, rho = 0.05
    q = 31 / 47
    expected = q * 0.05 / 2 / (1 - 0.05 - q * (1 - 0.05 - 0.05 / 2))
    assert doublets._posterior(np.array([30]), 45)[0] == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("shape", [(120, 0), (2, 5), (120, 2)])
def test_too_few_cells_or_genes_have_no_score(shape: tuple[int, int]) -> None:
    assert doublet_scores(sparse.csr_matrix(np.ones(shape, np.int32))) is None


def test_cells_all_alike_have_no_score_and_empty_cells_have_one() -> None:
    assert doublet_scores(sparse.csr_matrix(np.full((150, 40), 3, np.int32))) is None
    matrix = made().tolil()
    matrix[:5] = 0
    scores = doublet_scores(matrix.tocsr())
    assert scores is not None
    assert np.isfinite(scores).all()


def test_samples_that_are_scored_together_get_the_scores_that_each_gets_alone() -> None:
    parts = [made(seed=1), made(200, 20, seed=2), made(90, 10, seed=3)]
    sample = np.repeat(np.arange(3), [part.shape[0] for part in parts])
    order = np.random.default_rng(0).permutation(sample.size)
    together = sparse.csr_matrix(sparse.vstack(parts))[order]
    # The cells of one sample get no score.
    of_cell = np.where(sample[order] == 2, -1, sample[order])
    seen = []
    scores = doublets.sample_scores(
        MatrixCounts(together), of_cell, 2, seed=5, see=lambda block: seen.append(block.n_rows)
    )
    for at in range(2):
        alone = doublet_scores(together[of_cell == at], seed=5)
        np.testing.assert_array_equal(scores[of_cell == at], alone)
    assert np.isnan(scores[of_cell < 0]).all()
    assert seen == [sample.size]
