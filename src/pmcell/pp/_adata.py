"""What every step needs of an AnnData: raw counts as CSR, columns that exist."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pmcell.core.blocks import MatrixCounts, StoredCounts
from pmcell.core.decode import copy_counts
from pmcell.errors import DataError, UsageError
from pmcell.spelling import did_you_mean

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData


def raw_counts(adata: AnnData, layer: str | None = None) -> Any:
    """The raw counts (X or a layer) as CSR with int32 data; `DataError` if they are not counts."""
    from scipy import sparse

    name = "X" if layer is None else f"layers[{layer!r}]"
    values = adata.X if layer is None else adata.layers[layer]
    is_csr = sparse.issparse(values) and values.format == "csr"
    matrix = values if is_csr else sparse.csr_matrix(values)
    given = matrix.data
    if given.dtype.itemsize > 8:
        given = given.astype(np.float64)
    counts = np.empty(given.size, np.int32)
    if copy_counts(given, counts) >= 0:
        whole = bool(np.all(given == np.floor(given)))
        raise DataError(
            f"{name} must hold raw counts (whole numbers from 0); found values from {given.min()} "
            f"to {given.max()}{'' if whole else ', not whole'}. Name the layer with the counts: "
            "layer=…",
            reason="not_counts",
        )
    found = sparse.csr_matrix((counts, matrix.indices, matrix.indptr), matrix.shape)
    # Known of X since the last step that asked; else each step would look through all of it.
    found.has_canonical_format = matrix.has_canonical_format
    return found


def counts_and_rows(
    adata: AnnData, counts: StoredCounts | None
) -> tuple[MatrixCounts | StoredCounts, NDArray[np.int64]]:
    """Where the raw counts are, X or a file, and the row of each cell of `adata` there.

    `UsageError` when the file lacks a cell, holds other genes or has the cells in another order.
    """
    if counts is None:
        return MatrixCounts(raw_counts(adata)), np.arange(adata.n_obs)
    import pandas as pd

    rows = np.asarray(pd.Index(counts.cell_ids).get_indexer(adata.obs_names), np.int64)
    if counts.n_genes != adata.n_vars or (rows < 0).any() or (np.diff(rows) <= 0).any():
        raise UsageError(
            "counts must hold the cells of adata in the same order and its genes; it has "
            f"{counts.n_genes} genes for {adata.n_vars}, and {int((rows < 0).sum())} cells are "
            "missing. Begin with adata = counts.read_cells()."
        )
    return counts, rows


def column(adata: AnnData, name: str) -> pd.Series[Any]:
    """An obs column; `UsageError` with the nearest name when it is missing."""
    if name in adata.obs:
        return adata.obs[name]
    hint = did_you_mean(name, adata.obs.columns)
    raise UsageError(
        f"adata.obs must have a column {name!r}; it has {list(adata.obs.columns)}. {hint}".strip()
    )


def slot(adata: AnnData, where: str, name: str, made_by: str) -> Any:
    """An element of obsm, obsp, varm or uns; `UsageError` that names the step to run first."""
    elements = getattr(adata, where)
    if name not in elements:
        raise UsageError(f"adata.{where}[{name!r}] must exist; run {made_by} first")
    return elements[name]
