"""What every step needs of an AnnData: raw counts as CSR, columns that exist."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pmcell.core.counts.blocks import MatrixCounts, StoredCounts
from pmcell.core.counts.decode import copy_counts
from pmcell.errors import DataError, UsageError
from pmcell.schema.slots import OWN_COLUMNS_WRITTEN
from pmcell.schema.text import source_name
from pmcell.spelling import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd
    from anndata import AnnData


def raw_counts(adata: AnnData, layer: str | None = None) -> Any:
    """The raw counts (X or a layer) as CSR with int32 data; `DataError` if they are not counts."""
    from scipy import sparse

    name = "X" if layer is None else f"layers[{layer!r}]"
    if layer is not None and layer not in adata.layers:
        listed = ", ".join(map(repr, adata.layers)) or "none"
        raise UsageError(f"layer must be one of adata.layers; got {layer!r}, there are {listed}")
    values = _in_memory(adata, adata.X if layer is None else adata.layers[layer], name)
    if sparse.issparse(values) and values.format in ("csr", "csc"):
        matrix = values
        plain = _numbers(values.data, name)
        if plain is not values.data:
            # SciPy converts no layout of a type that it does not know.
            parts = (plain, values.indices, values.indptr)
            made = sparse.csr_matrix if values.format == "csr" else sparse.csc_matrix
            matrix = made(parts, values.shape)
        matrix = matrix if isinstance(matrix, sparse.csr_matrix) else sparse.csr_matrix(matrix)
    elif sparse.issparse(values):
        matrix = sparse.csr_matrix(values)
    else:
        matrix = sparse.csr_matrix(_numbers(np.asarray(values), name))
    given = _numbers(matrix.data, name)
    counts = np.empty(given.size, np.int32)
    if copy_counts(given, counts) >= 0:
        known = given[np.isfinite(given)]
        seen = f"values from {known.min()} to {known.max()}" if known.size else "no finite value"
        seen += "" if np.all(known == np.floor(known)) else ", not whole"
        seen += "" if known.size == given.size else ", and some not finite"
        raise DataError(
            f"{name} must hold raw counts (whole numbers from 0); found {seen}. {_where(adata)}",
            reason="not_counts",
        )
    found = sparse.csr_matrix((counts, matrix.indices, matrix.indptr), matrix.shape)
    # Known of X since the last step that asked; else each step would look through all of it.
    found.has_canonical_format = matrix.has_canonical_format
    return found


def _in_memory(adata: AnnData, values: Any, name: str) -> Any:
    """The values if they are a matrix in memory; `DataError` that says how to make them one."""
    from scipy import sparse

    if values is None:
        raise DataError(
            f"{name} must hold raw counts; it is empty. {_where(adata)}", reason="no_counts"
        )
    if isinstance(values, np.ndarray) or sparse.issparse(values):
        return values
    if hasattr(values, "to_numpy"):
        return values.to_numpy()
    if adata.isbacked:
        raise DataError(
            f"{name} must be in memory; found a file opened with backed={adata.file._filemode!r}. "
            "Call adata = adata.to_memory() first; or, to read it in blocks, counts = "
            "pmcell.open_counts(path) and adata = counts.read_cells(), and give counts=counts.",
            reason="not_in_memory",
        )
    kind = f"{type(values).__module__.partition('.')[0]} {type(values).__name__}"
    raise DataError(
        f"{name} must be a NumPy array or a SciPy sparse matrix; found {kind}. Convert it first: "
        "adata.X = adata.X.compute() for dask, .get() for cupy.",
        reason="not_in_memory",
    )


def _numbers(values: Any, name: str) -> Any:
    """The values in a type that SciPy and the kernels know; `DataError` for what is no number."""
    kind, size = values.dtype.kind, values.dtype.itemsize
    if kind not in "iufb":
        raise DataError(
            f"{name} must hold raw counts (whole numbers from 0); found type {values.dtype}. "
            "Convert it to integers.",
            reason="not_counts",
        )
    if kind == "f" and size not in (4, 8):
        return values.astype(np.float32 if size < 4 else np.float64)
    return values.astype(values.dtype.newbyteorder("="), copy=False)


def _where(adata: AnnData) -> str:
    """How to name the counts, by the matrices that there are."""
    if len(adata.layers):
        return (
            f"Name the layer with the counts: layer=…, one of {', '.join(map(repr, adata.layers))}."
        )
    if adata.raw is not None:
        return (
            "If raw holds the counts, go on with adata = adata.raw.to_adata(); else put them into "
            "a layer and name it: layer=…"
        )
    return (
        "Put the counts into X, or into a layer and name it: layer=…; those of a file are read by "
        "counts=pmcell.open_counts(path)."
    )


def counts_and_rows(
    adata: AnnData, counts: StoredCounts | None, layer: str | None = None
) -> tuple[MatrixCounts | StoredCounts, NDArray[np.int64]]:
    """Where the raw counts are, X, a layer or a file, and the row of each cell of `adata` there.

    `UsageError` when the file lacks a cell, holds other genes or has the cells in another order.
    """
    if counts is None:
        return MatrixCounts(raw_counts(adata, layer)), np.arange(adata.n_obs)
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


def write_columns(adata: AnnData, columns: Mapping[str, Any]) -> None:
    """Write columns of obs; one of the same name that came with the cells is kept.

    It is then called source_<name>. What pmcell wrote before is replaced.
    """
    ours = {str(name) for name in adata.uns.get(OWN_COLUMNS_WRITTEN, ())}
    for name, values in columns.items():
        if name in adata.obs and name not in ours:
            adata.obs[source_name(name, adata.obs.columns)] = adata.obs[name]
        adata.obs[name] = values
    adata.uns[OWN_COLUMNS_WRITTEN] = np.array(sorted(ours | set(columns)), object)


def slot(adata: AnnData, where: str, name: str, made_by: str) -> Any:
    """An element of obsm, obsp, varm or uns; `UsageError` that names the step to run first."""
    elements = getattr(adata, where)
    if name not in elements:
        raise UsageError(f"adata.{where}[{name!r}] must exist; run {made_by} first")
    return elements[name]
