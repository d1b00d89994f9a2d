"""The study of error rates in small: nothing where nothing is, planted strata where they are."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
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


@pytest.fixture(scope="module")
def sets(study):
    import sets

    yield sets
    sys.modules.pop("sets", None)


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


def test_what_is_left_out_for_verdicts_alone_changes_none(study) -> None:
    world = small(study.WORLDS["factors, t3"])
    told, _ = study.judge(world, 5, 19, 2, gate=ALL)
    with study.verdicts_alone():
        again, _ = study.judge(world, 5, 19, 2, gate=ALL)
    assert again["decision"] == told["decision"]
    assert 0.05 < again["p"] <= told["p"]


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


def test_a_true_stratum_without_a_found_one_counts_against_the_sets(sets) -> None:
    truth = np.array([0] * 5 + [1] * 4 + [2] * 6)
    merged = np.array([1] * 9 + [0] * 6)
    matched, parts = sets.found_strata(merged, truth)
    assert matched == {0: 1, 2: 0}
    assert parts == {0: {1}, 1: {1}, 2: {0}}
    split = np.array([0] * 3 + [3] * 2 + [1] * 4 + [2] * 6)
    matched, parts = sets.found_strata(split, truth)
    assert matched == {0: 0, 1: 1, 2: 2}
    assert parts == {0: {0, 3}, 1: {1}, 2: {2}}


def test_figures_over_data_sets_are_those_of_all_donors(sets, study) -> None:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"world": "both", "seed": rng.integers(0, 9, 300)})
    frame["probability"] = rng.random(300)
    frame["right"] = rng.random(300) < frame["probability"] ** 2
    error = study.calibration_error(frame["probability"].to_numpy(), frame["right"].to_numpy(float))
    assert sets.error_over_sets(frame).startswith(f"{error:.3f} (")
    assert sets.share_over_sets(frame, "right").startswith(f"{frame['right'].mean():.3f} (")
    low, high = sets.share_over_sets(frame, "right").split("(")[1].rstrip(")").split(" to ")
    assert float(low) < frame["right"].mean() < float(high)
    assert sets.share_over_sets(frame[:0], "right") == ""


def test_training_knows_neither_the_absent_stratum_nor_the_new_batch(sets) -> None:
    rng = np.random.default_rng(0)
    stratum, batch = rng.integers(0, 4, 128), np.arange(128) % 4
    training = sets.training_donors(stratum, batch, seed=1)
    assert training.sum() == 40
    assert set(stratum[training]) == set(batch[training]) == {0, 1, 2}
    kinds = [sets.kind_of(*row) for row in zip(training, stratum, batch, strict=True)]
    assert set(kinds) == {"training", *sets.KINDS}
    assert [sets.kind_of(False, s, b) for s, b in ((0, 0), (0, 3), (3, 0), (3, 3))] == [
        "same",
        "new",
        "absent",
        "absent, new",
    ]


def test_every_donor_of_a_judged_data_set_has_a_verdict(sets) -> None:
    world = replace(sets.SETS_WORLDS["both"], n_cells=200)
    rows = sets.judge(world, 60_000, n_null=99, n_bootstraps=3)
    assert len(rows) == 128
    assert rows[0]["decision"] == "strata"
    known = [row for row in rows if row["kind"] == "same"]
    assert np.mean([row["part_in_set"] for row in known]) > 0.7
    absent = [row["status"] for row in rows if row["kind"].startswith("absent")]
    assert absent.count("assigned") <= 0.1 * len(absent)
    assert all(row["in_set"] == "" for row in rows if row["kind"].startswith("absent"))


def test_sizes_of_strata_are_as_asked_and_equal_by_default(study) -> None:
    from simulator import _strata_in_turn

    world = replace(study.WORLDS["both"], n_donors=40)
    assert sorted(np.bincount(_strata_in_turn(world))) == [13, 13, 14]
    uneven = replace(world, sizes=(2.0, 1.0, 1.0))
    assert list(np.bincount(_strata_in_turn(uneven))) == [20, 10, 10]
