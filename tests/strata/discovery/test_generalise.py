"""Strata found without one batch or region fit the donors left out, or it is said that not."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

import numpy as np
import pytest

import pmcell as pm
from pmcell.core.donors.arcsine import arcsine
from pmcell.core.donors.channels import adapt, place
from pmcell.core.donors.fit import fit_composition, fit_state
from pmcell.errors import UsageError
from pmcell.simulate import simulate_latent
from pmcell.strata.discovery.generalise import balanced_accuracy
from pmcell.strata.discovery.refit import refit
from pmcell.strata.profiles.model import donor_sums

if TYPE_CHECKING:
    from collections.abc import Callable

    from anndata import AnnData

    Analyse = Callable[..., AnnData]


def test_strata_are_found_again_without_each_batch(analysed: AnnData) -> None:
    donors = analysed.copy()
    found = pm.strata.generalise(donors)
    assert found["unit"] == "batch_id"
    assert list(found["group"]) == ["batch_1", "batch_2", "batch_3"]
    assert sum(found["n_donors"]) == 40
    assert found["mean"] > 0.95
    assert found["embedding_left_out"] is False
    written = pm.strata.summary(donors)["generalisation"]
    assert written["group"] == ["batch_1", "batch_2", "batch_3"]
    assert len(written["balanced_accuracy_own_offset"]) == 3


def test_regions_are_left_out_where_there_are_several(analysed: AnnData) -> None:
    donors = analysed.copy()
    batch = donors.obs["batch_id"].astype(str)
    donors.obs["region"] = np.where(batch == "batch_1", "NL11", "NL32")
    found = pm.strata.generalise(donors)
    assert found["unit"] == "region"
    assert list(found["group"]) == ["NL11"]
    assert "donors are left without it, 20 are needed" in found["why"]


def test_any_column_can_be_left_out_and_unknown_donors_are_set_aside(
    analysed: AnnData, monkeypatch: pytest.MonkeyPatch
) -> None:
    donors = analysed.copy()
    number = donors.obs["donor_id"].astype("category").cat.codes.to_numpy()
    donors.obs["site"] = np.where(number < 12, "north", np.where(number < 36, "south", "unknown"))
    seen = []
    monkeypatch.setattr(
        import_module("pmcell.strata.discovery.generalise"),
        "refit",
        lambda donors, training: seen.append(training) or refit(donors, training),
    )
    found = pm.strata.generalise(donors, by="site")
    assert found["unit"] == "site"
    assert list(found["group"]) == ["north"]
    assert list(found["n_donors"]) == [12]
    assert found["mean"] > 0.95
    assert found["why"] == (
        "unknown: 4 donors, neither learned from nor placed; "
        "south: 12 donors are left without it, 20 are needed"
    )
    # Nobody from the north and nobody whose site is unknown was learned from.
    assert set(number[seen[0]]) == set(range(12, 36))


def test_a_column_to_leave_out_must_exist_and_have_two_values(analysed: AnnData) -> None:
    donors = analysed.copy()
    with pytest.raises(UsageError, match="'site' is none of"):
        pm.strata.generalise(donors, by="site")
    donors.obs["site"] = "unknown"
    found = pm.strata.generalise(donors, by="site")
    assert found["why"] == "all donors are in one site, as far as it is known"
    assert found["unit"] == "site"
    assert len(found["group"]) == 0


def test_a_new_batch_far_away_needs_its_own_offset(analyse: Analyse) -> None:
    cells = simulate_latent(
        scenario="state", n_donors=60, cells_per_donor=250, n_dims=8, n_strata=2, seed=6
    )
    gone = cells.obs["batch_id"].astype(str).eq("batch_1").to_numpy()
    code = cells.obs["cell_type"].cat.codes.to_numpy()
    truth = cells.uns["truth"]
    of = [truth["state"][np.asarray(truth["stratum"]) == s].mean(axis=0) for s in (0, 1)]
    shift = (of[0] - of[1]).astype(np.float32)
    cells.obsm["X_integrated"][gone] += shift[code[gone]]
    donors = pm.strata.profile(cells)
    pm.strata.distances(donors, max_batch_share=0.9, channels="all")
    pm.strata.cluster(donors, n_bootstraps=3)
    pm.strata.existence(donors, n_null=19)
    found = pm.strata.generalise(donors)
    first = list(found["group"]).index("batch_1")
    assert found["balanced_accuracy"][first] < 0.9
    assert found["balanced_accuracy_own_offset"][first] > 0.9


def test_nothing_is_tested_with_one_batch_or_without_candidates(
    cells: AnnData, analyse: Analyse
) -> None:
    few = cells[cells.obs["batch_id"] == "batch_1"].copy()
    assert "no candidate" in pm.strata.generalise(analyse(pm.strata.profile(few)))["why"]
    one = cells.copy()
    one.obs["batch_id"] = "b"
    donors = analyse(pm.strata.profile(one), n_bootstraps=2)
    found = pm.strata.generalise(donors)
    assert found["why"] == "all donors are in one batch and one region"
    assert "mean" not in found


def test_the_offset_of_a_new_batch_is_its_shift_where_the_shift_is_large(cells: AnnData) -> None:
    donors = pm.strata.profile(cells)
    sums = donor_sums(donors)
    batch = np.zeros(donors.n_obs, np.int64)
    old = (sums.take(np.arange(0, 40)), batch[:40])
    fresh = np.arange(40, 80)
    moved = donor_sums(donors).take(fresh)
    moved.mean[:] += 5.0
    state = fit_state(old[0], old[1], 1, pool=np.arange(donors.n_vars), min_cells=10)
    wider = adapt(state, old, moved, 10)
    assert wider.offset.shape[0] == 2
    assert np.abs(wider.offset[1] - 5.0).max() < 0.7
    assert np.array_equal(wider.offset[0], state.offset[0])
    single = adapt(state, old, moved.take(np.array([0])), 10)
    assert not single.offset[1].any()


def test_the_offset_of_a_composition_is_on_the_arcsine_scale(cells: AnnData) -> None:
    sums = donor_sums(pm.strata.profile(cells)).take(np.arange(40))
    batch = np.zeros(40, np.int64)
    channel = fit_composition(sums, batch, 1)
    swapped = type(sums)(sums.n[:, ::-1].copy(), sums.mean, sums.within)
    wider = adapt(channel, (sums, batch), swapped, 1)
    shift = arcsine(swapped.n).mean(axis=0) - arcsine(sums.n).mean(axis=0)
    large = np.abs(shift) > 0.15
    assert large.any()
    assert np.allclose(wider.offset[1][large, 0], shift[large], rtol=0.1)
    placed = place(wider, swapped, np.ones(40, np.int64))
    assert (
        np.abs(placed.x[:, large, 0].mean(axis=0) - arcsine(sums.n).mean(axis=0)[large]).max()
        < 0.02
    )


def test_balanced_accuracy_weighs_classes_equally() -> None:
    truth = np.array([0] * 8 + [1] * 2)
    assert balanced_accuracy(truth, np.zeros(10, np.int64)) == 0.5
    assert balanced_accuracy(truth, truth) == 1.0
