"""From sets of types that cannot be ruled out to labels: a type, a common ancestor, or none."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pmcell.mapping.calibration import TypeCalibration
from pmcell.registry.terms.cell_types import consensus
from pmcell.registry.terms.marker_panel import marker_panel
from pmcell.registry.terms.ontology import is_under
from pmcell.schema import UNKNOWN
from pmcell.schema.mapped import ANCESTOR, LEAF, NO_LABEL

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
Text = NDArray[np.str_]

MISS_TYPE, MISS_FAR = 0.05, 0.05
"""Shares of a type's cells that may be missed for being improbable, and for being far: 10 % in
all. A cell that is far from every type is unlike all of them."""
MAX_FALSE_VETO = 0.02
"""A veto holds for a type where at most this share of its own cells would be struck."""
MIN_MARKERS = 3
"""Markers of a type that must be measured before their absence says anything."""


@dataclass(frozen=True)
class Vetoes:
    """Markers that a cell of a type must have, or must not.

    `needs` (vetoes, features): a cell of type `of_type` has one of these; `kind` (vetoes,) names
    the row of the marker panel that says so.
    """

    of_type: Ints
    kind: Text
    needs: Bools

    def struck(self, x: NDArray[np.floating], best: Ints, measured: Bools) -> NDArray[np.object_]:
        """Which row of the panel speaks against each cell's most probable type; '' for none."""
        out = np.full(best.size, "", object)
        for of_type, kind, needs in zip(self.of_type, self.kind, self.needs, strict=True):
            usable = needs & measured
            if usable.sum() < MIN_MARKERS:
                continue
            rows = np.flatnonzero((best == of_type) & (out == ""))
            out[rows[~(x[rows][:, usable] > 0).any(axis=1)]] = str(kind)
        return out


def find_vetoes(
    x: NDArray[np.floating], types: Text, names: Text, terms: Text, symbols: Text
) -> Vetoes:
    """Vetoes of the marker panel that a reference's own cells respect.

    Parameters
    ----------
    x, types
        Expression (cells, features) and type of the training cells.
    names, terms
        The types and their Cell Ontology terms.
    symbols
        Symbols of the features.
    """
    of_type, kinds, needs = [], [], []
    for index, (name, term) in enumerate(zip(names, terms, strict=True)):
        own = x[types == name] > 0
        for row in marker_panel():
            if not str(term).startswith("CL:") or not is_under(str(term), (row.term_id,)):
                continue
            positive = np.isin(symbols, row.positive)
            if positive.sum() < MIN_MARKERS or not own.shape[0]:
                continue
            if (~own[:, positive].any(axis=1)).mean() <= MAX_FALSE_VETO:
                of_type.append(index)
                kinds.append(row.cell_type)
                needs.append(positive)
    shape = (len(needs), symbols.size)
    return Vetoes(
        np.array(of_type, np.int64),
        np.array(kinds, np.str_),
        np.array(needs, bool).reshape(shape),
    )


@dataclass(frozen=True)
class CellLabels:
    """Labels of cells.

    `sets` (cells, types) are the types that cannot be ruled out; `label`, `term` and `level`
    what they amount to; `best` the most probable type with its `probability`; `typical` how many
    of that type's cells are as far; `unlike` cells far from every type; `veto` the row of the
    marker panel that speaks against `best`.
    """

    sets: Bools
    label: NDArray[np.object_]
    term: NDArray[np.object_]
    level: NDArray[np.object_]
    best: Ints
    probability: Floats
    typical: Floats
    unlike: Bools
    veto: NDArray[np.object_]


def label_cells(
    probability: Floats,
    distance: Floats,
    calibration: TypeCalibration,
    names: Text,
    terms: Text,
    veto: NDArray[np.object_] | None = None,
) -> CellLabels:
    """Label cells by what a head says of them.

    A type stays in a cell's set unless fewer than `MISS_TYPE` of the type's left-out cells had so
    low a probability, or fewer than `MISS_FAR` lay so far. A vetoed cell has no label. One type in
    the set is the label; of several it is the closest common ancestor that still names a type.
    """
    as_rare, as_far = calibration.ranks(probability, distance)
    near = as_far > MISS_FAR
    sets = (as_rare > MISS_TYPE) & near
    best = np.asarray(probability.argmax(axis=1), np.int64)
    row = np.arange(best.size)
    veto = np.full(best.size, "", object) if veto is None else veto
    label, term, level = (np.full(best.size, NO_LABEL, object) for _ in range(3))
    patterns, code = np.unique(sets, axis=0, return_inverse=True)
    for index, pattern in enumerate(patterns):
        found = name_set(np.flatnonzero(pattern), names, terms)
        rows = np.flatnonzero((code.ravel() == index) & (veto == ""))
        label[rows], term[rows], level[rows] = found
    return CellLabels(
        sets,
        label,
        term,
        level,
        best,
        probability[row, best],
        as_far[row, best],
        ~near.any(axis=1),
        veto,
    )


def name_set(kinds: Ints, names: Text, terms: Text) -> tuple[str, str, str]:
    """Name, term and level of the label for a set of types.

    >>> names = np.array(["CD4 T", "CD8 T", "B cell"])
    >>> terms = np.array(["CL:0000624", "CL:0000625", "CL:0000236"])
    >>> name_set(np.array([0, 1]), names, terms)
    ('mature alpha-beta T cell', 'CL:0000791', 'ancestor')
    >>> name_set(np.array([0, 2]), names, terms)
    ('unknown', 'unknown', 'unknown')
    """
    nothing = (UNKNOWN, UNKNOWN, NO_LABEL)
    if not kinds.size:
        return nothing
    if kinds.size == 1:
        return str(names[kinds[0]]), str(terms[kinds[0]]), LEAF
    chosen = {str(terms[kind]): 1 for kind in kinds}
    if any(not term.startswith("CL:") for term in chosen):
        return nothing
    found = consensus(chosen, majority=1.1, coverage=1.0)
    return nothing if found is None else (found.label, found.term_id, ANCESTOR)


def covers(term: str, truth: str) -> bool:
    """Whether a label's term is the true one or above it; 'T or NK cell' covers either."""
    return term != UNKNOWN and (term == truth or is_under(truth, (term,)))
