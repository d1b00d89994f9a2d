"""Read a count file in blocks: never cells × genes whole.

The file is what intake wrote, or any AnnData with raw counts in X stored as CSR: an h5ad
(plain, gzip, lzf, zstd, blosc or lz4) or a zarr store (format 2 or 3, folder or zip file).
The next block is decoded in background threads while the kernels work on this one.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from pmcell.core.compiler import thread_count
from pmcell.core.counts.blocks import Block
from pmcell.core.counts.decode import copy_counts, first_bad_row
from pmcell.errors import DataError, PmcellError
from pmcell.io.counts.stored import StoredArray
from pmcell.io.counts.stored_zarr import ZarrArray
from pmcell.io.entries import row_bounds
from pmcell.io.filters import register_filters
from pmcell.io.zarr_store import is_store, opened_store

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData

BLOCK_VALUES = 4_000_000
"""Stored values of one block: about 32 MB of counts and gene positions."""


@dataclass(frozen=True)
class CountsFile:
    """A count file; only row pointers and labels are kept in memory."""

    path: Path
    n_cells: int
    n_genes: int
    cell_ids: np.ndarray
    gene_ids: np.ndarray
    block_values: int = BLOCK_VALUES

    def iter_blocks(self, first: int = 0, last: int | None = None) -> Iterator[Block]:
        """Cells `first` to `last` in order, in blocks of one cell or of up to `block_values`.

        Raises `DataError` for values that are no counts and for damaged chunks.
        """
        last = self.n_cells if last is None else last
        if first >= last:
            return
        with _opened(self.path) as root:
            yield from self._read_ahead(root["X"], first, last)

    def read_rows(self, rows: NDArray[np.int64]) -> Any:
        """The given cells (ascending positions) as a CSR matrix; only their range is scanned."""
        from scipy import sparse

        parts = []
        if rows.size:
            span = np.zeros(self.n_cells, bool)
            span[rows] = True
            for block in self.iter_blocks(int(rows[0]), int(rows[-1]) + 1):
                shape = (block.n_rows, self.n_genes)
                matrix = sparse.csr_matrix((block.data, block.indices, block.indptr), shape)
                parts.append(matrix[span[block.rows]])
        if not parts:
            return sparse.csr_matrix((0, self.n_genes), dtype=np.int32)
        return sparse.vstack(parts, format="csr")

    def stored_of(self, labels: NDArray[np.str_]) -> NDArray[np.int64]:
        """Stored values of the cells of each label, in the order of the labels."""
        _, code = np.unique(labels, return_inverse=True)
        sizes = np.diff(self.read_indptr())
        return np.bincount(code, weights=sizes).astype(np.int64)

    def in_blocks_of(self, values: int) -> CountsFile:
        """The same file in blocks of up to `values` stored values, and of no more than usual."""
        return replace(self, block_values=min(values, BLOCK_VALUES))

    def longest_cell(self) -> int:
        """Stored values of the cell that has most of them."""
        return int(np.diff(self.read_indptr()).max(initial=0))

    def read_indptr(self) -> NDArray[np.int64]:
        """Where each cell's values begin in the file (n_cells + 1)."""
        with _opened(self.path) as root:
            return np.asarray(root["X"]["indptr"][:], np.int64)

    def read_cells(self) -> AnnData:
        """An AnnData with the tables of cells and genes, without X."""
        from anndata import AnnData

        return AnnData(obs=self.read_obs(), var=self.read_var())

    def read_obs(self) -> pd.DataFrame:
        """The cell table (index `cell_id`), text columns as plain strings."""
        return _read_frame(self.path, "obs")

    def read_var(self) -> pd.DataFrame:
        """The gene table (index Ensembl id)."""
        return _read_frame(self.path, "var")

    def _read_ahead(self, group: Any, first: int, last: int) -> Iterator[Block]:
        indptr = np.asarray(group["indptr"][:], np.int64)
        bounds = [first + at for at in row_bounds(indptr[first : last + 1], self.block_values)]
        stored = _stored(group["data"], self.path), _stored(group["indices"], self.path)
        with ThreadPoolExecutor(thread_count(), thread_name_prefix="decode") as pool:
            try:
                coming = self._submit(pool, stored, indptr, bounds[0], bounds[1])
                for start, stop in pairwise(bounds[1:]):
                    ready, coming = coming, self._submit(pool, stored, indptr, start, stop)
                    yield self._finished(*ready)
                yield self._finished(*coming)
            finally:
                pool.shutdown(cancel_futures=True)
                for array in stored:
                    array.close()

    def _submit(
        self,
        pool: ThreadPoolExecutor,
        stored: tuple[StoredArray | ZarrArray, StoredArray | ZarrArray],
        indptr: NDArray[np.int64],
        start: int,
        stop: int,
    ) -> tuple[Block, list[Future[None]]]:
        low, high = int(indptr[start]), int(indptr[stop])
        block = Block(
            start=start,
            indptr=indptr[start : stop + 1] - low,
            indices=np.empty(high - low, np.int32),
            data=np.empty(high - low, np.int32),
        )
        data, indices = stored
        jobs = [
            pool.submit(self._copy_data, task, block.data[task.low - low : task.high - low])
            for task in data.tasks(low, high)
        ]
        jobs += [
            pool.submit(_copy_positions, task, block.indices[task.low - low : task.high - low])
            for task in indices.tasks(low, high)
        ]
        return block, jobs

    def _copy_data(self, task: Any, target: NDArray[np.int32]) -> None:
        values = task.read()
        bad = copy_counts(values, target)
        if bad >= 0:
            raise DataError(
                f"{self.path.name}: X must hold raw counts (whole numbers from 0 to 2^31 - 1); "
                f"value {task.low + bad} is {values[bad]}. Put the raw counts into X.",
                reason="not_counts",
            )

    def _finished(self, block: Block, jobs: list[Future[None]]) -> Block:
        for job in jobs:
            job.result()
        bad = first_bad_row(block.indptr, block.indices, self.n_genes)
        if bad < 0:
            return block
        from scipy import sparse

        if block.indices.min() < 0 or block.indices.max() >= self.n_genes:
            cell = block.start + bad
            raise DataError(
                f"{self.path.name}: gene positions must be from 0 to {self.n_genes - 1}; cell "
                f"{cell} (counted from 0) has others. The file is damaged: write it again.",
                reason="index_out_of_range",
            )
        shape = (block.n_rows, self.n_genes)
        matrix = sparse.csr_matrix((block.data, block.indices, block.indptr), shape)
        matrix.sum_duplicates()
        return Block(block.start, matrix.indptr.astype(np.int64), matrix.indices, matrix.data)


