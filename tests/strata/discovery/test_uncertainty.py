"""Sets of donors seen and unseen, donors that are like nobody, new batches, small strata."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numba
import numpy as np
import pandas as pd
import pytest

import pmcell as pm
from pmcell import schema
from pmcell.errors import UsageError
from pmcell.io.tables import conform
from pmcell.simulate import simulate_latent
from pmcell.strata.discovery.refit import refit, without_donors
from pmcell.strata.discovery.uncertainty import _folds
from pmcell.strata.profiles import slots

if TYPE_CHECKING:
    from collections.abc import Callable

    from anndata import AnnData

    Analyse = Callable[..., AnnData]


@pytest.fixture(scope="module")
def placed(analysed: AnnData) -> AnnData:
    donors = analysed.copy()
    pm.strata.place(donors)
    return donors


def true_strata(cells: AnnData, donors: AnnData) -> tuple[np.ndarray, np.ndarray]:
    """The true stratum of each row, and the candidate that most discovery donors of it have."""
    truth = cells.uns["truth"]
    of = dict(zip(truth["donor_id"], truth["stratum"], strict=True))
    true = donors.obs["donor_id"].astype(str).map(of).to_numpy()
    chosen = donors.obs[slots.DISCOVERY].to_numpy()
    candidate = donors.obs[slots.CANDIDATE].astype(str)
    name = {t: candidate[chosen & (true == t)].mode()[0] for t in np.unique(true[chosen])}
    return true, np.array([name.get(t, "") for t in true], object)


def holds(donors: AnnData, name: np.ndarray) -> np.ndarray:
    """Whether each row's set holds the stratum named."""
    pairs = zip(name, donors.obs[slots.CONFORMAL], strict=True)
    return np.array([one in text.split(";") for one, text in pairs])


@pytest.fixture(scope="module")
def unseen(analyse: Analyse) -> tuple[AnnData, AnnData, np.ndarray, np.ndarray]:
    """Cells, donors analysed on some of them, which ones, and the batch of each donor.

    Two of three strata and three of four batches are known to training.
    """
    cells = simulate_latent(
        scenario="both",
        n_donors=120,
        n_strata=3,
        n_batches=4,
        cells_per_donor=120,
        n_dims=8,
        effect=1.0,
        seed=8,
    )
    everyone = pm.strata.profile(cells)
    truth = cells.uns["truth"]
    of = dict(zip(truth["donor_id"], truth["stratum"], strict=True))
    true = everyone.obs["donor_id"].astype(str).map(of).to_numpy()
    batch = everyone.obs["batch_id"].astype(str).to_numpy()
    known = np.flatnonzero((true != 2) & (batch != "batch_4"))
    training = np.isin(np.arange(true.size), known[:40])
    donors = analyse(without_donors(everyone, training), n_bootstraps=5, n_null=39)
    assert donors.uns["existence"]["k"] == 2
    pm.strata.place(donors)
    return cells, donors, training, batch


def test_sets_hold_the_true_stratum_of_unseen_donors_in_known_and_new_batches(
    unseen: tuple[AnnData, AnnData, np.ndarray, np.ndarray],
) -> None:
    cells, donors, training, batch = unseen
    true, name = true_strata(cells, donors)
    inside = holds(donors, name)
    known = ~training & (true != 2)
    fresh = batch == "batch_4"
    assert (known & ~fresh).sum() >= 15
    assert inside[known & ~fresh].mean() >= 0.8
    assert inside[known & fresh].mean() >= 0.7
    assert list(donors.uns["placement"]["new_batches"]) == ["batch_4"]
    # Sets that held everything would hold the truth too.
    assert donors.obs.loc[known, slots.CONFORMAL].str.count(";").mean() < 0.2


def test_donors_of_an_absent_stratum_are_not_assigned(
    unseen: tuple[AnnData, AnnData, np.ndarray, np.ndarray],
) -> None:
    cells, donors, training, batch = unseen
    true, _ = true_strata(cells, donors)
    status = donors.obs[slots.STATUS].to_numpy()
    absent = (true == 2) & (batch != "batch_4")
    assert (status[absent] == "assigned").mean() <= 0.05
    assert (status[absent] == "novel").mean() > 0.6
    known = ~training & (true != 2) & (batch != "batch_4")
    assert (status[known] == "novel").mean() <= 0.1
    assert (status[known] == "assigned").mean() > 0.7


