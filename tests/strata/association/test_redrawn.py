"""Effects of many draws at once are those of each draw by itself."""

from __future__ import annotations

import numpy as np
from scipy.stats import rankdata

from pmcell.core.donors.association import correlation, cramers_v, eta_squared
from pmcell.strata.association.redrawn import (
    cramers_vs,
    effect_interval,
    eta_squares,
    squared_correlations,
)
from pmcell.strata.statistics.covariates import Variable


def test_every_draw_has_the_effect_it_has_alone() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(50, 17)), rng.normal(size=(50, 17)).round(1)
    # Rare levels: many draws have not all of them, the last rows have one only.
    a, b = rng.choice(5, (50, 17), p=[0.5, 0.3, 0.1, 0.07, 0.03]), rng.integers(0, 3, (50, 17))
    a[-1], b[-2] = 2, 1

    def compressed(codes: np.ndarray) -> np.ndarray:
        return np.unique(codes, return_inverse=True)[1]

    alone = [cramers_v(compressed(one), compressed(other)) for one, other in zip(a, b, strict=True)]
    np.testing.assert_allclose(cramers_vs(a, b), alone, atol=1e-12)
    alone = [
        eta_squared(one[None, :], compressed(other))[0] for one, other in zip(x, a, strict=True)
    ]
    np.testing.assert_allclose(eta_squares(x, a), alone, atol=1e-12)
    alone = [correlation(one[None, :], other)[0] ** 2 for one, other in zip(x, y, strict=True)]
    np.testing.assert_allclose(squared_correlations(x, y), alone, atol=1e-12)


def test_the_interval_holds_the_effect_whatever_the_kinds_of_variables() -> None:
    rng = np.random.default_rng(1)
    known = np.ones(60, bool)
    number = Variable("x", rng.normal(size=60), True, known)
    other = Variable("y", number.values + rng.normal(size=60), True, known)
    group = Variable("g", (number.values > 0).astype(float), False, known)
    rho = correlation(rankdata(number.values)[None, :], rankdata(other.values))[0] ** 2
    low, high = effect_interval(number, other, known, 0)
    assert 0 < low < rho < high < 1
    assert effect_interval(number, group, known, 0) == effect_interval(group, number, known, 0)
    assert effect_interval(group, group, known, 0)[1] == 1.0
