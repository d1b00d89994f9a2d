"""Steps of donors between visits."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

import pmcell as pm
from pmcell import schema
from pmcell.errors import UsageError
from pmcell.io.tables import conform
from pmcell.simulate import simulate_latent
from pmcell.strata.profiles import slots

N_DONORS = 30
MOVED = 6


@pytest.fixture(scope="module")
def followed() -> AnnData:
    """Donors whose second visit is of the same cells drawn again; the first six moved."""
    return seen_twice(0)


def seen_twice(seed: int) -> AnnData:
    cells = simulate_latent(
        n_donors=N_DONORS, cells_per_donor=400, n_dims=5, n_types=4, n_visits=2, seed=9
    )
    obs = cells.obs
    donor = obs["donor_id"].astype(str).to_numpy()
    x = cells.obsm["X_integrated"].copy()
    types = obs["cell_type"].astype(str).to_numpy().astype(object)
    rng = np.random.default_rng(seed)
    moved = sorted(set(donor))[:MOVED]
    visits = sorted(obs["visit"].astype(str).unique())
    second = (obs["visit"].astype(str) == visits[1]).to_numpy()
    for name in sorted(set(donor)):
        own = np.flatnonzero(donor == name)
        drawn = rng.choice(own, own.size)
        x[own], types[own] = x[drawn], types[drawn]
    shifted = second & np.isin(donor, moved)
    x[shifted] += 0.5
    cells.obsm["X_integrated"] = x
    obs["cell_type"] = pd.Categorical(types)
    obs["visit_day"] = np.where(second, 90.0, 0.0)
    donors = pm.strata.profile(cells)
    pm.strata.distances(donors, channels="all")
    pm.strata.cluster(donors, n_bootstraps=2)
    pm.strata.existence(donors, n_null=19)
    donors.uns["moved"] = moved
    return donors


def test_donors_who_moved_are_told_from_those_whose_cells_were_drawn_again(followed) -> None:
    table = conform(pm.strata.movement(followed, n_draws=199), schema.MOVEMENT)
    assert len(table) == N_DONORS
    is_moved = table["donor_id"].isin(list(followed.uns["moved"]))
    assert (table.loc[is_moved, "q_value"] <= 0.05).all()
    assert (table.loc[is_moved, "moved"] > 2 * table.loc[is_moved, "moved_by_chance"]).all()
    still = table.loc[~is_moved, "p_value"]
    assert 0.25 < still.mean() < 0.75


@pytest.mark.once
def test_cells_drawn_again_are_seldom_called_a_step_through_channels_of_the_same_cells() -> None:
    """Means, genes and waves of a draw err together; taken as independent 9 % were below 0.05."""
    small = []
    for seed in range(4):
        donors = seen_twice(seed)
        assert {"state", "cluster_free"} <= set(donors.uns["channels"]["used"])
        table = pm.strata.movement(donors, n_draws=99)
        still = ~table["donor_id"].isin(list(donors.uns["moved"]))
        small += (table.loc[still, "p_value"] <= 0.05).tolist()
    assert len(small) == 4 * (N_DONORS - MOVED)
    assert np.mean(small) <= 0.06


def test_steps_follow_the_day_of_the_visit(followed) -> None:
    donors = followed.copy()
    donors.obs["visit_day"] = 90.0 - donors.obs["visit_day"].to_numpy()
    there = pm.strata.movement(followed, n_draws=19)
    back = pm.strata.movement(donors, n_draws=19)
    assert there["visit"].tolist() == back["previous_visit"].tolist()
    assert np.array_equal(there["moved"], back["moved"])


def test_steps_between_batches_have_a_length_and_no_p(followed) -> None:
    donors = followed.copy()
    batch = donors.obs["batch_id"].astype(str).to_numpy().astype(object)
    others = sorted(set(batch))
    batch[0] = others[1] if batch[0] == others[0] else others[0]
    donors.obs["batch_id"] = batch
    table = pm.strata.movement(donors, n_draws=19)
    odd = table[table["donor_id"] == donors.obs["donor_id"].iloc[0]].iloc[0]
    assert not odd["same_batch"]
    assert np.isnan(odd["p_value"])
    assert np.isfinite(odd["moved"])
    assert table["p_value"].notna().sum() == N_DONORS - 1


def test_the_seed_decides_the_draws(followed) -> None:
    once, again = (pm.strata.movement(followed, n_draws=49, seed=3) for _ in range(2))
    pd.testing.assert_frame_equal(once, again)
    other = pm.strata.movement(followed, n_draws=49, seed=4)
    assert not once["p_value"].equals(other["p_value"])


def test_strata_are_named_only_where_they_are_published(followed) -> None:
    donors = followed.copy()
    for decision, named in (("strata", True), ("continuum", False)):
        donors.uns["existence"] = {**donors.uns["existence"], "decision": decision}
        donors.obs[slots.STRATUM] = np.where(np.arange(donors.n_obs) % 2, "S1", "")
        table = pm.strata.movement(donors, n_draws=19)
        assert table[["stratum", "previous_stratum"]].notna().any().any() == named


def test_donors_seen_once_take_no_step_and_few_draws_are_refused(followed) -> None:
    single = followed[followed.obs[slots.DISCOVERY].to_numpy(bool)].copy()
    assert len(conform(pm.strata.movement(single), schema.MOVEMENT)) == 0
    with pytest.raises(UsageError, match="n_draws must be at least 19, got 5"):
        pm.strata.movement(followed, n_draws=5)


def test_visits_without_a_known_distance_make_no_step(followed) -> None:
    unknown = followed.copy()
    unknown.obsp[slots.DISTANCE] = np.full((unknown.n_obs, unknown.n_obs), np.nan)
    table = conform(pm.strata.movement(unknown, n_draws=19), schema.MOVEMENT)
    assert len(table) == 0


def visits_in_gene_space(moving: int) -> AnnData:
    """24 donors in two states of 20 genes, twice; the first `moving` change their state."""
    rng = np.random.default_rng(4)
    n_donors, n_cells = 24, 150
    donor = np.repeat(np.arange(n_donors), 2 * n_cells)
    visit = np.tile(np.repeat([0, 1], n_cells), n_donors)
    state = np.where((donor < moving) & (visit == 1), 1 - donor % 2, donor % 2)
    kind = rng.integers(0, 2, donor.size)
    moved = np.zeros((2, 120))
    moved[1, :20] = 0.6
    counts = rng.poisson(3 * np.exp(rng.normal(0, 0.5, (2, 120)))[kind] * np.exp(moved)[state])
    obs = pd.DataFrame(
        {
            "donor_id": [f"d{number:02d}" for number in donor],
            "visit": [f"T{number}" for number in visit],
            "batch_id": "b",
            "cell_type": np.array(["a", "b"])[kind],
        },
        index=[f"c{number}" for number in range(donor.size)],
    )
    cells = AnnData(counts.astype(np.float32), obs=obs)
    cells.var_names = [f"G{number:03d}" for number in range(120)]
    cells.obsm["X_integrated"] = rng.normal(0, 1, (donor.size, 4)) + 5.0 * kind[:, None]
    donors = pm.strata.profile(cells)
    pm.strata.add_genes(donors, cells=cells)
    pm.strata.distances(donors, channels="genes")
    pm.strata.cluster(donors, n_bootstraps=2)
    pm.strata.existence(donors, n_null=19)
    return donors


def test_donors_who_change_in_their_genes_are_told_from_those_who_do_not() -> None:
    donors = visits_in_gene_space(moving=4)
    assert list(donors.uns["channels"]["used"]) == ["genes"]
    table = pm.strata.movement(donors, n_draws=99).set_index("donor_id")
    changed = table.index.isin([f"d{number:02d}" for number in range(4)])
    assert table.loc[changed, "p_value"].max() <= 0.02
    assert table.loc[~changed, "p_value"].median() > 0.2
    assert (table.loc[~changed, "p_value"] <= 0.05).sum() <= 3
