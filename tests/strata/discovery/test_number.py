"""Which number of strata is taken, and how sure it is."""

from __future__ import annotations

import numpy as np
import pytest

from pmcell.core.donors.donor_map import partition
from pmcell.core.donors.spectral import pairwise_squared
from pmcell.strata.discovery.null import NullTest
from pmcell.strata.discovery.number import N_DRAWS, _Strata, fewest_strata, support_of_k

KS = range(2, 5)


def strata(sizes: tuple[int, ...], seed: int, spread: tuple[float, ...] = ()) -> np.ndarray:
    """Squared distances of donors in strata at the corners of a simplex, five noise axes beside."""
    rng = np.random.default_rng(seed)
    label = np.repeat(np.arange(len(sizes)), sizes)
    x = rng.normal(0, 1, (label.size, 5))
    x *= np.array(spread or (1.0,) * len(sizes))[label, None]
    x[:, : len(sizes)] += 6.0 * np.eye(len(sizes))[label]
    return pairwise_squared(x)


@pytest.mark.parametrize("sizes", [(20, 20), (32, 10), (14, 14, 14), (26, 8, 8), (12, 12, 12, 12)])
def test_planted_strata_are_counted_whatever_their_sizes(sizes: tuple[int, ...]) -> None:
    found = [fewest_strata(strata(sizes, seed), KS, 0.05, seed).k for seed in range(3)]
    assert sorted(found)[1] == len(sizes)


def test_a_stratum_that_is_wider_than_another_is_not_cut() -> None:
    found = [
        fewest_strata(strata((28, 14), seed, (2.5, 0.6)), KS, 0.05, seed).k for seed in range(6)
    ]
    assert found.count(2) >= 5


def test_one_more_is_asked_for_at_the_level_at_which_two_are_enough() -> None:
    """Of data drawn from two strata, `alpha` of them or so have more."""
    p = np.array([fewest_strata(strata((20, 20), seed), KS, 1e-9, 0).p[0] for seed in range(16)])
    assert (p <= 0.2).sum() <= 8
    assert p.max() > 0.6


def test_numbers_above_the_one_taken_are_not_asked_about() -> None:
    number = fewest_strata(strata((26, 8, 8), 1), KS, 0.05, 0)
    assert number.k == 3
    assert number.p[0] == 1 / (N_DRAWS + 1)
    assert number.p[1] > 0.05
    assert np.isnan(number.p[2])


def test_no_number_where_every_cut_leaves_a_stratum_too_small() -> None:
    x = np.zeros((20, 1))
    x[0] = 50.0
    squared = pairwise_squared(x)
    assert np.isnan(partition(squared, range(2, 3), 5).silhouette).all()
    assert fewest_strata(squared, range(2, 3), 0.05, 0).k == 0


def test_the_order_of_donors_and_the_threads_change_nothing() -> None:
    squared = strata((26, 8, 8), 2)
    order = np.random.default_rng(0).permutation(42)
    again = fewest_strata(squared[np.ix_(order, order)], KS, 0.05, 0)
    assert again.k == fewest_strata(squared, KS, 0.05, 0).k == 3


def test_draws_have_the_means_and_spreads_of_their_strata() -> None:
    rng = np.random.default_rng(0)
    label = np.repeat([0, 1], [300, 200])
    points = rng.normal(0, 1, (500, 2)) * np.array([[1.0, 2.0], [3.0, 0.5]])[label]
    points[:, 0] += 10.0 * label
    drawn = np.concatenate(
        [_Strata.of(points, label).draw(np.random.default_rng(n)) for n in range(20)]
    )
    for code in (0, 1):
        own, of_draws = points[label == code], drawn[np.tile(label == code, 20)]
        assert np.allclose(of_draws.mean(axis=0), own.mean(axis=0), atol=0.15)
        assert np.allclose(of_draws.std(axis=0), own.std(axis=0), rtol=0.15)


@pytest.fixture
def result() -> NullTest:
    """Three numbers of strata whose silhouettes stand out by 3, 4 and 5 from draws of sd 0.1."""
    rng = np.random.default_rng(0)
    draws = np.array([0.3, 0.2, 0.1]) + 0.1 * rng.standard_normal((400, 3))
    observed = np.array([0.6, 0.6, 0.6])
    over_axes = np.vstack([observed, draws])
    z = np.array([3.0, 4.0, 5.0])
    return NullTest("", observed, draws, over_axes, z, 5.0, rng.uniform(0, 2, 400), 0.01, 4, None)


def test_half_is_for_the_number_taken_and_half_for_what_stands_out_in_each_bootstrap(
    result: NullTest,
) -> None:
    runs = np.array([[0.6, 0.6, 0.2], [0.9, 0.6, 0.2], [0.5, 0.6, 0.3], [np.nan, 0.2, np.nan]])
    assert np.allclose(support_of_k(2, result, runs, np.zeros(3)), [0.625, 0.375, 0.0])
    assert np.allclose(support_of_k(0, result, runs, np.zeros(3)), [0.25, 0.75, 0.0])


def test_a_k_whose_strata_do_not_hold_together_has_less_of_the_bootstraps(result: NullTest) -> None:
    runs = np.array([[0.9, 0.2, 0.1], [0.3, 0.9, 0.1]])
    steady, loose, taken = support_of_k(4, result, runs, np.array([0.0, 0.4, 0.0]))
    assert loose / steady == pytest.approx(np.exp(-2))
    assert taken == 0.5
