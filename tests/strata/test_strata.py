"""From profiles to a verdict: strata where they are, and none where they are not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numba
import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import adjusted_rand_score

import pmcell as pm
from pmcell import schema
from pmcell.errors import UsageError
from pmcell.io.tables import conform
from pmcell.simulate import simulate_latent
from pmcell.strata.discovery.cluster import (
    distance_to_groups,
    distance_to_members,
    k_range,
    min_stratum_size,
)
from pmcell.strata.discovery.separable import batch_share
from pmcell.strata.profiles import slots

if TYPE_CHECKING:
    from collections.abc import Callable

    from anndata import AnnData

    Analyse = Callable[..., AnnData]


def truth_of(cells: AnnData, donors: AnnData) -> list[int]:
    truth = cells.uns["truth"]
    of = dict(zip(truth["donor_id"], truth["stratum"], strict=True))
    return [of[donor] for donor in donors.obs["donor_id"]]


def test_strata_are_found_and_published(cells: AnnData, analysed: AnnData) -> None:
    report = analysed.uns["existence"]
    assert report["decision"] == "strata"
    assert report["k"] == 3
    assert report["p"] <= 0.05
    found = analysed.obs[slots.CANDIDATE]
    assert adjusted_rand_score(truth_of(cells, analysed), found) > 0.9
    assert (analysed.obs[slots.STATUS] == "assigned").mean() > 0.9


def test_the_donor_is_the_unit(analysed: AnnData) -> None:
    assert analysed.n_obs == 80
    assert analysed.obs[slots.DISCOVERY].sum() == 40
    assert analysed.obs.loc[analysed.obs[slots.DISCOVERY], "donor_id"].is_unique
    assert analysed.uns["clustering"]["consensus"]["3"].shape == (40, 40)
    per_donor = analysed.obs.groupby("donor_id")[slots.CANDIDATE].nunique()
    assert (per_donor == 1).mean() > 0.9


@pytest.mark.parametrize("scenario", ["null", "continuum"])
def test_donors_without_strata_get_axes_and_no_labels(scenario: str, analyse: Analyse) -> None:
    cells = simulate_latent(scenario=scenario, n_donors=40, cells_per_donor=250, n_dims=8, seed=5)
    donors = analyse(pm.strata.profile(cells), n_bootstraps=3, n_null=39)
    assert donors.uns["existence"]["decision"] == "continuum"
    assert (donors.obs[slots.STRATUM] == "").all()
    assert (donors.obs[slots.STATUS] == "withheld").all()
    assert len(pm.strata.strata_table(donors)) == 0
    assert len(pm.strata.drivers(donors)) == 0
    assert pm.strata.assignments(donors)["axis_1"].notna().all()


def test_strata_that_are_the_batch_are_not_published(analyse: Analyse) -> None:
    cells = simulate_latent(
        scenario="batch",
        n_donors=40,
        cells_per_donor=250,
        n_dims=8,
        n_strata=2,
        n_batches=2,
        confounding=1.0,
        effect=1.5,
        seed=1,
    )
    donors = analyse(pm.strata.profile(cells), n_bootstraps=3, n_null=39)
    assert donors.uns["existence"]["decision"] == "not separable from batch"
    assert (donors.obs[slots.STRATUM] == "").all()


def test_a_composition_made_by_the_batch_is_dropped() -> None:
    cells = simulate_latent(scenario="state", n_donors=30, cells_per_donor=300, n_dims=8, seed=2)
    rng = np.random.default_rng(0)
    gone = cells.obs["batch_id"].astype(str).eq("batch_1") & cells.obs["cell_type"].isin(
        [f"type_{i:02d}" for i in range(1, 7)]
    )
    donors = pm.strata.profile(cells[~(gone & (rng.random(cells.n_obs) < 0.8))].copy())
    pm.strata.distances(donors, max_batch_share=0.3)
    report = donors.uns["channels"]
    assert report["composition"]["dropped"]
    assert "batch explains" in report["composition"]["why"]
    assert not report["state"]["dropped"]
    assert "composition" not in report["used"]
    assert "state" in report["used"]
    assert np.isfinite(donors.obsp["distance_composition"]).all()


@pytest.mark.parametrize("n_donors", [1, 3, 5, 19])
def test_few_donors_get_no_strata(n_donors: int, analyse: Analyse) -> None:
    cells = simulate_latent(
        n_donors=n_donors, n_strata=1, n_batches=1, cells_per_donor=200, n_dims=4, n_types=3
    )
    donors = analyse(pm.strata.profile(cells))
    assert donors.uns["existence"]["decision"] == "too few donors"
    assert (donors.obs[slots.STRATUM] == "").all()
    table = pm.strata.assignments(donors)
    conform(table, schema.ASSIGNMENTS)
    conform(pm.strata.associate(donors), schema.ASSOCIATIONS)
    assert pm.strata.summary(donors)["withheld"]


def test_one_type_is_enough_for_the_state_channel(analyse: Analyse) -> None:
    cells = simulate_latent(n_donors=24, n_types=1, cells_per_donor=150, n_dims=6, scenario="state")
    donors = analyse(pm.strata.profile(cells), n_bootstraps=3)
    assert donors.uns["channels"]["composition"]["dropped"]
    assert donors.uns["existence"]["decision"] in ("strata", "continuum")


def test_donors_with_too_few_cells_are_not_assigned(cells: AnnData, analyse: Analyse) -> None:
    thin = cells.obs["donor_id"].astype(str).eq(str(cells.obs["donor_id"].iloc[0]))
    keep = ~thin.to_numpy() | (np.arange(cells.n_obs) % 10 == 0)
    donors = analyse(pm.strata.profile(cells[keep].copy(), min_cells_donor=100), n_bootstraps=5)
    few = donors.obs[~donors.obs[slots.ENOUGH]]
    assert len(few) == 2
    assert (few[slots.STATUS] == "too_few_cells").all()
    table = pm.strata.assignments(donors)
    row = table[table["status"] == "too_few_cells"]
    assert row[["stratum", "candidate_stratum", "axis_1", "probability"]].isna().all().all()


def test_a_batch_for_each_donor_cannot_be_told_from_donors(analyse: Analyse) -> None:
    cells = simulate_latent(n_donors=24, cells_per_donor=150, n_dims=4, n_types=4)
    cells.obs["batch_id"] = cells.obs["donor_id"].astype(str)
    donors = analyse(pm.strata.profile(cells), n_bootstraps=2)
    assert donors.uns["existence"]["decision"] == "not separable from batch"


def test_drivers_sum_to_the_distance_difference(analysed: AnnData) -> None:
    table = pm.strata.drivers(analysed)
    conform(table, schema.DRIVERS)
    label = analysed.obs[slots.CANDIDATE].to_numpy()
    chosen = analysed.obs[slots.DISCOVERY].to_numpy()
    squared = analysed.obsp[slots.DISTANCE]
    names = ["S1", "S2", "S3"]
    to = np.array(
        [distance_to_members(squared, np.flatnonzero(chosen & (label == n))) for n in names]
    )
    own = np.array([names.index(name) for name in label])
    rows = np.arange(label.size)
    others = to.copy()
    others[own, rows] = np.inf
    expected = others.min(axis=0) - to[own, rows]
    got = table.groupby(["donor_id", "visit"])["contribution"].sum()
    keys = pd.MultiIndex.from_frame(analysed.obs[["donor_id", "visit"]].astype(str))
    assert np.allclose(got.loc[keys].to_numpy(), expected, atol=1e-9)


def test_planted_types_drive_the_strata(analyse: Analyse) -> None:
    cells = simulate_latent(
        scenario="state", n_donors=40, cells_per_donor=250, n_dims=8, n_strata=2, n_types=8, seed=4
    )
    donors = analyse(pm.strata.profile(cells), n_bootstraps=3)
    shift = (cells.uns["truth"]["state"] ** 2).sum(axis=2).mean(axis=0)
    mean = pm.strata.drivers(donors).groupby("cell_type")["contribution"].mean()
    largest = {f"type_{i + 1:02d}" for i in np.argsort(shift)[-2:]}
    assert largest & set(mean.nlargest(3).index)


def test_tables_meet_the_schema(analysed: AnnData) -> None:
    associations = pm.strata.associate(analysed.copy(), n_permutations=99)
    assert len(conform(pm.strata.strata_table(analysed), schema.STRATA)) == 3
    assert len(conform(pm.strata.assignments(analysed), schema.ASSIGNMENTS)) == analysed.n_obs
    assert len(conform(associations, schema.ASSOCIATIONS)) > 0


def test_associations_find_what_was_planted(cells: AnnData, analysed: AnnData) -> None:
    donors = analysed.copy()
    truth = np.array(truth_of(cells, donors))
    donors.obs["condition"] = np.array(["a", "b", "c"], object)[truth]
    donors.obs["age_group"] = np.random.default_rng(0).choice(["young", "old"], donors.n_obs)
    donors.obs["disease_ontology_term_id"] = "MONDO:0000001"
    table = pm.strata.associate(donors, n_permutations=199).set_index(["outcome", "covariate"])
    assert table.loc[("stratum", "condition"), "effect"] > 0.9
    assert table.loc[("stratum", "condition"), "q_value"] <= 0.05
    assert table.loc[("stratum", "age_group"), "p_value"] > 0.05
    assert "same for every donor" in donors.uns["not_tested"]["disease_ontology_term_id"]
    within = table.index.get_level_values("outcome") == "map_within_donors"
    assert table.loc[~within, "n_donors"].eq(40).all()
    # Only donors whose visits differ in it can tell.
    assert table.loc[("map_within_donors", "age_group"), "n_donors"] < 40


def test_a_condition_that_is_the_batch_is_not_tested_and_said_so(analysed: AnnData) -> None:
    donors = analysed.copy()
    donors.obs["condition"] = donors.obs["batch_id"].astype(str)
    table = pm.strata.associate(donors, n_permutations=99).set_index(["outcome", "covariate"])
    assert "condition" not in table.index.get_level_values("covariate")
    assert "cannot be told apart from the batch" in donors.uns["not_tested"]["condition"]
    assert table.loc[("condition", "batch_id"), "effect"] > 0.95
    assert table.loc[("condition", "batch_id"), "family"] == "design"
    assert any(
        "Every batch holds one condition" in text for text in pm.strata.summary(donors)["warnings"]
    )


def test_covariates_that_nobody_supplied_are_named(analysed: AnnData) -> None:
    donors = analysed.copy()
    pm.strata.associate(donors, n_permutations=99)
    assert donors.uns["not_tested"]["sex_ontology_term_id"] == "no column of the profiles of donors"


def test_the_same_seed_gives_the_same_result_for_any_number_of_threads(
    cells: AnnData, analysed: AnnData, analyse: Analyse
) -> None:
    before = numba.get_num_threads()
    try:
        numba.set_num_threads(1)
        again = analyse(pm.strata.profile(cells))
    finally:
        numba.set_num_threads(before)
    assert pm.strata.summary(again) == pm.strata.summary(analysed)
    pd.testing.assert_frame_equal(pm.strata.assignments(again), pm.strata.assignments(analysed))


def test_the_share_between_batches_is_zero_by_chance_and_one_for_batch_alone() -> None:
    rng = np.random.default_rng(0)
    batch = np.repeat([0, 1, 2], 20)
    chance = []
    for _ in range(50):
        x = rng.normal(size=(60, 4))
        chance.append(batch_share(((x[:, None] - x[None]) ** 2).sum(axis=2), batch))
    assert abs(np.mean(chance)) < 0.02
    x = batch[:, None].astype(float)
    assert np.isclose(batch_share((x - x.T) ** 2, batch), 1.0)
    assert np.isnan(batch_share(np.ones((3, 3)), np.arange(3)))


def test_numbers_of_strata_follow_the_number_of_donors() -> None:
    assert list(k_range(19)) == []
    assert list(k_range(43)) == [2, 3, 4]
    assert max(k_range(1000)) == 8
    assert min_stratum_size(40) == 5
    assert min_stratum_size(300) == 15


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda d: pm.strata.cluster(d), r"call pmcell.strata.distances\(donors\) first"),
        (lambda d: pm.strata.existence(d), r"call pmcell.strata.cluster\(donors\) first"),
        (lambda d: pm.strata.associate(d), r"call pmcell.strata.existence\(donors\) first"),
        (lambda d: pm.strata.drivers(d), r"call pmcell.strata.existence\(donors\) first"),
    ],
)
def test_steps_out_of_order_say_which_comes_first(call, message: str, cells: AnnData) -> None:
    donors = pm.strata.profile(cells[:500].copy(), min_cells_donor=10)
    with pytest.raises(UsageError, match=message):
        call(donors)


def test_cells_in_place_of_donors_are_refused(cells: AnnData) -> None:
    with pytest.raises(UsageError, match=r"that pmcell.strata.profile makes"):
        pm.strata.distances(cells)


def test_wrong_parameters_are_refused(analysed: AnnData) -> None:
    with pytest.raises(UsageError, match="n_null must be at least 19"):
        pm.strata.existence(analysed, n_null=5)
    with pytest.raises(UsageError, match="n_bootstraps must be at least 1"):
        pm.strata.cluster(analysed, n_bootstraps=0)
    with pytest.raises(UsageError, match="n_permutations must be at least 99"):
        pm.strata.associate(analysed, n_permutations=10)


def test_strata_that_follow_the_cohort_are_withheld_however_small_its_batches():
    cells = simulate_latent(n_donors=40, n_strata=2, n_batches=1, scenario="state", seed=5)
    cells.obs["cohort_id"] = "cohort " + cells.obs["stratum"].astype(str)
    donors = pm.strata.profile(cells)
    pm.strata.distances(donors, channels="all")
    pm.strata.cluster(donors, n_bootstraps=10)
    pm.strata.existence(donors, n_null=39)
    report = pm.strata.summary(donors)
    assert report["decision"] == "not separable from batch"
    assert "follow the cohort" in report["why"]
    assert set(donors.obs["status"]) == {"withheld"}


def test_group_distances_are_those_to_the_members() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(12, 3))
    squared = ((x[:, None] - x[None]) ** 2).sum(axis=2)
    rows = np.array([0, 2, 3, 5, 8, 9, 11])
    labels = np.array([0, 1, 0, 1, 3, 0, 1])
    got = distance_to_groups(squared, rows, labels, 4)
    for label in (0, 1, 3):
        assert np.allclose(got[:, label], distance_to_members(squared, rows[labels == label]))
    assert np.isinf(got[:, 2]).all()


def test_a_measured_column_named_like_our_own_is_the_one_that_is_tested(
    analysed: AnnData,
) -> None:
    donors = analysed.copy()
    number = np.arange(donors.n_obs)
    measured = pd.DataFrame({"status": number % 7 + 0.5}, index=donors.obs_names)
    rows = pm.strata.associate(donors, measured=measured, n_permutations=99)
    own = rows[(rows["covariate"] == "status") & (rows["outcome"] == "axis_1")]
    assert own["test"].str.contains("Spearman").all()
    assert len(own) == 1
    assert donors.obs["status"].isin(["assigned", "ambiguous"]).all()
