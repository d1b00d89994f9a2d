"""Sums of groups of cells per gene: what they are, and what holds them in memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

COUNTS, N_DETECTED, SUM_Q, SUM_Q2 = range(4)
"""Kinds of sums, the columns of `Sums.values`: Σcount, cells with a count, Σq, Σq²."""


class Sums(Protocol):
    """What `GroupedSums` holds, in memory or elsewhere."""

    @property
    def n_genes(self) -> int:
        """Number of genes."""

    @property
    def n_groups(self) -> int:
        """Number of groups."""

    @property
    def indptr(self) -> NDArray[np.int64]:
        """Where the entries of each group begin, and the end."""

    @property
    def indices(self) -> NDArray[np.int32]:
        """The gene of each entry."""

    @property
    def values(self) -> NDArray[np.int64]:
        """The four sums of each entry."""

    def column(self, column: int) -> NDArray[np.int64]:
        """One of the sums of each entry."""

    def matrix(self, column: int) -> sparse.csr_matrix:
        """One of the sums: groups × genes."""


@dataclass(frozen=True)
class GroupedSums:
    """Sums of every group as one CSR matrix (groups × genes) with four int64 values an entry.

    Entries of a group are sorted by gene; a gene that no cell of the group
    detected has no entry.
    """

    n_genes: int
    indptr: NDArray[np.int64]
    indices: NDArray[np.int32]
    values: NDArray[np.int64]

    @property
    def n_groups(self) -> int:
        """Number of groups."""
        return self.indptr.size - 1

    def column(self, column: int) -> NDArray[np.int64]:
        """One of the sums (COUNTS, N_DETECTED, SUM_Q, SUM_Q2) of each entry."""
        return self.values[:, column]

    def matrix(self, column: int) -> sparse.csr_matrix:
        """One of the sums: groups × genes, CSR, int64."""
        return _matrix(self, column)


@dataclass(frozen=True)
class SmallSums:
    """The same in 20 bytes an entry, for sums that fit 32 bits; squares have 64.

    Groups lie in several parts, one after the other, so that none is copied.
    """

    n_genes: int
    indptr: NDArray[np.int64]
    indices: NDArray[np.int32]
    sums: tuple[NDArray[np.uint32], ...]
    squares: tuple[NDArray[np.int64], ...]

    @property
    def n_groups(self) -> int:
        """Number of groups."""
        return self.indptr.size - 1

    @property
    def values(self) -> NDArray[np.int64]:
        """All four, one column each, as `GroupedSums` has them."""
        values = np.empty((self.indices.size, 4), np.int64)
        for column in range(values.shape[1]):
            values[:, column] = self.column(column)
        return values

    def column(self, column: int) -> NDArray[np.int64]:
        """One of the sums (COUNTS, N_DETECTED, SUM_Q, SUM_Q2) of each entry."""
        if column == SUM_Q2:
            return np.concatenate(self.squares)
        return np.concatenate([part[:, column] for part in self.sums]).astype(np.int64)

    def matrix(self, column: int) -> sparse.csr_matrix:
        """One of the sums: groups × genes, CSR, int64."""
        return _matrix(self, column)


def _matrix(sums: Sums, column: int) -> sparse.csr_matrix:
    shape = (sums.n_groups, sums.n_genes)
    return sparse.csr_matrix((sums.column(column), sums.indices, sums.indptr), shape=shape)


def take_groups(sums: Sums, groups: NDArray[np.int64]) -> GroupedSums:
    """Return the sums of some groups, given by their positions."""
    sizes = np.diff(sums.indptr)[groups]
    indptr = np.append(0, np.cumsum(sizes)).astype(np.int64)
    entries = np.repeat(sums.indptr[:-1][groups] - indptr[:-1], sizes) + np.arange(indptr[-1])
    return GroupedSums(sums.n_genes, indptr, sums.indices[entries], sums.values[entries])
