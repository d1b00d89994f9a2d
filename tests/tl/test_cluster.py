import anndata as ad
import numpy as np
import pytest
from scipy import sparse

import pmcell as pm
from pmcell.errors import UsageError
from pmcell.tl.cluster import best_jaccard


@pytest.fixture
def adata():
    """Three cliques of 30, 20 and 10 cells, and two cells without neighbours."""
    cliques = [np.ones((n, n)) - np.eye(n) for n in (10, 30, 20)]
    adata = ad.AnnData(np.zeros((62, 1), np.float32))
    adata.obsp["connectivities"] = sparse.block_diag([*cliques, np.zeros((2, 2))]).tocsr()
    return adata


def test_clusters_and_their_parameters_are_written(adata):
    pm.tl.cluster(adata, resolution=0.5, seed=7)
    assert adata.obs["cluster"].value_counts(sort=False).tolist() == [30, 20, 10, 1, 1]
    written = adata.uns["cluster"]
    assert (written["objective"], written["resolution"], written["seed"]) == ("modularity", 0.5, 7)
    assert 0 < written["quality"] < 1


def test_cells_may_be_clustered_by_the_constant_potts_model(adata):
    pm.tl.cluster(adata, resolution=0.5, objective="cpm")
    assert adata.obs["cluster"].nunique() == 5


def test_clusters_that_nothing_ties_together_are_stable(adata):
    pm.tl.cluster(adata, resolution=0.2)
    pm.tl.cluster_stability(adata, n=4, seed=1)
    stability = adata.uns["cluster_stability"]
    assert stability["cluster"].tolist() == ["0", "1", "2", "3", "4"]
    assert (stability["min_jaccard"] <= stability["mean_jaccard"]).all()
    assert stability["mean_jaccard"].tolist() == [1, 1, 1, 1, 1]


def test_halves_of_one_clique_are_not_stable(adata):
    pm.tl.cluster(adata)
    cut = adata[10:40].copy()
    cut.obs["cluster"] = np.where(np.arange(30) < 15, "a", "b")
    pm.tl.cluster_stability(cut, n=4)
    assert cut.uns["cluster_stability"]["mean_jaccard"].max() <= 0.6


def test_jaccard_is_that_with_the_most_similar_cluster():
    reference = np.array([0, 0, 0, 1, 1])
    np.testing.assert_allclose(best_jaccard(reference, np.array([1, 1, 0, 0, 0])), [2 / 3, 2 / 3])


def test_unusable_options_are_refused(adata):
    with pytest.raises(UsageError, match=r"run pm.tl.cluster first"):
        pm.tl.cluster_stability(adata)
    with pytest.raises(UsageError, match="n must be at least 1, got 0"):
        pm.tl.cluster_stability(adata, n=0)
    with pytest.raises(UsageError, match="share must be above 0 and below 1, got 1"):
        pm.tl.cluster_stability(adata, share=1)
    with pytest.raises(UsageError, match="objective must be one of"):
        pm.tl.cluster(adata, objective="infomap")
