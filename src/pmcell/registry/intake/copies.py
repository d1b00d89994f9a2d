"""Tell cells that stand twice in a file or a study: their counts of every gene are the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from pmcell.core.counts.rewritten import fingerprints

MIN_GENES = 30
"""Genes that a cell must have: cells with fewer may be alike by chance."""
SKETCH = 5000
"""Fingerprints of a cohort that are compared with other cohorts'."""


class Fingerprints:
    """A number of 64 bits for the counts of each cell; equal counts give equal numbers.

    `genes` are the names of the columns, which the numbers are made of, so that
    cells of different files compare.
    """

    def __init__(self, genes: Sequence[str]) -> None:
        import pandas as pd

        names = np.asarray(list(genes), dtype=object)
        self._genes = np.asarray(pd.util.hash_array(names, categorize=False), np.uint64)
        self._numbers: list[np.ndarray] = []
        self._n_genes: list[np.ndarray] = []

    def add(self, block: sp.csr_matrix) -> None:
        """Take in a block of cells (whole counts, each stored once)."""
        rows = block.indptr.astype(np.int64), block.indices, block.data.astype(np.int64)
        numbers, n_genes = fingerprints(rows, self._genes)
        self._numbers.append(numbers)
        self._n_genes.append(n_genes)

    def copies(self) -> tuple[int, tuple[int, int] | None]:
        """How many cells are copies of one before them, and the first such pair of positions."""
        rows, numbers = self._known()
        _, first, back = np.unique(numbers, return_index=True, return_inverse=True)
        original = rows[first[back]]
        copied = np.flatnonzero(original != rows)
        if not copied.size:
            return 0, None
        at = copied[0]
        return int(copied.size), (int(original[at]), int(rows[at]))

    def sketch(self) -> list[int]:
        """The smallest numbers: cells that are in two files are in both sketches, or in none."""
        return [int(number) for number in np.unique(self._known()[1])[:SKETCH]]

    def _known(self) -> tuple[np.ndarray, np.ndarray]:
        """Positions and numbers of the cells that have enough genes."""
        if not self._numbers:
            return np.zeros(0, np.int64), np.zeros(0, np.uint64)
        rows = np.flatnonzero(np.concatenate(self._n_genes) >= MIN_GENES)
        return rows, np.concatenate(self._numbers)[rows]


@dataclass(frozen=True)
class Shared:
    """Cells that two cohorts have in common: about how large a share of the smaller one's."""

    one: str
    other: str
    share: float
    is_exact: bool


def shared_cells(sketches: Mapping[str, Sequence[int]]) -> list[Shared]:
    """Pairs of cohorts whose sketches have numbers in common."""
    found = []
    names = sorted(name for name, sketch in sketches.items() if sketch)
    sets = {name: set(sketches[name]) for name in names}
    for place, one in enumerate(names):
        for other in names[place + 1 :]:
            common = len(sets[one] & sets[other])
            if not common:
                continue
            whole = max(len(sets[one]), len(sets[other])) < SKETCH
            end = min(max(sets[one]), max(sets[other]))
            below = [sum(number <= end for number in sets[name]) for name in (one, other)]
            smaller = min(len(sets[one]), len(sets[other])) if whole else max(min(below), 1)
            found.append(Shared(one, other, common / smaller, whole))
    return found
