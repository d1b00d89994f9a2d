"""Leiden clusters of the neighbour graph, and how well they withstand a thinner graph.

The kernels are our own (`pmcell.core.graph.leiden`): igraph's converged quality in less than
a tenth of its CPU time at 200,000 cells, by `tests/benchmarks/core/leiden.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pmcell.core.graph.communities import order_by_size
from pmcell.errors import UsageError
from pmcell.pp._adata import column, slot, write_columns
from pmcell.schema import CLUSTER, CLUSTER_STABILITY, CONNECTIVITIES
from pmcell.schema.text import text_array
from pmcell.tl.tissues import cells_by_tissue

if TYPE_CHECKING:
    from anndata import AnnData

    from pmcell.core.graph.leiden import Graph

__all__ = ["cluster", "cluster_stability", "leiden", "order_by_size"]

SHARE_KEPT = 0.8


def cluster(
    adata: AnnData, *, resolution: float = 1.0, seed: int = 0, objective: str = "modularity"
) -> None:
    """Write obs `cluster` (categories '0', '1', … by falling size) from obsp `connectivities`.

    `objective` is `modularity` or `cpm`. Every cluster is a connected part of
    the graph. Each tissue (obs `tissue_group`, where present) is clustered by itself, so
    that its clusters do not depend on how many cells of others there are. uns `cluster`
    holds the parameters and the quality reached, as a share of the graph's total weight. A
    column `cluster` that came with the cells is kept as `source_cluster`.

    >>> import pmcell as pm
    >>> adata = pm.simulate.simulate_latent(n_donors=4, cells_per_donor=30, seed=1)
    >>> pm.tl.neighbors(adata)
    >>> pm.tl.cluster(adata)
    >>> adata.obs["cluster"].cat.categories[0]
    '0'
    """
    import pandas as pd

    from pmcell.core.graph.leiden import quality

    tissues = cells_by_tissue(adata.obs)
    graphs = _graphs(adata, tissues)
    found = [leiden(graph, resolution, seed, objective=objective) for graph in graphs]
    reached = [
        quality(graph, own, resolution, objective=objective)
        for graph, own in zip(graphs, found, strict=True)
    ]
    totals = [float(graph.degrees.sum()) for graph in graphs]
    labels = order_by_size(_together(found, tissues, adata.n_obs))
    categories = [str(at) for at in range(int(labels.max(initial=-1)) + 1)]
    write_columns(adata, {CLUSTER: pd.Categorical.from_codes(labels, categories)})
    adata.uns[CLUSTER] = {
        "objective": objective,
        "resolution": float(resolution),
        "seed": int(seed),
        "quality": _mean_quality(reached, totals),
    }


def cluster_stability(
    adata: AnnData, *, n: int = 20, share: float = SHARE_KEPT, seed: int = 0
) -> None:
    """Write uns `cluster_stability`: how well each cluster is found again in thinner graphs.

    Each of `n` times every edge is kept with probability `share`, and the
    graph clustered anew as `pm.tl.cluster` did. A cluster's stability is its
    Jaccard index with the most similar new cluster, meaned over the `n`
    (Hennig 2007, doi:10.1016/j.csda.2006.11.025): 1 always the same, below 0.6
    not to be trusted. Fields: `cluster`, `mean_jaccard` and `min_jaccard` (one
    value a cluster), `n`, `share`, `seed`.

    >>> import pmcell as pm
    >>> adata = pm.simulate.simulate_latent(n_donors=4, cells_per_donor=30, seed=1)
    >>> pm.tl.neighbors(adata)
    >>> pm.tl.cluster(adata)
    >>> pm.tl.cluster_stability(adata, n=5)
    >>> bool(adata.uns["cluster_stability"]["mean_jaccard"][0] > 0.6)
    True
    """
    from pmcell.core.graph import leiden as core

    if n < 1:
        raise UsageError(f"n must be at least 1, got {n}")
    if not 0 < share < 1:
        raise UsageError(f"share must be above 0 and below 1, got {share}")
    options = slot(adata, "uns", CLUSTER, "pm.tl.cluster")
    clusters = column(adata, CLUSTER).astype("category").cat.remove_unused_categories()
    reference = clusters.cat.codes.to_numpy().astype(np.int64)
    tissues = cells_by_tissue(adata.obs)
    graphs = _graphs(adata, tissues)

    def clustered_anew(seed: int) -> NDArray[np.int64]:
        found = [
            core.leiden(
                core.thinned(graph, share, seed),
                options["resolution"],
                objective=options["objective"],
                seed=seed,
            )
            for graph in graphs
        ]
        return _together(found, tissues, adata.n_obs)

    similarity = np.stack([best_jaccard(reference, clustered_anew(seed + at)) for at in range(n)])
    adata.uns[CLUSTER_STABILITY] = {
        "cluster": text_array(clusters.cat.categories),
        "mean_jaccard": similarity.mean(axis=0),
        "min_jaccard": similarity.min(axis=0),
        "n": n,
        "share": share,
        "seed": seed,
    }


def leiden(
    weights: Any, resolution: float = 1.0, seed: int = 0, *, objective: str = "modularity"
) -> NDArray[np.int64]:
    """Cluster of each node of a symmetric weighted graph (n, int64), 0 the largest.

    `pmcell.core.graph.leiden.leiden` with `UsageError` for what it refuses.
    """
    from pmcell.core.graph import leiden as core

    try:
        return core.leiden(weights, resolution, objective=objective, seed=seed)
    except ValueError as error:
        raise UsageError(str(error)) from error


def _graphs(adata: AnnData, tissues: list[NDArray[np.int64]]) -> list[Graph]:
    """The neighbour graph of each tissue."""
    from pmcell.core.graph.leiden import as_graph

    weights = slot(adata, "obsp", CONNECTIVITIES, "pm.tl.neighbors")
    try:
        if len(tissues) == 1:
            return [as_graph(weights)]
        rows = weights.tocsr()
        return [as_graph(rows[cells][:, cells]) for cells in tissues]
    except ValueError as error:
        raise UsageError(str(error)) from error


def _together(
    found: list[NDArray[np.int64]], tissues: list[NDArray[np.int64]], n_cells: int
) -> NDArray[np.int64]:
    """Clusters of all tissues, no number used in two."""
    labels = np.zeros(n_cells, np.int64)
    n_clusters = 0
    for own, cells in zip(found, tissues, strict=True):
        labels[cells] = own + n_clusters
        n_clusters += int(own.max(initial=-1)) + 1
    return labels


def _mean_quality(reached: list[float], totals: list[float]) -> float:
    """Quality of several graphs as one: the mean, weighted by the graphs' weight."""
    return float(np.average(reached, weights=totals)) if sum(totals) else 0.0


def best_jaccard(reference: NDArray[np.int64], found: NDArray[np.int64]) -> NDArray[np.float64]:
    """Jaccard index of each reference cluster with the found one most similar to it."""
    n_found = int(found.max()) + 1
    n_reference = int(reference.max()) + 1
    both = np.bincount(reference * n_found + found, minlength=n_reference * n_found)
    both = both.reshape(n_reference, n_found)
    either = both.sum(axis=1, keepdims=True) + both.sum(axis=0) - both
    return np.asarray((both / either).max(axis=1), np.float64)
