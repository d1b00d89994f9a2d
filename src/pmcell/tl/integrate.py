"""Remove batch effects from the embedding with Harmony.

Harmony (Korsunsky et al. 2019, doi:10.1038/s41592-019-0619-0) by pmcell's own
kernel, `pmcell.core.harmony`; cells are moved, counts are not touched.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pmcell.core.harmony import HarmonySettings, harmony
from pmcell.errors import UsageError
from pmcell.pp._adata import column, slot
from pmcell.schema import X_INTEGRATED, X_PCA
from pmcell.schema.text import as_text
from pmcell.tl.tissues import cells_by_tissue

if TYPE_CHECKING:
    from anndata import AnnData


def integrate(
    adata: AnnData,
    *,
    batch: str = "batch_id",
    basis: str = X_PCA,
    theta: float = 2.0,
    seed: int = 0,
) -> None:
    """Write obsm `X_integrated` (same shape as the basis, float32).

    Cells of each tissue (obs `tissue_group`, where present) are moved by themselves: what
    a batch shifts in one tissue says nothing of another.

    `theta` is Harmony's diversity penalty: higher mixes the batches more. With a single
    batch there is nothing to remove and the basis is copied.

    >>> import pmcell as pm
    >>> adata = pm.simulate.simulate_latent(n_donors=4, cells_per_donor=30, seed=1)
    >>> adata.obsm["X_pca"] = adata.obsm["X_integrated"]
    >>> pm.tl.integrate(adata)
    >>> adata.obsm["X_integrated"].shape == adata.obsm["X_pca"].shape
    True
    """
    labels = as_text(column(adata, batch)).to_numpy()
    points = slot(adata, "obsm", basis, "pm.tl.pca")
    moved = np.empty(points.shape, np.float32)
    for cells in cells_by_tissue(adata.obs):
        moved[cells] = harmonise(points[cells], labels[cells], theta=theta, seed=seed)
    adata.obsm[X_INTEGRATED] = moved


def harmonise(
    embedding: NDArray[np.float32],
    batches: NDArray[np.str_],
    *,
    theta: float = 2.0,
    seed: int = 0,
) -> NDArray[np.float32]:
    """Harmony on an embedding (n_cells, n_components), one label of batch for each cell."""
    if not 0 <= theta < np.inf:
        raise UsageError(f"theta must be at least 0, got {theta}")
    if np.unique(batches).size < 2:
        return np.array(embedding, np.float32)
    codes = np.unique(batches, return_inverse=True)[1]
    return harmony(embedding, codes, seed=seed, settings=HarmonySettings(diversity=theta))
