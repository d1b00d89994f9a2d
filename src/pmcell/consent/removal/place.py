"""One place in a file that a removal scan looks at, and the cells of arrays and tables."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pmcell.consent.removal.gene_sets import NamedRows
from pmcell.consent.removal.needles import MAX_CELL, MIN_GENES, cell_prints, print_of
from pmcell.core.value_counts import grouped

MAX_DENSE = 50_000_000
"""Values of a dense matrix whose columns are compared, too, and of a table with a value a row."""
MAX_KEYS = 8
"""Columns of a table with a value a row that may name its cells."""
ROWS = 4096


@dataclass(frozen=True)
class Place:
    """One place in a file.

    Attributes
    ----------
    where
        Its name there.
    text
        Bytes that are searched for texts.
    is_joined
        Whether texts stand beside each other in them without a sign.
    prints
        Makes the prints of the cells that are there.
    genes
        Makes the rows of a matrix with the names of its genes.
    problem
        Why it could not be read.
    is_encrypted
        Whether only who has a key can read what is there.
    """

    where: str
    text: bytes = b""
    is_joined: bool = False
    prints: Callable[[], frozenset[bytes]] = frozenset
    genes: Callable[[], NamedRows] | None = None
    problem: str = ""
    is_encrypted: bool = False


Into = Callable[[bytes, str, int], Iterator[Place]]
"""Makes the places of some bytes, by their name and how often they were packed."""


def array_prints(array: Any) -> frozenset[bytes]:
    """Cells of an array of numbers: the values of one, or rows, with whatever is before them."""
    if array.ndim == 1:
        values = array[:] if MIN_GENES <= array.shape[0] <= MAX_CELL else np.empty(0)
        found = print_of(values)
        return frozenset() if found is None else frozenset([found])
    return dense_prints(
        array if array.ndim == 2 else np.asarray(array[:]).reshape(-1, array.shape[-1])
    )


def dense_prints(array: Any) -> frozenset[bytes]:
    """Cells of a matrix, in its rows; of one that is not too large in its columns as well."""
    n_rows, n_columns = array.shape
    found: set[bytes] = set()
    # Fewer values than a cell has genes are none, nor are more.
    for at in range(0, n_rows if MIN_GENES <= n_columns <= MAX_CELL else 0, ROWS):
        found |= _row_prints(np.asarray(array[at : at + ROWS]))
    if MIN_GENES <= n_rows <= MAX_CELL and n_rows * n_columns <= MAX_DENSE:
        found |= _row_prints(np.asarray(array[:]).T)
    return frozenset(found)


def _row_prints(rows: np.ndarray) -> frozenset[bytes]:
    n_rows, n_columns = rows.shape
    return sparse_prints(np.arange(n_rows + 1) * n_columns, rows.ravel())


def sparse_prints(indptr: np.ndarray, values: np.ndarray) -> frozenset[bytes]:
    """Cells of a sparse matrix in the order in which it stores them."""
    return frozenset(mark for _, mark in cell_prints(indptr, values))


def matrix_prints(matrix: Any) -> frozenset[bytes]:
    """Cells of a sparse matrix of scipy, in its rows and in its columns."""
    parts = (matrix.tocsr(), matrix.tocsc())
    return frozenset().union(*(sparse_prints(part.indptr, part.data) for part in parts))


def long_prints(
    columns: Sequence[np.ndarray], names: Sequence[np.ndarray] = ()
) -> frozenset[bytes]:
    """Cells of a table that has a row for each value: which column names them is not known.

    `names` are columns of texts, or numbers of texts, which are no values.

    >>> cells, genes = np.repeat([0, 1], 300), np.tile(np.arange(300), 2)
    >>> counts = np.random.default_rng(0).poisson(5, 600)
    >>> long_prints([genes, cells, counts]) >= {print_of(counts[:300]), print_of(counts[300:])}
    True
    """
    found: set[bytes] = set()
    n_rows = min(map(len, [*names, *columns]), default=0)
    if not MIN_GENES <= n_rows <= MAX_DENSE:
        return frozenset()
    keys = [*names, *(column for column in columns if column.dtype.kind in "iu")][:MAX_KEYS]
    for key in keys:
        codes = _codes(key)
        sizes = np.bincount(codes)
        if not ((sizes >= MIN_GENES) & (sizes <= MAX_CELL)).any():
            continue
        indptr = np.concatenate([[0], np.cumsum(sizes)])
        for values in columns:
            if values is not key:
                found |= sparse_prints(indptr, grouped(codes, indptr, values))
    return frozenset(found)


def _codes(key: np.ndarray) -> np.ndarray:
    """A number from 0 for each different value of a column."""
    if key.dtype.kind in "iu" and int(key.max()) - int(key.min()) < 4 * key.size:
        return np.asarray(key - key.min(), np.int64)
    return np.unique(key, return_inverse=True)[1]
