"""Marker genes equal scanpy's, for any split into cohorts, and know what was measured."""

from __future__ import annotations

import warnings

import anndata
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse, stats

from pmcell.core.counts.aggregate import Aggregate, ClusteredCounts, pool_clusters
from pmcell.core.counts.lognorm import SCALE, quantise
from pmcell.errors import DataError, UsageError
from pmcell.schema import MARKERS
from pmcell.tl import aggregate, markers
from pmcell.tl.aggregate import counts_of
from pmcell.tl.markers import MIN_CELLS_DONOR, _variance, find_markers


def make_cells(seed: int = 0, n_cells: int = 300, n_genes: int = 40) -> anndata.AnnData:
    """Three clusters in twelve samples of six donors; ten genes are raised in each cluster."""
    random = np.random.default_rng(seed)
    cluster = random.integers(0, 3, n_cells)
    rate = random.gamma(0.6, 2.0, n_genes) * np.ones((n_cells, 1))
    for of in range(3):
        rate[np.ix_(cluster == of, np.arange(of * 10, of * 10 + 10))] *= 3
    sample = random.integers(0, 12, n_cells)
    obs = pd.DataFrame(
        {
            "sample_id": [f"c:s{at}" for at in sample],
            "donor_id": [f"c:d{at // 2}" for at in sample],
            "cluster": cluster.astype(str),
        },
        index=[f"cell{at}" for at in range(n_cells)],
    )
    var = pd.DataFrame(index=[f"ENSG{at:011d}" for at in range(n_genes)])
    return anndata.AnnData(sparse.csr_matrix(random.poisson(rate)), obs, var)


def clustered(adata: anndata.AnnData) -> ClusteredCounts:
    labels = adata.obs["cluster"].to_numpy(object)
    return ClusteredCounts(counts_of(adata), np.asarray(adata.var_names, object), labels)


def log_normalised(adata: anndata.AnnData) -> np.ndarray:
    matrix = adata.X.tocsr()
    values = quantise(matrix.indptr.astype(np.int64), matrix.data.astype(np.int32)) / SCALE
    return sparse.csr_matrix((values, matrix.indices, matrix.indptr), matrix.shape).toarray()


def test_markers_equal_scanpy_on_the_same_values() -> None:
    import scanpy as sc

    adata = make_cells(1)
    found = markers(adata, n_top=1000)
    theirs = anndata.AnnData(log_normalised(adata), adata.obs.astype("category"), adata.var)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        sc.tl.rank_genes_groups(theirs, "cluster", method="t-test")
    for cluster, ours in found.groupby("cluster"):
        table = sc.get.rank_genes_groups_df(theirs, cluster).set_index("names")
        expected = table.loc[ours["gene_id"]]
        assert list(ours["rank"]) == list(range(1, len(ours) + 1))
        assert set(ours["gene_id"]) == set(table.index[table["scores"] > 0])
        # scanpy stores scores and fold changes as float32
        np.testing.assert_allclose(ours["score"], expected["scores"], rtol=1e-6)
        np.testing.assert_allclose(
            ours["log2_fold_change"], expected["logfoldchanges"], rtol=1e-5, atol=1e-6
        )
        np.testing.assert_allclose(ours["p_value"], expected["pvals"], rtol=1e-6)
        np.testing.assert_allclose(ours["q_value"], expected["pvals_adj"], rtol=1e-6)


@pytest.mark.parametrize("method", ["t-test", "wilcoxon"])
def test_the_rank_sum_test_equals_scanpy_on_the_same_values(method: str) -> None:
    import scanpy as sc

    adata = make_cells(1)
    found = markers(adata, n_top=1000, method=method)
    theirs = anndata.AnnData(log_normalised(adata), adata.obs.astype("category"), adata.var)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        sc.tl.rank_genes_groups(theirs, "cluster", method="wilcoxon", tie_correct=True)
    for cluster, ours in found.groupby("cluster"):
        table = sc.get.rank_genes_groups_df(theirs, cluster).set_index("names")
        expected = table.loc[ours["gene_id"]]
        np.testing.assert_allclose(ours["score_wilcoxon"], expected["scores"], rtol=1e-6)
        np.testing.assert_allclose(ours["p_wilcoxon"], expected["pvals"], rtol=1e-9)
        if method == "wilcoxon":
            assert set(ours["gene_id"]) == set(table.index[table["scores"] > 0])
            assert (ours["score_wilcoxon"].diff().dropna() <= 0).all()
            np.testing.assert_allclose(ours["q_wilcoxon"], expected["pvals_adj"], rtol=1e-9)
        else:
            assert (ours["q_wilcoxon"] >= expected["pvals_adj"].to_numpy() * (1 - 1e-9)).all()


