import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

import pmcell as pm
from counts_data import random_counts
from pmcell.pp.qc import QcOptions, mark_cells

NO_DOUBLETS = QcOptions(score_doublets=False)


def sample_cells(seed=0, n_cells=200, name="s1"):
    matrix = random_counts(n_cells, 80, seed)
    obs = pd.DataFrame(
        {"sample_id": [name] * n_cells}, index=[f"{name}-{at}" for at in range(n_cells)]
    )
    adata = ad.AnnData(matrix, obs=obs)
    adata.var["symbol"] = [f"MT-{at}" if at < 5 else f"G{at}" for at in range(80)]
    return adata


def test_metrics_equal_those_of_scanpy():
    import scanpy as sc

    adata = sample_cells()
    pm.pp.qc(adata, options=NO_DOUBLETS)
    adata.var["mt"] = adata.var["symbol"].str.startswith("MT-")
    sc.pp.calculate_qc_metrics(adata, qc_vars=["mt"], inplace=True, percent_top=None)
    np.testing.assert_array_equal(adata.obs["n_genes_detected"], adata.obs["n_genes_by_counts"])
    np.testing.assert_allclose(adata.obs["share_mitochondrial"] * 100, adata.obs["pct_counts_mt"])


def test_cells_are_marked_and_none_is_dropped():
    adata = sample_cells()
    dense = adata.X.toarray()
    dense[0] = 0
    dense[0, 10] = 1
    adata.X = sparse.csr_matrix(dense)
    pm.pp.qc(adata, options=NO_DOUBLETS)
    assert adata.n_obs == 200
    assert not adata.obs["passes_qc"].iloc[0]
    assert "low_counts" in adata.obs["exclusion"].iloc[0]
    assert adata.uns["qc"]["n_low_counts"].tolist() == [1]


def test_limits_adapt_to_each_sample():
    deep = sample_cells(1, name="deep")
    deep.X = deep.X * 20
    both = ad.concat([sample_cells(0, name="shallow"), deep], merge="same")
    pm.pp.qc(both, options=NO_DOUBLETS)
    limits = both.uns["qc"].set_index("sample_id")["min_total_counts"]
    assert limits["deep"] > 5 * limits["shallow"]
    assert not both.obs["exclusion"].str.contains("counts").any()


def test_a_sample_too_small_for_its_own_limits_takes_those_of_the_cohort():
    tiny = sample_cells(1, 4, name="tiny")
    large = sample_cells(0, 200, name="large")
    both = ad.concat([large, tiny], merge="same")
    pm.pp.qc(both, options=NO_DOUBLETS)
    table = both.uns["qc"].set_index("sample_id")
    assert table.loc["tiny", "max_total_counts"] == pytest.approx(
        table.loc["large", "max_total_counts"], rel=0.2
    )


def test_without_mitochondrial_genes_the_share_is_unknown_and_excludes_nobody():
    adata = sample_cells()
    adata.var["symbol"] = [f"G{at}" for at in range(80)]
    pm.pp.qc(adata, options=NO_DOUBLETS)
    assert adata.obs["share_mitochondrial"].isna().all()
    assert adata.uns["qc"]["n_high_mitochondrial"].tolist() == [0]


def test_made_up_doublets_score_higher_than_single_cells():
    rng = np.random.default_rng(0)
    profiles = rng.gamma(0.3, 8.0, (2, 80))
    singles = rng.poisson(profiles[np.arange(300) % 2])
    doublets = rng.poisson(profiles[np.zeros(15, int)] + profiles[np.ones(15, int)])
    adata = ad.AnnData(sparse.csr_matrix(np.vstack([singles, doublets]).astype(np.int32)))
    adata.obs["sample_id"] = "s"
    pm.pp.qc(adata)
    scores = adata.obs["doublet_score"].to_numpy()
    assert np.median(scores[300:]) > 2 * np.median(scores[:300])


def test_small_samples_have_no_doublet_score():
    adata = sample_cells(n_cells=40)
    pm.pp.qc(adata)
    assert adata.obs["doublet_score"].isna().all()


def test_no_cells_give_empty_tables():
    cells, samples = mark_cells(
        np.zeros((0, 3), np.int64), False, np.zeros(0), np.zeros(0, str), QcOptions()
    )
    assert len(cells) == 0
    assert len(samples) == 0
    assert "min_total_counts" in samples
