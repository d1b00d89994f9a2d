"""Leiden clusters of the neighbour graph.

Leiden (Traag et al. 2019, doi:10.1038/s41598-019-41695-z) by the package
igraph, run until it no longer improves.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pmcell.errors import UsageError
from pmcell.pp._adata import slot
from pmcell.schema import CLUSTER, CONNECTIVITIES

if TYPE_CHECKING:
    from anndata import AnnData


def cluster(adata: AnnData, *, resolution: float = 1.0, seed: int = 0) -> None:
    """Write obs `cluster` (categories '0', '1', … by falling size) from obsp `connectivities`.

    >>> import pmcell as pm
    >>> adata = pm.simulate.simulate_latent(n_donors=4, cells_per_donor=30, seed=1)
    >>> pm.tl.neighbors(adata)
    >>> pm.tl.cluster(adata)
    >>> adata.obs["cluster"].cat.categories[0]
    '0'
    """
    import pandas as pd

    labels = leiden(slot(adata, "obsp", CONNECTIVITIES, "pm.tl.neighbors"), resolution, seed)
    categories = [str(at) for at in range(int(labels.max()) + 1)]
    adata.obs[CLUSTER] = pd.Categorical.from_codes(labels, categories)


def leiden(weights: Any, resolution: float = 1.0, seed: int = 0) -> NDArray[np.int64]:
    """Cluster of each node of a symmetric weighted graph (n, int64), 0 the largest.

    Clusters of equal size are ordered by their first node.
    """
    import random

    import igraph
    from scipy import sparse

    if resolution <= 0:
        raise UsageError(f"resolution must be above 0, got {resolution}")
    upper = sparse.triu(weights, k=1).tocoo()
    graph = igraph.Graph(n=weights.shape[0], edges=np.stack([upper.row, upper.col], axis=1))
    igraph.set_random_number_generator(random.Random(seed))
    try:
        found = graph.community_leiden(
            objective_function="modularity",
            weights=upper.data.astype(float).tolist(),
            resolution=resolution,
            n_iterations=-1,
        )
    finally:
        igraph.set_random_number_generator(random)
    return order_by_size(np.asarray(found.membership, np.int64))


def order_by_size(membership: NDArray[np.int64]) -> NDArray[np.int64]:
    """Renumber clusters: 0 the largest, ties by the first member."""
    _, first, inverse, sizes = np.unique(
        membership, return_index=True, return_inverse=True, return_counts=True
    )
    order = np.lexsort((first, -sizes))
    rank = np.empty(order.size, np.int64)
    rank[order] = np.arange(order.size)
    return rank[inverse]
