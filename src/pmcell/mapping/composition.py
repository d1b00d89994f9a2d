"""Composition of a mapped visit beside that of the reference's donors."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.special import bdtr

from pmcell.mapping.reference import Reference
from pmcell.mapping.strata import Profiled
from pmcell.schema import UNKNOWN
from pmcell.schema.mapped import Labels, Surprise
from pmcell.schema.text import text_array

if TYPE_CHECKING:
    import pandas as pd

LOW, HIGH = 0.05, 0.95
"""Percentiles of the donors' shares that stand beside a share."""
MIN_DONORS = 20
"""Donors below which no share is called a surprise."""
ALMOST_NONE = 0.02
"""Share of a visit's cells up to which a type is nearly missing: some cells get a wrong type."""
MUCH_MORE = 0.1
"""By how much a share must be above all donors' for a visit to be unlike them: of the donors of
Liu none is against the others, though 8 of 43 have a share that none of these had."""
MAX_VETOED = 0.08
"""Share of the cells whose markers speak against their type, two standard errors taken off, from
which a visit is not placed: most visits of three laboratories have 0 to 0.06, half doublets 0.14
to 0.28, half of the counts from the soup 0.39 to 0.66 (tests/benchmarks/person/RESULTS.md)."""
MAX_CHANCE = 1e-6
"""Chance of so few cells of such types, by the donor with fewest, below which they are missing."""


def composition_rows(
    reference: Reference, cells: Profiled, own: NDArray[np.bool_], key: tuple[str, str]
) -> pd.DataFrame:
    """Rows of `MAPPED_COMPOSITION` of one visit: types of the profiles, and 'unknown'.

    `own` are the visit's cells among those that passed QC.
    """
    import pandas as pd

    labels = reference.labels
    profiled = labels.profile_types
    known = text_array(reference.donors.donors.var_names)
    used, counted, by_source = cells.used()[own], cells.types(reference)[own], cells.by_source[own]
    names = {*known, *profiled, *text_array(by_source)} - {"", UNKNOWN}
    types = text_array(sorted(names))
    best = np.where(used, np.searchsorted(types, counted), -1)
    member = (profiled[:, None] == types).astype(np.int64)
    in_set = (cells.labels.sets[own].astype(np.int64) @ member) > 0
    given = by_source != ""
    in_set[given] = counted[given, None] == types
    certain = in_set & (in_set.sum(axis=1) == 1)[:, None]
    n = np.array([(best == at).sum() for at in range(len(types))], np.int64)
    total = int(own.sum())
    shares = reference.donors.shares()
    rows = []
    for at, name in enumerate(types):
        terms = {str(term) for term, one in zip(labels.terms, profiled, strict=True) if one == name}
        row = {
            "cell_type": name,
            "cell_type_ontology_term_id": terms.pop() if len(terms) == 1 else UNKNOWN,
            "n_cells": int(n[at]),
            "n_certain": int(certain[:, at].sum()),
            "n_possible": int(in_set[:, at].sum()),
            "share": float(n[at] / total) if total else 0.0,
        }
        place = np.flatnonzero(known == name)
        rows.append(row | _beside(row["share"], shares[:, place[0]] if place.size else None))
    n_unlike = int((best < 0).sum())
    nothing = {"n_certain": n_unlike, "n_possible": n_unlike} | _beside(0.0, None)
    share = float(n_unlike / total) if total else 0.0
    rows.append(
        {"cell_type": UNKNOWN, "cell_type_ontology_term_id": UNKNOWN, "n_cells": n_unlike}
        | {"share": share, **nothing}
    )
    table = pd.DataFrame(rows)
    table.insert(0, "visit", key[1])
    table.insert(0, "donor_id", key[0])
    return table


def _beside(share: float, known: NDArray[np.float64] | None) -> dict[str, float | int]:
    """The donors' shares and the rank of one among them."""
    if known is None or not known.size:
        unknown = float("nan")
        return {
            "n_donors": 0,
            "reference_low": unknown,
            "reference_median": unknown,
            "reference_high": unknown,
            "p": unknown,
        }
    low, median, high = (float(value) for value in np.quantile(known, [LOW, 0.5, HIGH]))
    tails = [int((known <= share).sum()), int((known >= share).sum())]
    p = min(1.0, 2.0 * (1 + min(tails)) / (1 + known.size))
    return {
        "n_donors": int(known.size),
        "reference_low": low,
        "reference_median": median,
        "reference_high": high,
        "p": p,
    }


def surprises(reference: Reference, table: pd.DataFrame) -> tuple[Surprise, ...]:
    """Shares of a visit that no donor of the reference had, sampling of its cells allowed for."""
    shares = reference.donors.shares()
    if shares.shape[0] < MIN_DONORS:
        return ()
    place = {str(name): at for at, name in enumerate(reference.donors.donors.var_names)}
    n_cells = max(int(table["n_cells"].sum()), 1)
    found = []
    for row in table.itertuples():
        if row.cell_type not in place or row.cell_type == UNKNOWN:
            continue
        known = shares[:, place[row.cell_type]]
        least, most = float(known.min()), float(known.max())
        reach = _reach(row.share, n_cells)
        if row.share - reach > most or row.share + reach < least:
            found.append(Surprise(row.cell_type, float(row.share), least, most, int(known.size)))
    return tuple(found)


def _reach(share: float, n_cells: int) -> float:
    """Two standard errors of a share."""
    return 2.0 * float(np.sqrt(max(share * (1.0 - share), 1.0 / n_cells) / n_cells))


def exceeds(found: tuple[Surprise, ...], n_cells: int) -> str:
    """Say so where a type makes much more of a visit than of any donor.

    Cells may have been enriched, or one type has multiplied as in a leukaemia.
    """
    for one in found:
        if one.share - _reach(one.share, n_cells) > one.reference_most + MUCH_MORE:
            return (
                f"{one.share:.0%} of the cells are of type {one.cell_type}, where no donor of the "
                f"reference has more than {one.reference_most:.0%}"
            )
    return ""


def contradicted(labels: Labels, n_cells: int) -> str:
    """Say so where the markers of many cells speak against their most probable type."""
    n = sum(labels.vetoed.values())
    if n_cells == 0 or n / n_cells - _reach(n / n_cells, n_cells) <= MAX_VETOED:
        return ""
    return (
        f"{n:,} of {n_cells:,} cells lack the markers of their type or show those of another: two "
        "cells in a droplet, counts of the soup, or types that the reference lacks"
    )


def lacks(reference: Reference, table: pd.DataFrame) -> str:
    """Say so where types that every donor has many cells of, taken together, are missing.

    Cells that were sorted or enriched may look usual type by type, for each is rare in some donor.
    """
    shares = reference.donors.shares()
    if shares.shape[0] < MIN_DONORS:
        return ""
    n_of = table.set_index("cell_type")["n_cells"].reindex(reference.donors.donors.var_names)
    n, n_cells = n_of.fillna(0).to_numpy(np.int64), int(table["n_cells"].sum())
    is_gone = n <= ALMOST_NONE * n_cells
    least = float(shares[:, is_gone].sum(axis=1).min())
    # The binomial distribution without scipy.stats, whose import takes longer than all this.
    if bdtr(int(n[is_gone].sum()), n_cells, least) >= MAX_CHANCE:
        return ""
    return (
        f"{int(n[is_gone].sum())} of {n_cells:,} cells are of {int(is_gone.sum())} types that "
        f"together make at least {least:.0%} of every donor's: they may have been sorted out"
    )
