"""Clinical outcomes against strata: numbers as published packages give them, or a refusal."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest

import pmcell as pm
from pmcell import schema
from pmcell.errors import DataError, UsageError
from pmcell.io.tables import conform
from pmcell.strata.association.clinical import clinical_people, clinical_visits
from pmcell.strata.association.mixed import mixed_models
from pmcell.strata.association.survival import (
    cox,
    cox_null,
    kaplan_meier,
    proportional_hazards,
    survival,
)
from pmcell.strata.profiles import slots

if TYPE_CHECKING:
    from anndata import AnnData

# Weeks of remission, 6-MP and placebo: Freireich et al. 1963; `gehan` of R's MASS.
TREATED = [6, 6, 6, 6, 7, 9, 10, 10, 11, 13, 16, 17, 19, 20, 22, 23, 25, 32, 32, 34, 35]
RELAPSED = [1, 1, 1, 0, 1, 0, 1, 0, 0, 1, 1, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0]
PLACEBO = [1, 1, 2, 2, 3, 4, 4, 5, 5, 8, 8, 8, 8, 11, 11, 12, 12, 15, 17, 22, 23]
WEEKS = np.array(TREATED + PLACEBO, float)
EVENTS = np.array(RELAPSED + [1] * 21, float)
ON_PLACEBO = np.repeat([0.0, 1.0], 21)


def test_cox_gives_the_published_hazard_of_the_remission_trial() -> None:
    beta, covariance, fitted = cox(WEEKS, EVENTS, ON_PLACEBO[:, None])
    # R's survival: coxph(Surv(time, cens) ~ treat, gehan), ties by Efron.
    assert beta[0] == pytest.approx(1.5721, abs=1e-4)
    assert np.sqrt(covariance[0, 0]) == pytest.approx(0.4124, abs=1e-4)
    assert 2 * (fitted - cox_null(WEEKS, EVENTS)) == pytest.approx(16.35, abs=0.01)


def test_the_curve_is_the_published_one_of_the_remission_trial() -> None:
    curve = kaplan_meier(WEEKS[:21], EVENTS[:21])
    assert curve["time"].tolist() == [6, 7, 10, 13, 16, 22, 23]
    assert np.allclose(
        curve["survival"], [0.857, 0.807, 0.753, 0.690, 0.627, 0.538, 0.448], atol=5e-4
    )
    # R's survival with conf.type = "log-log".
    assert curve["low"][0] == pytest.approx(0.6197, abs=1e-4)
    assert curve["high"][0] == pytest.approx(0.9516, abs=1e-4)


def test_the_test_of_proportional_hazards_is_that_of_lifelines() -> None:
    index = np.arange(42)
    x = np.column_stack([ON_PLACEBO, (index * index) % 7 / 3.0])
    times = WEEKS + 0.01 * index
    beta, covariance, _ = cox(times, EVENTS, x)
    each, _ = proportional_hazards(times, EVENTS, x, beta, covariance, 2)
    # lifelines 0.30.3: proportional_hazard_test(fitted, data, time_transform="rank").
    assert each == pytest.approx([0.7468494, 0.9151338], abs=1e-5)


@pytest.fixture(scope="module")
def clinical(analysed: AnnData) -> pd.DataFrame:
    """Two visits a donor with a score that S2 has 3 higher, ages, and a time to an event."""
    rng = np.random.default_rng(1)
    rows = analysed.obs[["donor_id", "visit"]].astype(str).reset_index(drop=True)
    label = analysed.obs[slots.CANDIDATE].astype(str).to_numpy()
    donor, code = np.unique(rows["donor_id"], return_inverse=True)
    own = rng.normal(0, 1.0, donor.size)[code]
    of_donor = pd.Series(label).groupby(code).first().to_numpy()
    waits = rng.exponential(10.0, donor.size) * np.where(of_donor == "S2", 0.1, 1.0)
    return rows.assign(
        score=3.0 * (label == "S2") + own + rng.normal(0, 0.5, len(rows)),
        age=rng.normal(60, 8, donor.size)[code],
        days=waits[code],
        died=(waits < 15).astype(int)[code],
        flat=1.0,
    )


def test_a_planted_difference_between_strata_is_found(
    analysed: AnnData, clinical: pd.DataFrame
) -> None:
    visits = clinical_visits(analysed, clinical)
    table = mixed_models(analysed, visits=visits, outcomes=("score",), covariates=("age",))
    conform(table, schema.OUTCOMES)
    row = table.set_index("term").loc["S2 against S1"]
    assert row["effect_low"] < 3.0 < row["effect_high"]
    assert row["p_value"] < 1e-4
    assert row["n_donors"] == 40
    assert row["n_visits"] == 80
    assert row["adjusted_for"] == "age;visit_day"
    assert table.set_index("term").loc["S3 against S1", "p_value"] > 0.01
    assert table.set_index("term").loc["strata", "q_value"] < 1e-4


def test_a_shorter_survival_of_a_stratum_is_found(
    analysed: AnnData, clinical: pd.DataFrame
) -> None:
    visits = clinical_visits(analysed, clinical)
    people = clinical_people(visits, ("days", "died"))
    table, curves = survival(
        analysed, people=people, time="days", event="died", covariates=("age",)
    )
    conform(table, schema.OUTCOMES)
    conform(curves, schema.SURVIVAL)
    rows = table.set_index(["model", "term"])
    assert rows.loc[("log-rank test", "strata"), "p_value"] < 1e-3
    cox_row = rows.loc[("Cox regression", "S2 against S1")]
    assert 1 < cox_row["effect_low"] < 10 < cox_row["effect_high"] < 100
    assert set(curves["stratum"]) == {"S1", "S2", "S3"}
    assert curves.groupby("stratum")["survival"].apply(lambda s: s.is_monotonic_decreasing).all()


def test_few_events_leave_the_curves_and_refuse_the_regression(
    analysed: AnnData, clinical: pd.DataFrame
) -> None:
    visits = clinical_visits(analysed, clinical)
    people = clinical_people(visits, ("days", "died"))
    people["died"] = (people["days"].rank() <= 12).astype(int)
    table, curves = survival(
        analysed, people=people, time="days", event="died", covariates=("age",)
    )
    refused = table.set_index("model")["refused"]
    assert refused["Cox regression"] == "12 events for 3 parameters, 30 are needed"
    assert refused["log-rank test"] == ""
    assert len(curves) > 0


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda v: v.assign(score=1.0), "the same in every visit"),
        (lambda v: v.drop_duplicates("donor_id"), "0 donors have two visits or more"),
        (lambda v: v.assign(score=v["score"].where(v["S"] != "S3")), "S3 has 0 donors"),
        (lambda v: v.assign(age=(v["S"] == "S2").astype(float)), "tell the same"),
    ],
)
def test_a_mixed_model_that_means_nothing_is_refused(
    change, why: str, analysed: AnnData, clinical: pd.DataFrame
) -> None:
    label = analysed.obs[slots.CANDIDATE].astype(str).to_numpy()
    visits = clinical_visits(analysed, change(clinical.assign(S=label)))
    table = mixed_models(analysed, visits=visits, outcomes=("score",), covariates=("age",))
    assert len(table) == 1
    assert why in table["refused"][0]
    assert table["p_value"].isna().all()


def test_a_mixed_model_gives_the_published_numbers_of_orthodont() -> None:
    """Potthoff & Roy 1964: distances (mm) of 16 boys and 11 girls at 8, 10, 12 and 14 years."""
    from pmcell.strata.association.mixed import random_intercept

    boys = """26 25 29 31 21.5 22.5 23 26.5 23 22.5 24 27.5 25.5 27.5 26.5 27 20 23.5 22.5 26
        24.5 25.5 27 28.5 22 22 24.5 26.5 24 21.5 24.5 25.5 23 20.5 31 26 27.5 28 31 31.5
        23 23 23.5 25 21.5 23.5 24 28 17 24.5 26 29.5 22.5 25.5 25.5 26 23 24.5 26 30
        22 21.5 23.5 25"""
    girls = """21 20 21.5 23 21 21.5 24 25.5 20.5 24 24.5 26 23.5 24.5 25 26.5 21.5 23 22.5 23.5
        20 21 21 22.5 21.5 22.5 23 25 23 23 23.5 24 20 21 22 21.5 16.5 19 19 19.5
        24.5 25 28 28"""
    y = np.array((boys + " " + girls).split(), float)
    child = np.repeat(np.arange(27), 4)
    x = np.column_stack([np.ones(108), child >= 16, np.tile([8.0, 10, 12, 14], 27)])
    effects, covariance = random_intercept(y, x, child)
    # nlme: lme(distance ~ age + Sex, Orthodont, random = ~ 1 | Subject); 25 degrees of freedom.
    assert effects == pytest.approx([17.70671, -2.32102, 0.66019], abs=1e-5)
    assert np.sqrt(np.diag(covariance)) == pytest.approx([0.83392, 0.76142, 0.06161], abs=1e-4)


@pytest.mark.parametrize("ratio", [0.0, 0.1, 1.0, 20.0])
def test_a_mixed_model_is_at_the_highest_restricted_likelihood(ratio: float) -> None:
    """Naive twin: dense covariance matrices of all visits, over a fine grid of ratios."""
    from pmcell.strata.association.mixed import random_intercept

    rng = np.random.default_rng(int(10 * ratio))
    donor = np.repeat(np.arange(12), rng.integers(1, 5, 12))
    x = np.column_stack([np.ones(donor.size), donor % 2, rng.normal(size=donor.size)])
    own = rng.normal(size=12) * np.sqrt(ratio)
    y = 100 + x @ [0, 1, 2] + own[donor] + rng.normal(size=donor.size)

    def naive(ratio: float) -> tuple[float, np.ndarray, np.ndarray]:
        variance = np.eye(y.size) + ratio * (donor[:, None] == donor)
        weight = np.linalg.inv(variance)
        inside = x.T @ weight @ x
        effects = np.linalg.solve(inside, x.T @ weight @ y)
        rest = y - x @ effects
        squares, freedom = rest @ weight @ rest, y.size - x.shape[1]
        logs = np.linalg.slogdet(variance)[1] + np.linalg.slogdet(inside)[1]
        return logs + freedom * np.log(squares), effects, np.linalg.inv(inside) * squares / freedom

    _, effects, covariance = min(map(naive, np.r_[0.0, np.geomspace(1e-4, 1e3, 7001)]))
    found, its_covariance = random_intercept(y, x, donor)
    assert found == pytest.approx(effects, abs=1e-4)
    assert np.sqrt(np.diag(its_covariance)) == pytest.approx(np.sqrt(np.diag(covariance)), rel=2e-3)


def test_donors_who_do_not_differ_give_the_effects_of_least_squares() -> None:
    from pmcell.strata.association.mixed import random_intercept

    donor = np.repeat(np.arange(8), 2)
    x = np.column_stack([np.ones(16), np.sin(np.arange(16))])
    y = x @ [1.0, 0.5] + np.tile([1.0, -1.0], 8)
    effects, covariance = random_intercept(y, x, donor)
    ordinary, squares, *_ = np.linalg.lstsq(x, y, rcond=None)
    assert effects == pytest.approx(ordinary)
    assert covariance == pytest.approx(np.linalg.inv(x.T @ x) * squares[0] / 14)


def test_a_mixed_model_of_visits_that_do_not_differ_is_refused() -> None:
    from pmcell.strata.association.mixed import random_intercept
    from pmcell.strata.association.outcomes import Refused

    donor = np.repeat(np.arange(8), 2)
    with pytest.raises(Refused, match="no visits of a donor differ"):
        random_intercept(np.sin(donor) + 5, np.ones((16, 1)), donor)


def test_visits_of_strangers_are_named(analysed: AnnData, clinical: pd.DataFrame) -> None:
    stranger = clinical.assign(donor_id=clinical["donor_id"].replace("D0001", "D9999"))
    with pytest.raises(DataError, match="1 ids are not: D9999"):
        clinical_visits(analysed, stranger)


def test_times_and_events_that_cannot_be_are_named(
    analysed: AnnData, clinical: pd.DataFrame
) -> None:
    people = clinical.drop_duplicates("donor_id")
    with pytest.raises(DataError, match="'days' must be above 0; D0001"):
        survival(analysed, people=people.assign(days=0.0), time="days", event="died")
    with pytest.raises(DataError, match="'died' must be 0 or 1"):
        survival(analysed, people=people.assign(died=2), time="days", event="died")
    with pytest.raises(DataError, match="one row a donor"):
        survival(analysed, people=clinical, time="days", event="died")
    with pytest.raises(UsageError, match="'weeks' is none of"):
        survival(analysed, people=people, time="weeks", event="died")
    with pytest.raises(UsageError, match="row 1 has 'high'"):
        mixed_models(
            analysed, visits=clinical.assign(score="high"), outcomes=("score",), covariates=()
        )


def test_a_fit_without_a_maximum_is_refused() -> None:
    from pmcell.strata.association.outcomes import Refused

    with pytest.raises(Refused, match="no maximum"):
        cox(np.arange(1.0, 41.0), np.repeat([1.0, 0.0], 20), np.repeat([0.0, 1.0], 20)[:, None])


@pytest.mark.parametrize(
    ("values", "why"),
    [
        (None, ""),
        (["x"] * 30 + ["unknown"] * 10, "the same for every donor, unknown for 10"),
        (["x"] * 40, "the same for every donor"),
        (["unknown"] * 40, "known for 0 donors"),
        ("batch", "follow from the batch"),
    ],
)
def test_strata_are_adjusted_or_it_is_said_why_not(values, why: str, analysed: AnnData) -> None:
    donors = analysed.copy()
    column = np.random.default_rng(0).choice(["a", "b"], 40) if values is None else values
    chosen = donors.obs[slots.DISCOVERY].to_numpy()
    donors.obs["sex"] = "unknown"
    donors.obs.loc[chosen, "sex"] = (
        donors.obs["batch_id"].astype(str)[chosen] if values == "batch" else column
    )
    found = pm.strata.adjusted_strata(donors, adjust_for=("sex",))
    assert why in found["refused"]
    if not why:
        assert found["refused"] == ""
        assert found["ari"] > 0.9
        assert found["p"] == pytest.approx(0.05), "no draw without strata is as clear"
        assert found["n_null"] == 19
    assert pm.strata.summary(donors)["adjusted"]["adjust_for"] == ["sex"]


def test_strata_that_are_the_covariate_are_gone_after_adjusting(analysed: AnnData) -> None:
    donors = analysed.copy()
    donors.obs["sex"] = donors.obs[slots.CANDIDATE].astype(str)
    found = pm.strata.adjusted_strata(donors, adjust_for=("sex",))
    assert found["refused"] == ""
    assert found["ari"] < 0.3
    assert found["share_explained"] > 0.2
    assert found["p"] > 0.2, "without them nothing is left that looks like strata"


def test_other_strata_than_those_of_the_covariate_are_told_by_a_small_p(
    analysed: AnnData,
) -> None:
    """With S1 taken out, two of three strata are left; a batch has no donor with all values."""
    donors = analysed.copy()
    label = donors.obs[slots.CANDIDATE].astype(str)
    gone = donors.obs["batch_id"].astype(str) == "batch_3"
    donors.obs["sex"] = np.where(gone, "unknown", np.where(label == "S1", "F", "M"))
    donors.uns["existence"]["n_null"] = 499
    found = pm.strata.adjusted_strata(donors, adjust_for=("sex",))
    assert found["refused"] == ""
    assert found["n_donors"] == int((~gone & donors.obs[slots.DISCOVERY]).sum())
    assert found["p"] <= 0.05
    assert found["ari"] < 0.9
