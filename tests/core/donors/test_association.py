"""Effect sizes and permutation p values."""

from __future__ import annotations

import numpy as np
from scipy.stats import chi2_contingency, false_discovery_control, spearmanr

from pmcell.core.donors.association import (
    benjamini_hochberg,
    chi_square,
    correlation,
    cramers_v,
    eta_squared,
    permutation_p,
    permutations,
)


def test_chi_square_equals_scipys() -> None:
    rng = np.random.default_rng(0)
    first, second = rng.integers(0, 3, 60), rng.integers(0, 4, 60)
    table = np.zeros((3, 4))
    np.add.at(table, (first, second), 1)
    expected = chi2_contingency(table, correction=False).statistic
    assert np.isclose(chi_square(first, second[None])[0], expected)


def test_cramers_v_is_near_one_for_copies_and_zero_for_chance() -> None:
    rng = np.random.default_rng(0)
    code = rng.integers(0, 3, 90)
    assert cramers_v(code, code) > 0.99
    chance = [cramers_v(rng.integers(0, 3, 90), rng.integers(0, 3, 90)) for _ in range(50)]
    assert np.mean(chance) < 0.1


def test_constant_codes_have_no_association() -> None:
    assert cramers_v(np.zeros(5, np.int64), np.arange(5) % 2) == 0.0


def test_eta_squared_is_the_share_between_groups() -> None:
    values = np.array([[1.0, 1.0, 3.0, 3.0], [1.0, 3.0, 1.0, 3.0]])
    assert np.allclose(eta_squared(values, np.array([0, 0, 1, 1])), [1.0, 0.0])


def test_correlation_of_ranks_is_spearmans() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.permutation(20).astype(float), rng.permutation(20).astype(float)
    assert np.isclose(correlation(a[None], b)[0], spearmanr(a, b).statistic)


def test_permutations_stay_within_blocks() -> None:
    block = np.array([0, 1, 0, 1, 1, 0])
    orders = permutations(6, 50, np.random.default_rng(0), block)
    assert (block[orders] == block).all()
    assert np.array_equal(np.sort(orders, axis=1), np.tile(np.arange(6), (51, 1)))
    assert np.unique(orders, axis=0).shape[0] > 10


def test_permutation_p_counts_the_data_itself() -> None:
    assert permutation_p(np.array([5.0, 1.0, 2.0, 3.0])) == 0.25
    assert permutation_p(np.array([1.0, 1.0, 1.0])) == 1.0


def test_q_values_equal_scipys() -> None:
    p = np.random.default_rng(0).random(12)
    assert np.allclose(benjamini_hochberg(p), false_discovery_control(p))
