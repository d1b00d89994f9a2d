"""AnnData as it lies in an open HDF5 file or zarr store: counts in X, raw.X or a layer.

CSR and dense matrices stream in one pass. CSC holds no cell together and is
read once per block (see `pmcell.io.entries`).
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse as sp

from pmcell.errors import DataError
from pmcell.io.entries import Entries, blocks_from_entries, csr_block, row_bounds
from pmcell.io.preflight import unreadable
from pmcell.io.submission import LayerSummary, Submission, summarise

if TYPE_CHECKING:
    import pandas as pd

_WRITERS = {"h5ad": "adata.write_h5ad()", "zarr": "adata.write_zarr()"}

READ_VALUES = 4_000_000
SAMPLED_RUNS = 24
SAMPLED_CELLS = 32
SAMPLED_VALUES = 50_000


def inspect_tree(root: Any, path: Path, fmt: str) -> Submission:
    """Tables of cells and genes, a summary of each matrix below `root`, the open file's group."""
    for name in ("obs", "var"):
        if name not in root:
            raise DataError(
                f"{path.name}: an AnnData file must hold obs and var; {name} is missing. "
                f"Write it with {_WRITERS[fmt]}.",
                reason=f"not_{fmt}",
            )
    obs = _frame(root["obs"], path, "obs")
    var = _frame(root["var"], path, "var")
    raw_var = _frame(root["raw/var"], path, "raw/var") if "raw/var" in root else None
    layers = {}
    for name, item in _matrices(root):
        n_genes = len(raw_var if name == "raw.X" and raw_var is not None else var)
        layers[name] = _summary(name, item, (len(obs), n_genes), path)
    return Submission(path, fmt, obs, var, layers, raw_var)


def tree_blocks(
    root: Any, submission: Submission, layer: str, max_values: int
) -> Iterator[tuple[int, sp.csr_matrix]]:
    """CSR blocks of all cells of `layer`; see `pmcell.io.submitted.iter_counts`."""
    item = dict(_matrices(root))[layer]
    yield from matrix_blocks(item, submission.summary_of(layer).shape, submission.path, max_values)


def matrix_blocks(
    item: Any, shape: tuple[int, int], path: Path, max_values: int
) -> Iterator[tuple[int, sp.csr_matrix]]:
    """CSR blocks of one stored matrix: a dense dataset, or a group in CSR or CSC layout."""
    kind = _layout(item)
    if kind == "dense":
        yield from _dense_blocks(item, shape, path, max_values)
        return
    indptr = checked_indptr(item, shape[0] if kind == "csr" else shape[1], path)
    if kind == "csr":
        yield from csr_blocks(item, indptr, shape[1], path, max_values)
    else:
        yield from blocks_from_entries(
            lambda: _csc_entries(item, indptr), shape, max_values=max_values, file=path.name
        )


def csr_blocks(
    item: Any, indptr: np.ndarray, n_genes: int, path: Path, max_values: int
) -> Iterator[tuple[int, sp.csr_matrix]]:
    """CSR blocks of a group with `data` and `indices`, `indptr` already checked."""
    for start, stop in pairwise(row_bounds(indptr, min(max_values, READ_VALUES))):
        low, high = int(indptr[start]), int(indptr[stop])
        data = numeric(item["data"][low:high], path)
        indices = _checked_integers(item["indices"][low:high], path)
        yield (
            start,
            csr_block(
                data, indices, indptr[start : stop + 1] - low, n_genes, file=path.name, start=start
            ),
        )


def checked_indptr(item: Any, n_major: int, path: Path) -> np.ndarray:
    """The row (or column) pointers as int64; `DataError` unless they fit the stored values."""
    indptr = _checked_integers(item["indptr"][:], path).astype(np.int64)
    n_stored = int(item["data"].shape[0])
    if (
        indptr.size != n_major + 1
        or item["indices"].shape[0] != n_stored
        or indptr[0] != 0
        or indptr[-1] != n_stored
        or np.any(np.diff(indptr) < 0)
    ):
        raise DataError(
            f"{path.name}: the pointers of {item.name} must rise from 0 to {n_stored} in "
            f"{n_major} steps; "
            "they do not. The file is damaged: write it again from the source.",
            reason="index_out_of_range",
        )
    return indptr


def numeric(values: np.ndarray, path: Path) -> np.ndarray:
    """The values if they are real numbers; `DataError` otherwise."""
    if values.dtype.kind not in "iufb":
        raise DataError(
            f"{path.name}: counts must be numbers; found type {values.dtype}. Write integer "
            "counts.",
            reason="not_counts",
        )
    return values


def _matrices(file: Any) -> list[tuple[str, Any]]:
    found = [("X", file["X"])] if "X" in file else []
    if "raw/X" in file:
        found.append(("raw.X", file["raw/X"]))
    if "layers" in file:
        found += [(f"layers/{name}", item) for name, item in _children(file["layers"])]
    return [(name, item) for name, item in found if _layout(item)]


def _children(group: Any) -> list[tuple[str, Any]]:
    return sorted(group.items() if hasattr(group, "items") else group.members())


def _is_array(item: Any) -> bool:
    return hasattr(item, "dtype")


def _layout(item: Any) -> str:
    """csr, csc, dense, or nothing when the item is no matrix (AnnData writes X=None as such)."""
    if _is_array(item):
        return "dense" if len(item.shape or ()) == 2 else ""
    if not all(_is_array(item.get(part)) for part in ("data", "indices", "indptr")):
        return ""
    encoding = str(item.attrs.get("encoding-type", item.attrs.get("h5sparse_format", "")))
    return {"csr_matrix": "csr", "csc_matrix": "csc", "csr": "csr", "csc": "csc"}.get(encoding, "")


