"""How many cells make a profile: the limits of a study, from its own donors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from pmcell.schema.text import as_text
from pmcell.strata.profiles import slots

if TYPE_CHECKING:
    from collections.abc import Iterator

    from anndata import AnnData

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

AUTO: Literal["auto"] = "auto"

MIN_CELLS, MAX_CELLS = 10, 100
"""Between these lies the limit of cells a visit that a study sets for itself."""
MIN_TYPE, MAX_TYPE = 3, 10
"""The same for cells of a type in a visit."""
CELLS_PER_TYPE_LIMIT = 20
"""Cells of a typical visit for each cell of the limit of a type: 10 from 200 cells on."""


@dataclass(frozen=True)
class Limits:
    """Cells that a visit, and a type in a visit, must have.

    `reliable` is the number of cells at which half of what tells visits apart is signal;
    `inf` where no difference between visits was seen.
    """

    donor: int
    type: int
    reliable: float


def limits_of(donors: AnnData, donor: int | str, of_type: int | str) -> Limits:
    """Return the limits, those that are `auto` from the two halves of each visit's cells.

    A profile is reliable from the number of cells at which the variance between visits of a
    batch equals the sampling variance of one visit, in the feature set where that is soonest;
    within 10 and 100 cells. Where fewer than half of the visits have so many cells, cells are
    few everywhere: then 10 is the limit, and the reliability of each feature set over
    all donors decides (`pmcell.strata.distances`).
    """
    reliable = cells_for_reliability(donors)
    n_cells = np.asarray(donors.X, np.int64).sum(axis=1)
    if isinstance(donor, str):
        donor = int(np.clip(np.ceil(reliable), MIN_CELLS, MAX_CELLS))
        if (n_cells >= donor).mean() < 0.5:
            donor = MIN_CELLS
    if isinstance(of_type, str):
        used = n_cells[n_cells >= donor]
        typical = float(np.median(used)) if used.size else 0.0
        of_type = int(np.clip(round(typical / CELLS_PER_TYPE_LIMIT), MIN_TYPE, MAX_TYPE))
    return Limits(donor, of_type, reliable)


def cells_for_reliability(donors: AnnData) -> float:
    """Return the cells at which sampling adds as much as visits differ; `inf` where they do not."""
    counts = np.asarray(donors.X, np.float64)
    half = np.asarray(donors.obsm[slots.HALF_N], np.float64)
    n = (half.sum(axis=1), (counts - half).sum(axis=1))
    known = np.minimum(*n) > 0
    batch = np.unique(as_text(donors.obs["batch_id"]).to_numpy()[known], return_inverse=True)[1]
    n = (n[0][known], n[1][known])
    return min(
        (noise_to_signal(first[known], second[known], n, batch) for first, second in _sums(donors)),
        default=np.inf,
    )


def noise_to_signal(first: Floats, second: Floats, n: tuple[Floats, Floats], batch: Ints) -> float:
    """Variance of one cell within a row over the variance of rows within a batch.

    `first` and `second` (rows, features) are sums over the two halves of a row's cells, `n` the
    cells in them. The halves have their signal in common and their noise apart: so the
    product of both estimates the one, their difference the other.
    """
    if batch.size < 2:
        return np.inf
    means = first / n[0][:, None], second / n[1][:, None]
    noise = ((means[0] - means[1]) ** 2).sum() / (1.0 / n[0] + 1.0 / n[1]).sum()
    if np.unique(batch).size == batch.size:
        batch = np.zeros_like(batch)
    # A row weighs by its cells, up to those of a profile that is reliable anyway.
    weight = np.minimum(n[0] * n[1] / (n[0] + n[1]), MAX_CELLS / 4)
    of_batch = np.bincount(batch, weight)
    centred = [mean - _weighted_means(mean, weight, batch)[batch] for mean in means]
    signal = (weight[:, None] * centred[0] * centred[1]).sum()
    # Means of the batches take a part of the signal with them.
    signal /= max(float(weight.sum() - (np.bincount(batch, weight**2) / of_batch).sum()), 1e-12)
    return float(noise / signal) if signal > 0 else np.inf


def _weighted_means(values: Floats, weight: Floats, batch: Ints) -> Floats:
    n_batches = int(batch.max()) + 1
    total = np.zeros((n_batches, values.shape[1]))
    np.add.at(total, batch, weight[:, None] * values)
    return total / np.bincount(batch, weight, n_batches)[:, None]


def _sums(donors: AnnData) -> Iterator[tuple[Floats, Floats]]:
    """Sums over each half of the cells: of types, of differences from types' means, of waves."""
    counts, half = np.asarray(donors.X, np.float64), np.asarray(donors.obsm[slots.HALF_N])
    yield half.astype(np.float64), counts - half
    total = np.asarray(donors.obsm[slots.SUM], np.float64).reshape(*counts.shape, -1)
    first = np.asarray(donors.obsm[slots.HALF_SUM], np.float64).reshape(total.shape)
    centre = total.sum(axis=0) / np.maximum(counts.sum(axis=0), 1.0)[:, None]
    rest = counts - half
    yield (
        (first - half[:, :, None] * centre).sum(axis=1),
        (total - first - rest[:, :, None] * centre).sum(axis=1),
    )
    if slots.HALF_WAVES not in donors.obsm:
        return
    waves = np.asarray(donors.obsm[slots.HALF_WAVES], np.float64)
    yield waves, np.asarray(donors.obsm[slots.WAVES], np.float64) - waves
