"""AnnData as it lies in an open HDF5 file or zarr store: counts in X, raw.X or a layer.

CSR and dense matrices stream in one pass. CSC holds no cell together and is
read once per block (see `pmcell.io.entries`).
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp

from pmcell.errors import DataError
from pmcell.io.entries import Entries, blocks_from_entries, csr_block, row_bounds
from pmcell.io.submitted.containers import other_hdf5
from pmcell.io.submitted.empty_chunks import MatrixChunks
from pmcell.io.submitted.frame import read_frame
from pmcell.io.submitted.parts import (
    is_array,
    numeric,
    positions,
    shape_attribute,
    text_attribute,
    vector,
)
from pmcell.io.submitted.submission import LayerSummary, Submission, no_numbers, summarise
from pmcell.io.submitted.uns_text import read_uns

_WRITERS = {"h5ad": "adata.write_h5ad()", "zarr": "adata.write_zarr()"}

READ_VALUES = 4_000_000
SAMPLED_RUNS = 24
SAMPLED_CELLS = 32
SAMPLED_VALUES = 50_000


def inspect_tree(root: Any, path: Path, fmt: str) -> Submission:
    """Tables of cells and genes, a summary of each matrix below `root`, the open file's group."""
    matrix = root.get("matrix") if fmt == "h5ad" else None
    is_10x = matrix is not None and not is_array(matrix) and "barcodes" in matrix
    other = other_hdf5(path, root, is_10x=is_10x, wanted=fmt) if fmt == "h5ad" else None
    if other is not None:
        raise other
    for name in ("obs", "var"):
        if name not in root:
            raise DataError(
                f"{path.name}: an AnnData file must hold obs and var; {name} is missing. "
                f"Write it with {_WRITERS[fmt]}.",
                reason=f"not_{fmt}",
            )
    obs = read_frame(root["obs"], path, "obs")
    var = read_frame(root["var"], path, "var")
    raw_var = read_frame(root["raw/var"], path, "raw/var") if "raw/var" in root else None
    layers = {}
    for name, item in _matrices(root, path):
        n_genes = len(raw_var if name == "raw.X" and raw_var is not None else var)
        layers[name] = _summary(name, item, (len(obs), n_genes), path)
    return Submission(path, fmt, obs, var, layers, raw_var, {"uns": read_uns(root)})


def tree_blocks(
    root: Any, submission: Submission, layer: str, max_values: int
) -> Iterator[tuple[int, sp.csr_matrix]]:
    """CSR blocks of all cells of `layer`; see `pmcell.io.submitted.readers.iter_counts`."""
    item = dict(_matrices(root, submission.path))[layer]
    yield from matrix_blocks(item, submission.summary_of(layer).shape, submission.path, max_values)


def matrix_blocks(
    item: Any, shape: tuple[int, int], path: Path, max_values: int
) -> Iterator[tuple[int, sp.csr_matrix]]:
    """CSR blocks of one stored matrix: a dense dataset, or a group in CSR or CSC layout."""
    kind = _layout(item, path)
    if kind == "dense":
        yield from _dense_blocks(item, shape, path, max_values)
        return
    indptr = checked_indptr(item, shape[0] if kind == "csr" else shape[1], path)
    if kind == "csr":
        yield from csr_blocks(item, indptr, shape[1], path, max_values)
    else:
        yield from blocks_from_entries(
            lambda: _csc_entries(item, indptr, path), shape, max_values=max_values, file=path.name
        )


def csr_blocks(
    item: Any, indptr: np.ndarray, n_genes: int, path: Path, max_values: int
) -> Iterator[tuple[int, sp.csr_matrix]]:
    """CSR blocks of a group with `data` and `indices`, `indptr` already checked."""
    for start, stop in pairwise(row_bounds(indptr, min(max_values, READ_VALUES))):
        low, high = int(indptr[start]), int(indptr[stop])
        data = numeric(item["data"][low:high], path)
        indices = positions(item["indices"][low:high], path)
        yield (
            start,
            csr_block(
                data, indices, indptr[start : stop + 1] - low, n_genes, file=path.name, start=start
            ),
        )


