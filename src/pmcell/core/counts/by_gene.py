"""Turn counts from cell after cell to gene after gene, in pieces that fit in memory.

A counting sort, because the keys are few: each piece is sorted by itself, and runs of one gene
from several pieces are then copied one behind the other. Within a gene, cells stay in order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pmcell.core.compiler import Array, kernel


@dataclass(frozen=True)
class GeneRuns:
    """Counts gene after gene: `n_values` of each gene, and the `cells` and `counts` in this order.

    The first is int64, one a gene; the others are int32, one a count.
    """

    n_values: NDArray[np.int64]
    cells: NDArray[np.int32]
    counts: NDArray[np.int32]


def runs_by_gene(
    indptr: NDArray[np.int64],
    indices: NDArray[np.int32],
    data: NDArray[np.int32],
    rank: NDArray[np.int32],
    *,
    n_genes: int,
    first_cell: int = 0,
) -> GeneRuns:
    """Counts above 0 of CSR rows, sorted by the `rank` of their gene, then by cell.

    `rank` gives each column its place among the `n_genes` wanted genes, -1 where it is not
    wanted; the first row is cell `first_cell`.

    >>> runs = runs_by_gene(np.array([0, 2, 3]), np.array([0, 1, 1], np.int32),
    ...                     np.array([5, 6, 7], np.int32), np.array([1, 0], np.int32), n_genes=2)
    >>> runs.n_values.tolist(), runs.cells.tolist(), runs.counts.tolist()
    ([2, 1], [0, 1, 0], [6, 7, 5])
    """
    n_values = np.zeros(n_genes, np.int64)
    _count_genes(indices, data, rank, n_values)
    next_place = np.cumsum(n_values) - n_values
    cells = np.empty(n_values.sum(), np.int32)
    counts = np.empty(cells.size, np.int32)
    _sort_by_gene(indptr, indices, data, rank, first_cell, next_place, cells, counts)
    return GeneRuns(n_values, cells, counts)


def joined_runs(parts: Sequence[GeneRuns]) -> GeneRuns:
    """Parts of the same genes as one, each gene's counts in the order of the parts."""
    n_values: NDArray[np.int64] = np.zeros(parts[0].n_values.size, np.int64)
    for part in parts:
        np.add(n_values, part.n_values, out=n_values)
    next_place = np.cumsum(n_values) - n_values
    cells = np.empty(n_values.sum(), np.int32)
    counts = np.empty(cells.size, np.int32)
    for part in parts:
        _copy_runs(part.n_values, part.cells, part.counts, next_place, cells, counts)
    return GeneRuns(n_values, cells, counts)


@kernel
def _count_genes(indices: Array, data: Array, rank: Array, n_values: Array) -> None:
    for at in range(indices.size):
        gene = rank[indices[at]]
        if gene >= 0 and data[at] > 0:
            n_values[gene] += 1


@kernel
def _sort_by_gene(
    indptr: Array,
    indices: Array,
    data: Array,
    rank: Array,
    first_cell: int,
    next_place: Array,
    cells: Array,
    counts: Array,
) -> None:
    for row in range(indptr.size - 1):
        for at in range(indptr[row], indptr[row + 1]):
            gene = rank[indices[at]]
            if gene >= 0 and data[at] > 0:
                place = next_place[gene]
                next_place[gene] = place + 1
                cells[place] = first_cell + row
                counts[place] = data[at]


@kernel
def _copy_runs(
    n_values: Array,
    part_cells: Array,
    part_counts: Array,
    next_place: Array,
    cells: Array,
    counts: Array,
) -> None:
    start = 0
    for gene in range(n_values.size):
        place, length = next_place[gene], n_values[gene]
        cells[place : place + length] = part_cells[start : start + length]
        counts[place : place + length] = part_counts[start : start + length]
        next_place[gene] = place + length
        start += length
