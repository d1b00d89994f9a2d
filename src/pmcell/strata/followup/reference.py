"""The reference group: donors whose state others are compared with, such as the healthy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pmcell.registry.terms.ontology import is_under
from pmcell.schema.text import as_text
from pmcell.strata.profiles import slots

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData

MIN_REFERENCE = 5
"""Donors of the reference group that a direction needs."""


@dataclass(frozen=True)
class Reference:
    """Ids of the reference donors, and their discovery rows among the donors' visits."""

    donors: frozenset[str]
    rows: NDArray[np.int64]


def reference_of(donors: AnnData, reference: tuple[str, str]) -> Reference:
    """Return the donors with a value of a column; nobody where there is no such column."""
    column, value = reference
    if column not in donors.obs:
        return Reference(frozenset(), np.zeros(0, np.int64))
    inside = has_value(donors.obs[column], value)
    names = as_text(donors.obs["donor_id"]).to_numpy(object)
    # Who has the value at some visits only is no steady reference.
    changing = set(names[~inside])
    chosen = frozenset(str(name) for name in names[inside] if name not in changing)
    rows = np.flatnonzero(
        donors.obs[slots.DISCOVERY].to_numpy(bool) & np.isin(names, sorted(chosen))
    )
    return Reference(chosen, rows.astype(np.int64))


def has_value(column: pd.Series[str], value: str) -> NDArray[np.bool_]:
    """Whether each entry is a value, or a term of an ontology below it."""
    text = as_text(column, missing="").to_numpy(object)
    known = {
        entry: entry == value
        or (":" in value and any(_is_below(part, value) for part in str(entry).split(" || ")))
        for entry in set(text)
    }
    return np.array([known[entry] for entry in text], bool)


def _is_below(term: str, value: str) -> bool:
    return term.partition(":")[0] == value.partition(":")[0] and is_under(term, (value,))
