"""The k-nearest-neighbour graph of the cells."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pmcell.core.graph.ivf import Neighbors, approximate_neighbors, check_finite
from pmcell.core.graph.knn import nearest_neighbors
from pmcell.core.graph.weights import (
    block_diagonal,
    distance_matrix,
    fuzzy_weights,
    shared_weights,
)
from pmcell.errors import DataError, UsageError
from pmcell.pp._adata import slot
from pmcell.schema import CONNECTIVITIES, DISTANCES, X_INTEGRATED
from pmcell.tl.tissues import cells_by_tissue

if TYPE_CHECKING:
    from anndata import AnnData

EXACT_BELOW = 10_000
"""Lists cost less processor time from 6,000 cells on; up to here exactness costs 0.2 s."""
WEIGHTS = ("umap", "snn")


def neighbors(
    adata: AnnData,
    *,
    n_neighbors: int = 15,
    basis: str = X_INTEGRATED,
    exact_below: int = EXACT_BELOW,
    recall: float = 0.99,
    weights: str = "umap",
    seed: int = 0,
) -> None:
    """Nearest neighbours in the basis and the weights of their graph.

    Cells of each tissue (obs `tissue_group`, where present) have neighbours among
    themselves only. The search is exact below `exact_below` of them. From there on it
    looks in inverted lists (`pmcell.core.graph.ivf`), in as many as find the share
    `recall` of the true neighbours; `seed` chooses the lists and the cells on which that
    is measured. `weights` are `umap` (fuzzy, by distance) or `snn` (Jaccard index of the
    neighbours of two neighbours; `pmcell.core.graph.weights`).

    Writes obsp `distances` and `connectivities` (n_cells × n_cells, CSR
    float32) and uns `neighbors`, the layout of scanpy; its `params` name the
    `search` (exact or ivf), the measured `recall` and, for ivf, `n_probe`, the lists
    searched. Raises DataError for missing or infinite coordinates.

    >>> import pmcell as pm
    >>> adata = pm.simulate.simulate_latent(n_donors=4, cells_per_donor=30, seed=1)
    >>> pm.tl.neighbors(adata, n_neighbors=5)
    >>> int(adata.obsp["distances"].nnz / adata.n_obs)
    5
    """
    points = slot(adata, "obsm", basis, "pm.tl.integrate")
    if n_neighbors < 2:
        raise UsageError(f"n_neighbors must be at least 2, got {n_neighbors}")
    if points.shape[0] < 3:
        raise UsageError(f"a graph needs at least 3 cells, got {points.shape[0]}")
    if not 0 < recall <= 1:
        raise UsageError(f"recall must be above 0 and at most 1, got {recall}")
    if weights not in WEIGHTS:
        raise UsageError(f"weights must be one of {WEIGHTS}, got {weights!r}")
    try:
        check_finite(points)
    except ValueError as error:
        raise DataError(f"obsm[{basis!r}]: {error}", reason="not_finite") from error
    # A cell alone in its tissue has no neighbour.
    tissues = [cells for cells in cells_by_tissue(adata.obs) if cells.size > 1]
    found = [
        _find(points[cells], n_neighbors, exact_below=exact_below, recall=recall, seed=seed)
        for cells in tissues
    ]
    adata.obsp[DISTANCES] = block_diagonal(
        [distance_matrix(item.positions, item.distances) for item in found], tissues, adata.n_obs
    )
    adata.obsp[CONNECTIVITIES] = block_diagonal(
        [
            fuzzy_weights(item.positions, item.distances)
            if weights == "umap"
            else shared_weights(item.positions)
            for item in found
        ],
        tissues,
        adata.n_obs,
    )
    n_probe = max((item.n_probe for item in found), default=0)
    search = {"search": "ivf", "n_probe": n_probe} if n_probe else {"search": "exact"}
    adata.uns["neighbors"] = {
        "connectivities_key": CONNECTIVITIES,
        "distances_key": DISTANCES,
        "params": {
            "n_neighbors": max((item.positions.shape[1] for item in found), default=0),
            "method": weights,
            "metric": "euclidean",
            "use_rep": basis,
            "recall": min((item.recall for item in found), default=1.0),
            **search,
        },
    }


def _find(
    points: NDArray[np.float32], n_neighbors: int, *, exact_below: int, recall: float, seed: int
) -> Neighbors:
    k = min(n_neighbors, points.shape[0] - 1)
    if points.shape[0] < exact_below:
        return Neighbors(*nearest_neighbors(points, k), recall=1.0, n_probe=0)
    return approximate_neighbors(points, k, recall=recall, seed=seed)
