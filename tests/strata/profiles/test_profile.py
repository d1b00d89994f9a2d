"""Profiles of donors: exact, independent of the order of cells, missing is never zero."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest

import pmcell as pm
from pmcell.errors import DataError, UsageError
from pmcell.schema import COMPOSITION
from pmcell.strata.profiles import slots
from pmcell.strata.profiles.model import open_map

if TYPE_CHECKING:
    from anndata import AnnData


def tiny(n_cells: int = 400, **obs: object) -> AnnData:
    """Two donors, two visits, three types of which one is rare."""
    import anndata as ad

    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "donor_id": np.repeat(["d1", "d2"], n_cells // 2),
            "visit": np.tile(["T10", "T2"], n_cells // 2),
            "batch_id": "b1",
            "cell_type": rng.choice(["B", "T", "unknown"], n_cells, p=[0.45, 0.45, 0.1]),
            "condition": np.repeat(["case", "control"], n_cells // 2),
            "total_counts": rng.integers(500, 900, n_cells),
        },
        index=[f"c{i}" for i in range(n_cells)],
    )
    for name, value in obs.items():
        frame[name] = value
    return ad.AnnData(obs=frame, obsm={"X_integrated": rng.normal(size=(n_cells, 3))})


def test_a_row_is_a_donor_and_visit_in_natural_order() -> None:
    donors = pm.strata.profile(tiny(), min_cells_donor=50)
    assert donors.obs_names.tolist() == ["d1|T2", "d1|T10", "d2|T2", "d2|T10"]
    assert donors.obs[slots.DISCOVERY].tolist() == [True, False, True, False]
    assert donors.obs["condition"].tolist() == ["case", "case", "control", "control"]
    assert donors.obs["median_total_counts"].between(500, 900).all()


def test_counts_and_means_are_those_of_the_cells() -> None:
    cells = tiny()
    donors = pm.strata.profile(cells, min_cells_donor=50)
    chosen = (cells.obs["donor_id"] == "d1") & (cells.obs["visit"] == "T2")
    chosen &= cells.obs["cell_type"] == "B"
    row, column = 0, donors.var_names.get_loc("B")
    assert donors.X[row, column] == chosen.sum()
    total = donors.obsm[slots.SUM].reshape(4, 3, 3)[row, column] / 2**20
    expected = cells.obsm["X_integrated"][chosen.to_numpy()].sum(axis=0)
    assert np.allclose(total, expected, atol=1e-4)


def test_shuffled_cells_give_the_same_bits(cells: AnnData) -> None:
    order = np.random.default_rng(0).permutation(cells.n_obs)
    first, second = pm.strata.profile(cells), pm.strata.profile(cells[order].copy())
    assert first.obs_names.equals(second.obs_names)
    for key in first.obsm:
        assert np.array_equal(first.obsm[key], second.obsm[key], equal_nan=True), key


def test_unknown_types_count_in_the_composition_and_not_in_the_state() -> None:
    donors = pm.strata.profile(tiny(), min_cells_donor=50)
    assert donors.var_names.tolist() == ["B", "T", "unknown"]
    assert donors.var[slots.POOL].tolist() == ["B", "T", ""]
    assert donors.X.sum() == 400


def test_a_type_with_too_few_cells_is_missing_and_never_zero() -> None:
    cells = tiny()
    cells.obs.loc[
        (cells.obs["donor_id"] == "d1") & (cells.obs["cell_type"] == "T"), "cell_type"
    ] = "B"
    donors = pm.strata.profile(cells, min_cells_donor=50)
    of_t = donors.uns["profile"]["state_cell_type"] == "T"
    assert np.isnan(donors.obsm["X_state"][:2, of_t]).all()
    assert np.isfinite(donors.obsm["X_state"][2:, of_t]).all()


def test_euclid_on_the_state_profile_is_the_state_distance_before_noise(analysed: AnnData) -> None:
    x = analysed.obsm["X_state"]
    whole = np.flatnonzero(~np.isnan(x).any(axis=1))[:10]
    squared = ((x[whole][:, None] - x[whole][None]) ** 2).sum(axis=2)
    alone = open_map(analysed, {"state": 1.0})
    noise = alone.features[0].noise[whole].sum(axis=1) / alone.channels[0].scale
    expected = squared - noise[:, None] - noise[None, :]
    np.fill_diagonal(expected, 0.0)
    assert np.allclose(expected, analysed.obsp["distance_state"][np.ix_(whole, whole)])


def test_rows_with_few_cells_take_no_part_in_discovery() -> None:
    donors = pm.strata.profile(tiny(), min_cells_donor=101)
    assert not donors.obs[slots.ENOUGH].any()
    assert not donors.obs[slots.DISCOVERY].any()
    assert donors.obsm["X_state"].shape[1] == 0


def test_the_next_visit_stands_in_when_the_first_has_too_few_cells() -> None:
    cells = tiny()
    few = cells[~((cells.obs["visit"] == "T2") & (np.arange(400) % 4 == 1))].copy()
    donors = pm.strata.profile(few, min_cells_donor=80)
    assert donors.obs.loc[donors.obs[slots.DISCOVERY], "visit"].tolist() == ["T10", "T10"]


def test_visit_days_decide_which_visit_is_first() -> None:
    cells = tiny()
    cells.obs["visit_day"] = np.where(cells.obs["visit"] == "T10", 0.0, 7.0)
    donors = pm.strata.profile(cells, min_cells_donor=50)
    assert donors.obs.loc[donors.obs[slots.DISCOVERY], "visit"].tolist() == ["T10", "T10"]


def test_composition_is_complete_and_sums_to_one(analysed: AnnData) -> None:
    table = pm.strata.composition(analysed)
    assert list(table.columns) == COMPOSITION.columns
    assert len(table) == analysed.n_obs * analysed.n_vars
    assert np.allclose(table.groupby(["donor_id", "visit"])["share"].sum(), 1.0)


def test_visit_and_batch_may_be_absent() -> None:
    cells = tiny()
    cells.obs = cells.obs.drop(columns=["visit", "batch_id"])
    donors = pm.strata.profile(cells, visit=None, batch=None)
    assert donors.obs_names.tolist() == ["d1|unknown", "d2|unknown"]


def test_cells_of_a_visit_in_two_batches_make_a_batch_of_their_own() -> None:
    donors = pm.strata.profile(tiny(batch_id=np.repeat(["b1", "b2", "b1", "b1"], 100)))
    assert donors.obs["batch_id"].tolist() == ["b1+b2", "b1+b2", "b1", "b1"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"basis": "X_scvi"},
            r"obsm\['X_scvi'\]; there are \['X_integrated'\]",
        ),
        ({"donor": "patient"}, r"needs the obs column 'patient' \(donor\)"),
        ({"batch": "site"}, r"or batch=None"),
        ({"min_cells_type": 1}, r"min_cells_type must be at least 2"),
    ],
)
def test_wrong_calls_say_what_is_there(options: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        pm.strata.profile(tiny(), **options)


def test_cells_without_a_donor_are_refused() -> None:
    cells = tiny()
    cells.obs.loc["c3", "donor_id"] = None
    with pytest.raises(DataError, match="1 of 400 have none in 'donor_id', the first is 'c3'"):
        pm.strata.profile(cells)


def test_an_embedding_with_nan_is_refused() -> None:
    cells = tiny()
    cells.obsm["X_integrated"][5, 1] = np.nan
    with pytest.raises(DataError, match="finite in every cell"):
        pm.strata.profile(cells)


def test_no_cells_are_refused() -> None:
    with pytest.raises(DataError, match="at least one cell"):
        pm.strata.profile(tiny()[:0].copy())


def test_other_cells_are_counted_with_the_waves_of_an_earlier_profile(cells: AnnData) -> None:
    first = cells.obs["batch_id"].astype(str).to_numpy() == "batch_1"
    known = pm.strata.profile(cells[first].copy())
    whole = pm.strata.profile(cells, like=known)
    assert np.array_equal(whole[known.obs_names].obsm[slots.WAVES], known.obsm[slots.WAVES])
    assert whole.uns[slots.CLOUD]["local_distance"] == known.uns[slots.CLOUD]["local_distance"]
    with pytest.raises(UsageError, match="same embedding of 3 dimensions"):
        pm.strata.profile(tiny(), like=known)


def test_columns_of_a_cohort_named_like_our_own_are_kept_under_another_name() -> None:
    names = ("status", "stratum", "probability", "margin", "n_samples", "discovery")
    adata = tiny(**{name: np.repeat(["a", "b"], 200) for name in names})
    donors = pm.strata.profile(adata, min_cells_donor=10)
    for name in names:
        assert donors.obs[f"source_{name}"].tolist() == ["a", "a", "b", "b"]
    assert donors.obs["n_cells"].sum() == 400
    assert "status" not in donors.obs


def test_every_name_that_the_stratification_writes_is_free_for_it() -> None:
    names = [name for name in slots.OWN_COLUMNS if name not in ("donor_id", "visit", "batch_id")]
    adata = tiny()
    for name in names:
        adata.obs[name] = np.repeat(["a", "b"], 200)
    donors = pm.strata.profile(adata, min_cells_donor=10)
    pm.strata.distances(donors)
    pm.strata.cluster(donors, n_bootstraps=2)
    pm.strata.existence(donors, n_null=79)
    pm.strata.place(donors)
    for name in names:
        assert donors.obs[f"source_{name}"].tolist() == ["a", "a", "b", "b"], name
    assert set(donors.obs) <= {
        *slots.OWN_COLUMNS,
        "condition",
        *(f"source_{name}" for name in names),
    }


def test_tissues_are_profiled_without_what_compares_their_embeddings() -> None:
    """Two tissues, whose components mean different things: no waves, no pools of rare types."""
    cells = pm.simulate.simulate_latent(n_donors=24, cells_per_donor=150, n_types=6)
    in_blood = cells.obs["donor_id"].isin(sorted(set(cells.obs["donor_id"]))[:12])
    cells.obs["tissue_group"] = np.where(in_blood, "UBERON:0000178", "UBERON:0001264")
    place = np.where(in_blood, " (blood)", " (pancreas)")
    cells.obs["cell_type"] = cells.obs["cell_type"].astype(str) + place
    donors = pm.strata.profile(cells, min_share_donors=0.4)
    assert "waves_q" not in donors.obsm
    pools = donors.var["state_pool"].astype(str)
    assert set(pools) <= {"", *donors.var_names}
    table = pm.strata.composition(donors)
    assert len(table) == 24 * 6, "six types of a donor's own tissue, and none of the other"
    assert table.groupby("donor_id")["n_cells"].sum().eq(150).all()
    own = table["donor_id"].isin(cells.obs.loc[in_blood, "donor_id"])
    assert table["cell_type"].str.endswith("(blood)").equals(own)
    pm.strata.distances(donors)
    assert donors.uns["channels"]["cluster_free"]["why"] == "the profile holds no sums of waves"
    pm.strata.cluster(donors, n_bootstraps=3)
    pm.strata.existence(donors, n_null=119)
    (said,) = pm.strata.verdict(donors).limitations
    assert said.startswith("Not all donors gave the same tissues")


def test_donors_who_all_gave_both_tissues_are_limited_by_none() -> None:
    cells = pm.simulate.simulate_latent(n_donors=24, cells_per_donor=150, n_types=6)
    is_blood = cells.obs["cell_type"].isin(sorted(set(cells.obs["cell_type"]))[:3])
    cells.obs["tissue_group"] = np.where(is_blood, "UBERON:0000178", "UBERON:0001264")
    donors = pm.strata.profile(cells)
    pm.strata.distances(donors)
    pm.strata.cluster(donors, n_bootstraps=3)
    pm.strata.existence(donors, n_null=119)
    assert pm.strata.verdict(donors).limitations == ()
