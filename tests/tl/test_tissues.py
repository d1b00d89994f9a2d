"""Cells of one tissue fare as in a study of their own, whatever other tissues there are."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest

import pmcell as pm
from pmcell.tl.tissues import in_tissue, sums_by_tissue

BLOOD, PANCREAS = "UBERON:0000178", "UBERON:0001264"


def cells(n_of_group, seed=0):
    """Points of mixed order, of which each group lies among the others; two batches a group."""
    rng = np.random.default_rng(seed)
    groups = np.repeat(list(n_of_group), list(n_of_group.values()))
    rng.shuffle(groups)
    obs = pd.DataFrame({"tissue_group": groups}, index=[f"c{at}" for at in range(groups.size)])
    obs["batch_id"] = np.where(rng.random(groups.size) < 0.5, "b1", "b2")
    adata = ad.AnnData(np.zeros((groups.size, 1), np.float32), obs=obs)
    adata.obsm["X_pca"] = rng.normal(size=(groups.size, 6)).astype(np.float32)
    adata.obsm["X_pca"][:, 0] += 3 * (obs["batch_id"] == "b2").to_numpy()
    return adata


def analysed(adata, **options):
    pm.tl.integrate(adata)
    pm.tl.neighbors(adata, n_neighbors=8, **options)
    pm.tl.cluster(adata)
    pm.tl.umap(adata)
    return adata


@pytest.fixture(scope="module", params=["umap", "snn"])
def mixed(request):
    return analysed(cells({BLOOD: 500, PANCREAS: 120}), weights=request.param)


@pytest.mark.parametrize("group", [BLOOD, PANCREAS])
def test_a_tissue_has_the_results_that_it_has_alone(mixed, group):
    own = (mixed.obs["tissue_group"] == group).to_numpy()
    alone = ad.AnnData(mixed.X[own], obs=mixed.obs.loc[own, ["batch_id"]].copy())
    alone.obsm["X_pca"] = mixed.obsm["X_pca"][own]
    analysed(alone, weights=mixed.uns["neighbors"]["params"]["method"])
    np.testing.assert_array_equal(alone.obsm["X_integrated"], mixed.obsm["X_integrated"][own])
    for name in ("distances", "connectivities"):
        block = mixed.obsp[name][own][:, own]
        assert (alone.obsp[name] != block).nnz == 0
    pairs = pd.crosstab(alone.obs["cluster"], mixed.obs.loc[own, "cluster"].astype(str)) > 0
    assert (pairs.sum(axis=0) == 1).all()
    assert (pairs.sum(axis=1) == 1).all()
    shift = mixed.obsm["X_umap"][own] - alone.obsm["X_umap"]
    np.testing.assert_allclose(shift - shift[0], 0, atol=1e-4)


def test_no_edge_no_cluster_and_no_place_of_the_map_is_of_two_tissues(mixed):
    group = mixed.obs["tissue_group"].to_numpy(str)
    for name in ("distances", "connectivities"):
        edges = mixed.obsp[name].tocoo()
        assert edges.nnz > 0
        assert (group[edges.row] == group[edges.col]).all()
    assert (mixed.obs.groupby("cluster", observed=True)["tissue_group"].nunique() == 1).all()
    left = mixed.obsm["X_umap"][group == BLOOD, 0].max()
    assert mixed.obsm["X_umap"][group == PANCREAS, 0].min() > left


def test_clusters_of_all_tissues_are_numbered_by_size(mixed):
    sizes = mixed.obs["cluster"].value_counts(sort=False)
    assert sizes.index.tolist() == [str(at) for at in range(len(sizes))]
    assert (np.diff(sizes) <= 0).all()


def test_stability_has_a_value_for_the_clusters_of_each_tissue(mixed):
    pm.tl.cluster_stability(mixed, n=2)
    found = mixed.uns["cluster_stability"]
    assert found["cluster"].tolist() == mixed.obs["cluster"].cat.categories.tolist()
    assert (found["mean_jaccard"] > 0).all()


@pytest.mark.parametrize("n_few", [1, 2])
def test_a_cell_or_two_of_a_tissue_are_a_cluster_without_other_neighbours(n_few):
    adata = analysed(cells({BLOOD: 60, PANCREAS: n_few}))
    few = (adata.obs["tissue_group"] == PANCREAS).to_numpy()
    assert adata.obsp["distances"][few].nnz == n_few * (n_few - 1)
    assert adata.obs.loc[few, "cluster"].nunique() == 1
    assert np.isfinite(adata.obsm["X_umap"]).all()


def test_the_search_is_exact_only_where_it_is_in_every_tissue():
    adata = cells({BLOOD: 400, PANCREAS: 50})
    pm.tl.integrate(adata)
    pm.tl.neighbors(adata, exact_below=100, recall=0.9)
    found = adata.uns["neighbors"]["params"]
    assert found["search"] == "ivf"
    assert found["recall"] >= 0.9


def test_tissue_groups_are_organs():
    adata = cells({BLOOD: 2, PANCREAS: 1})
    adata.obs["tissue_ontology_term_id"] = ["UBERON:0013756", "UBERON:0000006", "unknown"]
    pm.tl.tissue_groups(adata)
    assert adata.obs["tissue_group"].tolist() == [BLOOD, PANCREAS, "unknown"]


def test_types_of_one_tissue_keep_their_names():
    types = pd.Series(["T cell", "B cell"])
    assert in_tissue(types, pd.Series([BLOOD, "unknown"])).tolist() == [
        "T cell (blood)",
        "B cell (unknown tissue)",
    ]


def counted(clusters, tissues, seed=0):
    """An AnnData of counts with a sample for each tissue."""
    rng = np.random.default_rng(seed)
    obs = pd.DataFrame({"cluster": clusters, "tissue_ontology_term_id": tissues})
    obs["sample_id"] = obs["donor_id"] = obs["batch_id"] = "s" + obs["tissue_ontology_term_id"]
    obs.index = [f"c{at}" for at in range(len(obs))]
    genes = pd.DataFrame(index=["INS", "IAPP", "MAFA", "CD3D", "CD3E", "TRAC", "GAPDH"])
    return ad.AnnData(rng.poisson(3.0, (len(obs), len(genes))), obs=obs, var=genes)


ISLET = "UBERON:0000006"


def test_sums_of_a_tissue_are_those_of_its_samples():
    both = counted(["0", "1", "2", "3"] * 5, [BLOOD, ISLET] * 10)
    found = {tuple(sorted(item.clusters)): item for item in sums_by_tissue([pm.tl.aggregate(both)])}
    assert set(found) == {("0", "2"), ("1", "3")}
    for clusters, item in found.items():
        own = both[both.obs["cluster"].isin(clusters)]
        alone = pm.tl.aggregate(own.copy())
        (part,) = item.aggregates
        np.testing.assert_array_equal(part.clusters, alone.clusters)
        np.testing.assert_array_equal(part.group_cluster, alone.group_cluster)
        np.testing.assert_array_equal(part.group_half, alone.group_half)
        np.testing.assert_array_equal(part.group_n_cells, alone.group_n_cells)
        np.testing.assert_array_equal(part.sums.indices, alone.sums.indices)
        np.testing.assert_array_equal(part.sums.values, alone.sums.values)


def test_tissues_that_a_cluster_spans_are_not_parted():
    spans = counted(["0", "0", "1", "2"] * 5, [BLOOD, ISLET, BLOOD, ISLET] * 5)
    (found,) = sums_by_tissue([pm.tl.aggregate(spans)])
    assert found.clusters == {"0", "1", "2"}
    assert found.tissues == {BLOOD, ISLET}


def test_markers_of_a_tissue_are_those_that_it_has_alone():
    both = counted(["0", "1", "2", "3"] * 20, [BLOOD, ISLET] * 40)
    for method in ("t-test", "wilcoxon"):
        found = pm.tl.markers(both, method=method)
        for tissue in (BLOOD, ISLET):
            own = both[both.obs["tissue_ontology_term_id"] == tissue].copy()
            alone = pm.tl.markers(own, method=method)
            beside = found[found["cluster"].isin(set(own.obs["cluster"]))]
            pd.testing.assert_frame_equal(alone, beside.reset_index(drop=True))


def test_clusters_are_named_by_the_panel_of_their_own_tissue():
    both = counted(["0", "1"] * 20, [BLOOD, ISLET] * 20)
    # The islets' cluster carries T cell markers as much as the blood's, and insulin little more.
    both.X[:, :3] = np.where(both.obs["cluster"].to_numpy() == "1", 9, 0)[:, None]
    both.X[:, 3:6] = 9
    pm.tl.annotate(both)
    of_cluster = both.obs.groupby("cluster", observed=True)["cell_type"].first()
    assert of_cluster["0"] == "T cell"
    alone = both[both.obs["cluster"] == "1"].copy()
    pm.tl.annotate(alone)
    assert of_cluster["1"] == alone.obs["cell_type"].iloc[0]
