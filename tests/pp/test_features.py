import anndata as ad
import numpy as np
import pandas as pd
import pytest

import pmcell as pm
from counts_data import random_counts
from pmcell.core.counts.blocks import MatrixCounts
from pmcell.core.counts.moments import moments
from pmcell.errors import DataError, UsageError
from pmcell.pp.accept import select
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


def test_a_cohort_that_shares_too_few_genes_is_refused_and_the_others_stay():
    chosen = select(
        [
            cohort("a", slice(0, 200)),
            cohort("b", slice(200, None)),
            cohort("panel", slice(0, 200), slice(0, 8)),
        ],
        n_top=100,
        min_shared_genes=50,
    )
    assert chosen.cohorts == ("a", "b")
    assert "at least 50 of the selected genes" in chosen.refused["panel"]
    assert chosen.chosen.sum() == 100
    assert chosen.warned == {}


def test_a_cohort_that_shares_few_genes_is_placed_with_a_warning():
    chosen = select(
        [
            cohort("a", slice(0, 200)),
            cohort("b", slice(200, None)),
            cohort("panel", slice(0, 200), slice(0, 150)),
        ],
        n_top=300,
        warn_shared_genes=200,
    )
    assert chosen.cohorts == ("a", "b", "panel")
    n_shared = int((chosen.measured[2] & chosen.chosen).sum())
    assert chosen.warned["panel"].startswith(
        f"{n_shared} of the {int(chosen.chosen.sum())} selected"
    )
    assert set(chosen.warned) == {"panel"}


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
