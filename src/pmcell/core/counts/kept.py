"""What a release writes of each block of cells: the cells that passed QC, as they are published."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pmcell.core.compiler import Array, kernel
from pmcell.core.counts.blocks import Block
from pmcell.core.counts.lognorm import cell_totals, log_normalised

N_LOOKUP = 32
"""Smaller counts are looked up: log1p costs more than all else that is done with a count."""


@dataclass(frozen=True)
class KeptRows:
    """The kept rows of a block in CSR form, without the rows between them.

    `indptr` (n_rows + 1, int64, from 0), `indices` (int32) and `data` (int32).
    """

    indptr: NDArray[np.int64]
    indices: NDArray[np.int32]
    data: NDArray[np.int32]

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Stored values of each row."""
        return np.diff(self.indptr)

    def log_normalised(self) -> NDArray[np.float32]:
        """log1p(10,000 · count / total of the cell) of each stored value.

        The bits are those of `pmcell.core.counts.lognorm.log_normalised`, rounded to 32 bits.
        """
        totals = cell_totals(self.indptr, self.data)
        small = np.arange(N_LOOKUP, dtype=np.int32)
        lookup = log_normalised(small, totals[:, None]).astype(np.float32)
        values = np.empty(self.data.size, np.float32)
        large = np.empty(self.data.size, bool)
        _look_up(self.indptr, self.data, lookup, values, large)
        places = np.flatnonzero(large)
        if places.size:
            row = np.searchsorted(self.indptr, places, "right") - 1
            values[places] = log_normalised(self.data[places], totals[row])
        return values


def kept_rows(block: Block, keep: NDArray[np.bool_]) -> KeptRows:
    """The rows of `block` for which `keep` (n_rows, bool) is true."""
    if keep.all():
        return KeptRows(block.indptr, block.indices, block.data)
    lengths = np.diff(block.indptr)[keep]
    indptr = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])
    indices = np.empty(indptr[-1], np.int32)
    data = np.empty(indptr[-1], np.int32)
    _copy_rows(block.indptr, block.indices, block.data, np.flatnonzero(keep), indptr, indices, data)
    return KeptRows(indptr, indices, data)


@kernel
def _copy_rows(
    indptr: Array,
    indices: Array,
    data: Array,
    rows: Array,
    kept_indptr: Array,
    kept_indices: Array,
    kept_data: Array,
) -> None:
    for place in range(rows.size):
        low, high = indptr[rows[place]], indptr[rows[place] + 1]
        start, stop = kept_indptr[place], kept_indptr[place + 1]
        kept_indices[start:stop] = indices[low:high]
        kept_data[start:stop] = data[low:high]


@kernel
def _look_up(indptr: Array, data: Array, lookup: Array, values: Array, large: Array) -> None:
    n_lookup = np.uint32(lookup.shape[1])
    for row in range(indptr.size - 1):
        own = data[indptr[row] : indptr[row + 1]]
        out = values[indptr[row] : indptr[row + 1]]
        is_large = large[indptr[row] : indptr[row + 1]]
        known = lookup[row]
        for at in range(own.size):
            count = np.uint32(own[at])
            is_large[at] = count >= n_lookup
            out[at] = known[count] if count < n_lookup else np.float32(0.0)
