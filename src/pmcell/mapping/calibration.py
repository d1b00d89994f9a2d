"""What a label head is worth on cells that it does not know: batches and donors left out in turn.

Cells of one person are alike, so cells cannot calibrate what is said of a new person; and batches
differ, so donors cannot calibrate what is said of a new site. Each type is calibrated by cells of
batches left out, where it was measured in two or more; else by cells of donors left out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pmcell.core.pca.gram import Basis
from pmcell.mapping.head import LabelHead, fit_head

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

MAX_FOLDS = 10
"""Models fitted without some batches, at most: of more batches several are left out together."""
DONOR_FOLDS = 3
"""Models fitted without some donors."""
N_LEVELS = 200
"""Quantiles of a type's left-out cells that are kept."""
MIN_UNITS = 9
"""Donors from which a type is calibrated by its own cells; with fewer, by those of all types."""
BY_BATCH, BY_DONOR, BY_ALL = "batch", "donor", "all types"


@dataclass(frozen=True)
class LabelledCells:
    """Training cells: expression (cells, features), and type, batch and donor of each."""

    x: NDArray[np.floating]
    types: NDArray[np.str_]
    batch: NDArray[np.str_]
    donor: NDArray[np.str_]

    def take(self, rows: Bools) -> LabelledCells:
        """Some of the cells."""
        return LabelledCells(self.x[rows], self.types[rows], self.batch[rows], self.donor[rows])


@dataclass(frozen=True)
class LeftOut:
    """Cells as a model sees that was fitted without their batch or donor.

    `rows` are the cells, of which each model knew the type; `probability` and `distance`
    (cells, types) have 0 and infinity for types that the model did not know.
    """

    rows: Ints
    probability: Floats
    distance: Floats


@dataclass(frozen=True)
class TypeCalibration:
    """Scores of each type's left-out cells: ascending quantiles (types, levels).

    `probability` of the own type and `distance` to it; every donor weighs alike. `by` says what
    was left out (types,), `n_donors` how many donors the type's cells are of.
    """

    probability: Floats
    distance: Floats
    by: NDArray[np.str_]
    n_donors: Ints

    def ranks(self, probability: Floats, distance: Floats) -> tuple[Floats, Floats]:
        """Share of each type's left-out cells that are as improbable, and as far (cells, types).

        Between quantiles the share is interpolated; none is below 1 / (1 + donors).
        """
        shape = probability.shape
        as_rare, as_far = np.empty(shape), np.empty(shape)
        level = (np.arange(N_LEVELS) + 0.5) / N_LEVELS
        least = 1.0 / (1.0 + np.maximum(self.n_donors, 1))
        for kind in range(shape[1]):
            as_rare[:, kind] = np.interp(
                probability[:, kind], self.probability[kind], level, left=0.0, right=1.0
            )
            as_far[:, kind] = 1.0 - np.interp(
                distance[:, kind], self.distance[kind], level, left=0.0, right=1.0
            )
        return np.maximum(as_rare, least * 0.5), np.maximum(as_far, 0.0)


def batch_folds(batch: NDArray[np.str_]) -> Ints | None:
    """A fold for each cell, cells of a batch together; None where there is one batch only."""
    names, code = np.unique(batch, return_inverse=True)
    return None if names.size < 2 else np.asarray(code % MAX_FOLDS, np.int64)


def donor_folds(donor: NDArray[np.str_]) -> Ints | None:
    """A fold for each cell, cells of a donor together; None where there is one donor only."""
    names, code = np.unique(donor, return_inverse=True)
    return None if names.size < 2 else np.asarray(code % DONOR_FOLDS, np.int64)


