"""From matrix entries in any order to CSR blocks of whole cells, in bounded memory.

Column-compressed, coordinate and genes × cells sources do not hold a cell's
values together. They are read once to count the values of each cell, then
once more if the entries come cell by cell, else once per block. A block of 16
million values takes about half a gigabyte, so a file of 200 million values in
gene order is read 14 times.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise

import numpy as np
import scipy.sparse as sp

from pmcell.core.counts.decode import first_bad_row
from pmcell.errors import DataError

Entries = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Cells, genes and values of some entries."""


def blocks_from_entries(
    open_entries: Callable[[], Iterator[Entries]],
    shape: tuple[int, int],
    *,
    max_values: int,
    file: str,
) -> Iterator[tuple[int, sp.csr_matrix]]:
    """Yield (first cell, CSR block) over all cells in order, at most `max_values` values a block.

    `open_entries` starts a new pass over the entries. Positions outside
    `shape` and repeated entries raise `DataError`.
    """
    per_cell = np.zeros(shape[0], dtype=np.int64)
    in_order, last = True, -1
    for cells, genes, _ in open_entries():
        if cells.size == 0:
            continue
        check_range(cells, shape[0], file=file, axis="cell")
        check_range(genes, shape[1], file=file, axis="gene")
        per_cell += np.bincount(cells, minlength=shape[0])
        in_order = in_order and cells[0] >= last and bool(np.all(cells[1:] >= cells[:-1]))
        last = int(cells[-1])
    bounds = row_bounds(np.concatenate([[0], np.cumsum(per_cell)]), max_values)
    if in_order:
        yield from _blocks_in_order(open_entries(), bounds, shape[1], file)
        return
    for start, stop in pairwise(bounds):
        pieces = [
            (cells[inside], genes[inside], values[inside])
            for cells, genes, values in open_entries()
            if (inside := (cells >= start) & (cells < stop)).any()
        ]
        yield start, _block(pieces, start, stop, shape[1], file)


def csr_block(
    data: np.ndarray,
    indices: np.ndarray,
    indptr: np.ndarray,
    n_genes: int,
    *,
    file: str,
    start: int = 0,
    axes: tuple[str, str] = ("cell", "gene"),
) -> sp.csr_matrix:
    """A CSR block with sorted positions; `DataError` where one is outside or repeated.

    `axes` says what rows and columns are.
    """
    check_range(indices, n_genes, file=file, axis=axes[1])
    block = sp.csr_matrix((indptr.size - 1, n_genes), dtype=data.dtype)
    block.data, block.indptr = data, indptr.astype(np.int32)
    block.indices = indices.astype(np.int32, copy=False)
    if first_bad_row(indptr, block.indices, n_genes) < 0:
        block.has_canonical_format = True
        return block
    block.check_format(full_check=True)
    block.sort_indices()
    if not block.has_canonical_format:
        cells = np.repeat(np.arange(block.shape[0]), np.diff(block.indptr))
        place = int(np.flatnonzero((np.diff(cells) == 0) & (np.diff(block.indices) == 0))[0])
        raise DataError(
            f"{file}: each {axes[0]} must store a {axes[1]} once; {axes[0]} "
            f"{start + int(cells[place])} stores {axes[1]} {int(block.indices[place])} twice "
            "(counted from 0). Call sum_duplicates() of the matrix and write it again.",
            reason="duplicate_entries",
        )
    return block


def row_bounds(indptr: np.ndarray, max_values: int) -> list[int]:
    """Bounds of runs of rows with at most `max_values` values each, at least one row each."""
    bounds = [0]
    n_rows = indptr.size - 1
    while bounds[-1] < n_rows:
        stop = int(np.searchsorted(indptr, indptr[bounds[-1]] + max_values, "right")) - 1
        bounds.append(min(max(stop, bounds[-1] + 1), n_rows))
    return bounds


def check_range(positions: np.ndarray, size: int, *, file: str, axis: str) -> None:
    """`DataError` unless all positions are in [0, size)."""
    if positions.size == 0:
        return
    low, high = int(positions.min()), int(positions.max())
    if low < 0 or high >= size:
        raise DataError(
            f"{file}: positions of {axis}s must be from 0 to {size - 1}; found "
            f"{low if low < 0 else high}. "
            "The file is damaged: write it again from the source.",
            reason="index_out_of_range",
        )


def _blocks_in_order(
    entries: Iterator[Entries], bounds: list[int], n_genes: int, file: str
) -> Iterator[tuple[int, sp.csr_matrix]]:
    pieces: list[Entries] = []
    current = 0
    for cells, genes, values in entries:
        while cells.size and cells[-1] >= bounds[current + 1]:
            cut = int(np.searchsorted(cells, bounds[current + 1], "left"))
            pieces.append((cells[:cut], genes[:cut], values[:cut]))
            yield (
                bounds[current],
                _block(pieces, bounds[current], bounds[current + 1], n_genes, file),
            )
            pieces, current = [], current + 1
            cells, genes, values = cells[cut:], genes[cut:], values[cut:]
        pieces.append((cells, genes, values))
    while current < len(bounds) - 1:
        yield bounds[current], _block(pieces, bounds[current], bounds[current + 1], n_genes, file)
        pieces, current = [], current + 1


def _block(pieces: list[Entries], start: int, stop: int, n_genes: int, file: str) -> sp.csr_matrix:
    cells, genes, values = (
        np.concatenate([piece[part] for piece in pieces] or [np.zeros(0, dtype=np.int64)])
        for part in range(3)
    )
    coordinate = sp.coo_matrix((values, (cells - start, genes)), shape=(stop - start, n_genes))
    # Said to be canonical so that scipy does not add repeated entries up: they are refused below.
    coordinate.has_canonical_format = True
    block = coordinate.tocsr()
    return csr_block(block.data, block.indices, block.indptr, n_genes, file=file, start=start)
