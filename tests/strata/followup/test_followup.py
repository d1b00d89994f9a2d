"""Follow-up: planted changes are found, null ones are not, and what cannot be judged says so."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from pmcell import strata
from pmcell.settings.programme import Contrast, Variable
from pmcell.simulate import simulate_latent
from pmcell.strata.followup.changes import Followed, followed_values
from pmcell.strata.followup.differences import contrast_row, n_needed
from pmcell.strata.followup.noise import PERFECT_DF, Noise, change_limit, repeats_noise
from pmcell.strata.followup.states import state_models
from pmcell.strata.followup.stratum_steps import _interval

HEALTHY, ILL = "PATO:0000461", "MONDO:0005148"


@pytest.fixture(scope="module")
def donors():
    """Twelve donors with three visits, half of them healthy; nothing changes."""
    cells = simulate_latent(
        n_donors=12, n_types=4, cells_per_donor=300, n_visits=3, n_batches=1, scenario="null"
    )
    people = sorted(set(cells.obs["donor_id"]))
    healthy = set(people[:6])
    cells.obs["disease_ontology_term_id"] = [
        HEALTHY if name in healthy else ILL for name in cells.obs["donor_id"]
    ]
    cells.obs["visit_day"] = cells.obs["visit_day"].astype(float)
    found = strata.profile(cells)
    strata.distances(found, channels="all")
    strata.cluster(found, n_bootstraps=9)
    strata.existence(found, n_null=19)
    return found


@pytest.fixture(scope="module")
def changes(donors):
    return strata.followup(donors, n_draws=49)


def measurements(donors, values) -> pd.DataFrame:
    """A table of values (rows of the donors' visits × repeats)."""
    values = np.atleast_2d(np.asarray(values, float).T).T
    rows = [
        {
            "donor_id": donor,
            "loinc": "39156-5",
            "number": at * values.shape[1] + repeat + 1,
            "cohort_id": "sim_1",
            "variable": "body_mass_index",
            "visit": visit,
            "day": day + 0.1 * repeat,
            "value": value,
            "unit": "kg/m2",
            "source": "clinic",
            "comparator": "",
            "submitted_value": value,
            "submitted_unit": "kg/m2",
        }
        for at, (donor, visit, day) in enumerate(
            donors.obs[["donor_id", "visit", "visit_day"]].itertuples(index=False)
        )
        for repeat, value in enumerate(values[at])
    ]
    return pd.DataFrame(rows)


VARIABLE = Variable(title="BMI", loinc="39156-5", unit="kg/m2", low=8, high=100)


def test_every_step_of_every_donor_has_a_row_for_each_type(changes, donors):
    types = changes[changes["kind"] == "cell type"]
    assert len(types) == 12 * 2 * donors.n_vars
    assert not changes.duplicated(["donor_id", "visit", "kind", "quantity"]).any()
    assert set(types["noise_source"]) == {"visits of reference donors"}
    assert set(types["noise_df"]) == {12}
    assert set(types["noise_donors"]) == {6}


def test_the_noise_of_shares_holds_sampling_and_what_repeats_add(donors, changes):
    """The limit is that of two visits' sampling and the spread of the six healthy donors."""
    from scipy.stats import t

    values = followed_values(donors, Followed())
    one = values[values["quantity"] == donors.var_names[0]]
    healthy = one[one["donor_id"].isin(sorted(set(one["donor_id"]))[:6])]
    spread = healthy.groupby("donor_id")["x"].var(ddof=1).mean()
    extra = max(spread - healthy["sampling"].mean(), 0)
    row = changes[(changes["quantity"] == donors.var_names[0])].iloc[0]
    pair = one[
        (one["donor_id"] == row.donor_id) & one["visit"].isin([row.visit, row.previous_visit])
    ]
    wanted = t.ppf(0.975, 12) * np.sqrt(2 * extra + pair["sampling"].sum())
    assert row.change_limit == pytest.approx(wanted)


def test_without_repeats_nothing_is_judged(donors):
    found = strata.followup(donors, reference=("disease_ontology_term_id", "MONDO:0005178"))
    assert set(found["verdict"]) == {"cannot be judged"}
    assert set(found["noise_source"]) == {"no repeats"}
    assert found["change_limit"].isna().all()
    assert set(found["direction"]) == {""}


def test_a_planted_change_of_a_value_is_found_with_its_direction(donors):
    steady = np.repeat(np.linspace(20, 25, 12), 3) + np.tile([0.0, 0.1, -0.1], 12)
    far = steady.copy()
    ill = donors.obs["disease_ontology_term_id"].to_numpy() == ILL
    last = donors.obs["visit_day"].to_numpy() == donors.obs["visit_day"].max()
    far[ill & last] += 10
    followed = Followed(measurements(donors, far), variables={"body_mass_index": VARIABLE})
    found = strata.followup(donors, followed=followed, n_draws=19)
    own = found[found["kind"] == "measurement"]
    moved = own[own["verdict"] == "changed"]
    assert len(moved) == 6
    assert set(moved["direction"]) == {"away"}
    assert set(moved["donor_id"]) == set(donors.obs["donor_id"][ill])
    assert set(own["noise_source"]) == {"visits of reference donors"}


def test_values_of_one_day_give_a_noise_only_where_nothing_better_is_known(donors):
    rng = np.random.default_rng(0)
    values = 22 + rng.normal(0, 1, (donors.n_obs, 3))
    followed = Followed(measurements(donors, values), variables={"body_mass_index": VARIABLE})
    nobody = ("disease_ontology_term_id", "MONDO:0005178")
    found = strata.followup(donors, followed=followed, reference=nobody)
    own = found[found["kind"] == "measurement"]
    assert set(own["noise_source"]) == {"values of one day"}
    assert set(own["noise_df"]) == {donors.n_obs * 2}


def test_a_published_variation_is_used_at_the_level_of_the_values(donors):
    variation = {"cv_within": 0.03, "cv_analytical": 0.04, "source": "10.1/x"}
    told = Variable.model_validate({**VARIABLE.model_dump(), "variation": variation})
    steady = np.full(donors.n_obs, 30.0)
    followed = Followed(measurements(donors, steady), variables={"body_mass_index": told})
    nobody = ("disease_ontology_term_id", "MONDO:0005178")
    found = strata.followup(donors, followed=followed, reference=nobody)
    own = found[found["kind"] == "measurement"]
    assert set(own["noise_source"]) == {"published variation (10.1/x)"}
    wanted = 1.96 * np.sqrt(2) * 30 * 0.05
    assert own["change_limit"].to_numpy() == pytest.approx(wanted, rel=1e-3)


def test_a_missing_visit_is_stepped_over_and_one_without_cells_stays(donors):
    table = measurements(donors, np.full(donors.n_obs, 22.0))
    one = table["donor_id"].iloc[0]
    middle = (table["donor_id"] == one) & (table["visit"] == sorted(set(table["visit"]))[1])
    late = table[middle].assign(visit=None, day=500.0, value=23.0, number=99)
    table = pd.concat([table[~middle], late], ignore_index=True)
    followed = Followed(table, variables={"body_mass_index": VARIABLE})
    found = strata.followup(donors, followed=followed, n_draws=19)
    own = found[(found["kind"] == "measurement") & (found["donor_id"] == one)]
    names = sorted(set(donors.obs["visit"]))
    assert own["previous_visit"].tolist() == [names[0], names[2]]
    assert own["visit"].tolist() == [names[2], "day 500"]


def test_limits_of_the_method_are_no_values(donors):
    table = measurements(donors, np.full(donors.n_obs, 22.0))
    table["comparator"] = "<"
    values = followed_values(donors, Followed(table))
    assert set(values["kind"]) == {"cell type"}


def test_the_same_input_gives_the_same_rows(donors, changes):
    again = strata.followup(donors, n_draws=49)
    pd.testing.assert_frame_equal(again, changes)


def test_noise_of_repeats_is_the_spread_beyond_what_is_known():
    rng = np.random.default_rng(1)
    group = np.repeat([f"d{i}" for i in range(400)], 3).astype(object)
    values = rng.normal(0, 3, group.size) + np.repeat(rng.normal(0, 50, 400), 3)
    noise = repeats_noise(values, np.full(group.size, 4.0), group, "x")
    assert noise is not None
    assert noise.extra == pytest.approx(9 - 4, rel=0.2)
    assert (noise.df, noise.n_donors) == (800, 400)
    assert repeats_noise(values[:4], np.zeros(4), group[:4], "x") is None


def test_few_repeats_widen_the_limit():
    wide, narrow = (change_limit(Noise(1.0, df, 3, "x"), 0, 0) for df in (3, PERFECT_DF))
    assert wide / narrow == pytest.approx(3.182 / 1.96, rel=1e-3)


@pytest.fixture(scope="module")
def two_arms():
    rng = np.random.default_rng(3)
    n = 20
    rows = []
    for at in range(2 * n):
        level = rng.normal(50, 8)
        for place in range(2):
            effect = -6.0 if at < n and place else 0.0
            drift = 2.0 * place
            x = level + drift + effect + rng.normal(0, 2)
            rows.append((f"d{at}", place, x, "difference", "b"))
    columns = ["donor_id", "place", "x", "change_unit", "batch_id"]
    people = pd.DataFrame(
        {
            "donor_id": [f"d{i}" for i in range(2 * n)],
            "treatment": ["treated"] * n + ["untreated"] * n,
        }
    )
    return pd.DataFrame(rows, columns=columns), people


CONTRAST = Contrast(
    question="?",
    kind="change",
    outcome="hba1c",
    column="treatment",
    group="treated",
    reference="untreated",
)


def test_difference_in_differences_takes_the_common_drift_off(two_arms):
    values, people = two_arms
    row = contrast_row(values, people, CONTRAST, programme="p", name="c", minimal=5.0)
    assert row["effect_low"] < -6 < row["effect_high"]
    assert row["p_value"] < 1e-4
    assert (row["n_donors"], row["n_reference"], row["n_visits"]) == (20, 20, 80)
    assert row["power"] > 0.99
    assert row["n_needed"] < 20
    assert 0 < row["smallest_detectable"] < 5


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"column": "drug"}, "no column 'drug'"),
        ({"group": "placebo"}, "0 donors with two visits are placebo and 20 untreated"),
    ],
)
def test_a_contrast_that_cannot_be_made_says_why(two_arms, change, why):
    values, people = two_arms
    contrast = CONTRAST.model_copy(update=change)
    row = contrast_row(values, people, contrast, programme="p", name="c")
    assert why in row["refused"]
    assert np.isnan(row["effect"])


