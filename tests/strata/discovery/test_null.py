"""Which number of strata is taken."""

from __future__ import annotations

import numpy as np
import pytest

from pmcell.strata.discovery.null import NullTest, choose_k, support_of_k

KS = [2, 3, 4]


@pytest.fixture
def result() -> NullTest:
    """Three numbers of strata whose silhouettes stand out by 3, 4 and 5 from draws of sd 0.1."""
    rng = np.random.default_rng(0)
    draws = np.array([0.3, 0.2, 0.1]) + 0.1 * rng.standard_normal((400, 3))
    null = rng.uniform(0, 2, 400)
    z = np.array([3.0, 4.0, 5.0])
    observed = np.array([0.6, 0.6, 0.6])
    over_axes = np.vstack([observed, draws])
    return NullTest("", observed, draws, over_axes, z, 5.0, null, 0.01, 4, None)


def test_each_bootstrap_is_for_the_k_that_stands_out_most(result: NullTest) -> None:
    runs = np.array([[0.6, 0.6, 0.2], [0.9, 0.6, 0.2], [0.5, 0.6, 0.3], [np.nan, 0.2, np.nan]])
    assert np.allclose(support_of_k(result, runs, np.zeros(3)), [0.25, 0.75, 0.0])


def test_a_k_whose_strata_do_not_hold_together_has_less_support(result: NullTest) -> None:
    runs = np.array([[0.9, 0.2, 0.1], [0.3, 0.9, 0.1]])
    steady, loose, none = support_of_k(result, runs, np.array([0.0, 0.4, 0.0]))
    assert loose / steady == pytest.approx(np.exp(-2))
    assert none == 0.0


def test_k_is_that_of_most_support_among_those_the_test_supports(result: NullTest) -> None:
    assert choose_k(result, np.array([0.1, 0.8, 0.1]), 0.05, KS) == 3
    weak = NullTest(**{**vars(result), "z": np.array([3.0, 1.0, 5.0])})
    assert choose_k(weak, np.array([0.1, 0.8, 0.1]), 0.05, KS) == 4
    assert choose_k(result, np.array([0.5, 0.5, 0.0]), 0.05, KS) == 3
    nothing = NullTest(**{**vars(result), "z": np.full(3, -np.inf)})
    assert choose_k(nothing, np.array([1.0, 0.0, 0.0]), 0.05, KS) == 0
