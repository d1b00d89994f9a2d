"""Sets that cover, donors that are like nobody, and what is said of small strata."""

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
from pmcell.strata.discovery.refit import full_labels, refit
from pmcell.strata.discovery.uncertainty import _conformal_p, _folds, _rank_among
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


def own_in_set(donors: AnnData) -> pd.Series:
    """Whether the set of each discovery row holds its stratum."""
    obs = donors.obs[donors.obs[slots.DISCOVERY]]
    pairs = zip(obs[slots.CANDIDATE], obs[slots.CONFORMAL], strict=True)
    return pd.Series([name in text.split(";") for name, text in pairs], obs[slots.CANDIDATE])


def test_sets_hold_the_own_stratum_of_nine_in_ten_donors(placed: AnnData) -> None:
    coverage = own_in_set(placed).groupby(level=0).agg(["mean", "size"])
    # A stratum of n donors can leave out the 1/10 worst, rounded down.
    least = 1 - np.floor(coverage["size"] / 10) / coverage["size"]
    assert (coverage["mean"] >= least - 1e-9).all()
    assert coverage["mean"].between(0.87, 1.0).all()


def test_clear_strata_are_assigned_with_one_stratum_in_the_set(placed: AnnData) -> None:
    table = pm.strata.assignments(placed)
    conform(table, schema.ASSIGNMENTS)
    assert (table["status"] == "assigned").mean() > 0.9
    assigned = table[table["status"] == "assigned"]
    single = assigned["conformal_set"] == assigned["stratum"]
    assert (single | (assigned["conformal_set"] == "none")).all()
    assert (table["margin"] > 0).mean() > 0.95
    assert table["ood_p"].between(0, 1).all()


def test_conformal_p_is_the_rank_among_other_donors_of_the_stratum(placed: AnnData) -> None:
    rng = np.random.default_rng(0)
    own = full_labels(placed)
    scores = rng.random((placed.n_obs, 3)).round(1)
    got = _conformal_p(placed, scores, own, 3)
    donor = placed.obs["donor_id"].astype(str).to_numpy()
    discovery = placed.obs[slots.DISCOVERY].to_numpy()
    for row in range(0, placed.n_obs, 7):
        for stratum in range(3):
            others = [
                other
                for other in range(placed.n_obs)
                if discovery[other] and own[other] == stratum and donor[other] != donor[row]
            ]
            larger = sum(scores[other, stratum] >= scores[row, stratum] for other in others)
            assert got[row, stratum] == (1 + larger) / (1 + len(others))


def test_the_farthest_donor_has_the_smallest_p(placed: AnnData) -> None:
    far = np.arange(placed.n_obs, dtype=float)
    p = _rank_among(placed, far)
    discovery = placed.obs[slots.DISCOVERY].to_numpy()
    n = int(discovery.sum())
    assert p[np.flatnonzero(discovery)[-1]] == 1 / n
    assert p[np.flatnonzero(discovery)[0]] == 1.0


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
