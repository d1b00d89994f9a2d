"""Remove batch effects from the embedding with Harmony.

Harmony (Korsunsky et al. 2019, doi:10.1038/s41592-019-0619-0) through the
package harmonypy; cells are moved, counts are not touched.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pmcell.pp._adata import column, slot
from pmcell.schema import X_INTEGRATED, X_PCA
from pmcell.schema.text import as_text

if TYPE_CHECKING:
    from anndata import AnnData


def integrate(
    adata: AnnData, *, batch: str = "batch_id", basis: str = X_PCA, seed: int = 0
) -> None:
    """Write obsm `X_integrated` (same shape as the basis, float32).

    With a single batch there is nothing to remove and the basis is copied.

    >>> import pmcell as pm
    >>> adata = pm.simulate.simulate_latent(n_donors=4, cells_per_donor=30, seed=1)
    >>> adata.obsm["X_pca"] = adata.obsm["X_integrated"]
    >>> pm.tl.integrate(adata)
    >>> adata.obsm["X_integrated"].shape == adata.obsm["X_pca"].shape
    True
    """
    labels = as_text(column(adata, batch)).to_numpy()
    adata.obsm[X_INTEGRATED] = harmonise(slot(adata, "obsm", basis, "pm.tl.pca"), labels, seed)


def harmonise(
    embedding: NDArray[np.float32], batches: NDArray[np.str_], seed: int = 0
) -> NDArray[np.float32]:
    """Harmony on an embedding (n_cells, n_components), one label of batch for each cell."""
    if np.unique(batches).size < 2:
        return np.array(embedding, np.float32)
    import harmonypy
    import pandas as pd

    # One core: the order of sums inside Harmony depends on the number of threads.
    result = harmonypy.run_harmony(
        np.asarray(embedding, np.float64),
        pd.DataFrame({"batch": batches}),
        ["batch"],
        random_state=seed,
        ncores=1,
        verbose=False,
    )
    corrected = np.asarray(result.Z_corr, np.float32)
    return corrected if corrected.shape == embedding.shape else np.ascontiguousarray(corrected.T)
