"""Matrices that say the names of their genes: AnnData, 10x, loom and tables, as places."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np

from pmcell.consent.removal.gene_sets import MIN_PANEL, NamedRows, Rows
from pmcell.consent.removal.place import MAX_DENSE, ROWS, Place

LOWEST_SHARE = 0.2
"""Share of rows with a gene's lowest value from which that stands for no counts."""
GENES_OF = ("features", "genes", "gene_names", "gene", "row_attrs")
"""What 10x, CellBender and loom call what they say of genes."""


def gene_places(group: Any, where: str) -> Iterator[Place]:
    """Matrices of a group of HDF5 or zarr beside which the names of their genes stand."""
    keys = set(group.keys())
    if "var" in keys:
        layers = group["layers"] if "layers" in keys else {}
        found = [("X", group["X"])] if "X" in keys else []
        found += [(f"layers/{name}", layers[name]) for name in layers]
        for name, matrix in found:
            make = partial(_of_anndata, matrix, group["var"])
            yield Place(f"{where}/{name}/genes", genes=make)
    if not keys.isdisjoint(GENES_OF):
        about = [group[key] for key in GENES_OF if key in keys]
        if {"data", "indices", "indptr"} <= keys:
            yield Place(f"{where}/genes", genes=lambda: (names_in(about), _stored_rows(group)))
        elif "matrix" in keys and hasattr(group["matrix"], "shape"):
            matrix = group["matrix"]
            yield Place(
                f"{where}/matrix/genes", genes=lambda: (names_in(about), _column_rows(matrix))
            )


def table_rows(names: Sequence[str], values: np.ndarray) -> NamedRows:
    """A table of numbers with the names of its columns, and with those of other zeros.

    >>> named, blocks = table_rows(["A", "B"], np.array([[0, 2], [1, 0]]))
    >>> [indices.tolist() for _, indices in blocks]
    [[1, 0]]
    """
    kept, is_expressed = expressed(values)
    return [[names[number] for number in kept]], [_rows_of(is_expressed)]


def expressed(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Columns that are used, and where their values are more than none.

    Scaled by gene, no count is a gene's lowest value and no zero. Columns in which few rows have
    the lowest one do not say what stands for no counts.
    """
    is_counted = not (values < 0).any() and bool((values == 0).any())
    if is_counted or not len(values):
        return np.arange(values.shape[1]), values > 0
    lowest = np.nanmin(values, axis=0)
    is_lowest = values == lowest
    kept = np.flatnonzero(is_lowest.mean(axis=0) >= LOWEST_SHARE)
    return kept, ~is_lowest[:, kept]


def names_in(parts: Iterable[Any]) -> list[list[str]]:
    """Every list of texts in groups and arrays that may be names of genes."""
    found: list[list[str]] = []
    for part in parts:
        if hasattr(part, "keys"):
            found += names_in(part[key] for key in part)
        elif getattr(part, "dtype", None) is not None and part.ndim == 1:
            if part.dtype.names:
                records = np.asarray(part[()])
                found += [_texts(records[name]) for name in part.dtype.names]
            elif part.dtype.kind in "OSUTV" and part.shape[0] >= MIN_PANEL:
                found.append(_texts(np.asarray(part[()])))
    return [names for names in found if names]


def _texts(values: np.ndarray) -> list[str]:
    if values.dtype.kind in "iufb":
        return []
    return [
        value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
        for value in values.tolist()
    ]


def _of_anndata(matrix: Any, var: Any) -> NamedRows:
    named = names_in([var])
    for key in var if hasattr(var, "keys") else ():
        part = var[key]
        if hasattr(part, "keys") and {"codes", "categories"} <= set(part.keys()):
            [categories] = names_in([part["categories"]]) or [[]]
            codes = np.asarray(part["codes"][()])
            named.append(
                [categories[code] if 0 <= code < len(categories) else "" for code in codes]
            )
    if hasattr(matrix, "shape") and hasattr(matrix, "dtype"):
        return _of_dense(matrix, named)
    encoding = str(matrix.attrs.get("encoding-type", matrix.attrs.get("h5sparse_format", "csr")))
    return named, _stored_rows(matrix) if "csr" in encoding else _turned_rows(matrix)


def _of_dense(matrix: Any, named: list[list[str]]) -> NamedRows:
    n_rows, n_columns = matrix.shape
    first = np.asarray(matrix[: min(n_rows, ROWS)])
    if n_rows * n_columns <= MAX_DENSE and ((first < 0).any() or not (first == 0).any()):
        kept, is_expressed = expressed(np.asarray(matrix[()]))
        names = [[one[number] for number in kept] for one in named if len(one) == n_columns]
        return names, [_rows_of(is_expressed)]
    blocks = (np.asarray(matrix[at : at + ROWS]) for at in range(0, n_rows, ROWS))
    return _as_long(named, n_columns), (_rows_of(block > 0) for block in blocks)


def _as_long(named: list[list[str]], n_columns: int) -> list[list[str]]:
    return [names for names in named if len(names) == n_columns]


def _stored_rows(group: Any) -> Iterator[Rows]:
    """Rows of a sparse matrix in the order in which it stores them, in blocks."""
    indptr = np.asarray(group["indptr"][()], np.int64)
    for at in range(0, max(indptr.size - 1, 0), ROWS):
        bounds = indptr[at : at + ROWS + 1]
        values = np.asarray(group["data"][bounds[0] : bounds[-1]])
        indices = np.asarray(group["indices"][bounds[0] : bounds[-1]], np.int64)
        yield _without_zeros(bounds - bounds[0], indices, values)


def _turned_rows(group: Any) -> Iterator[Rows]:
    """Rows of a sparse matrix that stores columns."""
    from scipy.sparse import csc_matrix

    if group["data"].size <= MAX_DENSE:
        parts = tuple(group[name][()] for name in ("data", "indices", "indptr"))
        matrix = csc_matrix(parts).tocsr()
        indptr, indices = (part.astype(np.int64) for part in (matrix.indptr, matrix.indices))
        yield _without_zeros(indptr, indices, matrix.data)


def _column_rows(matrix: Any) -> Iterator[Rows]:
    """Cells of a dense matrix of genes × cells."""
    width = max(MAX_DENSE // max(matrix.shape[0], 1), 1)
    for at in range(0, matrix.shape[1], min(width, ROWS)):
        yield _rows_of(np.asarray(matrix[:, at : at + min(width, ROWS)]).T > 0)


def _without_zeros(indptr: np.ndarray, indices: np.ndarray, values: np.ndarray) -> Rows:
    is_kept = values != 0
    if is_kept.all():
        return indptr, indices
    return np.concatenate([[0], np.cumsum(is_kept)])[indptr], indices[is_kept]


def _rows_of(is_expressed: np.ndarray) -> Rows:
    indptr = np.concatenate([[0], np.cumsum(is_expressed.sum(axis=1))])
    return indptr.astype(np.int64), np.nonzero(is_expressed)[1]
