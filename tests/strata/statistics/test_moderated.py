"""Moderated t: against limma's numbers, and against least squares written out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import statsmodels.api as sm
from scipy import stats

from pmcell.strata.statistics import moderated
from pmcell.strata.statistics.correlation import block_correlation
from pmcell.strata.statistics.moderated import (
    Blocks,
    has_enough_counts,
    log_cpm,
    moderated_tests,
    precision_weights,
    variance_prior,
)

GOLDEN = Path(__file__).parents[2] / "golden" / "limma.json"
"""Six pairs, 15 genes; made by pylimma 0.2.0, a port of limma that is tested against R."""


@pytest.fixture(scope="module")
def golden() -> dict[str, Any]:
    """Values, weights, design and limma's results."""
    text: dict[str, Any] = json.loads(GOLDEN.read_text(encoding="utf-8"))
    for name in ("donor", "level", "age", "y", "weights"):
        text[name] = np.array(text[name])
    return text


def agrees(test: moderated.Tested, expected: dict[str, Any]) -> None:
    np.testing.assert_allclose(test.effect, expected["effect"], rtol=1e-9)
    np.testing.assert_allclose(test.error, expected["error"], rtol=1e-7)
    np.testing.assert_allclose(test.p, expected["p"], rtol=1e-6)


def test_a_weighted_fit_is_that_of_limma(golden: dict[str, Any]) -> None:
    design = np.column_stack([np.ones(12), golden["age"], golden["level"]])
    test = moderated_tests(golden["y"].T, design, np.eye(3)[2:], golden["weights"].T)[0]
    agrees(test, golden["fits"]["weighted"])
    assert test.df == pytest.approx(9 + golden["fits"]["weighted"]["df_prior"], rel=1e-9)


def test_levels_of_donors_are_those_of_a_column_for_each(golden: dict[str, Any]) -> None:
    blocks = Blocks(golden["donor"])
    level = golden["level"][:, None]
    test = moderated_tests(golden["y"].T, level, np.eye(1), golden["weights"].T, blocks)[0]
    agrees(test, golden["fits"]["paired"])


def test_correlated_donors_are_those_of_limma(golden: dict[str, Any]) -> None:
    design = np.column_stack([np.ones(12), golden["age"], golden["level"]])
    blocks = Blocks(golden["donor"], 0.4)
    y, weights = golden["y"].T, golden["weights"].T
    agrees(
        moderated_tests(y, design, np.eye(3)[2:], weights, blocks)[0],
        golden["fits"]["correlated"],
    )
    found = block_correlation(y, design, weights, golden["donor"])
    assert found == pytest.approx(golden["correlation"], abs=0.05)


def test_the_prior_of_variances_is_that_of_limmas_own_tests() -> None:
    """squeezeVar(c(0.5, 1.3, 7.8), df=3) in the tests of the Bioconductor package limma."""
    prior_df, prior = variance_prior(np.array([0.5, 1.3, 7.8]), 3)
    assert prior_df == pytest.approx(2.830777, abs=1e-6)
    assert prior == pytest.approx(1.676927, abs=1e-6)


@pytest.mark.parametrize("correlation", [None, 0.0, 0.6])
def test_each_gene_is_generalised_least_squares_written_out(correlation: float | None) -> None:
    """Unequal blocks; the common variance is put back, and statsmodels fits each gene alone."""
    rng = np.random.default_rng(4)
    code = np.repeat(np.arange(7), [1, 2, 3, 2, 2, 3, 2])
    level = rng.permutation(np.arange(code.size) % 2).astype(float)
    number = rng.normal(size=code.size)
    y, weights = rng.normal(size=(code.size, 6)), rng.gamma(3, size=(code.size, 6))
    blocks = Blocks(code, correlation)
    base = [np.ones((code.size, 1))] if correlation is not None else []
    design = np.column_stack([*base, number, level])
    contrast = np.eye(design.shape[1])[-1:]
    test = moderated_tests(y, design, contrast, weights, blocks)[0]
    member = (code[:, None] == np.arange(7)).astype(float)
    fits = []
    for gene in range(6):
        root = 1 / np.sqrt(weights[:, gene])
        together = np.eye(code.size)
        columns = np.column_stack([member, number, level])
        if correlation is not None:
            together = correlation * member @ member.T
            np.fill_diagonal(together, 1.0)
            columns = design
        fits.append(sm.GLS(y[:, gene], columns, sigma=root[:, None] * together * root).fit())
    np.testing.assert_allclose(test.effect, [fit.params[-1] for fit in fits], rtol=1e-9)
    df = int(fits[0].df_resid)
    scale = np.array([fit.scale for fit in fits])
    prior_df, prior = variance_prior(scale, df)
    moderated = scale * 0 + prior
    if np.isfinite(prior_df):
        moderated = (df * scale + prior_df * prior) / (df + prior_df)
    error = np.array([fit.bse[-1] for fit in fits]) * np.sqrt(moderated / scale)
    np.testing.assert_allclose(test.error, error, rtol=1e-9)
    total = min(df + prior_df, df * 6)
    p = 2 * stats.t.sf(np.abs(test.effect / error), total)
    np.testing.assert_allclose(test.p, p, rtol=1e-8)


def test_a_gene_without_counts_is_the_same_in_small_and_large_libraries() -> None:
    library = np.array([1e4, 5e4, 2e5])
    y = log_cpm(np.array([[0.0, 10], [0, 50], [0, 200]]), library)
    assert np.ptp(y[:, 0]) == pytest.approx(0)
    assert np.ptp(y[:, 1]) == pytest.approx(0)


def test_the_filter_asks_for_counts_in_as_many_rows_as_the_smallest_group() -> None:
    total = np.full(6, 10_000.0)
    counts = np.zeros((6, 4))
    counts[:3, 0] = 4  # enough, in three rows
    counts[:2, 1] = 40  # in two only
    counts[:, 2] = 1  # too few everywhere
    counts[:3, 3] = 3  # enough in three, too few in all
    assert has_enough_counts(counts, total, 3).tolist() == [True, False, False, False]
    # A library of twice the size needs twice the counts.
    counts[0, 0], total[0] = 3, 20_000
    assert not has_enough_counts(counts, total, 3)[0]
    many = np.zeros((40, 1))
    many[:17] = 5
    assert has_enough_counts(many, np.full(40, 1e4), 20).all(), "17 of 20: 10 + 0.7 of the rest"
    assert not has_enough_counts(many[1:], np.full(39, 1e4), 20).any()


def test_one_burst_in_one_pair_does_not_carry_the_comparison() -> None:
    """Eight pairs without a difference; one sample of one pair is full of one gene."""
    rng = np.random.default_rng(8)
    code, level = np.repeat(np.arange(8), 2), np.tile([0.0, 1.0], 8)
    counts = rng.poisson(rng.gamma(1, 20, 400), (16, 400)).astype(float)
    counts[:, 0] = rng.poisson(3, 16)
    counts[3, 0] = 3000
    library = counts.sum(axis=1)
    y, blocks = log_cpm(counts, library), Blocks(code)
    weights = precision_weights(y, library, level[:, None], blocks)
    assert weights[3, 0] / weights[:, 0].mean() < 3
    test = moderated_tests(y, level[:, None], np.eye(1), weights, blocks)[0]
    assert test.p[0] > 0.01
    assert (test.p < 0.05).mean() < 0.09
