"""One place in a file that a removal scan looks at, and the cells of arrays."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from pmcell.consent.needles import cell_prints, print_of

MAX_DENSE = 50_000_000
"""Values of a dense matrix whose columns are compared, too."""
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
    prints
        Makes the prints of the cells that are there.
    problem
        Why it could not be read.
    is_encrypted
        Whether only who has a key can read what is there.
    """

    where: str
    text: bytes = b""
    prints: Callable[[], frozenset[bytes]] = frozenset
    problem: str = ""
    is_encrypted: bool = False


Into = Callable[[bytes, str, int], Iterator[Place]]
"""Makes the places of some bytes, by their name and how often they were packed."""


def dense_prints(array: Any) -> frozenset[bytes]:
    """Cells of a matrix, in its rows; of one that is not too large in its columns as well."""
    found: set[bytes] = set()
    for at in range(0, array.shape[0], ROWS):
        found |= {mark for row in array[at : at + ROWS] if (mark := print_of(row)) is not None}
    if array.shape[0] * array.shape[1] <= MAX_DENSE:
        columns = np.asarray(array[:]).T
        found |= {mark for column in columns if (mark := print_of(column)) is not None}
    return frozenset(found)


def sparse_prints(indptr: np.ndarray, values: np.ndarray) -> frozenset[bytes]:
    """Cells of a sparse matrix in the order in which it stores them."""
    return frozenset(mark for _, mark in cell_prints(indptr, values))


def matrix_prints(matrix: Any) -> frozenset[bytes]:
    """Cells of a sparse matrix of scipy, in its rows and in its columns."""
    parts = (matrix.tocsr(), matrix.tocsc())
    return frozenset().union(*(sparse_prints(part.indptr, part.data) for part in parts))
