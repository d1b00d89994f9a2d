"""From probabilities of types to labels: a type, a common ancestor, or none."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from pmcell.mapping.calibration import TypeCalibration, mass_before
from pmcell.registry.terms.cell_types import JOINT, is_label, is_of_type, name_of
from pmcell.registry.terms.marker_panel import marker_panel
from pmcell.registry.terms.ontology import is_under
from pmcell.registry.terms.ontology import terms as terms_of
from pmcell.schema import UNKNOWN
from pmcell.schema.mapped import ANCESTOR, LEAF, NO_LABEL
from pmcell.schema.text import text_array

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
Text = NDArray[np.str_]

MISS_FAR = 0.05
"""Share of a type's left-out cells that may be as far from it before a cell is unlike it."""
LEAF_MASS, ANCESTOR_MASS = 0.95, 0.8
"""Probability that a type, and a common ancestor of types, must have to be the label. Chosen on
development donors of two batches left out (tests/benchmarks/person)."""
MAX_FALSE_VETO = 0.02
"""A veto holds for a type where at most this share of its own cells would be struck."""
MAX_NEGATIVE = 2
"""Markers of other types that strike a label together; one may be of the soup."""
MIN_MARKERS = 3
"""Markers of a type that must be measured before their absence says anything."""


@dataclass(frozen=True)
class Vetoes:
    """Markers that a cell of a type must have, or must not.

    Attributes
    ----------
    of_type
        The type that each veto is about (vetoes,).
    kind
        The row of the marker panel that says so: the type's own, or one above it.
    markers
        Its markers among the features (vetoes, features).
    is_negative
        Whether a cell must not have `MAX_NEGATIVE` of them; else it must have one (vetoes,).
    """

    of_type: Ints
    kind: Text
    markers: Bools
    is_negative: Bools

    def struck(self, x: NDArray[np.floating], best: Ints, measured: Bools) -> NDArray[np.object_]:
        """Which row of the panel speaks against each cell's most probable type; '' for none."""
        out = np.full(best.size, "", object)
        for at, kind in enumerate(self.kind):
            usable = self.markers[at] & measured
            rows = np.flatnonzero((best == self.of_type[at]) & (out == ""))
            if self.is_negative[at]:
                out[rows[_has_negative(x[rows], usable)]] = f"not {kind}"
            elif usable.sum() >= MIN_MARKERS:
                out[rows[_lacks_all(x[rows], usable)]] = str(kind)
        return out


def find_vetoes(
    x: NDArray[np.floating], types: Text, names: Text, terms: Text, symbols: Text
) -> Vetoes:
    """Vetoes of the marker panel that a reference's own cells respect.

    A row of the panel is held against all types at or below its term, where at most
    `MAX_FALSE_VETO` of their cells would be struck.

    Parameters
    ----------
    x, types
        Expression (cells, features) and type of the training cells.
    names, terms
        The types and their Cell Ontology terms.
    symbols
        Symbols of the features.
    """
    found: list[tuple[int, str, Bools, bool]] = []
    for row in marker_panel():
        below = [at for at, term in enumerate(terms) if is_under(str(term), (row.term_id,))]
        own = x[np.isin(types, names[below])]
        if not own.shape[0]:
            continue
        for genes, is_negative in ((row.positive, False), (row.negative, True)):
            markers = np.isin(symbols, genes)
            if markers.sum() < (MAX_NEGATIVE if is_negative else MIN_MARKERS):
                continue
            struck = (_has_negative if is_negative else _lacks_all)(own, markers)
            if struck.mean() <= MAX_FALSE_VETO:
                found += [(at, row.cell_type, markers, is_negative) for at in below]
    return Vetoes(
        np.array([item[0] for item in found], np.int64),
        text_array([item[1] for item in found]),
        np.array([item[2] for item in found], bool).reshape(len(found), symbols.size),
        np.array([item[3] for item in found], bool),
    )


