"""A two-dimensional map of the neighbour graph, for looking at, not for measuring.

UMAP (McInnes et al. 2018, arXiv:1802.03426) by the package umap-learn, from
the graph's own weights and a start at the first two components.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pmcell.pp._adata import slot
from pmcell.schema import CONNECTIVITIES, X_INTEGRATED, X_UMAP

if TYPE_CHECKING:
    from anndata import AnnData

MIN_DIST = 0.5
SPREAD = 1.0


def umap(adata: AnnData, *, basis: str = X_INTEGRATED, seed: int = 0) -> None:
    """Write obsm `X_umap` (n_cells, 2; float32) from obsp `connectivities`.

    >>> import pmcell as pm
    >>> adata = pm.simulate.simulate_latent(n_donors=4, cells_per_donor=30, seed=1)
    >>> pm.tl.neighbors(adata)
    >>> pm.tl.umap(adata)
    >>> adata.obsm["X_umap"].shape[1]
    2
    """
    weights = slot(adata, "obsp", CONNECTIVITIES, "pm.tl.neighbors")
    points = slot(adata, "obsm", basis, "pm.tl.integrate")
    adata.obsm[X_UMAP] = layout(weights, points, seed)


def layout(weights: Any, points: NDArray[np.float32], seed: int = 0) -> NDArray[np.float32]:
    """Coordinates (n_cells, 2; float32) of a weighted graph; one thread, fixed by the seed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from umap.umap_ import find_ab_params, simplicial_set_embedding

        a, b = find_ab_params(SPREAD, MIN_DIST)
        start = np.ascontiguousarray(points[:, :2], np.float32)
        span = np.ptp(start, axis=0)
        start = 10.0 * (start - start.min(axis=0)) / np.where(span > 0, span, 1.0)
        n_epochs = 500 if points.shape[0] <= 10_000 else 200
        coordinates, _ = simplicial_set_embedding(
            data=points,
            graph=weights.tocoo(),
            n_components=2,
            initial_alpha=1.0,
            a=a,
            b=b,
            gamma=1.0,
            negative_sample_rate=5,
            n_epochs=n_epochs,
            init=start.astype(np.float32),
            random_state=np.random.RandomState(seed),
            metric="euclidean",
            metric_kwds={},
            densmap=False,
            densmap_kwds={},
            output_dens=False,
            parallel=False,
        )
    return np.asarray(coordinates, np.float32)
