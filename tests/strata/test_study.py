"""The study of error rates in small: nothing where nothing is, planted strata where they are."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import kstest

FOLDER = Path(__file__).resolve().parents[1] / "benchmarks" / "strata"


@pytest.fixture(scope="module")
def study(monkeypatch_module):
    monkeypatch_module.syspath_prepend(str(FOLDER))
    import study

    return study


@pytest.fixture(scope="module")
def monkeypatch_module():
    with pytest.MonkeyPatch.context() as patch:
        yield patch
    for name in ("study", "simulator"):
        sys.modules.pop(name, None)


ALL = {"channels": "all"}
"""Without a choice among channels the test needs fewer draws."""


def small(world):
    return replace(world, n_types=6, n_dims=6, n_cells=150, n_donors=30)


def test_nothing_is_found_where_nothing_is(study) -> None:
    worlds = study.WORLDS
    for name in ("nothing", "line", "factors, t3"):
        row, donors = study.judge(small(worlds[name]), 5, n_null=39, n_bootstraps=2, gate=ALL)
        assert row["decision"] != "strata", name
        assert donors == []


def test_a_continuum_that_waves_bend_is_not_called_strata(study) -> None:
    """Without the bow in the draws, p was 0.02 and 0.01."""
    for seed in (101, 112):
        world = study.WORLDS["line"]
        row, _ = study.judge(world, seed, 39, 2, {"channels": "cluster_free"})
        assert row["used"] == "cluster_free"
        assert row["p"] > 0.2


def test_planted_strata_and_types_are_found(study) -> None:
    strong = {"state": 0.8, "donor_sd": 0.15, "n_strata": 2, "n_cells": 300}
    world = replace(small(study.WORLDS["both"]), **strong)
    row, donors = study.judge(world, 5, n_null=19, n_bootstraps=5, gate=ALL)
    assert row["decision"] == "strata"
    assert row["ari_known_k"] > 0.9
    assert row["recall_state"] >= 0.75
    assert len(donors) == 30
    assert np.mean([each["right"] for each in donors]) > 0.9


def test_the_interval_and_the_calibration_error_are_those_of_the_books(study) -> None:
    # Newcombe 1998, table I: 15 of 148.
    assert np.allclose(study.wilson(15, 148), (0.0624, 0.1605), atol=5e-5)
    sure = np.full(100, 0.75)
    right = np.arange(100) < 75
    assert study.calibration_error(sure, right) == 0
    assert np.isclose(study.calibration_error(np.full(100, 0.95), right), 0.2)


def test_t_scores_have_heavier_tails_than_normal_ones(study) -> None:
    from simulator import _between_donors

    rng = np.random.default_rng(0)
    world = replace(study.WORLDS["factors, t3"], n_donors=4000, n_types=1, n_dims=1)
    mean = _between_donors(world, np.zeros(4000, int), np.zeros(0, int), np.zeros(0, int), rng)[0]
    x = mean.ravel() / mean.std()
    assert (x**4).mean() > 6
    assert kstest(x, "norm").pvalue < 1e-6
