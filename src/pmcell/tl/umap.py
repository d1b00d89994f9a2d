"""A two-dimensional map of the neighbour graph, for looking at, not for measuring.

UMAP (McInnes et al. 2018, arXiv:1802.03426) of the graph's own weights, from a
start at the first two components. The kernel is ours (`core.graph.layout`): the same
bits for any number of threads, without umap-learn's import and compilation, and with
half of its epochs and a third of its pushes, which lose nothing where a point follows all
its links of an epoch before it is pushed (tests/benchmarks/core/RESULTS.md).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pmcell.core.graph.layout import layout
from pmcell.errors import UsageError
from pmcell.pp._adata import slot
from pmcell.schema import CONNECTIVITIES, X_INTEGRATED, X_UMAP
from pmcell.tl.tissues import cells_by_tissue

if TYPE_CHECKING:
    from anndata import AnnData

WIDTH = 10.0
GAP = 5.0
"""Room between the maps of two tissues, in units of the map."""


def umap(
    adata: AnnData,
    *,
    basis: str = X_INTEGRATED,
    min_dist: float = 0.5,
    spread: float = 1.0,
    seed: int = 0,
) -> None:
    """Write obsm `X_umap` (n_cells, 2; float32) from obsp `connectivities`.

    Neighbours may lie as near to each other as `min_dist`; `spread`, which is not below
    it, is the scale of the map (UMAP's own parameters). Each tissue (obs
    `tissue_group`, where present) has a map of its own; they stand side by side.

    >>> import pmcell as pm
    >>> adata = pm.simulate.simulate_latent(n_donors=4, cells_per_donor=30, seed=1)
    >>> pm.tl.neighbors(adata)
    >>> pm.tl.umap(adata)
    >>> adata.obsm["X_umap"].shape[1]
    2
    """
    weights = slot(adata, "obsp", CONNECTIVITIES, "pm.tl.neighbors")
    points = slot(adata, "obsm", basis, "pm.tl.integrate")
    tissues = cells_by_tissue(adata.obs)
    rows = weights.tocsr()
    graphs = [rows] if len(tissues) == 1 else [rows[cells][:, cells] for cells in tissues]
    maps = [
        map_points(graph, points[cells], min_dist=min_dist, spread=spread, seed=seed)
        for graph, cells in zip(graphs, tissues, strict=True)
    ]
    adata.obsm[X_UMAP] = maps[0] if len(maps) == 1 else side_by_side(maps, tissues)


def side_by_side(
    maps: list[NDArray[np.float32]], cells: list[NDArray[np.int64]]
) -> NDArray[np.float32]:
    """Maps of the given cells each as one (n_cells, 2), the largest first from left to right."""
    found = np.zeros((sum(own.size for own in cells), 2), np.float32)
    left = 0.0
    for at in sorted(range(len(maps)), key=lambda at: (-cells[at].size, at)):
        placed = maps[at] - maps[at].min(axis=0) + np.array([left, 0.0], np.float32)
        found[cells[at]] = placed
        left = float(placed[:, 0].max()) + GAP
    return found


def map_points(
    weights: Any,
    points: NDArray[np.float32],
    *,
    min_dist: float = 0.5,
    spread: float = 1.0,
    seed: int = 0,
) -> NDArray[np.float32]:
    """Coordinates (n_cells, 2; float32) of a weighted graph, fixed by the seed."""
    # Outside these bounds the curve that stands for the two does not fit them.
    if not 0 <= min_dist <= spread or not 0.5 <= spread <= 5:
        raise UsageError(
            "min_dist must be from 0 to spread, and spread from 0.5 to 5; "
            f"got {min_dist} and {spread}"
        )
    start = first_plane(points)
    return layout(weights.tocsr(), start, seed=seed, min_dist=min_dist, spread=spread)


def first_plane(points: NDArray[np.float32]) -> NDArray[np.float32]:
    """The first two coordinates, each stretched to 0 to 10; a missing one is 0."""
    start = np.zeros((points.shape[0], 2), np.float32)
    n_given = min(2, points.shape[1])
    start[:, :n_given] = points[:, :n_given]
    span = np.ptp(start, axis=0) if len(start) else np.zeros(2)
    lowest = start.min(axis=0) if len(start) else np.zeros(2)
    return np.asarray(WIDTH * (start - lowest) / np.where(span > 0, span, 1.0), np.float32)
