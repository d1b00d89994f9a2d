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

from pmcell.core.discriminant import Cells
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
COVERAGE = 0.9
"""Share of the cells of each batch left out whose set shall hold their type."""
MIN_MASS, MAX_MASS = 0.5, 0.999
"""Bounds of the probability that the types of a set have together."""
BY_BATCH, BY_DONOR, BY_ALL = "batch", "donor", "all types"


@dataclass(frozen=True)
class LabelledCells:
    """Training cells: expression (cells, features), and type, batch and donor of each."""

    x: Cells
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
    """What left-out cells say of the scores of a head.

    Attributes
    ----------
    distance
        Ascending quantiles of the distance of each type's left-out cells to it (types, levels);
        every donor weighs alike.
    by
        What was left out for each type: batch, donor, or cells of all types.
    n_donors
        Donors whose cells these are (types,).
    mass
        Probability that the types of a cell's set must have together, so that the set holds the
        cell's type in `COVERAGE` of the cells of each batch left out.
    """

    distance: Floats
    by: NDArray[np.str_]
    n_donors: Ints
    mass: Floats

    def as_far(self, distance: Floats) -> Floats:
        """Share of each type's left-out cells that are as far from it (cells, types)."""
        level = (np.arange(N_LEVELS) + 0.5) / N_LEVELS
        out = np.empty(distance.shape)
        for kind, known in enumerate(self.distance):
            out[:, kind] = 1.0 - np.interp(distance[:, kind], known, level, left=0.0, right=1.0)
        return out


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
        held = np.asarray(fold == number, bool)
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
    """What the cells say that were left out."""
    own_batch, own_donor = _own(cells, types, by_batch), _own(cells, types, by_donor)
    pooled = own_batch if own_batch.donors().size >= MIN_UNITS else own_donor
    distance = np.empty((types.size, N_LEVELS))
    by, n_donors = [], []
    for kind in range(types.size):
        chosen, how = own_batch.of(own_batch.kind == kind), BY_BATCH
        if chosen.donors().size < MIN_UNITS:
            chosen, how = own_donor.of(own_donor.kind == kind), BY_DONOR
        if chosen.donors().size < MIN_UNITS:
            chosen, how = pooled, BY_ALL
        distance[kind] = chosen.quantiles()
        by.append(how)
        n_donors.append(chosen.donors().size)
    masses = [own_donor.mass()]
    masses += [own_batch.of(own_batch.batch == one).mass() for one in np.unique(own_batch.batch)]
    return TypeCalibration(
        distance, np.array(by), np.array(n_donors, np.int64), np.array(max(masses))
    )


def mass_before(probability: Floats) -> Floats:
    """Probability of the types that are more probable than each type (cells, types)."""
    order = np.argsort(-probability, axis=1, kind="stable")
    ordered = np.take_along_axis(probability, order, axis=1)
    before = np.zeros_like(ordered)
    before[:, 1:] = np.cumsum(ordered[:, :-1], axis=1)
    out = np.empty_like(before)
    np.put_along_axis(out, order, before, axis=1)
    return out


@dataclass(frozen=True)
class _Own:
    """Scores of left-out cells for their own type; batch and donor are codes."""

    kind: Ints
    batch: Ints
    donor: Ints
    before: Floats
    distance: Floats

    def of(self, rows: Bools) -> _Own:
        return _Own(
            self.kind[rows],
            self.batch[rows],
            self.donor[rows],
            self.before[rows],
            self.distance[rows],
        )

    def donors(self) -> Ints:
        return np.unique(self.donor)

    def quantiles(self) -> Floats:
        """Quantiles of the distance; where there is no cell, nothing is too far."""
        if not self.kind.size:
            return np.full(N_LEVELS, np.inf)
        return self._weighed(self.distance, (np.arange(N_LEVELS) + 0.5) / N_LEVELS)

    def mass(self) -> float:
        """Mass below which the own type comes in `COVERAGE` of the cells."""
        if not self.kind.size:
            return MIN_MASS
        found = float(self._weighed(self.before, np.array([COVERAGE]))[0])
        return float(np.clip(found, MIN_MASS, MAX_MASS))

    def _weighed(self, values: Floats, levels: Floats) -> Floats:
        """Quantiles with every donor alike."""
        _, code, n = np.unique(self.donor, return_inverse=True, return_counts=True)
        weight = 1.0 / n[code]
        order = np.argsort(values, kind="stable")
        share = (np.cumsum(weight[order]) - 0.5 * weight[order]) / weight.sum()
        return np.asarray(np.interp(levels, share, values[order]))


def _own(cells: LabelledCells, types: NDArray[np.str_], left: LeftOut) -> _Own:
    kind = np.searchsorted(types, cells.types[left.rows]).astype(np.int64)
    row = np.arange(kind.size)
    batch, donor = (
        np.unique(names, return_inverse=True)[1] for names in (cells.batch, cells.donor)
    )
    return _Own(
        kind,
        batch[left.rows],
        donor[left.rows],
        mass_before(left.probability)[row, kind],
        left.distance[row, kind],
    )
