"""PERMANOVA and PERMDISP on arrays."""

from __future__ import annotations

import numpy as np
import pytest

from pmcell.core.donors.association import bias_corrected_interval, permutation_p, permutations
from pmcell.core.donors.permanova import dummies, gower, permanova, permdisp


def squared(x):
    return ((x[:, None] - x[None]) ** 2).sum(-1)


def made():
    rng = np.random.default_rng(12)
    group = np.arange(24) % 3
    x = rng.normal(size=(24, 5)).round(3) * (1 + 0.5 * (group == 2))[:, None]
    return x + 0.4 * group[:, None], group


def test_values_are_those_of_scikit_bio():
    # scikit-bio 0.7.4, DistanceMatrix(sqrt(squared(x))), 9,999 permutations:
    # permanova -> F 1.443444, p 0.1789; permdisp(test="centroid") -> F 13.494149, p 0.0001.
    x, group = made()
    orders = permutations(24, 1999, np.random.default_rng(0))
    inner = gower(squared(x))
    _, f = permanova(inner, dummies(group), None, orders)
    assert f[0] == pytest.approx(1.443444, abs=1e-6)
    assert permutation_p(f) == pytest.approx(0.1789, abs=0.03)
    _, f = permdisp(inner, group, orders)
    assert f[0] == pytest.approx(13.494149, abs=1e-6)
    assert permutation_p(f) < 0.003


def test_freedman_lane_equals_regression_of_permuted_residuals():
    x, _ = made()
    rng = np.random.default_rng(4)
    site = np.repeat([0, 1], 12)
    number = rng.normal(size=24)
    orders = permutations(24, 5, rng, site)
    r2, f = permanova(gower(squared(x)), number[:, None], dummies(site), orders)

    def rss(y, design):
        return ((y - design @ np.linalg.lstsq(design, y, rcond=None)[0]) ** 2).sum()

    small = dummies(site)
    full = np.column_stack([small, number])
    fit = small @ np.linalg.lstsq(small, x, rcond=None)[0]
    for order, found in zip(orders, f, strict=True):
        y = fit + (x - fit)[order]
        expected = (rss(y, small) - rss(y, full)) / (rss(y, full) / 21)
        assert found == pytest.approx(expected)
    total = ((x - x.mean(axis=0)) ** 2).sum()
    assert r2 == pytest.approx((rss(x, small) - rss(x, full)) / total)


def test_a_covariate_within_the_nuisance_has_no_answer():
    x, group = made()
    r2, _ = permanova(
        gower(squared(x)), dummies(group), dummies(group), np.arange(24)[None, :].repeat(3, 0)
    )
    assert np.isnan(r2)


def test_the_interval_holds_the_estimate_and_corrects_the_bias():
    rng = np.random.default_rng(0)
    biased = np.concatenate([[0.3], 0.35 + 0.05 * rng.normal(size=2000)])
    low, high = bias_corrected_interval(biased)
    assert low <= 0.3 <= high
    assert high < np.quantile(biased[1:], 0.975)
