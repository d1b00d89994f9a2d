"""A chunk that a zarr store does not hold reads as zeros: it held zeros, or it was lost.

Writers leave out chunks of zeros, so that one is not there says nothing. Where zeros are real, they
seldom begin and end where a chunk does; where a chunk was lost, they do.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp

from pmcell.errors import DataError

MIN_EXPECTED = 50
"""Values that a block of a matrix should hold, by its cells and genes, before none is doubted."""
MAX_REACH = 10
"""Rows beside a large chunk of zeros that must be zeros, too, for it to be believed."""


def require_column(item: Any, values: np.ndarray, where: str, path: Path) -> None:
    """Refuse a column of which a chunk is not there, beside values that are not zeros."""
    if not _lacks_chunks(item) or values.size == 0:
        return
    length = _sides(item)[0]
    # Zeros of other cells may stand beside a lost chunk by chance; few in a row.
    reach = min(MAX_REACH, 1 + length // 10_000)
    is_zero = values == (0 if values.dtype.kind in "iufb" else "")
    for low in range(0, values.size, length):
        high = min(low + length, values.size)
        is_alone = not (is_zero[max(low - reach, 0) : low].all() and is_zero[high:][:reach].all())
        if is_zero[low:high].all() and is_alone:
            raise _lost(path, where, f"rows {low + 1} to {high}")


class MatrixChunks:
    """Which blocks of a dense matrix held values, while it is read from its first cell to its last.

    Nothing is looked at where no chunk is missing.
    """

    def __init__(self, item: Any) -> None:
        self._item = item
        self._is_whole = not _lacks_chunks(item)
        self._height, self._width = _sides(item) if not self._is_whole else (1, 1)
        shape = item.shape if not self._is_whole else (0, 0)
        self._n = np.zeros((-(-shape[0] // self._height), -(-shape[1] // self._width)), np.int64)

    def add(self, start: int, block: sp.csr_matrix) -> None:
        """Count the values of cells from `start` on."""
        if not self._is_whole:
            cells, genes = block.nonzero()
            np.add.at(self._n, ((cells + start) // self._height, genes // self._width), 1)

    def require(self, where: str, path: Path) -> None:
        """Refuse the matrix where a block without values lies beside cells that have some there.

        Blocks of few expected values, and zeros that go on beyond a block (cells of a data set that
        did not measure these genes), are believed.
        """
        total = int(self._n.sum())
        if self._is_whole or not total:
            return
        n_cells, n_genes = self._item.shape
        share_of_genes = self._n.sum(axis=0) / total
        per_row = np.maximum(self._n.sum(axis=1), total * self._height // n_cells)
        doubted = (self._n == 0) & (np.outer(per_row, share_of_genes) >= MIN_EXPECTED)
        for row, column in np.argwhere(doubted):
            low, high = row * self._height, min((row + 1) * self._height, n_cells)
            genes = slice(column * self._width, min((column + 1) * self._width, n_genes))
            beside = [at for at in (low - 1, high) if 0 <= at < n_cells]
            if any(np.any(self._item[int(at), genes]) for at in beside):
                place = f"cells {low + 1} to {high}, genes {genes.start + 1} to {genes.stop}"
                raise _lost(path, where, place)


def _lacks_chunks(item: Any) -> bool:
    """Whether an array is one of zarr, of which a chunk is not there."""
    n_chunks = getattr(item, "nchunks", 0)
    return bool(n_chunks) and item.nchunks_initialized < n_chunks


def _sides(item: Any) -> tuple[int, ...]:
    """Of what is stored in one file."""
    return tuple(getattr(item, "shards", None) or item.chunks)


def _lost(path: Path, where: str, place: str) -> DataError:
    return DataError(
        f"{path.name}: all chunks of {where} must be there; that of {place} is not, and would read "
        "as zeros beside other values. Copy the store again and compare checksums; where it is "
        "whole, write it again after zarr.config.set({'array.write_empty_chunks': True}).",
        reason="truncated",
    )
