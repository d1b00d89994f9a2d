"""Blocks of rows of a sparse count matrix: what every streaming kernel reads.

A block is a run of consecutive cells in CSR form. In memory a whole matrix is
one block; on disk a matrix is many. A sum over blocks is the same for every
way of cutting, because all sums are integers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Block:
    """Rows `start` to `start + n_rows` of a cells × genes count matrix.

    `indptr` (n_rows + 1, int64, from 0), `indices` (int32 gene positions, rising
    in each row, none twice) and `data` (int32 counts) are CSR arrays of these rows only.
    """

    start: int
    indptr: NDArray[np.int64]
    indices: NDArray[np.int32]
    data: NDArray[np.int32]

    @property
    def n_rows(self) -> int:
        """Cells in the block."""
        return self.indptr.size - 1

    @property
    def rows(self) -> slice:
        """Where the block's cells stand in the whole matrix."""
        return slice(self.start, self.start + self.n_rows)


class Counts(Protocol):
    """Anything that can be read in blocks: a matrix in memory or a file."""

    @property
    def n_cells(self) -> int: ...

    @property
    def n_genes(self) -> int: ...

    def iter_blocks(self) -> Iterator[Block]: ...


class StoredCounts(Counts, Protocol):
    """Counts in a file, whose cells have names."""

    @property
    def cell_ids(self) -> NDArray[Any]: ...


@dataclass
class SharedBlocks:
    """Counts whose every block is also shown to `see`, so that one decode serves two readers.

    However often the counts are read, `see` is shown each cell once.
    """

    counts: Counts
    see: Callable[[Block], None]
    n_seen: int = field(default=0, init=False)

    @property
    def n_cells(self) -> int:
        """Cells of the counts."""
        return self.counts.n_cells

    @property
    def n_genes(self) -> int:
        """Genes of the counts."""
        return self.counts.n_genes

    def iter_blocks(self) -> Iterator[Block]:
        """The blocks of the counts, each seen before it is first given."""
        for block in self.counts.iter_blocks():
            if block.start >= self.n_seen:
                self.see(block)
                self.n_seen = block.rows.stop
            yield block


@dataclass(frozen=True)
class MatrixCounts:
    """A scipy CSR matrix of raw counts in memory, as one block."""

    matrix: Any

    @property
    def n_cells(self) -> int:
        """Rows of the matrix."""
        return int(self.matrix.shape[0])

    @property
    def n_genes(self) -> int:
        """Columns of the matrix."""
        return int(self.matrix.shape[1])

    def iter_blocks(self) -> Iterator[Block]:
        """The one block."""
        matrix = self.matrix
        if not matrix.has_canonical_format:
            matrix = matrix.copy()
            matrix.sum_duplicates()
        yield Block(
            start=0,
            indptr=np.asarray(matrix.indptr, np.int64),
            indices=np.asarray(matrix.indices, np.int32),
            data=np.asarray(matrix.data, np.int32),
        )
