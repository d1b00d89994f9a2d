import anndata as ad
import numpy as np
import pytest
from scipy.sparse.csgraph import connected_components

import pmcell as pm
from pmcell.errors import DataError, UsageError


def cells(points):
    adata = ad.AnnData(np.zeros((len(points), 1), np.float32))
    adata.obsm["X_integrated"] = np.asarray(points, np.float32)
    return adata


def cloud(n_cells, seed=0):
    return np.random.default_rng(seed).normal(size=(n_cells, 4))


def params(adata):
    return adata.uns["neighbors"]["params"]


def test_fewer_cells_than_neighbors_are_all_neighbors_of_each_other():
    adata = cells(cloud(6))
    pm.tl.neighbors(adata, n_neighbors=15)
    assert params(adata)["n_neighbors"] == 5
    assert adata.obsp["distances"].nnz == 30
    pm.tl.cluster(adata)
    assert adata.obs["cluster"].notna().all()


@pytest.mark.parametrize("n_cells", [1, 2])
def test_one_cell_or_two_make_no_graph(n_cells):
    with pytest.raises(UsageError, match=f"at least 3 cells, got {n_cells}"):
        pm.tl.neighbors(cells(cloud(n_cells)))


@pytest.mark.parametrize("weights", ["umap", "snn"])
def test_copies_of_one_cell_are_in_one_cluster(weights):
    adata = cells(np.vstack([np.ones((8, 4)), 50 + np.zeros((8, 4))]))
    pm.tl.neighbors(adata, n_neighbors=5, weights=weights)
    assert np.isfinite(adata.obsp["connectivities"].data).all()
    pm.tl.cluster(adata, resolution=0.2)
    assert adata.obs["cluster"].astype(str).tolist() == ["0"] * 8 + ["1"] * 8


@pytest.mark.parametrize("weights", ["umap", "snn"])
def test_parts_without_an_edge_between_them_share_no_cluster(weights):
    adata = cells(np.vstack([cloud(40), 1000 + cloud(40, 1)]))
    pm.tl.neighbors(adata, n_neighbors=6, weights=weights)
    n_parts, part = connected_components(adata.obsp["connectivities"], directed=False)
    assert n_parts >= 2
    pm.tl.cluster(adata)
    per_cluster = adata.obs.assign(part=part).groupby("cluster", observed=True)["part"].nunique()
    assert (per_cluster == 1).all()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("exact_below", [0, 100])
def test_missing_and_infinite_coordinates_are_named(bad, exact_below):
    points = cloud(50)
    points[7, 2] = bad
    with pytest.raises(DataError, match=r"X_integrated.*first is point 7"):
        pm.tl.neighbors(cells(points), exact_below=exact_below)


def test_the_recall_that_was_measured_is_written():
    adata = cells(cloud(2000))
    pm.tl.neighbors(adata, exact_below=100, recall=0.9)
    found = params(adata)
    exact = cells(cloud(2000))
    pm.tl.neighbors(exact)
    same = adata.obsp["distances"].multiply(exact.obsp["distances"] > 0).nnz
    assert found["search"] == "ivf"
    assert found["recall"] >= 0.9
    assert same / exact.obsp["distances"].nnz == pytest.approx(found["recall"], abs=0.02)
    assert (params(exact)["search"], params(exact)["recall"]) == ("exact", 1.0)


def test_weights_by_shared_neighbors_have_their_name_in_the_parameters():
    adata = cells(cloud(60))
    pm.tl.neighbors(adata, n_neighbors=5, weights="snn")
    assert params(adata)["method"] == "snn"
    with pytest.raises(UsageError, match=r"weights must be one of .* got 'rank'"):
        pm.tl.neighbors(adata, weights="rank")
