from dataclasses import replace

import anndata as ad
import numpy as np
import pandas as pd
import pytest

import pmcell as pm
from counts_data import random_counts
from pmcell.core.counts.blocks import MatrixCounts
from pmcell.core.counts.moments import moments, take_batches
from pmcell.errors import DataError, UsageError
from pmcell.pp.accept import cohorts_needed, select, select_by_tissue
from pmcell.pp.features import rank_genes, standardised_variances
from pmcell.pp.join import join_moments

N_CELLS, N_GENES = 400, 300


def cells(seed=0):
    matrix = random_counts(N_CELLS, N_GENES, seed)
    obs = pd.DataFrame({"batch_id": np.where(np.arange(N_CELLS) < 250, "b1", "b2")})
    obs.index = obs.index.astype(str)
    return ad.AnnData(matrix, obs=obs)


def cohort(name, rows, genes=slice(None)):
    adata = cells()[rows, :][:, genes]
    labels = adata.obs["batch_id"].to_numpy(str)
    batches = np.unique(labels)
    codes = np.searchsorted(batches, labels).astype(np.int64)
    found = moments(MatrixCounts(adata.X.tocsr()), codes, batches.tolist())
    ids = np.array([f"G{at:04d}" for at in range(N_GENES)])[genes]
    return name, ids, found


@pytest.mark.filterwarnings("ignore")
def test_selection_equals_seurat_v3_of_scanpy():
    import scanpy as sc

    adata = cells()
    pm.pp.highly_variable_genes(adata, n_top=50)
    sc.pp.highly_variable_genes(adata, flavor="seurat_v3", batch_key="batch_id", n_top_genes=50)
    assert (adata.var["is_highly_variable"] == adata.var["highly_variable"]).all()


@pytest.mark.filterwarnings("ignore")
def test_standardised_variances_equal_those_of_scanpy():
    import scanpy as sc

    adata = cells()
    one = moments(MatrixCounts(adata.X), np.zeros(N_CELLS, np.int64), ["all"])
    (ours,) = standardised_variances(one, np.ones((1, N_GENES), bool))
    sc.pp.highly_variable_genes(adata, flavor="seurat_v3", n_top_genes=50)
    expected = adata.var["variances_norm"].to_numpy()
    known = np.isfinite(ours.values)
    np.testing.assert_allclose(ours.values[known], expected[known], rtol=1e-6)


def test_two_halves_join_to_the_moments_of_the_whole():
    genes, joined, measured = join_moments(
        [cohort("a", slice(0, 130))[1:], cohort("b", slice(130, None))[1:]]
    )
    whole = cohort("all", slice(None))
    np.testing.assert_array_equal(genes, whole[1])
    np.testing.assert_array_equal(joined.sums, whole[2].sums)
    np.testing.assert_array_equal(joined.histogram, whole[2].histogram)
    np.testing.assert_array_equal(joined.histogram_cells, whole[2].histogram_cells)
    assert measured.all()


def test_genes_that_a_batch_did_not_measure_are_not_ranked_as_constant():
    first = cohort("a", slice(0, 250))
    second = cohort("b", slice(250, None), slice(0, 200))
    genes, joined, measured = join_moments([first[1:], second[1:]])
    in_b2 = standardised_variances(joined, measured)[1].values
    assert np.isnan(in_b2[200:]).all()
    assert np.isfinite(rank_genes(standardised_variances(joined, measured), genes.size)[200:]).any()


PANEL_A, PANEL_B = slice(0, 150), slice(150, 300)


def halves(*panels):
    """Cohorts of equal size with the given genes, named a, b, …"""
    n = N_CELLS // len(panels)
    return [
        own(cohort("abcdefgh"[at], slice(at * n, (at + 1) * n), panel))
        for at, panel in enumerate(panels)
    ]


def own(found):
    """The cohort with batches that no other cohort has."""
    name, ids, sums = found
    return name, ids, replace(sums, batches=tuple(f"{name}.{batch}" for batch in sums.batches))


