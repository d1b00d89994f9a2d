"""Are groups compared within donors, between them, or both: told from who has which levels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pmcell.schema.text import text_array
from pmcell.spelling import plural
from pmcell.strata.statistics.moderated import Blocks

Bools = NDArray[np.bool_]

BETWEEN, PAIRED, CORRELATED = "between donors", "paired", "correlated"
MIN_DONORS = 3
"""Donors that each side needs in a cell type, and donors with several levels that are paired."""
MAX_NAMED = 10
"""Donors of broken pairs that a note names."""


@dataclass(frozen=True)
class Pairing:
    """How units, one for each donor and level, are compared.

    `used` marks the units that the comparison takes; `notes` says whom it leaves out.
    """

    kind: str
    used: Bools
    notes: tuple[str, ...] = ()

    def blocks(self, donors: NDArray[np.object_]) -> Blocks | None:
        """Donors as blocks of the units used; of unknown correlation (0) where not paired."""
        if self.kind == BETWEEN:
            return None
        code = np.unique(text_array(donors), return_inverse=True)[1].astype(np.int64)
        return Blocks(code, None if self.kind == PAIRED else 0.0)


def pairing_of(donors: NDArray[np.object_], *, is_added_up: bool = False) -> Pairing:
    """The design that units with these donors have.

    Parameters
    ----------
    donors
        Donor of each unit; a donor with several units has several levels.
    is_added_up
        Whether units are several visits added up, which the notes then say.

    Returns
    -------
    Pairing
        `paired` where at least 3 donors have several levels, and as many as have one: each donor
        is compared with itself, and those with one level, who cannot be, are left out.
        `correlated` where 3 have several and more have one: all are used, and the units of a donor
        are correlated. Else `between donors`, each with one level: their first.

    Examples
    --------
    >>> pairing_of(np.array(["a", "a", "b", "b", "c", "c", "d"], object)).notes
    ('1 donor with one level left out (d)',)
    """
    name, place, size = np.unique(text_array(donors), return_inverse=True, return_counts=True)
    several = size > 1
    n_paired, n_single = int(several.sum()), int((~several).sum())
    notes = ["visits of a donor and level added up"] if is_added_up else []
    if n_paired >= MIN_DONORS and n_paired >= n_single:
        if n_single:
            who = _named(name[~several])
            notes.insert(0, f"{plural(n_single, 'donor')} with one level left out ({who})")
        return Pairing(PAIRED, several[place], tuple(notes))
    if n_paired >= MIN_DONORS:
        return Pairing(CORRELATED, np.ones(donors.size, bool), tuple(notes))
    first = np.zeros(donors.size, bool)
    first[np.unique(text_array(donors), return_index=True)[1]] = True
    if n_paired:
        who = _named(name[several])
        found = plural(
            n_paired, "donor with several levels counts", "donors with several levels count"
        )
        notes.insert(0, f"{found} with their first ({who})")
    return Pairing(BETWEEN, first, tuple(notes))


def _named(donors: NDArray[np.str_]) -> str:
    """The names of a few donors."""
    more = ", …" if donors.size > MAX_NAMED else ""
    return ", ".join(donors[:MAX_NAMED]) + more