def _lacks_all(x: NDArray[np.floating], markers: Bools) -> Bools:
    return np.asarray(~(x[:, markers] > 0).any(axis=1), bool)


def _has_negative(x: NDArray[np.floating], markers: Bools) -> Bools:
    return np.asarray((x[:, markers] > 0).sum(axis=1) >= MAX_NEGATIVE, bool)


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

    Notes
    -----
    The *label* is the most specific term that is probable enough: a type with `LEAF_MASS`, else a
    term above several that have `ANCESTOR_MASS` together and still names a type. Under it must be
    a type that the cell is not unlike; a vetoed cell has no label.

    The *set* holds the most probable types until they have the calibration's mass together
    (adaptive prediction sets, Romano et al. 2020, arXiv:2006.02544), without those that the cell
    is unlike.
    """
    as_far = calibration.as_far(distance)
    near = as_far > MISS_FAR
    sets = (mass_before(probability) < float(calibration.mass)) & near
    best = np.asarray(probability.argmax(axis=1), np.int64)
    row = np.arange(best.size)
    veto = np.full(best.size, "", object) if veto is None else veto
    label, term, level = (np.full(best.size, NO_LABEL, object) for _ in range(3))
    for node in nodes_above(tuple(map(str, names)), tuple(map(str, terms))):
        members = list(node.members)
        mass = probability[:, members].sum(axis=1)
        least = LEAF_MASS if node.is_leaf else ANCESTOR_MASS
        rows = (level == NO_LABEL) & (mass >= least) & (veto == "")
        rows &= near[:, members].any(axis=1)
        label[rows], term[rows] = node.name, node.term
        level[rows] = LEAF if node.is_leaf else ANCESTOR
    return CellLabels(
        sets,
        label,
        term,
        level,
        best,
        probability[row, best],
        as_far[row, best],
        np.asarray(~near.any(axis=1), bool),
        veto,
    )


@dataclass(frozen=True)
class Node:
    """A possible label: its name and term, and the types at or below it."""

    name: str
    term: str
    members: tuple[int, ...]
    is_leaf: bool


@lru_cache(maxsize=64)
def nodes_above(names: tuple[str, ...], of_type: tuple[str, ...]) -> tuple[Node, ...]:
    """Every type, then every term above two or more that still names a type, most specific first.

    >>> found = nodes_above(("CD4 T", "CD8 T"), ("CL:0000624", "CL:0000625"))
    >>> [node.name for node in found][:3]
    ['CD4 T', 'CD8 T', 'mature alpha-beta T cell']
    """
    leaves = [
        Node(name, term, (at,), True)
        for at, (name, term) in enumerate(zip(names, of_type, strict=True))
    ]
    known = terms_of("CL")
    ancestors = {
        above
        for term in of_type
        if term in known
        for above in {term, *known[term].get("ancestors", {})}
        if is_label(above)
    }
    nodes = {}
    for above in sorted(ancestors):
        nodes[above] = [at for at, term in enumerate(of_type) if is_under(term, (above,))]
    for above, (_, parts) in JOINT.items():
        nodes[above] = [at for at, term in enumerate(of_type) if is_under(term, parts)]
    found = [
        Node(name_of(above), above, tuple(members), False)
        for above, members in nodes.items()
        if len(members) > 1
    ]
    found.sort(key=lambda node: (len(node.members), -len(known[node.term].get("ancestors", {}))))
    return (*leaves, *found)


def covers(term: str, truth: str) -> bool:
    """Whether a label's term is the true one or above it; 'T or NK cell' covers these two alone.

    >>> covers("CL:0000084", "CL:0000624"), covers("CL:0000624", "CL:0000084")
    (True, False)
    >>> covers("CL:0000542", "CL:0000624"), covers("CL:0000542", "CL:0000236")
    (True, False)
    """
    return UNKNOWN not in (term, truth) and is_of_type(truth, term)