def test_a_cohort_that_shares_too_few_genes_is_refused_and_the_others_stay():
    panel = own(cohort("panel", slice(0, 200), slice(0, 8)))
    chosen = select([*halves(slice(None), slice(None)), panel], n_top=100, min_shared_genes=50)
    assert chosen.cohorts == ("a", "b")
    assert "share at least 50 of the selected genes" in chosen.refused["panel"].message
    assert chosen.refused["panel"].reason == "too_few_shared_genes"
    assert chosen.chosen.sum() == 100
    assert chosen.warned == {}


def test_panels_without_a_shared_gene_meet_through_cohorts_that_have_both():
    chosen = select(halves(slice(None), PANEL_A, PANEL_B), n_top=300, min_cohort_share=0.4)
    assert chosen.cohorts == ("a", "b", "c")
    assert chosen.refused == {}


def test_cohorts_of_one_small_panel_need_to_share_no_more_genes_than_it_has():
    chosen = select(halves(slice(0, 8), slice(0, 8)), n_top=300)
    assert chosen.cohorts == ("a", "b")
    assert chosen.refused == chosen.warned == {}


def test_a_cohort_that_shares_few_genes_is_placed_with_a_warning():
    chosen = select(
        [*halves(slice(None), slice(None)), own(cohort("panel", slice(0, 200), PANEL_A))],
        n_top=300,
        warn_shared_genes=200,
    )
    assert chosen.cohorts == ("a", "b", "panel")
    n_shared = int((chosen.measured[2] & chosen.chosen).sum())
    assert chosen.warned["panel"].message.startswith(
        f"{n_shared} of the {int(chosen.chosen.sum())} selected"
    )
    assert set(chosen.warned) == {"panel"}


def test_a_gene_of_one_cohort_only_is_not_selected_and_its_loss_is_told():
    chosen = select(halves(slice(0, 200), slice(100, 300)), n_top=300)
    everywhere = chosen.measured.all(axis=0)
    n_chosen = int(chosen.chosen.sum())
    assert everywhere.sum() == 100
    assert 90 < n_chosen <= 100
    assert not chosen.chosen[~everywhere].any()
    assert chosen.n_lost == chosen.n_best - n_chosen
    assert 180 < chosen.n_lost <= 200
    for name in "ab":
        assert chosen.warned[name].message == (
            f"{chosen.n_lost} of the {chosen.n_best} most variable genes of the study were "
            "measured in too few of its cohorts and are left out; "
            f"{n_chosen} genes that its cohorts share are used"
        )


def test_a_stated_share_of_none_selects_genes_of_one_cohort():
    chosen = select(halves(slice(0, 200), slice(100, 300)), n_top=300, min_cohort_share=0)
    assert chosen.chosen[~chosen.measured.all(axis=0)].sum() > 180
    assert chosen.n_lost == 0


@pytest.mark.parametrize(
    ("n_cohorts", "share", "needed"),
    [(1, 0.5, 1), (2, 0.5, 2), (3, 0.5, 2), (4, 0.5, 2), (5, 0.5, 3), (100, 0.07, 7), (4, 0, 1)],
)
def test_a_gene_needs_the_stated_share_of_cohorts_and_two_of_several(n_cohorts, share, needed):
    assert cohorts_needed(n_cohorts, share) == needed


@pytest.mark.parametrize("panels", [(PANEL_A, PANEL_B), (PANEL_A, PANEL_A, PANEL_B, PANEL_B)])
def test_cohorts_without_shared_genes_are_refused_as_a_study(panels):
    with pytest.raises(DataError, match=r"a \(150 genes\) and [bc] \(150\) share 0 genes") as error:
        select(halves(*panels), n_top=300, tissue="blood", min_cohort_share=0.4)
    assert "the cohorts of blood must share" in str(error.value)
    assert "hvg.min_shared_genes" in str(error.value)


def test_where_most_cohorts_share_genes_the_others_are_refused():
    chosen = select(halves(PANEL_A, PANEL_A, PANEL_A, PANEL_B, PANEL_B), n_top=300)
    assert chosen.cohorts == ("a", "b", "c")
    assert set(chosen.refused) == {"d", "e"}