def checked_indptr(item: Any, n_major: int, path: Path) -> np.ndarray:
    """The row (or column) pointers as int64; `DataError` unless they fit the stored values."""
    indptr = positions(item["indptr"][:], path).astype(np.int64)
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


def _matrices(root: Any, path: Path) -> list[tuple[str, Any]]:
    found = [("X", root["X"])] if "X" in root else []
    if "raw/X" in root:
        found.append(("raw.X", root["raw/X"]))
    if "layers" in root:
        found += _layers(root["layers"], "layers", path)
    return [(name, item) for name, item in found if _layout(item, path)]


def _layers(group: Any, place: str, path: Path) -> list[tuple[str, Any]]:
    """The matrices below a group of layers; a name with a slash makes groups within groups."""
    if is_array(group):
        raise DataError(
            f"{path.name}: {place} must be a group of matrices; found a single array. "
            "Write the file again with adata.write_h5ad().",
            reason="unreadable",
        )
    found: list[tuple[str, Any]] = []
    children = group.items() if hasattr(group, "items") else group.members()
    for name, item in sorted(children, key=lambda child: child[0]):
        inner = f"{place}/{name}"
        if is_array(item) or _layout(item, path):
            found.append((inner, item))
        else:
            found += _layers(item, inner, path)
    return found


def _layout(item: Any, path: Path) -> str:
    """csr, csc, dense, or nothing when the item is no matrix (AnnData writes X=None as such)."""
    if is_array(item):
        return "dense" if len(item.shape or ()) == 2 else ""
    if not all(part in item for part in ("data", "indices", "indptr")):
        return ""
    encoding = text_attribute(item, "encoding-type", path) or text_attribute(
        item, "h5sparse_format", path
    )
    kind = {"csr_matrix": "csr", "csc_matrix": "csc", "csr": "csr", "csc": "csc"}.get(encoding, "")
    for part in ("data", "indices", "indptr") if kind else ():
        vector(item[part], path)
    return kind


def _summary(name: str, item: Any, shape: tuple[int, int], path: Path) -> LayerSummary:
    kind = _layout(item, path)
    stated = tuple(item.shape) if kind == "dense" else shape_attribute(item, path) or shape
    if stated != shape:
        raise DataError(
            f"{path.name}: {name} must have {shape[0]} cells × {shape[1]} genes as obs and var "
            "have; "
            f"found {stated[0]} × {stated[1]}. Write the file again.",
            reason="shape_mismatch",
        )
    stored = item if kind == "dense" else item["data"]
    if stored.dtype.kind not in "iufb":
        # Refused by name where it is read as counts; beside them it harms nothing.
        return no_numbers(name, stored.dtype, shape)
    if kind == "dense":
        rows = [item[row] for row in _spread(shape[0], SAMPLED_RUNS)] if shape[1] else []
        cells = [numeric(row[row != 0], path) for row in rows]
        return summarise(name, item.dtype, shape, shape[0] * shape[1], cells)
    indptr = checked_indptr(item, shape[0] if kind == "csr" else shape[1], path)
    runs = sampled_runs(stored, indptr, path)
    return summarise(name, stored.dtype, shape, indptr[-1], runs, by_cell=kind == "csr")


def sampled_runs(data: Any, indptr: np.ndarray, path: Path) -> list[np.ndarray]:
    """Stored values of some rows spread over the matrix, one array a row."""
    rows = []
    for first, last in _sampled_bounds(indptr):
        low = int(indptr[first])
        high = min(int(indptr[last]), low + 4 * SAMPLED_VALUES)
        values = numeric(data[low:high], path)
        cuts = np.clip(indptr[first + 1 : last] - low, 0, values.size)
        rows += np.split(values, cuts)
    return rows


def stored_values(root: Any, submission: Submission, layer: str) -> Any:
    """The stored array of a matrix's values."""
    item = dict(_matrices(root, submission.path))[layer]
    return item if is_array(item) else item["data"]


