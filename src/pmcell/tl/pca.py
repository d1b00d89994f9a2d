"""Principal components by the exact Gram matrix."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pmcell.core import gram as _gram
from pmcell.core.blocks import StoredCounts
from pmcell.core.project import project
from pmcell.errors import UsageError
from pmcell.pp._adata import counts_and_rows
from pmcell.schema import X_PCA

if TYPE_CHECKING:
    from anndata import AnnData


def pca(
    adata: AnnData,
    *,
    n_components: int = 50,
    scaling: str = "pareto",
    counts: StoredCounts | None = None,
    layer: str | None = None,
) -> None:
    """Principal components of the log-normalised highly variable genes.

    Raw counts are in X, in `layer`, or in the file `counts`, which is read in two passes. Each
    gene is centred and, by `scaling`, divided by nothing (`none`), by the square root of
    its standard deviation (`pareto`) or by that itself (`unit`).

    Writes obsm `X_pca` (n_cells, n_components; float32), varm `PCs` (weights of the
    centred genes; zeros for those not highly variable) and uns `pca` with the variances. The
    result has the same bits for any number of threads and any order of cells.

    >>> import pmcell as pm
    >>> adata = pm.simulate.simulate(n_donors=4, cells_per_sample=60, seed=1)
    >>> pm.pp.highly_variable_genes(adata, n_top=100)
    >>> pm.tl.pca(adata, n_components=10)
    >>> adata.obsm["X_pca"].shape[1]
    10
    """
    if "is_highly_variable" not in adata.var:
        raise UsageError(
            "adata.var['is_highly_variable'] must exist; run pm.pp.highly_variable_genes first"
        )
    if scaling not in _gram.SCALINGS:
        raise UsageError(f"scaling must be one of {', '.join(_gram.SCALINGS)}, got {scaling!r}")
    chosen = adata.var["is_highly_variable"].to_numpy(bool)
    feature_of_gene = np.where(chosen, np.cumsum(chosen) - 1, -1).astype(np.int64)
    source, rows = counts_and_rows(adata, counts, layer)
    used = np.zeros(source.n_cells, bool)
    used[rows] = True
    sums = _gram.gram(source, feature_of_gene, int(chosen.sum()), used)
    found = _gram.basis([sums], n_components, scaling)
    adata.obsm[X_PCA] = project(source, feature_of_gene, used, found, sums.measured)
    loadings = np.zeros((adata.n_vars, found.components.shape[1]))
    loadings[chosen] = found.loadings
    adata.varm["PCs"] = loadings
    adata.uns["pca"] = {
        "variance": found.variances,
        "variance_ratio": found.variances / found.total_variance,
    }
