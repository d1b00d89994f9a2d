"""What a batch adds to features: a shrunken random effect."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def batch_offsets(x: Floats, batch: NDArray[np.int64], n_batches: int) -> Floats:
    """What each batch adds to each feature (batches × features), as a shrunken random effect.

    `x` (rows × features) may hold NaN (missing). With m the batch mean minus
    the mean of all rows and v the variance of that batch mean, the offset is
    τ²/(τ² + v)·m, τ² = max(mean over batches of m² − v, 0). A batch with one
    row, and any batch when there is only one, gets 0: nothing can be told.
    """
    is_known = ~np.isnan(x)
    filled, known = np.where(is_known, x, 0.0), is_known.astype(np.float64)
    member = (batch[None, :] == np.arange(n_batches)[:, None]).astype(np.float64)
    count = member @ known
    n_known = count.sum(axis=0)
    centre = filled.sum(axis=0) / np.maximum(n_known, 1)
    safe = np.maximum(count, 1.0)
    mean = (member @ filled) / safe
    filled -= mean[batch]
    filled *= known
    freedom = np.maximum(n_known - (count > 0).sum(axis=0), 1)
    spread = np.square(filled, out=filled).sum(axis=0) / freedom
    shift = mean - centre
    error = spread / safe
    usable = count >= 2
    n_usable = np.maximum(usable.sum(axis=0), 1)
    tau = np.maximum(np.where(usable, shift**2 - error, 0.0).sum(axis=0) / n_usable, 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        shrink = np.where(tau > 0, tau / (tau + error), 0.0)
    offsets = np.where(usable & (usable.sum(axis=0) >= 2), shrink * shift, 0.0)
    return offsets if n_batches > 1 else np.zeros_like(offsets)


def new_offset(known: Floats, fresh: Floats) -> Floats:
    """What a batch that was not fitted on adds: its rows `fresh` against the rows `known`.

    Both (rows, …) may hold NaN. As in `batch_offsets`, m is shrunken by
    τ²/(τ² + v), here with τ² = max(m² − v, 0) of the one batch (positive-part
    James-Stein). A batch with one row gets 0.
    """
    count = (~np.isnan(fresh)).sum(axis=0)
    usable = (count >= 2) & (~np.isnan(known)).any(axis=0)
    filled = np.where(usable, fresh, 0.0)
    shift = np.where(usable, np.nan_to_num(_mean(filled) - _mean(known)), 0.0)
    spread = np.nan_to_num(_mean((filled - _mean(filled)) ** 2)) * count / np.maximum(count - 1, 1)
    error = spread / np.maximum(count, 1)
    shrink = np.maximum(shift**2 - error, 0.0) / np.maximum(shift**2, 1e-300)
    return np.asarray(shrink * shift)


def _mean(x: Floats) -> Floats:
    """Mean over the rows that are known, NaN where none is."""
    count = (~np.isnan(x)).sum(axis=0)
    total = np.nansum(x, axis=0)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)
