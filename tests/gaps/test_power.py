"""Predicted power is that of simulated studies, which know nothing of the formula."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import ttest_ind

from pmcell.core.donors.arcsine import arcsine
from pmcell.gaps.power import Composition, Effect, State, donors_needed, power

DESIGNS: tuple[tuple[int, int, Effect], ...] = (
    (5, 5, State(2.0)),
    (12, 12, State(1.0)),
    (26, 26, State(0.8)),
    (8, 40, State(1.0, icc=0.05, n_cells=20)),
    (20, 20, State(0.9, icc=0.02, n_cells=50)),
    (60, 15, State(0.6, icc=0.2, n_cells=200)),
    (6, 6, Composition(0.05, 0.20, icc=0.05, n_cells=200)),
    (15, 15, Composition(0.10, 0.20, icc=0.05, n_cells=500)),
    (20, 10, Composition(0.30, 0.45, icc=0.08, n_cells=100)),
    (25, 25, Composition(0.02, 0.05, icc=0.03, n_cells=1000)),
    (10, 50, Composition(0.50, 0.65, icc=0.05, n_cells=300)),
    # A rare type in few donors: the t approximation would be 0.09 too high.
    (4, 30, Composition(0.01, 0.06, icc=0.02, n_cells=150)),
    (4, 230, Composition(0.01, 0.06, icc=0.02, n_cells=150)),
)
N_STUDIES = 2_000


def simulated_power(n_1: int, n_2: int, effect: Effect, seed: int, n_studies: int) -> float:
    """Share of studies, drawn cell by cell, in which Welch's test is below 0.05."""
    rng = np.random.default_rng(seed)
    values = []
    for n, is_second in ((n_1, False), (n_2, True)):
        shape = (n_studies, n)
        if isinstance(effect, State):
            within = np.sqrt((1 - effect.icc) / effect.icc / effect.n_cells)
            donor = rng.standard_normal(shape) + is_second * effect.difference
            values.append(donor + within * rng.standard_normal(shape))
        else:
            share = effect.share_2 if is_second else effect.share_1
            spread = 1 / effect.icc - 1
            own = rng.beta(share * spread, (1 - share) * spread, shape)
            counts = rng.binomial(effect.n_cells, own).astype(float).ravel()
            scale = arcsine(np.stack([counts, effect.n_cells - counts], axis=1))[:, 0]
            values.append(scale.reshape(shape))
    p = ttest_ind(values[0], values[1], axis=1, equal_var=False).pvalue
    return float((p < 0.05).mean())


@pytest.mark.parametrize("number", range(len(DESIGNS)))
def test_predicted_power_is_within_five_points_of_simulated_studies(number: int) -> None:
    n_1, n_2, effect = DESIGNS[number]
    simulated = simulated_power(n_1, n_2, effect, seed=number, n_studies=N_STUDIES)
    assert power(n_1, n_2, effect) == pytest.approx(simulated, abs=0.05)


def test_power_is_alpha_where_nothing_differs() -> None:
    assert power(30, 30, State(1e-9)) == pytest.approx(0.05, abs=1e-6)


def test_power_agrees_with_the_tables_of_statsmodels() -> None:
    pooled = pytest.importorskip("statsmodels.stats.power").TTestIndPower()
    for n, effect in ((10, 1.2), (26, 0.8), (64, 0.5)):
        known = pooled.power(effect, nobs1=n, alpha=0.05, ratio=1.0)
        assert power(n, n, State(effect)) == pytest.approx(known, abs=1e-6)


def test_a_group_of_one_donor_has_no_power() -> None:
    assert power(1, 500, State(3.0)) == 0.0


def test_more_cells_cannot_replace_donors() -> None:
    few, many = (power(4, 4, State(1.0, icc=0.5, n_cells=n)) for n in (10, 1_000_000))
    assert many == pytest.approx(power(4, 4, State(1.0)), abs=1e-4)
    assert few < many < 0.3


def test_the_donors_needed_are_the_fewest_that_reach_the_power() -> None:
    for n_other in (None, 20, 200):
        n = donors_needed(n_other, State(0.8))
        assert n is not None
        assert power(n, n_other or n, State(0.8)) >= 0.8
        assert power(n - 1, n_other or n - 1, State(0.8)) < 0.8


def test_a_group_of_five_to_compare_with_is_never_enough() -> None:
    assert donors_needed(5, State(0.8)) is None


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: State(0.0), r"difference must be a number in \(0, inf\], got 0.0"),
        (lambda: State(1.0, icc=0.0), r"icc must be a number in \(0, 1\], got 0.0"),
        (lambda: Composition(0.0, 0.1), r"share_1 must be a number in \(0, 1\), got 0.0"),
        (lambda: Composition(0.1, 0.1), "share_1 and share_2 must differ"),
        (lambda: Composition(0.1, float("nan")), "share_2 must be a number"),
        (lambda: power(5, 5, alpha=1.0), r"alpha must be a number in \(0, 1\), got 1.0"),
    ],
)
def test_an_effect_that_makes_no_sense_is_refused(make: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()  # type: ignore[operator]
