import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

import pmcell as pm
from pmcell.errors import UsageError
from pmcell.tl.cluster import leiden, order_by_size


@pytest.fixture(scope="module")
def adata():
    """Three cell types in two batches that shift a third of the genes."""
    rng = np.random.default_rng(0)
    n_cells, n_genes = 360, 150
    cell_type = np.arange(n_cells) % 3
    batch = rng.integers(0, 2, n_cells)
    rate = rng.gamma(0.6, 2.0, (3, n_genes))[cell_type]
    rate[batch == 1, :50] *= 2.0
    obs = pd.DataFrame(
        {"cell_type": cell_type.astype(str), "batch_id": np.array(["b1", "b2"])[batch]},
        index=[f"c{at}" for at in range(n_cells)],
    )
    adata = ad.AnnData(sparse.csr_matrix(rng.poisson(rate).astype(np.int32)), obs=obs)
    pm.pp.highly_variable_genes(adata, n_top=120)
    pm.tl.pca(adata, n_components=10)
    pm.tl.integrate(adata)
    pm.tl.neighbors(adata, n_neighbors=10)
    pm.tl.cluster(adata, resolution=0.5)
    return adata


@pytest.mark.filterwarnings("ignore")
def test_components_span_the_space_that_arpack_finds(adata):
    import scanpy as sc

    values = adata[:, adata.var["is_highly_variable"]].copy()
    total = np.asarray(adata.X.sum(axis=1))
    logged = np.log1p(values.X.toarray() * 1e4 / total)
    # Scaled as ours by default: by the square root of the standard deviation.
    spread = np.sqrt(logged.std(axis=0))
    values.X = sparse.csr_matrix(logged / spread)
    sc.pp.pca(values, n_comps=10, svd_solver="arpack")
    ours = adata.varm["PCs"][adata.var["is_highly_variable"].to_numpy()] * spread[:, None]
    cosines = np.linalg.svd(ours[:, :3].T @ values.varm["PCs"][:, :3])[1]
    assert cosines.min() > 0.9999
    np.testing.assert_allclose(
        adata.uns["pca"]["variance"][:3], values.uns["pca"]["variance"][:3], rtol=1e-3
    )


def mixing(adata, basis):
    """Share of each cell's 15 nearest neighbours that come from the other batch."""
    from pmcell.core.graph.knn import nearest_neighbors

    positions, _ = nearest_neighbors(adata.obsm[basis], 15)
    batch = adata.obs["batch_id"].to_numpy(str)
    return (batch[positions] != batch[:, None]).mean()


def test_integration_mixes_batches(adata):
    assert mixing(adata, "X_integrated") > mixing(adata, "X_pca") + 0.1


def test_one_batch_is_left_as_it_is(adata):
    single = adata.copy()
    single.obs["batch_id"] = "only"
    pm.tl.integrate(single)
    np.testing.assert_array_equal(single.obsm["X_integrated"], single.obsm["X_pca"])


def test_clusters_recover_the_cell_types(adata):
    from sklearn.metrics import adjusted_rand_score

    assert adjusted_rand_score(adata.obs["cluster"], adata.obs["cell_type"]) > 0.95


def test_clusters_are_numbered_by_size(adata):
    sizes = adata.obs["cluster"].value_counts(sort=False)
    assert list(sizes.index) == [str(at) for at in range(len(sizes))]
    assert (np.diff(sizes.to_numpy()) <= 0).all()


def test_ties_of_size_go_by_the_first_member():
    np.testing.assert_array_equal(order_by_size(np.array([5, 5, 2, 2, 9])), [0, 0, 1, 1, 2])


def test_the_same_seed_gives_the_same_clusters(adata):
    weights = adata.obsp["connectivities"]
    np.testing.assert_array_equal(leiden(weights, 1.5, seed=3), leiden(weights, 1.5, seed=3))


def test_leiden_is_as_good_as_igraph_alone(adata):
    import igraph

    weights = sparse.triu(adata.obsp["connectivities"], 1).tocoo()
    graph = igraph.Graph(n=adata.n_obs, edges=np.stack([weights.row, weights.col], 1).tolist())
    quality = graph.modularity(leiden(adata.obsp["connectivities"]).tolist(), weights.data.tolist())
    expected = graph.community_leiden("modularity", weights=weights.data.tolist(), n_iterations=-1)
    assert quality >= graph.modularity(expected, weights.data.tolist()) - 0.01


def test_the_map_keeps_cell_types_apart_and_its_seed_fixes_it(adata):
    first, second = adata.copy(), adata.copy()
    pm.tl.umap(first)
    pm.tl.umap(second)
    np.testing.assert_array_equal(first.obsm["X_umap"], second.obsm["X_umap"])
    from sklearn.metrics import silhouette_score

    assert silhouette_score(first.obsm["X_umap"], adata.obs["cell_type"]) > 0.3


def test_scanpy_can_use_the_graph(adata):
    import scanpy as sc

    sc.tl.leiden(adata, flavor="igraph", n_iterations=2, directed=False, key_added="scanpy")
    assert adata.obs["scanpy"].nunique() >= 3


def test_a_step_out_of_order_names_the_step_to_run_first():
    empty = ad.AnnData(sparse.csr_matrix(np.eye(5, dtype=np.int32)))
    with pytest.raises(UsageError, match=r"run pm.tl.integrate first"):
        pm.tl.neighbors(empty)
    with pytest.raises(UsageError, match=r"run pm.tl.neighbors first"):
        pm.tl.cluster(empty)
    with pytest.raises(UsageError, match=r"run pm.pp.highly_variable_genes first"):
        pm.tl.pca(empty)


def test_resolution_must_be_positive(adata):
    with pytest.raises(UsageError, match="resolution must be above 0, got 0"):
        leiden(adata.obsp["connectivities"], 0)