def test_without_counts_the_rank_sum_test_is_unknown() -> None:
    sums = aggregate(make_cells(1))
    columns = ["auc", "score_wilcoxon", "p_wilcoxon", "q_wilcoxon"]
    assert find_markers(sums)[columns].isna().all(axis=None)
    with pytest.raises(UsageError, match="method 'wilcoxon' needs the counts"):
        find_markers(sums, method="wilcoxon")
    with pytest.raises(UsageError, match="got 'anova'"):
        find_markers(sums, method="anova")


def test_counts_of_other_cells_than_the_sums_are_refused() -> None:
    adata, other = make_cells(1), make_cells(2)
    with pytest.raises(DataError, match="must be those that the sums were made from"):
        find_markers(aggregate(adata), counts=[clustered(other)])


@pytest.mark.parametrize("method", ["t-test", "wilcoxon"])
def test_odd_cells_and_genes_give_defined_results(method: str) -> None:
    # A cluster of one cell, a cell and a gene without counts, a gene that hardly varies.
    counts = np.array(
        [[4, 0, 1, 0], [2, 2, 1, 0], [0, 4, 1, 0], [4, 0, 1, 0], [0, 0, 0, 0], [1, 3, 1, 0]]
    )
    obs = pd.DataFrame({"sample_id": "s", "cluster": list("001112")}, index=list("abcdef"))
    found = markers(anndata.AnnData(counts, obs=obs), method=method)
    assert np.isfinite(found[["auc", "p_wilcoxon", "q_wilcoxon"]].to_numpy()).all()
    assert "3" not in set(found["gene_id"])
    obs["cluster"] = "0"
    assert markers(anndata.AnnData(counts, obs=obs), method=method).empty


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -1.0])
def test_values_that_cannot_be_counts_are_refused(wrong: float) -> None:
    adata = make_cells(13)
    adata.X = adata.X.astype(float)
    adata.X.data[0] = wrong
    with pytest.raises(DataError, match="must hold raw counts"):
        markers(adata)


def test_markers_equal_scipy_gene_by_gene() -> None:
    adata = make_cells(2, n_cells=80, n_genes=31)
    values, inside = log_normalised(adata), (adata.obs["cluster"] == "1").to_numpy()
    found = markers(adata, n_top=1000).query("cluster == '1'").set_index("gene_id")
    for gene, row in found.iterrows():
        column = values[:, adata.var_names.get_loc(gene)]
        expected = stats.ttest_ind(column[inside], column[~inside], equal_var=False)
        assert row["score"] == pytest.approx(expected.statistic, rel=1e-9)
        assert row["p_value"] == pytest.approx(expected.pvalue, rel=1e-9)
        assert row["share_in"] == np.mean(column[inside] > 0)
        assert row["share_out"] == np.mean(column[~inside] > 0)


def test_share_donors_is_the_share_of_donors_that_agree() -> None:
    adata = make_cells(3)
    values = log_normalised(adata)
    found = markers(adata, n_top=1000)
    for _, row in found.iterrows():
        column = values[:, adata.var_names.get_loc(row["gene_id"])]
        inside = (adata.obs["cluster"] == row["cluster"]).to_numpy()
        agree = []
        for donor in adata.obs["donor_id"].unique():
            own = (adata.obs["donor_id"] == donor).to_numpy()
            if min((own & inside).sum(), (own & ~inside).sum()) >= MIN_CELLS_DONOR:
                agree.append(column[own & inside].mean() > column[own & ~inside].mean())
        assert row["share_donors"] == pytest.approx(np.mean(agree))


def test_share_donors_is_empty_without_donors_that_have_enough_cells() -> None:
    adata = make_cells(4)
    adata.obs["sample_id"] = adata.obs_names
    adata.obs["donor_id"] = adata.obs_names
    assert markers(adata)["share_donors"].isna().all()


@pytest.mark.parametrize("seed", [5, 6])
def test_markers_have_the_same_bits_for_one_and_three_cohorts(seed: int) -> None:
    adata = make_cells(seed)
    cohort = np.random.default_rng(seed).integers(0, 3, adata.n_obs)
    split = [adata[cohort == at].copy() for at in range(3)]
    for method in ("t-test", "wilcoxon"):
        parts = find_markers(
            [aggregate(part) for part in split],
            counts=[clustered(part) for part in split],
            method=method,
            max_values=1000,
        )
        pd.testing.assert_frame_equal(markers(adata, method=method), parts)