def test_donors_of_an_unknown_kind_are_probable_nowhere_by_their_refits(
    unseen: tuple[AnnData, AnnData, np.ndarray, np.ndarray],
) -> None:
    _, donors, _, _ = unseen
    assert np.isnan(donors.obsm[slots.SUPPORT]).any()
    assert donors.obs[slots.PROBABILITY].between(0, 1).all()


def test_a_new_batch_without_batches_to_compare_with_is_refused(
    unseen: tuple[AnnData, AnnData, np.ndarray, np.ndarray], analyse: Analyse
) -> None:
    _, before, training, batch = unseen
    donors = without_donors(before, training)
    merged = np.where(batch == "batch_4", "batch_4", "batch_1")
    donors.obs["batch_id"] = pd.Categorical(merged)
    analyse(donors, n_bootstraps=2)
    pm.strata.place(donors)
    fresh = donors.obs["batch_id"].eq("batch_4").to_numpy()
    assert (donors.obs.loc[fresh, slots.STATUS] == "new_batch").all()
    assert (donors.obs.loc[fresh, slots.CONFORMAL] == "").all()
    assert donors.obs.loc[fresh, slots.OOD].isna().all()
    assert (donors.obs.loc[fresh, slots.STRATUM] == "").all()
    assert not (donors.obs.loc[~fresh, slots.STATUS] == "new_batch").any()
    assert list(donors.uns["placement"]["batches_without_set"]) == ["batch_4"]


def test_a_feature_set_that_is_not_used_can_make_a_donor_novel(analyse: Analyse) -> None:
    cells = simulate_latent(
        scenario="state", n_donors=44, n_batches=1, cells_per_donor=600, n_dims=8, seed=11
    )
    names = cells.obs["donor_id"].astype(str)
    foreign = names.isin(sorted(set(names))[:4]).to_numpy()
    # Only shares differ: of these donors' cells, most of the first types are gone.
    rng = np.random.default_rng(0)
    gone = foreign & (cells.obs["cell_type"].cat.codes < 6).to_numpy()
    gone &= rng.random(cells.n_obs) < 0.95
    left = cells[~gone].copy()
    everyone = pm.strata.profile(left)
    of_foreign = everyone.obs["donor_id"].isin(set(names[foreign])).to_numpy()
    donors = without_donors(everyone, ~of_foreign)
    pm.strata.distances(donors, channels=("state",))
    pm.strata.cluster(donors, n_bootstraps=3)
    pm.strata.existence(donors, n_null=39)
    assert list(donors.uns["channels"]["used"]) == ["state"]
    assert donors.uns["existence"]["decision"] == "strata"
    pm.strata.place(donors)
    status = donors.obs[slots.STATUS].to_numpy()
    assert (status[of_foreign] == "novel").all()
    assert (status[~of_foreign] == "novel").mean() < 0.1


def test_clear_strata_are_assigned_with_one_stratum_in_the_set(placed: AnnData) -> None:
    table = pm.strata.assignments(placed)
    conform(table, schema.ASSIGNMENTS)
    assert (table["status"] == "assigned").mean() > 0.9
    assigned = table[table["status"] == "assigned"]
    single = assigned["conformal_set"] == assigned["stratum"]
    assert (single | (assigned["conformal_set"] == "none")).all()
    assert (table["margin"] > 0).mean() > 0.95
    assert table["ood_p"].between(0, 1).all()


def test_folds_hold_every_stratum_evenly() -> None:
    label = np.repeat([0, 1, 2], [30, 20, 10])
    fold = _folds(label, 10, seed=1)
    assert (np.bincount(fold) == 6).all()
    assert (np.bincount(fold[label == 2], minlength=10) == 1).all()
    assert _folds(np.zeros(3, np.int64), 10, seed=1).max() == 2


def test_a_refit_knows_nothing_of_the_donors_left_out(analysed: AnnData) -> None:
    donors = analysed.copy()
    donor = donors.obs["donor_id"].astype(str).to_numpy()
    held = np.isin(donor, np.unique(donor)[:6])
    before = refit(donors, ~held)
    donors.obsm[slots.SUM][held] += 1 << 24
    donors.obsm[slots.SUM_SQUARES][held] *= 3
    donors.X[held] = donors.X[held][:, ::-1]
    after = refit(donors, ~held)
    kept = np.ix_(~held, ~held)
    assert np.array_equal(before.squared[kept], after.squared[kept])
    assert np.array_equal(before.labels, after.labels)
    assert not np.allclose(before.squared[held], after.squared[held])


