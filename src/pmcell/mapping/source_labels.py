"""As what a cell with a label of its source counts, where the types of a reference are compared."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pmcell.registry.terms.cell_types import is_label, is_of_type, name_of
from pmcell.registry.terms.ontology import terms
from pmcell.schema import UNKNOWN
from pmcell.tl.cell_types import counted_term

if TYPE_CHECKING:
    from pmcell.mapping.reference import LabelModel


def types_of_source(labels: NDArray[np.object_], model: LabelModel) -> NDArray[np.object_]:
    """The type under which each cell counts by the label of its source, '' where by none.

    Parameters
    ----------
    labels
        Cell Ontology term that the source gave each cell.
    model
        The reference's types, and as what their cells count.

    Notes
    -----
    As in a run (`pmcell.tl.cell_types`): a cell counts as the reference's cells with its label,
    else as the most specific of their types above it, else as a type of its own. Donors of the
    reference are not counted again, so a label above one of these types ('T cell' where they are
    told apart) says too little, and the reference decides; so does it where there is no label.
    """
    level_of, name = {}, {}
    for term, counted in zip(model.terms, model.profile_types, strict=True):
        level = _term_called(str(counted), str(term))
        level_of[str(term)], name[level] = level, str(counted)
    found = {}
    for term in set(map(str, labels)):
        level = counted_term(term, level_of) if is_label(term) else UNKNOWN
        is_coarse = level not in name and any(is_of_type(other, level) for other in name)
        says_none = level == UNKNOWN or is_coarse
        found[term] = "" if says_none else name.get(level) or name_of(level)
    return np.array([found[str(term)] for term in labels], object)


def _term_called(name: str, term: str) -> str:
    """The term at or above another that is called so; that other itself where none is."""
    known = terms("CL")
    above = sorted(set(known.get(term, {}).get("ancestors", {})) & set(known))
    return next((one for one in above if name_of(one) == name), term)
