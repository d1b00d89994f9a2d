"""Donors between strata, groups too small to be strata, types that a donor does not have."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

import pmcell as pm
from pmcell import schema
from pmcell.io.tables import conform
from pmcell.schema import X_INTEGRATED
from pmcell.simulate import simulate_latent
from pmcell.strata.profiles import slots

if TYPE_CHECKING:
    from anndata import AnnData

N_TYPES = 4


@pytest.fixture(scope="module")
def two_strata() -> AnnData:
    return simulate_latent(
        scenario="state",
        n_donors=30,
        n_strata=2,
        n_batches=1,
        n_types=N_TYPES,
        n_dims=6,
        cells_per_donor=150,
        donor_sd=0.15,
        effect=1.5,
        seed=6,
    )


def settled(cells: AnnData) -> AnnData:
    donors = pm.strata.profile(cells)
    pm.strata.distances(donors, channels="all")
    pm.strata.cluster(donors, n_bootstraps=10)
    pm.strata.existence(donors, n_null=39)
    pm.strata.place(donors)
    return donors


def test_a_donor_between_two_strata_is_ambiguous_and_gets_no_stratum(two_strata: AnnData) -> None:
    cells = two_strata.copy()
    truth = cells.uns["truth"]
    kind = dict(zip(truth["donor_id"], truth["stratum"], strict=True))
    name = truth["donor_id"][0]
    own = (cells.obs["donor_id"] == name).to_numpy()
    shift = truth["state"]
    other = next(donor for donor in truth["donor_id"] if kind[donor] != kind[name])
    index = list(truth["donor_id"]).index
    half = 0.5 * (shift[index(other)] - shift[index(name)])
    code = cells.obs["cell_type"].cat.codes.to_numpy()
    cells.obsm[X_INTEGRATED][own] += half[code[own]].astype(np.float32)
    donors = settled(cells)
    assert donors.uns["existence"]["decision"] == "strata"
    row = donors.obs[donors.obs["donor_id"] == name].iloc[0]
    others = donors.obs[donors.obs["donor_id"] != name]
    assert row[slots.MARGIN] < others[slots.MARGIN].min()
    assert row[slots.STATUS] in ("ambiguous", "novel")
    assert row[slots.STRATUM] == ""


def test_a_group_smaller_than_the_minimum_is_no_stratum() -> None:
    cells = simulate_latent(
        scenario="null", n_donors=30, n_batches=1, n_types=N_TYPES, n_dims=6, cells_per_donor=150
    )
    few = np.unique(cells.obs["donor_id"].astype(str))[:3]
    odd = cells.obs["donor_id"].astype(str).isin(few).to_numpy()
    cells.obsm[X_INTEGRATED][odd, 0] += 3.0
    donors = settled(cells)
    assert donors.uns["clustering"]["min_size"] == 5
    assert donors.uns["existence"]["decision"] == "continuum"
    sizes = donors.obs[slots.CANDIDATE].value_counts()
    assert 3 not in sizes.to_list()


def test_a_donor_without_a_type_is_placed_by_the_others(two_strata: AnnData) -> None:
    cells = two_strata
    name = cells.uns["truth"]["donor_id"][1]
    gone = (cells.obs["donor_id"] == name) & (cells.obs["cell_type"] == "type_04")
    donors = settled(cells[~gone.to_numpy()].copy())
    assert np.isfinite(donors.obsp[slots.DISTANCE]).all()
    row = donors.obs_names.get_loc(f"{name}|T0")
    of_type = donors.uns["profile"]["state_cell_type"] == "type_04"
    assert np.isnan(donors.obsm["X_state"][row, of_type]).all()
    label = donors.obs[slots.CANDIDATE].astype(str).to_numpy()
    truth = cells.uns["truth"]["stratum"]
    alike = np.flatnonzero(truth == truth[1])
    assert (label[alike] == label[row]).mean() > 0.8


def test_strata_are_seen_in_types_each_too_rare_to_be_looked_at_alone() -> None:
    cells = simulate_latent(
        scenario="state", effect=0.9, n_types=4, cells_per_donor=200, n_dims=10, seed=3
    )
    rng = np.random.default_rng(0)
    part = rng.integers(0, 12, cells.n_obs).astype(str)
    cells.obs["cell_type"] = cells.obs["cell_type"].astype(str).to_numpy() + "." + part
    donors = pm.strata.profile(cells)
    assert (donors.X >= 10).mean(axis=0).max() < 0.5
    pools = donors.var[slots.POOL].astype(str)
    assert (pools.value_counts() > 1).all()
    assert "" not in set(pools)
    assert pools.value_counts().index.str.contains("rarer type").all()
    pm.strata.distances(donors, channels=("state",))
    pm.strata.cluster(donors, n_bootstraps=20)
    pm.strata.existence(donors, n_null=39)
    assert donors.uns["channels"]["used"] == ["state"]
    assert donors.uns["existence"]["decision"] == "strata"
    truth = cells.uns["truth"]
    stratum = dict(zip(truth["donor_id"], truth["stratum"], strict=True))
    found = donors.obs["candidate_stratum"].astype(str)
    assert adjusted_rand_score(donors.obs["donor_id"].astype(str).map(stratum), found) > 0.9
    table = pm.strata.drivers(donors)
    assert set(table["cell_type"]) == set(pools)


@pytest.mark.parametrize(("n_donors", "n_visits"), [(1, 1), (1, 2), (2, 2), (3, 2)])
def test_a_handful_of_donors_gives_every_table(n_donors: int, n_visits: int) -> None:
    cells = simulate_latent(
        n_donors=n_donors, n_visits=n_visits, cells_per_donor=200, n_types=3, seed=4
    )
    donors = pm.strata.profile(cells)
    pm.strata.distances(donors)
    pm.strata.cluster(donors, n_bootstraps=2)
    pm.strata.existence(donors, n_null=79)
    pm.strata.place(donors)
    pm.strata.generalise(donors)
    assert donors.uns["existence"]["decision"] != "strata"
    for frame, table in (
        (pm.strata.strata_table(donors), schema.STRATA),
        (pm.strata.assignments(donors), schema.ASSIGNMENTS),
        (pm.strata.associate(donors, n_permutations=99), schema.ASSOCIATIONS),
        (pm.strata.drivers(donors), schema.DRIVERS),
        (pm.strata.composition_shifts(donors), schema.COMPOSITION_SHIFTS),
        (pm.strata.movement(donors, n_draws=19), schema.MOVEMENT),
    ):
        conform(frame, table)
    assert len(pm.strata.assignments(donors)) == n_donors * n_visits