def test_foreign_donors_are_novel(analyse: Analyse) -> None:
    cells = simulate_latent(
        scenario="both", n_donors=48, cells_per_donor=250, n_dims=8, n_batches=1, seed=11
    )
    names = cells.obs["donor_id"].astype(str)
    foreign = names.isin(sorted(set(names))[:4]).to_numpy()
    shift = 0.9 * np.random.default_rng(1).standard_normal((12, 8))
    code = cells.obs["cell_type"].cat.codes.to_numpy()
    x = cells.obsm["X_integrated"]
    x[foreign] += shift[code[foreign]].astype(np.float32)
    donors = pm.strata.profile(cells)
    of_foreign = donors.obs["donor_id"].isin(set(names[foreign])).to_numpy()
    donors.obs[slots.DISCOVERY] &= ~of_foreign
    analyse(donors, n_bootstraps=3)
    pm.strata.place(donors)
    status = donors.obs[slots.STATUS].to_numpy()
    assert (status[of_foreign] == "novel").all()
    assert (status[~of_foreign] == "novel").mean() < 0.1
    assert (donors.obs[slots.STRATUM].to_numpy()[of_foreign] == "").all()


def test_strata_below_ten_donors_get_no_set_and_it_is_said(
    cells: AnnData, analyse: Analyse
) -> None:
    names = cells.obs["donor_id"].astype(str).to_numpy()
    truth = dict(zip(cells.uns["truth"]["donor_id"], cells.uns["truth"]["stratum"], strict=True))
    small = [name for name in sorted(truth) if truth[name] == 2]
    donors = analyse(pm.strata.profile(cells[~np.isin(names, small[7:])].copy()), n_bootstraps=3)
    pm.strata.place(donors)
    assert donors.uns["existence"]["k"] == 3
    without = list(donors.uns["placement"]["strata_without_set"])
    assert len(without) == 1
    table = pm.strata.assignments(donors)
    own = table["candidate_stratum"] == without[0]
    assert table.loc[own, "conformal_set"].isna().all()
    assert table.loc[~own, "conformal_set"].notna().all()
    assert not table["conformal_set"].dropna().str.contains(without[0]).any()
    assert (table.loc[own, "status"] == "assigned").all()
    warned = " ".join(pm.strata.summary(donors)["warnings"])
    assert f"No 90% set can be given for {without[0]}" in warned


def test_nothing_is_said_of_places_when_strata_are_withheld(analyse: Analyse) -> None:
    cells = simulate_latent(scenario="null", n_donors=30, cells_per_donor=150, n_dims=4, seed=5)
    donors = analyse(pm.strata.profile(cells), n_bootstraps=2)
    assert donors.uns["existence"]["decision"] == "continuum"
    pm.strata.place(donors)
    table = pm.strata.assignments(donors)
    assert table[["conformal_set", "ood_p", "margin"]].isna().all(axis=None)
    assert (table["status"] == "withheld").all()
    assert pm.strata.summary(donors)["placement"] == {}


def test_a_new_existence_test_forgets_the_placement(placed: AnnData) -> None:
    donors = placed.copy()
    pm.strata.existence(donors, n_null=19)
    assert "placement" not in donors.uns
    assert pm.strata.assignments(donors)["ood_p"].isna().all()


def test_places_are_the_same_for_any_number_of_threads(analysed: AnnData, placed: AnnData) -> None:
    again = analysed.copy()
    before = numba.get_num_threads()
    try:
        numba.set_num_threads(1)
        pm.strata.place(again)
    finally:
        numba.set_num_threads(before)
    pd.testing.assert_frame_equal(pm.strata.assignments(again), pm.strata.assignments(placed))


def test_wrong_parameters_are_refused(analysed: AnnData) -> None:
    with pytest.raises(UsageError, match=r"coverage must be in \[0.5, 1\)"):
        pm.strata.place(analysed, coverage=1.0)
    with pytest.raises(UsageError, match="n_folds at least 2"):
        pm.strata.place(analysed, n_folds=1)
