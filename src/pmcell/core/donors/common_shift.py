"""What a batch adds to all cell types alike: chemistry, depth and ambient RNA do, strata rarely.

A batch whose donors are all of one stratum differs from others as the stratum does: in some
types, or in shares. A batch that differs by the laboratory alone differs alike everywhere. So
of what each batch adds to each type, the median over the types is taken for the
laboratory's; a minority of types that strata move does not change it.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from pmcell.core.donors.channels import DonorSums
from pmcell.core.donors.offsets import batch_offsets

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

MIN_TYPES = 3
"""With fewer types nothing is alike in all of them that could not be one's own."""

MIN_SHARE = 0.5
"""A type takes part if it has enough cells in this share of the rows."""


def without_common_shift(sums: DonorSums, batch: Ints, n_batches: int, min_cells: int) -> DonorSums:
    """The rows, their batches known, less what their batch adds to all types alike.

    Means in the embedding are moved. Shares have no part that is alike in all types; the waves of
    all cells and expression, of which each type has genes of its own, are left as they are.
    """
    enough = sums.n >= min_cells
    common = enough.mean(axis=0) >= MIN_SHARE
    if common.sum() < MIN_TYPES:
        return sums
    mean = np.where(enough[:, :, None], sums.mean, np.nan)[:, common]
    added = batch_offsets(mean.reshape(batch.size, -1), batch, n_batches)
    shift = np.median(added.reshape(n_batches, *mean.shape[1:]), axis=1)
    return replace(sums, mean=sums.mean - shift[batch][:, None])