def test_groups_in_different_batches_are_told(two_arms):
    values, people = two_arms
    contrast = CONTRAST.model_copy(update={"kind": "groups"})
    first = people["donor_id"][:20].tolist()
    apart = values.assign(batch_id=np.where(values["donor_id"].isin(first), "a", "b"))
    row = contrast_row(apart, people, contrast, programme="p", name="c")
    assert "the batch may be the cause" in row["note"]
    both = values.assign(
        batch_id=np.where(values["donor_id"].str[-1].isin(list("02468")), "a", "b")
    )
    row = contrast_row(both, people, contrast, programme="p", name="c")
    assert (row["note"], row["adjusted_for"]) == ("", "batch_id")


def test_donors_needed_are_those_of_the_textbook():
    assert [n_needed(size) for size in (0.5, 0.8, 0.2)] == [64, 26, 394]  # Cohen 1988, table 2.4.1


def test_a_value_that_moves_with_a_state_within_donors_is_found_and_between_is_apart():
    rng = np.random.default_rng(5)
    rows, states = [], []
    for at in range(30):
        own = rng.normal(0, 1)
        for visit in range(3):
            x = rng.normal(0, 1)
            states.append((f"d{at}", f"T{visit}", "T cell", x))
            # Within a donor the value falls with the state; between donors it does not follow.
            rows.append(
                (f"d{at}", f"T{visit}", "crp", own - 2 * x + rng.normal(0, 0.5), "difference")
            )
    measured = pd.DataFrame(rows, columns=["donor_id", "visit", "quantity", "x", "change_unit"])
    shares = pd.DataFrame(states, columns=["donor_id", "visit", "quantity", "x"])
    hours = measured[["donor_id", "visit"]].assign(hours_to_processing=rng.uniform(1, 9, 90))
    within, between = state_models(measured, shares, programme="p", covariates=hours)
    assert within["effect_low"] < -2 * shares["x"].std(ddof=0) < within["effect_high"]
    assert within["p_value"] < 1e-10
    assert (within["n_donors"], within["n_visits"]) == (30, 90)
    assert within["adjusted_for"] == "hours_to_processing"
    assert between["analysis"] == "mixed model, between donors"
    (refused,) = state_models(measured[:6], shares, programme="p")
    assert "2 donors have two visits" in refused["refused"]


