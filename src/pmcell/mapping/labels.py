"""From probabilities of types to labels: a type, a common ancestor, or none."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from pmcell.mapping.calibration import TypeCalibration, mass_before
from pmcell.registry.terms.cell_types import JOINT, is_label, is_of_type, name_of
from pmcell.registry.terms.ontology import is_under
from pmcell.registry.terms.ontology import terms as terms_of
from pmcell.schema import UNKNOWN
from pmcell.schema.mapped import ANCESTOR, LEAF, NO_LABEL

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
Text = NDArray[np.str_]

MISS_FAR = 0.05
"""Share of a type's left-out cells that may be as far from it before a cell is unlike it."""
LEAF_MASS, ANCESTOR_MASS = 0.98, 0.8
"""Probability that a type, and a common ancestor of types, must have to be the label. Chosen on
development donors of two batches left out (tests/benchmarks/person)."""


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
    *,
    leaf_mass: float = LEAF_MASS,
) -> CellLabels:
    """Label cells by what a head says of them.

    Notes
    -----
    The *label* is the most specific term that is probable enough: a type with `leaf_mass`, else a
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
        least = leaf_mass if node.is_leaf else ANCESTOR_MASS
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
