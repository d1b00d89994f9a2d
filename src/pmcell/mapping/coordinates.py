"""Coordinates of new cells on the integrated embedding of a reference, which stays as it is.

A mixture of the reference's cells is frozen (Kang et al. 2021, doi:10.1038/s41467-021-25957-x,
"Symphony"): where each component lies in the integrated embedding, and how many cells it has.
Cells of a new batch are assigned softly by the direction of their principal components, and each
component's share of them is moved onto the component.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pmcell.core.graph.knn import nearest_among
from pmcell.core.harmony import first_centres
from pmcell.core.harmony_kernels import cell_keys

Floats = NDArray[np.float64]

CELLS_PER_COMPONENT = 30
MAX_COMPONENTS = 100
SOFTNESS = 0.1
"""Width of the soft assignment, in 1 - cosine, as Harmony's."""
RIDGE = 1.0
"""Cells of a component at which half of a batch's shift is believed, divided by its share."""
N_ROUNDS = 10
N_MAP_NEIGHBORS = 15
"""Cells of the reference that say where a new one lies on the map of two dimensions."""


@dataclass(frozen=True)
class Mixture:
    """Components of the integrated embedding: `centres` of unit length, `means`, `n` cells.

    `anchors` (cells, components of the embedding) are some of the reference's cells and
    `anchor_map` (cells, 2) their place on its map.
    """

    centres: Floats
    means: Floats
    n: Floats
    anchors: NDArray[np.float32]
    anchor_map: NDArray[np.float32]

    def integrate(self, scores: Floats) -> NDArray[np.float32]:
        """Integrated coordinates of the cells of one batch, from their principal components."""
        if not scores.shape[0]:
            return np.zeros(scores.shape, np.float32)
        member = soft_members(scores, self.centres)
        n = member.sum(axis=0)
        mean = (member.T @ scores) / np.maximum(n, 1e-12)[:, None]
        # The reference outweighs a sample, so that where a component lies is the reference's.
        weight = n / (n + RIDGE * max(scores.shape[0] / CELLS_PER_COMPONENT, 1.0))
        shift = weight[:, None] * (mean - self.means)
        return np.asarray(scores - member @ shift, np.float32)

    def on_map(self, integrated: NDArray[np.float32]) -> Floats:
        """Place of cells on the map: the mean of their nearest anchors; NaN without anchors."""
        n_anchors = self.anchors.shape[0]
        if not n_anchors or not integrated.shape[0]:
            return np.full((integrated.shape[0], 2), np.nan)
        cells, anchors = (
            np.ascontiguousarray(points, np.float32) for points in (integrated, self.anchors)
        )
        near, _ = nearest_among(cells, anchors, min(N_MAP_NEIGHBORS, n_anchors))
        return np.asarray(self.anchor_map[near].mean(axis=1, dtype=np.float64))


def soft_members(points: Floats, centres: Floats) -> Floats:
    """Share of each point in each component (points, components)."""
    cosine = _unit(points) @ centres.T
    value = np.exp((cosine - cosine.max(axis=1, keepdims=True)) / SOFTNESS)
    return np.asarray(value / value.sum(axis=1, keepdims=True))


def fit_mixture(
    integrated: NDArray[np.float32],
    map_of_cells: NDArray[np.float32],
    anchors: NDArray[np.int64],
    *,
    seed: int = 0,
) -> Mixture:
    """Freeze the mixture of a reference's integrated cells.

    Parameters
    ----------
    integrated
        Integrated embedding (cells, components).
    map_of_cells
        Place of each cell on the map (cells, 2).
    anchors
        Cells to keep as anchors of the map.
    seed
        Decides the first centres.
    """
    points = np.asarray(integrated, np.float64)
    n_components = int(np.clip(len(points) // CELLS_PER_COMPONENT, 1, MAX_COMPONENTS))
    sphere = _unit(points).astype(np.float32)
    keys = np.asarray(cell_keys(np.ascontiguousarray(integrated, np.float32), np.uint64(seed)))
    centres = first_centres(sphere, keys, n_components, seed).astype(np.float64)
    for _ in range(N_ROUNDS):
        centres = _unit(soft_members(points, centres).T @ sphere)
    member = soft_members(points, centres)
    n = member.sum(axis=0)
    means = (member.T @ points) / np.maximum(n, 1e-12)[:, None]
    return Mixture(centres, means, n, integrated[anchors], map_of_cells[anchors])


def _unit(rows: NDArray[np.floating]) -> Floats:
    values = np.asarray(rows, np.float64)
    length = np.sqrt((values**2).sum(axis=1, keepdims=True))
    return np.asarray(values / np.where(length > 0, length, 1.0))
