"""Counts of a few genes of each cell, sample after sample, though cells stand in any order.

Which genes may differ from sample to sample. What is kept is small, so that one pass serves
many samples; a pass for each would decode a file as often as it has samples.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from pmcell.core.compiler import Array, parallel_kernel, prange
from pmcell.core.counts.blocks import Block, Counts
from pmcell.core.counts.decode import MAX_COUNT
from pmcell.errors import DataError

MAX_VALUES = 8_000_000
"""Counts that one pass keeps; a larger sample gets a pass of its own."""


def iter_chosen(
    counts: Counts,
    sample_of_cell: NDArray[np.int64],
    genes: Sequence[NDArray[np.int64]],
    n_values: Sequence[int],
    *,
    max_values: int = MAX_VALUES,
) -> Iterator[tuple[int, Any]]:
    """Each sample and its cells, in their order, as a CSR matrix (n_cells, n_genes + 1).

    The columns are the sample's genes and, last, the sum of all other counts of the cell, so
    that a cell has the total that it has over all genes.

    Parameters
    ----------
    counts
        Raw counts of all samples; read once for as many samples as hold `max_values`.
    sample_of_cell
        The sample of each cell; -1 for none.
    genes
        Ascending positions of each sample's genes.
    n_values
        How many counts of its genes each sample has, or more.
    max_values
        What one pass may keep, beside one value for each cell.
    """
    start, sizes = 0, np.asarray(n_values, np.int64)
    while start < len(genes):
        stop = start + int(np.searchsorted(np.cumsum(sizes[start:]), max_values, "right"))
        stop = max(stop, start + 1)
        for at, matrix in enumerate(_choose(counts, sample_of_cell - start, genes[start:stop])):
            yield start + at, matrix
        start = stop


def _choose(
    counts: Counts, sample_of_cell: NDArray[np.int64], genes: Sequence[NDArray[np.int64]]
) -> Iterator[Any]:
    column_of_gene = np.full((len(genes), counts.n_genes), -1, np.int32)
    for own, columns in zip(genes, column_of_gene, strict=True):
        columns[own] = np.arange(own.size)
    n_columns = np.array([own.size for own in genes], np.int64)
    samples, lengths, indices, data = [], [], [], []
    for block in counts.iter_blocks():
        sample_of_row = sample_of_cell[block.rows]
        rows = np.flatnonzero((sample_of_row >= 0) & (sample_of_row < len(genes)))
        sample_of_row = sample_of_row[rows]
        indptr = _sizes(block, rows, sample_of_row, column_of_gene)
        columns, values = _take(block, rows, sample_of_row, column_of_gene, n_columns, indptr)
        samples.append(sample_of_row)
        lengths.append(np.diff(indptr))
        indices.append(columns)
        data.append(values)
    if not samples:
        yield from (sparse.csr_matrix((0, own.size + 1), dtype=np.int32) for own in genes)
        return
    sample_of_row = np.concatenate(samples)
    indptr = np.append(0, np.cumsum(np.concatenate(lengths)))
    shape = (sample_of_row.size, int(n_columns.max()) + 1)
    together = sparse.csr_matrix((np.concatenate(data), np.concatenate(indices), indptr), shape)
    for sample, n_own in enumerate(n_columns.tolist()):
        matrix = together[sample_of_row == sample]
        # Its columns are the first of them: no count lies beyond.
        matrix.resize(matrix.shape[0], n_own + 1)
        yield matrix


def _sizes(
    block: Block, rows: NDArray[np.int64], sample_of_row: NDArray[np.int64], columns: Array
) -> NDArray[np.int64]:
    """Where each row's values begin (n_rows + 1)."""
    sizes = _count(block.indptr, block.indices, rows, sample_of_row, columns)
    return np.append(0, np.cumsum(sizes))


def _take(
    block: Block,
    rows: NDArray[np.int64],
    sample_of_row: NDArray[np.int64],
    columns: Array,
    n_columns: NDArray[np.int64],
    indptr: NDArray[np.int64],
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    indices, data = np.empty(indptr[-1], np.int32), np.empty(indptr[-1], np.int32)
    matrix = (block.indptr, block.indices, block.data)
    others = _fill(matrix, rows, sample_of_row, columns, n_columns, indptr, indices, data)
    if others.size and others.max() > MAX_COUNT:
        cell = block.start + int(rows[np.argmax(others)])
        raise DataError(
            f"a cell may hold {MAX_COUNT} counts in all; cell {cell} (counted from 0) holds "
            "more. Check that the matrix holds raw counts.",
            reason="count_too_large",
        )
    return indices, data


@parallel_kernel
def _count(
    indptr: Array, indices: Array, rows: Array, sample_of_row: Array, columns: Array
) -> Array:
    sizes = np.empty(rows.size, np.int64)
    for at in prange(rows.size):
        genes = indices[indptr[rows[at]] : indptr[rows[at] + 1]]
        own = columns[sample_of_row[at]]
        n = np.int64(1)
        for entry in range(genes.size):
            n += own[np.uint64(genes[entry])] >= 0
        sizes[at] = n
    return sizes


@parallel_kernel
def _fill(
    matrix: tuple[Array, Array, Array],
    rows: Array,
    sample_of_row: Array,
    columns: Array,
    n_columns: Array,
    kept_indptr: Array,
    kept_indices: Array,
    kept_data: Array,
) -> Array:
    """Fill each row with its chosen counts and the sum of the others, which is returned."""
    indptr, indices, data = matrix
    others = np.empty(rows.size, np.int64)
    for at in prange(rows.size):
        low, high = indptr[rows[at]], indptr[rows[at] + 1]
        genes, counts = indices[low:high], data[low:high]
        own = columns[sample_of_row[at]]
        slots = kept_indices[kept_indptr[at] : kept_indptr[at + 1]]
        values = kept_data[kept_indptr[at] : kept_indptr[at + 1]]
        n, rest = np.uint64(0), np.int64(0)
        # Without a branch: what is not chosen is overwritten by what comes next.
        for entry in range(genes.size):
            column, count = own[np.uint64(genes[entry])], counts[entry]
            slots[n] = column
            values[n] = count
            is_chosen = column >= 0
            n += np.uint64(is_chosen)
            rest += np.int64(0) if is_chosen else np.int64(count)
        slots[n] = n_columns[sample_of_row[at]]
        values[n] = np.int32(rest)
        others[at] = rest
    return others
