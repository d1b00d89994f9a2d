"""Join the sums of several cohorts: genes by id, batches by label.

A batch is a column of the cells, never a file: cohorts that share a batch
label are added into one batch, so a matrix cut in two gives the sums of the
whole.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pmcell.core.counts.moments import Moments


def join_moments(
    parts: Sequence[tuple[NDArray[np.str_], Moments]],
) -> tuple[NDArray[np.str_], Moments, NDArray[np.bool_]]:
    """Gene ids (sorted union), summed moments, and which batch measured which gene.

    The mask is (n_batches, n_genes). A gene counts as measured in a batch only
    if every cohort with cells of that batch measured it.
    """
    genes = np.unique(np.concatenate([ids for ids, _ in parts]))
    batches = sorted({name for _, item in parts for name in item.batches})
    code = {name: at for at, name in enumerate(batches)}
    n_cells = np.zeros(len(batches), np.int64)
    sums = np.zeros((len(batches), genes.size, 5), np.int64)
    measured = np.ones((len(batches), genes.size), bool)
    rows, cells = [], []
    for ids, item in parts:
        where = np.searchsorted(genes, ids)
        own = np.zeros(genes.size, bool)
        own[where] = True
        codes = np.array([code[name] for name in item.batches], np.int64)
        for at, batch in enumerate(codes):
            n_cells[batch] += item.n_cells[at]
            sums[batch, where] += item.sums[at]
            if item.n_cells[at]:
                measured[batch] &= own
        histogram = item.histogram.copy()
        histogram[:, 0] = codes[histogram[:, 0]]
        histogram[:, 1] = where[histogram[:, 1]]
        rows.append(histogram)
        cells.append(item.histogram_cells)
    histogram, histogram_cells = _add_equal_rows(np.concatenate(rows), np.concatenate(cells))
    return genes, Moments(tuple(batches), n_cells, sums, histogram, histogram_cells), measured


def _add_equal_rows(
    rows: NDArray[np.int64], cells: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    if rows.shape[0] == 0:
        return rows, cells
    order = np.lexsort((rows[:, 2], rows[:, 1], rows[:, 0]))
    rows, cells = rows[order], cells[order]
    is_new = np.ones(rows.shape[0], bool)
    is_new[1:] = (rows[1:] != rows[:-1]).any(axis=1)
    return rows[is_new], np.add.reduceat(cells, np.flatnonzero(is_new))
