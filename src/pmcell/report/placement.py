"""How sure the donors' places are, and whether the strata hold without one batch or region."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pmcell.report.parts import (
    Column,
    Grid,
    as_number,
    decimal,
    number_cell,
    p_text,
    percent,
    plain_name,
    text_cell,
)
from pmcell.schema.text import as_text

if TYPE_CHECKING:
    import pandas as pd

    from pmcell.release.report_tables import Release

MAX_REASONS = 4
"""Batches that are named with why they were not left out."""
VERDICTS = {
    "assigned": "assigned",
    "ambiguous": "ambiguous: could belong to another stratum",
    "novel": "novel: fits no stratum",
    "new_batch": "new batch: no set, since no donor of the strata was measured there",
    "too_few_cells": "too few cells for a profile",
}
MAX_NAMED = 12


def placement_grid(release: Release) -> Grid | None:
    """Verdicts over the donors' visits: how many, and which."""
    rows = release["assignments"]
    if not _has_sets(rows):
        return None
    cells = []
    for status, text in VERDICTS.items():
        own = rows[as_text(rows["status"]) == status]
        named = status != "assigned" and len(own)
        cells.append(
            (
                text_cell(text),
                number_cell(len(own)),
                number_cell(own["donor_id"].nunique()),
                text_cell(_names(own) if named else ""),
            )
        )
    columns = (
        Column("Verdict"),
        Column("Visits", True),
        Column("Donors", True),
        Column("Which", help="Donor, visit, and the strata in the set"),
    )
    return Grid("How sure each place is", columns, tuple(cells), ("assignments",))


def placement_text(release: Release) -> str:
    """What the sets promise, in a sentence or two; '' without sets."""
    rows, told = release["assignments"], release.verdict.placement if release.verdict else None
    if not _has_sets(rows) or told is None:
        return ""
    if told.coverage is None or told.n_folds is None or told.novel_at is None:
        return ""
    text = (
        f"Each donor was placed by {told.n_folds} runs of the whole analysis that left some "
        "donors out. The set of a donor's possible strata is made to hold the right one for "
        f"{percent(told.coverage, 0)} of the donors of each stratum, if the strata are as many as "
        "were found: the second of two strata found as one has no name. An empty set means "
        "that the donor is at the rim of its stratum; with an out-of-distribution p of at most "
        f"{told.novel_at:g} it is called novel."
    )
    if told.strata_without_set:
        text += (
            f" {', '.join(told.strata_without_set)}: fewer than {told.donors_needed_for_a_set} "
            "donors, too few for a set."
        )
    return text


def generalisation_grid(release: Release) -> Grid | None:
    """Strata found without one region or batch, against those of the full analysis."""
    told = release.verdict.generalisation if release.verdict else None
    if told is None or not told.group:
        return None
    unit = plain_name(told.unit or "group")
    values = (
        told.group,
        told.n_donors or (),
        told.n_strata or (),
        told.balanced_accuracy or (),
        told.balanced_accuracy_own_offset or (),
    )
    rows = tuple(
        (
            text_cell(group),
            number_cell(n_donors),
            number_cell(n_strata),
            number_cell(plain, decimal(plain), bar=True),
            number_cell(shifted, decimal(shifted), bar=True),
        )
        for group, n_donors, n_strata, plain, shifted in zip(*values, strict=False)
    )
    columns = (
        Column(f"{unit.capitalize()} left out"),
        Column("Donors", True),
        Column("Strata", True, "Strata among these donors in the full analysis"),
        Column("Balanced accuracy", True, "No offset for the batches left out"),
        Column(
            "With own offset",
            True,
            "Offset estimated from where the donors left out lie, without labels",
        ),
    )
    return Grid(
        f"Strata found without one {unit}, and its donors placed on them",
        columns,
        rows,
        ("strata.json",),
    )


def generalisation_note(release: Release) -> str:
    """What was not left out, or why nothing was tested; '' without the result."""
    told = release.verdict.generalisation if release.verdict else None
    if told is None:
        return ""
    why = told.why or ""
    if not told.group:
        return f"Strata were not tested on donors left out: {why}." if why else ""
    text = "Everything but the embedding of the cells was fitted without the donors left out."
    reasons = why.split("; ")
    if len(reasons) > MAX_REASONS:
        others = f"and {len(reasons) - MAX_REASONS} others (strata.json)"
        why = "; ".join([*reasons[:MAX_REASONS], others])
    return f"{text} Not tested: {why}." if why else text


def _has_sets(rows: pd.DataFrame) -> bool:
    return "conformal_set" in rows and bool(rows["ood_p"].notna().any())


def _names(own: pd.DataFrame) -> str:
    found = [_one(row) for row in own.head(MAX_NAMED).itertuples()]
    more = len(own) - len(found)
    return "; ".join(found) + (f"; and {more} more" if more else "")


def _one(row: Any) -> str:
    known = isinstance(row.conformal_set, str)
    inside = [f"set {row.conformal_set.replace(';', ', ')}"] if known else []
    p = as_number(row.ood_p)
    if row.status == "novel" and p is not None:
        inside.append(f"p {p_text(p)}")
    return f"{row.donor_id} {row.visit}" + (f" ({', '.join(inside)})" if inside else "")