def tree_sample(root: Any, submission: Submission, layer: str) -> np.ndarray:
    """Counts of each gene in a sample of cells; see `pmcell.io.submitted.readers.sample_umis`."""
    path = submission.path
    item = dict(_matrices(root, path))[layer]
    shape = submission.summary_of(layer).shape
    kind = _layout(item, path)
    if kind == "csr":
        return sampled_umis(item, checked_indptr(item, shape[0], path), shape[1], path)
    umis = np.zeros(shape[1])
    if kind == "dense":
        for row in _spread(shape[0], SAMPLED_RUNS * SAMPLED_CELLS):
            umis += numeric(item[row], path)
        return umis
    # A gene's values stand together and say nothing of which cells: all are added up.
    indptr = checked_indptr(item, shape[1], path)
    for first, last in pairwise(row_bounds(indptr, READ_VALUES)):
        values = numeric(item["data"][int(indptr[first]) : int(indptr[last])], path)
        genes = np.repeat(np.arange(first, last), np.diff(indptr[first : last + 1]))
        umis += np.bincount(genes, weights=values, minlength=umis.size)
    for first, last in _sampled_bounds(indptr):
        low, high = int(indptr[first]), int(indptr[last])
        cells = positions(item["indices"][low:high], path)
        csr_block(
            np.ones(cells.size), cells, indptr[first : last + 1] - low, shape[0], file=path.name,
            start=first, axes=("gene", "cell"),
        )  # fmt: skip
    return umis


def sampled_umis(item: Any, indptr: np.ndarray, n_genes: int, path: Path) -> np.ndarray:
    """Counts of each gene in some cells spread over a CSR matrix; repeated genes are refused."""
    umis = np.zeros(n_genes)
    for first, last in _sampled_bounds(indptr):
        low, high = int(indptr[first]), int(indptr[last])
        data = numeric(item["data"][low:high], path)
        indices = positions(item["indices"][low:high], path)
        rows = indptr[first : last + 1] - low
        block = csr_block(data, indices, rows, n_genes, file=path.name, start=first)
        umis += np.bincount(block.indices, weights=block.data, minlength=n_genes)
    return umis


def _sampled_bounds(indptr: np.ndarray) -> list[tuple[int, int]]:
    """Runs of rows spread over the matrix, each of some cells and some thousand values."""
    n_rows = indptr.size - 1
    bounds: list[tuple[int, int]] = []
    for start in _spread(n_rows, SAMPLED_RUNS):
        first = max(start, bounds[-1][1]) if bounds else start
        if first >= n_rows:
            break
        last = min(first + SAMPLED_CELLS, n_rows)
        if indptr[last] - indptr[first] > SAMPLED_VALUES:
            fitting = int(np.searchsorted(indptr, indptr[first] + SAMPLED_VALUES, "right")) - 1
            last = max(fitting, first + 1)
        bounds.append((first, last))
    return bounds


def _spread(n: int, count: int) -> list[int]:
    return sorted({int(k) for k in np.linspace(0, n - 1, min(n, count))}) if n else []


def _dense_blocks(
    item: Any, shape: tuple[int, int], path: Path, max_values: int
) -> Iterator[tuple[int, sp.csr_matrix]]:
    n_rows = max(1, min(max_values, READ_VALUES) // max(shape[1], 1))
    chunks = MatrixChunks(item)
    for start in range(0, shape[0], n_rows):
        block = sp.csr_matrix(numeric(item[start : start + n_rows], path))
        chunks.add(start, block)
        yield start, block
    chunks.require(item.name, path)


def _csc_entries(item: Any, indptr: np.ndarray, path: Path) -> Iterator[Entries]:
    bounds = row_bounds(indptr, READ_VALUES)
    for first, last in pairwise(bounds):
        low, high = int(indptr[first]), int(indptr[last])
        genes = np.repeat(np.arange(first, last), np.diff(indptr[first : last + 1]))
        cells = positions(item["indices"][low:high], path).astype(np.int64)
        yield cells, genes, numeric(item["data"][low:high], path)
