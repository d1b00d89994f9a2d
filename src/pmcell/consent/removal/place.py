"""One place in a file that a removal scan looks at, and the cells of arrays and tables."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pmcell.consent.removal.gene_sets import NamedRows
from pmcell.consent.removal.needles import MAX_CELL, MIN_GENES
from pmcell.core.value_counts import grouped

MAX_DENSE = 50_000_000
"""Values of a dense matrix whose columns are compared, too, and of a table with a value a row."""
MAX_KEYS = 8
"""Columns of a table with a value a row that may name its cells."""
ROWS = 4096


Cells = tuple[np.ndarray, np.ndarray]
"""Where the values of each cell begin and end, and the values."""


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
    cells
        Makes the cells that may be there, in blocks.
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
    cells: Callable[[], Iterable[Cells]] = tuple
    genes: Callable[[], NamedRows] | None = None
    problem: str = ""
    is_encrypted: bool = False


Into = Callable[[bytes, str, int], Iterator[Place]]
"""Makes the places of some bytes, by their name and how often they were packed."""


def once(into: Into) -> Into:
    """Make the places of equal texts one time: a file says many in several places."""
    said: set[bytes] = set()

    def places(text: bytes, where: str, depth: int) -> Iterator[Place]:
        mark = hashlib.blake2b(text, digest_size=16).digest()
        if mark not in said:
            said.add(mark)
            yield from into(text, where, depth)

    return places


def array_cells(array: Any) -> Iterator[Cells]:
    """Cells of an array of numbers: the values of one, or rows, with whatever is before them."""
    if array.ndim != 1:
        is_matrix = array.ndim == 2
        yield from dense_cells(
            array if is_matrix else np.asarray(array[:]).reshape(-1, array.shape[-1])
        )
    elif MIN_GENES <= array.shape[0] <= MAX_CELL:
        yield np.array([0, array.shape[0]]), array[:]


def dense_cells(array: Any) -> Iterator[Cells]:
    """Cells of a matrix, in its rows; of one that is not too large in its columns as well."""
    n_rows, n_columns = array.shape
    is_small = n_rows * n_columns <= MAX_DENSE
    whole = np.asarray(array[:]) if is_small else array
    # Fewer values than a cell has genes are none, nor are more.
    for at in range(0, n_rows if MIN_GENES <= n_columns <= MAX_CELL else 0, ROWS):
        yield _in_rows(np.asarray(whole[at : at + ROWS]))
    if MIN_GENES <= n_rows <= MAX_CELL and is_small:
        yield _in_rows(whole.T)


def _in_rows(rows: np.ndarray) -> Cells:
    n_rows, n_columns = rows.shape
    return np.arange(n_rows + 1) * n_columns, rows.ravel()


def stored_cells(indptr: np.ndarray, values: np.ndarray) -> Iterator[Cells]:
    """Cells of a sparse matrix, or of lists of numbers, as they are stored."""
    yield indptr, values


def matrix_cells(matrix: Any) -> Iterator[Cells]:
    """Cells of a sparse matrix of scipy, in its rows and in its columns."""
    for part in (matrix.tocsr(), matrix.tocsc()):
        yield part.indptr, part.data


def long_cells(columns: Sequence[np.ndarray], names: Sequence[np.ndarray] = ()) -> Iterator[Cells]:
    """Cells of a table that has a row for each value: which column names them is not known.

    `names` are columns of texts, or numbers of texts, which are no values.

    >>> cells, genes = np.repeat([0, 1], 300), np.tile(np.arange(300), 2)
    >>> counts = np.random.default_rng(0).poisson(5, 600)
    >>> found = [values for _, values in long_cells([genes, cells, counts])]
    >>> any((values[:300] == counts[:300]).all() for values in found)
    True
    """
    n_rows = min(map(len, [*names, *columns]), default=0)
    if not MIN_GENES <= n_rows <= MAX_DENSE:
        return
    keys = [*names, *(column for column in columns if column.dtype.kind in "iu")][:MAX_KEYS]
    for key in keys:
        codes = _codes(key)
        sizes = np.bincount(codes)
        if not ((sizes >= MIN_GENES) & (sizes <= MAX_CELL)).any():
            continue
        indptr = np.concatenate([[0], np.cumsum(sizes)])
        for values in columns:
            if values is not key:
                yield indptr, grouped(codes, indptr, values)


def _codes(key: np.ndarray) -> np.ndarray:
    """A number from 0 for each different value of a column."""
    if key.dtype.kind in "iu" and int(key.max()) - int(key.min()) < 4 * key.size:
        return np.asarray(key - key.min(), np.int64)
    return np.unique(key, return_inverse=True)[1]
