"""Which labelled cells a label head learns from."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pmcell.schema.halves import hash_cells
from pmcell.schema.text import text_array

Ints = NDArray[np.int64]
Text = NDArray[np.str_]

MAX_CELLS = 30_000
"""Cells that the labels are learned from, at most; every batch and type alike as far as it goes."""
MAX_CELLS_OF_TYPE = 1_000
"""Cells of a type and batch, at most."""
MIN_CELLS_OF_TYPE = 10
"""A type with fewer cells is not learned."""


def training_cells(types: Text, batch: Text, cell_ids: Text) -> Ints:
    """Choose cells by hash, whatever the order of the cells: rising positions.

    Parameters
    ----------
    types, batch, cell_ids
        Type, batch and id of each labelled cell.

    Examples
    --------
    >>> types = np.repeat(["a", "b"], [12, 3])
    >>> training_cells(types, np.full(15, "one"), np.arange(15).astype(str)).size
    12
    """
    _, kind, size = np.unique(types, return_inverse=True, return_counts=True)
    enough = np.flatnonzero(size[kind] >= MIN_CELLS_OF_TYPE)
    if not enough.size:
        return np.zeros(0, np.int64)
    code = np.unique(batch[enough], return_inverse=True)[1]
    group = kind[enough] * (int(code.max()) + 1) + code
    order = np.lexsort((hash_cells(text_array(cell_ids[enough])), group))
    start = np.concatenate([[0], np.flatnonzero(np.diff(group[order])) + 1])
    place = np.arange(order.size) - np.repeat(start, np.diff(np.append(start, order.size)))
    most = min(MAX_CELLS_OF_TYPE, max(MAX_CELLS // start.size, MIN_CELLS_OF_TYPE))
    return np.sort(enough[order[place < most]]).astype(np.int64)