def _frame(group: Any, path: Path, name: str) -> pd.DataFrame:
    import pandas as pd

    if _is_array(group) or "_index" not in group.attrs:
        raise DataError(
            f"{path.name}: {name} must be stored as AnnData 0.7 and later store it; found an "
            "older form. "
            "Read it with anndata and write it again with adata.write_h5ad().",
            reason="old_format",
        )
    index = _column(group, str(group.attrs["_index"]), path, name)
    columns = {}
    for column in np.asarray(group.attrs.get("column-order", ())).tolist():
        column = column.decode() if isinstance(column, bytes) else str(column)
        columns[column] = _column(group, column, path, name)
        if len(columns[column]) != len(index):
            raise DataError(
                f"{path.name}: every column of {name} must have {len(index)} values; "
                f"{column!r} has {len(columns[column])}. Write the file again.",
                reason="shape_mismatch",
            )
    names = [value.decode() if isinstance(value, bytes) else str(value) for value in index]
    frame = pd.DataFrame(columns, index=pd.RangeIndex(len(names)))
    frame.index = pd.Index(names, dtype=object, name=None)
    return frame


def _column(group: Any, column: str, path: Path, name: str) -> Any:
    import pandas as pd
    from anndata.io import read_elem

    if ".." in column.split("/") or column.startswith("/"):
        raise DataError(
            f"{path.name}: columns of {name} must lie within it; found the name {column!r}. "
            "Rename the column and write the file again.",
            reason="bad_name",
        )
    try:
        values = read_elem(group[column])
    except (OSError, MemoryError):
        raise
    except Exception as error:  # AnnData's readers raise many kinds on damaged elements
        raise unreadable(path, f"column {column!r} of {name}", error) from error
    values = values.to_numpy() if isinstance(values, pd.Series) else values
    if getattr(values, "ndim", 1) != 1:
        raise DataError(
            f"{path.name}: columns of {name} must be one-dimensional; {column!r} is not. Remove "
            "it.",
            reason="unreadable",
        )
    return values


def _summary(name: str, item: Any, shape: tuple[int, int], path: Path) -> LayerSummary:
    kind = _layout(item)
    stated = (
        item.shape if kind == "dense" else item.attrs.get("shape", item.attrs.get("h5sparse_shape"))
    )
    stated = tuple(int(side) for side in stated) if stated is not None else shape
    if stated != shape:
        raise DataError(
            f"{path.name}: {name} must have {shape[0]} cells × {shape[1]} genes as obs and var "
            "have; "
            f"found {stated[0]} × {stated[1]}. Write the file again.",
            reason="shape_mismatch",
        )
    if kind == "dense":
        cells = [item[row] for row in _spread(shape[0], SAMPLED_RUNS)] if shape[1] else []
        n_stored = shape[0] * shape[1]
        return summarise(name, item.dtype, shape, n_stored, [cell[cell != 0] for cell in cells])
    indptr = checked_indptr(item, shape[0] if kind == "csr" else shape[1], path)
    runs = sampled_runs(item["data"], indptr, path)
    return summarise(name, item["data"].dtype, shape, indptr[-1], runs, by_cell=kind == "csr")


def sampled_runs(data: Any, indptr: np.ndarray, path: Path) -> list[np.ndarray]:
    """Stored values of some rows spread over the matrix, one array a row."""
    rows = []
    for first in _spread(indptr.size - 1, SAMPLED_RUNS):
        last = min(first + SAMPLED_CELLS, indptr.size - 1)
        last = (
            max(
                int(np.searchsorted(indptr, indptr[first] + SAMPLED_VALUES, "right")) - 1, first + 1
            )
            if indptr[last] - indptr[first] > SAMPLED_VALUES
            else last
        )
        low = int(indptr[first])
        high = min(int(indptr[last]), low + 4 * SAMPLED_VALUES)
        values = numeric(data[low:high], path)
        cuts = np.clip(indptr[first + 1 : last] - low, 0, values.size)
        rows += np.split(values, cuts)
    return rows


def _spread(n: int, count: int) -> list[int]:
    return sorted({int(k) for k in np.linspace(0, n - 1, min(n, count))}) if n else []


def _dense_blocks(
    item: Any, shape: tuple[int, int], path: Path, max_values: int
) -> Iterator[tuple[int, sp.csr_matrix]]:
    n_rows = max(1, min(max_values, READ_VALUES) // max(shape[1], 1))
    for start in range(0, shape[0], n_rows):
        yield start, sp.csr_matrix(numeric(item[start : start + n_rows], path))


def _csc_entries(item: Any, indptr: np.ndarray) -> Iterator[Entries]:
    bounds = row_bounds(indptr, READ_VALUES)
    for first, last in pairwise(bounds):
        low, high = int(indptr[first]), int(indptr[last])
        genes = np.repeat(np.arange(first, last), np.diff(indptr[first : last + 1]))
        yield item["indices"][low:high].astype(np.int64), genes, item["data"][low:high]


def _checked_integers(values: np.ndarray, path: Path) -> np.ndarray:
    if values.dtype.kind not in "iu":
        raise DataError(
            f"{path.name}: positions of a sparse matrix must be integers; found type "
            f"{values.dtype}. Write the file again.",
            reason="index_out_of_range",
        )
    return values