def test_a_gene_is_tested_only_in_cohorts_that_measured_it() -> None:
    whole, other = make_cells(7), make_cells(8)
    narrow = other[:, 1:].copy()
    both = find_markers([aggregate(whole), aggregate(narrow)], n_top=1000)
    alone = find_markers(aggregate(whole), n_top=1000)
    columns = ["cluster", "score", "p_value", "log2_fold_change", "share_in", "share_out"]
    of_gene = [
        found.loc[found["gene_id"] == whole.var_names[0], columns].reset_index(drop=True)
        for found in (both, alone)
    ]
    assert len(of_gene[0])
    # A zero for every cell of the other cohort would change each of these columns.
    pd.testing.assert_frame_equal(*of_gene)


def test_pooled_cells_count_only_where_the_gene_was_measured() -> None:
    whole = make_cells(9)
    sums = pool_clusters([aggregate(whole), aggregate(whole[:50, 1:].copy())])
    np.testing.assert_array_equal(sums.n_cells.sum(axis=0)[:2], [300, 350])


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(0, 18_863), min_size=2, max_size=60))
def test_variance_from_sums_equals_the_two_pass_variance(values: list[int]) -> None:
    q = np.array(values, np.int64)
    found = _variance(np.array([q.size]), np.array([q.sum()]), np.array([(q * q).sum()]))
    assert found[0] == pytest.approx(np.var(q / SCALE, ddof=1), rel=1e-9, abs=1e-12)


def test_variance_does_not_cancel_for_a_billion_cells() -> None:
    # Half the cells at 18,000, half at 18,001: variance 0.25 units².
    n = 10**9
    total, squares = n // 2 * 36_001, n // 2 * (18_000**2 + 18_001**2)
    found = _variance(np.array([n]), np.array([total]), np.array([squares]))
    assert found[0] * SCALE**2 == pytest.approx(0.25, rel=1e-6)


def test_constant_genes_and_single_cells_are_not_tested() -> None:
    counts = np.array([[5, 5, 0], [5, 5, 0], [5, 5, 0], [5, 0, 5]])
    obs = pd.DataFrame({"sample_id": "s", "cluster": list("0001")}, index=list("abcd"))
    assert markers(anndata.AnnData(counts, obs=obs)).empty


def test_one_cluster_has_no_markers() -> None:
    adata = make_cells(10)
    adata.obs["cluster"] = "0"
    found = markers(adata)
    assert found.empty
    assert list(found.columns) == MARKERS.columns


def test_symbols_are_shown_and_ids_stand_in_for_missing_ones() -> None:
    adata = make_cells(11)
    adata.var["symbol"] = [f"G{at}" for at in range(adata.n_vars)]
    assert markers(adata)["symbol"].str.startswith("G").all()
    found = find_markers(aggregate(adata), symbols={})
    assert (found["symbol"] == found["gene_id"]).all()


def test_n_top_limits_the_genes_of_each_cluster() -> None:
    assert (markers(make_cells(12), n_top=3).groupby("cluster").size() == 3).all()
    with pytest.raises(UsageError, match="n_top must be at least 1, got 0"):
        markers(make_cells(12), n_top=0)


def test_values_that_are_not_counts_are_refused() -> None:
    adata = make_cells(13)
    adata.X = adata.X * 0.5
    with pytest.raises(DataError, match="must hold raw counts"):
        markers(adata)


def test_a_missing_column_is_named_with_its_nearest() -> None:
    adata = make_cells(14)
    adata.obs = adata.obs.rename(columns={"cluster": "clusters"})
    with pytest.raises(UsageError, match="Did you mean 'clusters'"):
        aggregate(adata)


def test_a_sample_of_two_donors_is_refused() -> None:
    adata = make_cells(15)
    adata.obs["sample_id"] = "c:s"
    with pytest.raises(DataError, match="one donor_id; 1 have more, the first 'c:s'"):
        aggregate(adata)


def test_cells_without_a_cluster_are_left_out() -> None:
    adata = make_cells(16)
    adata.obs.loc[adata.obs_names[:100], "cluster"] = None
    parts = aggregate(adata), aggregate(adata[100:].copy())
    assert isinstance(parts[0], Aggregate)
    pd.testing.assert_frame_equal(find_markers(parts[0]), find_markers(parts[1]))