def test_a_covariate_that_is_not_known_for_every_visit_is_left_out_and_told():
    rng = np.random.default_rng(6)
    keys = [(f"d{at}", f"T{visit}") for at in range(12) for visit in range(2)]
    measured = pd.DataFrame(keys, columns=["donor_id", "visit"]).assign(
        quantity="crp", change_unit="difference"
    )
    level = np.repeat(rng.normal(0, 3, 12), 2)
    shares = measured[["donor_id", "visit"]].assign(quantity="T cell", x=rng.normal(size=24))
    hours = measured[["donor_id", "visit"]].assign(hours_to_processing=[np.nan, *range(23)])
    rows = state_models(
        measured.assign(x=level + rng.normal(size=24)), shares, programme="p", covariates=hours
    )
    assert rows[0]["adjusted_for"] == ""
    assert "not adjusted for hours_to_processing" in rows[0]["note"]


def test_the_interval_of_none_or_all_steps_is_not_empty():
    hit, total = np.zeros(10, int), np.ones(10, int)
    weight = np.ones((20, 10))
    assert _interval(hit, total, weight, 0.0, 10) == (0.0, pytest.approx(0.3085, abs=1e-4))
    assert _interval(total, total, weight, 1.0, 10) == (pytest.approx(0.6915, abs=1e-4), 1.0)
