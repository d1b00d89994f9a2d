"""Markers that speak against the label of a cell, as far as a reference's own cells allow.

A head knows the types it was fitted on. A cell of another type is called the nearest of them, and
no distance shows it where the two share a programme. What is known of types beyond the
reference, the marker panel, may take such a label back.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pmcell.core.discriminant import Cells
from pmcell.registry.terms.marker_panel import CellTypeMarkers, marker_panel
from pmcell.registry.terms.ontology import is_under
from pmcell.schema.text import text_array

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
Text = NDArray[np.str_]

MAX_FALSE_VETO = 0.02
"""A veto holds where at most this share of the cells of its types would be struck."""
MIN_OTHERS = 2
"""Markers of other types that strike a label together; one may be of the soup."""
MIN_OWN = 3
"""Markers of a type that must be measured before their absence says anything."""


@dataclass(frozen=True)
class Vetoes:
    """Markers that a cell of a type must have, or must not.

    Attributes
    ----------
    of_type
        The type that each veto is about (vetoes,).
    kind
        What a struck cell is told: the row of the marker panel that it lacks all markers of, or
        'not' and the row that it has the markers of others against.
    own, others
        Markers of the type, and of others, among the features (vetoes, features). Without
        `others` a cell must have one of `own`; else it may not have `MIN_OTHERS` of `others` that
        outnumber those of `own`.
    """

    of_type: Ints
    kind: Text
    own: Bools
    others: Bools

    def struck(self, x: Cells, best: Ints, measured: Bools) -> NDArray[np.object_]:
        """Which veto speaks against each cell's most probable type; '' for none."""
        out, detected = np.full(best.size, "", object), x > 0
        for at, kind in enumerate(self.kind):
            own, others = self.own[at] & measured, self.others[at] & measured
            # Markers that were not measured are not absent.
            if _can_tell(own, others, self.own[at].any(), self.others[at].any()):
                rows = np.flatnonzero((best == self.of_type[at]) & (out == ""))
                out[rows[_strikes(detected[rows], own, others)]] = str(kind)
        return out


def find_vetoes(x: Cells, types: Text, names: Text, terms: Text, symbols: Text) -> Vetoes:
    """Vetoes of the marker panel that a reference's own cells respect.

    A row of the panel is held against all types at or below its term, in three ways: a cell lacks
    all of its markers; it has markers that the row forbids; or it has more markers of another row
    than of those that tell the two apart. Of the other row's markers those count that are rarest
    in the types' own cells, as many as `MAX_FALSE_VETO` allows.

    Parameters
    ----------
    x, types
        Expression (cells, features) and type of the training cells.
    names, terms
        The types and their Cell Ontology terms.
    symbols
        Symbols of the features.
    """
    found: list[tuple[int, str, Bools, Bools]] = []
    for row in marker_panel():
        below = [at for at, term in enumerate(terms) if is_under(str(term), (row.term_id,))]
        cells = x[np.isin(types, names[below])] > 0
        if not cells.shape[0]:
            continue
        for own, others in _candidates(row, symbols):
            allowed = _allowed(cells, own, others)
            if allowed is not None:
                kind = f"not {row.cell_type}" if allowed.any() else row.cell_type
                found += [(at, kind, own, allowed) for at in below]
    shape = (len(found), symbols.size)
    return Vetoes(
        np.array([item[0] for item in found], np.int64),
        text_array([item[1] for item in found]),
        np.array([item[2] for item in found], bool).reshape(shape),
        np.array([item[3] for item in found], bool).reshape(shape),
    )


def _candidates(row: CellTypeMarkers, symbols: Text) -> Iterator[tuple[Bools, Bools]]:
    """Own markers and markers of others by which a row may be held against its types."""
    positive, none = np.isin(symbols, row.positive), np.zeros(symbols.size, bool)
    sides = [(positive, none), (none, np.isin(symbols, row.negative))]
    for rival in marker_panel():
        if is_under(rival.term_id, (row.term_id,)) or is_under(row.term_id, (rival.term_id,)):
            continue
        others = np.isin(symbols, rival.positive) & ~positive
        sides.append((positive & np.isin(symbols, rival.negative), others))
    for at, (own, others) in enumerate(sides):
        if _can_tell(own, others, at != 1, at != 0):
            yield own, others


def _can_tell(own: Bools, others: Bools, needs_own: bool, needs_others: bool) -> bool:
    """Whether enough of the markers are there that are needed."""
    least_own = MIN_OTHERS if needs_others else MIN_OWN
    has_own = own.sum() >= least_own or not needs_own
    return bool(has_own and (others.sum() >= MIN_OTHERS or not needs_others))


def _allowed(cells: Any, own: Bools, others: Bools) -> Bools | None:
    """The markers of others by which few enough of the own cells are struck; None for none.

    `cells` says which features each detects, as an array or a sparse matrix.
    """
    rarest = np.flatnonzero(others)
    least = rarest.size
    if own.any() and others.any():
        rarest = rarest[np.argsort(np.asarray(cells.sum(axis=0)).ravel()[rarest], kind="stable")]
        least = MIN_OTHERS
    for n in range(rarest.size, least - 1, -1):
        chosen = np.isin(np.arange(others.size), rarest[:n])
        if _strikes(cells, own, chosen).mean() <= MAX_FALSE_VETO:
            return chosen
    return None


def _strikes(cells: Any, own: Bools, others: Bools) -> Bools:
    n_own = cells @ own.astype(np.int64)
    if not others.any():
        return np.asarray(n_own == 0, bool)
    n_others = cells @ others.astype(np.int64)
    return np.asarray((n_others >= MIN_OTHERS) & (n_others > n_own), bool)