def open_counts(path: Path | str) -> CountsFile:
    """Open a count file or zarr store; `DataError` when it is missing or not one.

    >>> open_counts("none.h5ad")
    Traceback (most recent call last):
    pmcell.errors.DataError: none.h5ad must be a file that intake wrote; there is no such file
    """
    path = Path(path)
    if not (path.is_file() or is_store(path)):
        raise DataError(f"{path} must be a file that intake wrote; there is no such file")
    with _opened(path) as root:
        _check_layout(root["X"], path)
        shape = tuple(int(side) for side in root["X"].attrs["shape"])
        cell_ids = _index(root["obs"])
        gene_ids = _index(root["var"])
    return CountsFile(path, shape[0], shape[1], cell_ids, gene_ids)


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """The root group of an h5ad or zarr store; what its library raises becomes `DataError`."""
    import h5py

    try:
        if is_store(path):
            with opened_store(path) as root:
                yield root
        else:
            with h5py.File(path, "r", locking=False) as file:
                register_filters(file)
                yield file
    # zarr's codecs raise ValueError and TypeError on damaged chunks.
    except (OSError, RuntimeError, KeyError, ValueError, TypeError, BadZipFile) as error:
        raise _damaged(path, error) from error


def _stored(array: Any, path: Path) -> StoredArray | ZarrArray:
    return ZarrArray(array) if is_store(path) else StoredArray(array, path)


def _check_layout(item: Any, path: Path) -> None:
    kind = item.attrs.get("encoding-type", "array")
    if kind != "csr_matrix":
        raise DataError(
            f"{path} must hold counts cell by cell (csr_matrix) in X; found {kind}. "
            "Take it in with 'pmcell intake', or write it again with X as scipy.sparse.csr_matrix.",
            reason="not_csr",
        )


def _damaged(path: Path, error: Exception) -> PmcellError:
    return DataError(
        f"{path} must be a canonical count file; reading it failed ({error}). Run intake again.",
        reason="corrupt_intermediate",
    )


def _copy_positions(task: Any, target: NDArray[np.int32]) -> None:
    values = task.read()
    if values.dtype.itemsize > 4 and values.size and (values.min() < 0 or values.max() >= 2**31):
        target[:] = -1
    else:
        target[:] = values


def _index(group: Any) -> np.ndarray:
    return np.asarray(_values(group[group.attrs["_index"]]), object)


def _read_frame(path: Path, name: str) -> pd.DataFrame:
    import pandas as pd

    with _opened(path) as root:
        group = root[name]
        if group.attrs.get("encoding-type") != "dataframe":
            raise ValueError(f"{name} must be a dataframe")
        columns = [str(column) for column in group.attrs["column-order"]]
        label = str(group.attrs["_index"])
        frame = pd.DataFrame(
            {column: _values(group[column]) for column in columns},
            index=pd.Index(_values(group[label]), name=None if label == "_index" else label),
            columns=columns,
        )
    for column in frame.columns:
        if frame[column].dtype.name in ("category", "string", "str", "object"):
            frame[column] = frame[column].astype(object)
    return frame


def _values(item: Any) -> Any:
    """A column or index: text and categories as objects, numbers as they are.

    What pmcell itself writes is read without anndata, whose import takes longer than a small
    step; every other form is left to it.
    """
    import h5py

    kind = item.attrs.get("encoding-type")
    if isinstance(item, h5py.Dataset) and kind == "string-array":
        return np.asarray(item.asstr()[...], object)
    if isinstance(item, h5py.Dataset) and kind == "array" and item.dtype.kind in "iuf":
        return item[...]
    if isinstance(item, h5py.Group) and kind == "categorical":
        # Where the code is -1 the last is taken: no value.
        categories = [*np.asarray(_values(item["categories"]), object), np.nan]
        return np.array(categories, object)[item["codes"][...]]
    from anndata.io import read_elem

    return read_elem(item)
