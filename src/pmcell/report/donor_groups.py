"""Who is there, who is missing, and who may stand twice: tables of report and site."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pmcell.gaps.groups import DIMENSIONS
from pmcell.report.parts import Column, Grid, decimal, number_cell, plain_name, text_cell
from pmcell.schema import table

if TYPE_CHECKING:
    from pmcell.release.report_tables import Release


def duplicate_grid(release: Release) -> Grid | None:
    """Donors of open cohorts who may be one person, or whose cells are of another sex."""
    found = release["duplicates"]
    if found.empty:
        return None
    rows = tuple(
        (
            text_cell(row.donor_id),
            text_cell(row.other_donor_id if row.other_donor_id != row.donor_id else None),
            text_cell(row.kind.replace("_", " ")),
            number_cell(row.n_found),
            number_cell(row.n_compared),
            number_cell(row.similarity, decimal(row.similarity)),
            text_cell(row.what_to_do),
        )
        for row in found.itertuples()
    )
    columns = (
        Column("Donor"),
        Column("Other donor"),
        Column("Hint"),
        Column("Found", True, table("duplicates").field("n_found").prose),
        Column("Compared", True),
        Column("Similarity", True),
        Column("What to do"),
    )
    return Grid("People who may stand twice", columns, rows, ("duplicates",))


def group_grid(release: Release) -> Grid | None:
    """Groups of donors, those with the least power first."""
    groups = release["donor_groups"]
    if groups.empty:
        return None
    labels = _labels(groups)
    ranked = groups.sort_values(["power", *DIMENSIONS], kind="stable")
    rows = tuple(
        (
            *(text_cell(labels.get(str(row[name]), str(row[name]))) for name in DIMENSIONS),
            number_cell(row["n_donors"]),
            number_cell(row["n_visits"]),
            number_cell(row["n_cells"]),
            number_cell(row["n_other_donors"]),
            number_cell(row["power"], decimal(row["power"]), bar=True),
            number_cell(row["n_donors_needed"]),
        )
        for row in ranked.to_dict("records")
    )
    columns = (
        *(Column(plain_name(name).capitalize()) for name in DIMENSIONS),
        Column("Donors", True),
        Column("Visits", True),
        Column("Cells", True),
        Column("Others", True, "Of the same programme and tissue"),
        Column("Power", True, f"For a difference of {groups['effect'].iloc[0]:g} SD of donors"),
        Column("Needed", True, "Donors of the group for a power of 0.8"),
    )
    return Grid("Groups of donors", columns, rows, ("donor_groups",))


def _labels(groups: Any) -> dict[str, str]:
    from pmcell.registry.terms.ontology import resolve

    terms = {
        str(value)
        for name in DIMENSIONS
        if name.endswith("_ontology_term_id")
        for value in groups[name]
        if ":" in str(value) and "||" not in str(value)
    }
    found = {term: resolve(term) for term in sorted(terms)}
    return {term: label for term, label in found.items() if isinstance(label, str)}