def leave_out(
    cells: LabelledCells,
    fold: Ints | None,
    basis: Basis,
    types: NDArray[np.str_],
    *,
    judged: Callable[[LabelledCells], Bools] | None = None,
) -> LeftOut:
    """Fit a head without each fold in turn and let it judge the cells of that fold.

    The principal components stay those of all cells: what a sample's cells add to them is little
    beside what a head learns of types.
    """
    everywhere = np.ones(basis.means.size, bool)
    rows, probabilities, distances = [], [], []
    for number in range(0 if fold is None else int(fold.max()) + 1):
        held = fold == number
        training = cells.take(~held)
        known = np.unique(training.types)
        wanted = np.flatnonzero(held & np.isin(cells.types, known))
        if known.size < 2 or not wanted.size:
            continue
        head = _fit(training, basis)
        p, d = head.judge(cells.x[wanted], basis, everywhere)
        at = np.searchsorted(types, head.types)
        full, far = np.zeros((wanted.size, types.size)), np.full((wanted.size, types.size), np.inf)
        full[:, at], far[:, at] = p, d
        rows.append(wanted)
        probabilities.append(full)
        distances.append(far)
    if not rows:
        none = np.zeros((0, types.size))
        return LeftOut(np.zeros(0, np.int64), none, none)
    return LeftOut(
        np.concatenate(rows).astype(np.int64),
        np.concatenate(probabilities),
        np.concatenate(distances),
    )


def _fit(cells: LabelledCells, basis: Basis) -> LabelHead:
    code = np.unique(cells.batch, return_inverse=True)[1].astype(np.int64)
    return fit_head(cells.x, cells.types, code, basis)


def calibrate(
    cells: LabelledCells, types: NDArray[np.str_], by_batch: LeftOut, by_donor: LeftOut
) -> TypeCalibration:
    """Scores of each type from the cells that were left out."""
    own_batch, own_donor = _own(cells, types, by_batch), _own(cells, types, by_donor)
    pooled = own_batch if own_batch.donors().size >= MIN_UNITS else own_donor
    shape = (types.size, N_LEVELS)
    probability, distance = np.empty(shape), np.empty(shape)
    by, n_donors = [], []
    for kind in range(types.size):
        chosen, how = own_batch.of(kind), BY_BATCH
        if chosen.donors().size < MIN_UNITS:
            chosen, how = own_donor.of(kind), BY_DONOR
        if chosen.donors().size < MIN_UNITS:
            chosen, how = pooled, BY_ALL
        probability[kind], distance[kind] = chosen.quantiles()
        by.append(how)
        n_donors.append(chosen.donors().size)
    return TypeCalibration(probability, distance, np.array(by), np.array(n_donors, np.int64))


@dataclass(frozen=True)
class _Own:
    """Scores of left-out cells for their own type."""

    kind: Ints
    donor: NDArray[np.str_]
    probability: Floats
    distance: Floats

    def of(self, kind: int) -> _Own:
        rows = self.kind == kind
        return _Own(self.kind[rows], self.donor[rows], self.probability[rows], self.distance[rows])

    def donors(self) -> NDArray[np.str_]:
        return np.unique(self.donor)

    def quantiles(self) -> tuple[Floats, Floats]:
        """Quantiles with every donor alike; where there is no cell, nothing is ruled out."""
        if not self.kind.size:
            return np.zeros(N_LEVELS), np.full(N_LEVELS, np.inf)
        _, code, n = np.unique(self.donor, return_inverse=True, return_counts=True)
        weight = 1.0 / n[code]
        return _quantiles(self.probability, weight), _quantiles(self.distance, weight)


def _own(cells: LabelledCells, types: NDArray[np.str_], left: LeftOut) -> _Own:
    kind = np.searchsorted(types, cells.types[left.rows]).astype(np.int64)
    row = np.arange(kind.size)
    return _Own(kind, cells.donor[left.rows], left.probability[row, kind], left.distance[row, kind])


def _quantiles(values: Floats, weight: Floats) -> Floats:
    order = np.argsort(values, kind="stable")
    share = (np.cumsum(weight[order]) - 0.5 * weight[order]) / weight.sum()
    return np.interp((np.arange(N_LEVELS) + 0.5) / N_LEVELS, share, values[order])
