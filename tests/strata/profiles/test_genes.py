"""The counts of genes beside a profile: which are kept, in which halves, and why there are none."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd
import pytest

import pmcell as pm
from pmcell.core.counts.aggregate import Aggregate
from pmcell.core.donors.donor_map import fused_distances, place_all
from pmcell.core.donors.resample import MOVES, resample_cells, stream
from pmcell.errors import UsageError
from pmcell.strata.discovery.cluster import distance_to_members
from pmcell.strata.profiles import slots
from pmcell.strata.profiles.genes import MIN_GENES, add_genes
from pmcell.strata.profiles.model import half_counts, open_map
from pmcell.strata.profiles.sex_linked import SEX_LINKED

TYPES = ("a", "b", "rare")
GENES = [f"ENSG{number:011d}" for number in range(118)] + sorted(SEX_LINKED)[:2]


def made_cells(seed: int = 0, *, n_donors: int = 16) -> ad.AnnData:
    """Cells of donors in two states, two types and a rare one, with counts and an embedding."""
    rng = np.random.default_rng(seed)
    donor = np.repeat(np.arange(n_donors), 120)
    kind = rng.choice(3, donor.size, p=[0.55, 0.44, 0.01])
    moved = np.zeros((2, 120))
    moved[1, :20] = 1.0
    moved[1, -2:] = 3.0
    rate = np.exp(rng.normal(0, 0.5, (3, 120)))[kind] * np.exp(moved)[donor % 2]
    counts = rng.poisson(5 * rate).astype(np.float32)
    obs = pd.DataFrame(
        {
            "donor_id": [f"d{number}" for number in donor],
            "sample_id": [f"s{number}" for number in donor],
            "visit": "v0",
            "batch_id": "b",
            "cell_type": np.array(TYPES)[kind],
        },
        index=[f"c{number}" for number in range(donor.size)],
    )
    cells = ad.AnnData(counts, obs=obs, var=pd.DataFrame(index=GENES))
    cells.obsm["X_integrated"] = rng.normal(0, 1, (donor.size, 5)) + 4.0 * kind[:, None]
    return cells


def with_genes(cells: ad.AnnData, *parts: Aggregate, n_genes: int = 300) -> ad.AnnData:
    donors = pm.strata.profile(cells)
    sums = parts or (pm.tl.aggregate(cells, by=("sample_id", "cell_type")),)
    visits = dict.fromkeys(cells.obs["sample_id"], "v0")
    types = {name: name for name in TYPES}
    add_genes(donors, aggregates=sums, visits=visits, cell_types=types, n_genes=n_genes)
    return donors


def test_genes_that_differ_between_donors_are_kept_and_those_of_sex_are_not() -> None:
    donors = with_genes(made_cells(), n_genes=25)
    told = donors.uns[slots.GENES]
    kept = [{told["gene_ids"][code] for code in row if code >= 0} for row in told["gene"]]
    for name, genes in zip(donors.var_names, kept, strict=True):
        if name != "rare":
            assert len(genes & {*GENES[:20]}) >= 18
            assert not genes & SEX_LINKED
    assert kept[list(donors.var_names).index("rare")] == set()


def test_counts_and_halves_are_those_of_the_cells() -> None:
    cells = made_cells()
    donors = with_genes(cells)
    found = half_counts(donors)
    assert found is not None
    halves, gene = found
    row, kind, place = 3, 0, 0
    own = cells[(cells.obs["donor_id"] == donors.obs["donor_id"].iloc[row])]
    own = own[own.obs["cell_type"] == donors.var_names[kind]]
    name = donors.uns[slots.GENES]["gene_ids"][gene[kind, place]]
    both = halves.counts[:, row, kind, place]
    assert both.sum() == np.asarray(own[:, name].X).sum()
    without_sex = [gene for gene in GENES if gene not in SEX_LINKED]
    assert halves.total[:, row, kind].sum() == np.asarray(own[:, without_sex].X).sum()
    assert 0.3 < both[0] / both.sum() < 0.7


def test_order_of_cells_and_split_over_cohorts_change_nothing() -> None:
    cells = made_cells()
    order = np.random.default_rng(1).permutation(cells.n_obs)
    by = ("sample_id", "cell_type")
    first = cells.obs["donor_id"].isin([f"d{number}" for number in range(7)]).to_numpy()
    split = [pm.tl.aggregate(cells[part].copy(), by=by) for part in (first, ~first)]
    whole = with_genes(cells)
    for other in (with_genes(cells[order].copy()), with_genes(cells, *split)):
        for slot in (slots.GENE_COUNTS, slots.GENE_TOTALS):
            np.testing.assert_array_equal(whole.obsm[slot], other.obsm[slot])


def test_a_gene_that_a_cohort_did_not_measure_is_left_out_for_all() -> None:
    cells = made_cells()
    by = ("sample_id", "cell_type")
    first = cells.obs["donor_id"].isin([f"d{number}" for number in range(7)]).to_numpy()
    parts = [
        pm.tl.aggregate(cells[first].copy(), by=by),
        pm.tl.aggregate(cells[~first][:, GENES[5:]].copy(), by=by),
    ]
    told = with_genes(cells, *parts).uns[slots.GENES]
    assert not {*told["gene_ids"]} & {*GENES[:5]}


def test_a_cohort_without_a_type_takes_no_gene_of_it_away() -> None:
    cells = made_cells()
    by = ("sample_id", "cell_type")
    donors = [f"d{number}" for number in range(7)]
    other = cells.obs["donor_id"].isin(donors).to_numpy()
    cells = cells[~other | (cells.obs["cell_type"] == "b").to_numpy()].copy()
    other = cells.obs["donor_id"].isin(donors).to_numpy()
    parts = [
        # Of type b alone 110 genes are shared; of a all that the second cohort has.
        pm.tl.aggregate(cells[other][:, GENES[10:]].copy(), by=by),
        pm.tl.aggregate(cells[~other].copy(), by=by),
    ]
    told = with_genes(cells, *parts)
    kept = {
        str(name): {told.uns[slots.GENES]["gene_ids"][code] for code in row if code >= 0}
        for name, row in zip(told.var_names, told.uns[slots.GENES]["gene"], strict=True)
    }
    assert kept["a"] & {*GENES[:10]}
    assert kept["b"]
    assert not kept["b"] & {*GENES[:10]}
    alone = with_genes(cells, parts[1])
    second = ~told.obs["donor_id"].isin(donors).to_numpy()
    a = list(told.var_names).index("a")
    totals, of_alone = (
        found.obsm[slots.GENE_TOTALS].reshape(found.n_obs, 2, -1)[second, :, a]
        for found in (told, alone)
    )
    np.testing.assert_array_equal(totals, of_alone)


def test_too_few_shared_genes_are_no_feature_set_and_it_says_why() -> None:
    cells = made_cells()
    by = ("sample_id", "cell_type")
    first = cells.obs["donor_id"].isin([f"d{number}" for number in range(7)]).to_numpy()
    parts = [
        pm.tl.aggregate(cells[first][:, GENES[:70]].copy(), by=by),
        pm.tl.aggregate(cells[~first][:, GENES[40:]].copy(), by=by),
    ]
    donors = with_genes(cells, *parts)
    why = f"30 genes are measured in every cohort of a cell type, {MIN_GENES} are needed"
    assert donors.uns[slots.GENES]["why"] == why
    pm.strata.distances(donors)
    assert donors.uns["channels"]["genes"]["why"] == why
    assert donors.uns["channels"]["genes"]["dropped"]


def test_the_cells_themselves_give_the_same_as_their_sums() -> None:
    cells = made_cells()
    donors = pm.strata.profile(cells)
    add_genes(donors, cells=cells)
    by_sums = with_genes(cells)
    for slot in (slots.GENE_COUNTS, slots.GENE_TOTALS):
        np.testing.assert_array_equal(donors.obsm[slot], by_sums.obsm[slot])


def test_cells_that_are_not_those_of_the_profile_are_refused() -> None:
    cells = made_cells()
    donors = pm.strata.profile(cells)
    with pytest.raises(UsageError, match=r"the cells of the profile.*got 100 cells for 1920"):
        add_genes(donors, cells=cells[:100].copy())
    without = cells.copy()
    del without.obs["cell_type"]
    with pytest.raises(UsageError, match="without cell_type"):
        add_genes(donors, cells=without)


def test_a_profile_without_counts_says_so() -> None:
    donors = pm.strata.profile(made_cells())
    pm.strata.distances(donors)
    assert donors.uns["channels"]["genes"]["why"] == "the profile holds no counts of genes"


def test_what_cells_do_not_show_genes_do() -> None:
    """Two states of donors in 20 genes, of which the embedding of cells knows nothing."""
    donors = with_genes(made_cells())
    pm.strata.distances(donors, channels="genes")
    assert not donors.uns["channels"]["genes"]["dropped"]
    squared = np.asarray(donors.obsp["distance_genes"])
    state = np.array([int(name[1:]) % 2 for name in donors.obs["donor_id"]])
    same = state[:, None] == state
    np.fill_diagonal(same, False)
    apart = state[:, None] != state
    assert squared[apart].min() > squared[same].max()


@pytest.mark.parametrize("even_axes", [False, True])
@pytest.mark.parametrize("channels", ["genes", "all"])
def test_drivers_sum_to_the_difference_of_distances(channels: str, even_axes: bool) -> None:
    donors = with_genes(made_cells(n_donors=24))
    pm.strata.distances(donors, channels=channels, even_axes=even_axes)
    pm.strata.cluster(donors, n_bootstraps=5)
    pm.strata.existence(donors, n_null=19)
    table = pm.strata.drivers(donors, candidates=True)
    assert "genes" in set(table["channel"])
    label = donors.obs["candidate_stratum"].to_numpy()
    squared = np.asarray(donors.obsp["distance"])
    to = np.column_stack(
        [distance_to_members(squared, np.flatnonzero(label == name)) for name in sorted(set(label))]
    )
    own = np.array([sorted(set(label)).index(name) for name in label])
    mine = to[np.arange(24), own].copy()
    to[np.arange(24), own] = np.inf
    sums = table.groupby("donor_id", sort=False)["contribution"].sum()
    np.testing.assert_allclose(sums.loc[donors.obs["donor_id"]], to.min(axis=1) - mine, atol=1e-9)


@pytest.mark.parametrize("even_axes", [False, True])
def test_every_later_step_takes_strata_in_gene_space(even_axes: bool) -> None:
    cells = made_cells(n_donors=44)
    number = cells.obs["donor_id"].str[1:].astype(int)
    cells.obs["batch_id"] = "b" + (number // 11).astype(str)
    cells.obs["age"] = (number * 7 % 50 + 20).astype(float)
    later = cells[(number < 12).to_numpy()].copy()
    later.obs["visit"] = "v1"
    later.obs_names = later.obs_names + "-later"
    cells = ad.concat([cells, later])
    donors = pm.strata.profile(cells)
    add_genes(donors, cells=cells)
    pm.strata.distances(donors, channels=("genes", "composition"), even_axes=even_axes)
    pm.strata.cluster(donors, n_bootstraps=10)
    pm.strata.existence(donors, n_null=19)
    assert donors.uns["existence"]["decision"] == "strata"
    pm.strata.place(donors)
    placed = donors.obs["status"].value_counts()
    assert placed["assigned"] > 0.8 * donors.n_obs
    assert pm.strata.generalise(donors)["mean"] > 0.9
    assert pm.strata.adjusted_strata(donors, adjust_for=("age",))["ari"] > 0.9
    assert len(pm.strata.associate(donors, n_permutations=99))
    assert "genes" in set(pm.strata.drivers(donors)["channel"])
    assert len(pm.strata.movement(donors, n_draws=19)) == 12
    assert len(pm.strata.composition_shifts(donors))
    told = pm.strata.verdict(donors).channels
    assert told["genes"].used
    assert told["genes"].even_axes == even_axes
    assert not told["composition"].even_axes


@pytest.mark.parametrize("used", [["state"], ["composition", "cluster_free"], ["genes"]])
def test_draws_leave_out_what_no_channel_reads_and_are_otherwise_the_same(used: list[str]) -> None:
    donors = with_genes(made_cells())
    opened = open_map(donors).with_weights(dict.fromkeys(used, 1.0))
    whole, less = (
        resample_cells(sums, stream(0, MOVES, 1)) for sums in (opened.sums, opened.sums_in_use)
    )
    assert (less.genes is None) == ("genes" not in used)
    assert (less.cloud is None) == (used == ["state"])
    placed = [
        place_all(opened.channels, sums, opened.batch, opened.settings) for sums in (whole, less)
    ]
    np.testing.assert_array_equal(
        *(fused_distances(opened.channels, opened.settings, rows) for rows in placed)
    )