BLOOD, VEIN, ISLET = "UBERON:0000178", "UBERON:0013756", "UBERON:0000006"


def of_tissues(found, *tissues):
    """The cohort with its two batches, or all of it, in the tissues."""
    name, ids, sums = found
    parts = [sums] if len(tissues) == 1 else [take_batches(sums, np.array([at])) for at in range(2)]
    return name, ids, dict(zip(tissues, parts, strict=True))


def test_a_tissue_of_one_cohort_keeps_the_genes_that_only_it_measured():
    blood = [of_tissues(item, BLOOD) for item in halves(PANEL_A, PANEL_A, PANEL_A)]
    islet = of_tissues(cohort("islet", slice(0, 200), PANEL_B), ISLET)
    found = select_by_tissue([*blood, islet], n_top=100)
    assert set(found.by_tissue) == {BLOOD, "UBERON:0001264"}
    pancreas = found.by_tissue["UBERON:0001264"]
    assert pancreas.cohorts == ("islet",)
    assert set(pancreas.genes[pancreas.chosen]) <= {f"G{at:04d}" for at in range(150, 300)}
    assert found.refused == found.warned == {}


def test_a_tissue_selects_the_genes_that_it_selects_in_a_study_of_its_own():
    blood = [of_tissues(item, BLOOD) for item in halves(PANEL_A, slice(None))]
    islet = of_tissues(cohort("islet", slice(100, 300)), ISLET)
    alone = select_by_tissue(blood, n_top=100).by_tissue[BLOOD]
    beside = select_by_tissue([*blood, islet], n_top=100).by_tissue[BLOOD]
    np.testing.assert_array_equal(alone.ranks, beside.ranks)


def test_tissues_of_one_organ_are_selected_together():
    one = of_tissues(cohort("a", slice(None)), BLOOD)
    two = of_tissues(cohort("a", slice(None)), BLOOD, VEIN)
    alone, both = (select_by_tissue([item], n_top=100).by_tissue[BLOOD] for item in (one, two))
    np.testing.assert_array_equal(alone.ranks, both.ranks)


def test_a_cohort_of_two_tissues_is_in_the_selection_of_both():
    found = select_by_tissue([of_tissues(cohort("a", slice(None)), BLOOD, ISLET)], n_top=100)
    assert {group: item.cohorts for group, item in found.by_tissue.items()} == {
        BLOOD: ("a",),
        "UBERON:0001264": ("a",),
    }


def test_a_tissue_of_one_cell_is_refused_and_does_not_stop_the_others():
    blood = [of_tissues(item, BLOOD) for item in halves(slice(None), slice(None))]
    found = select_by_tissue([*blood, of_tissues(cohort("stray", slice(0, 1)), ISLET)], n_top=100)
    assert found.refused["stray"].reason == "too_few_cells"
    assert "the 1 cells of pancreas" in found.refused["stray"].message
    assert found.by_tissue[BLOOD].cohorts == ("a", "b")


def test_batches_too_small_to_rank_count_as_one():
    _, _, found = cohort("tiny", slice(240, 260))
    variances = standardised_variances(found, np.ones((2, N_GENES), bool))
    assert [item.batch for item in variances] == ["all"]
    assert variances[0].n_cells == 20


def test_no_batch_with_two_cells_is_an_error():
    with pytest.raises(DataError, match="at least one batch must have two cells"):
        rank_genes([], 10)


def test_n_top_must_be_positive():
    with pytest.raises(UsageError, match="n_top must be at least 1, got 0"):
        pm.pp.highly_variable_genes(cells(), n_top=0)


def test_a_misspelt_batch_column_is_named_with_its_nearest_match():
    with pytest.raises(UsageError, match="Did you mean 'batch_id'"):
        pm.pp.highly_variable_genes(cells(), batch="batch_ids")


def test_values_that_are_not_counts_are_refused():
    adata = cells()
    adata.X = adata.X.astype(float) * 0.5
    with pytest.raises(DataError, match="must hold raw counts"):
        pm.pp.highly_variable_genes(adata)
