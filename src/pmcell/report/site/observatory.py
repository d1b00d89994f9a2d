"""The observatory: regions, programmes, cohorts and policy side by side, groups of donors, SWOT."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pmcell.gaps.groups import DIMENSIONS
from pmcell.gaps.swot import swot_of
from pmcell.report.methods import known
from pmcell.report.parts import Column, Grid, decimal, number_cell, plain_name, text_cell
from pmcell.schema import UNKNOWN, table

if TYPE_CHECKING:
    from pmcell.release.report_tables import Release

POLICY = (
    ("access_body", "Access body", "Authority that decides on access"),
    ("legal_basis", "Legal basis", "As the steward registered it"),
    ("permits", "Permit", "Under which the cohort was used"),
    ("retention", "Retention", "How long the data may be kept"),
    ("withdrawal_policy", "Withdrawal", "What happens when a donor withdraws"),
)
"""Key of a cohort's policy, heading and meaning."""


def observatory(release: Release, policy: Mapping[str, Mapping[str, str]]) -> dict[str, Any]:
    """Return what the page shows; `policy` is by cohort, with keys of `POLICY`."""
    return {
        "places": place_grid(release, policy),
        "groups": group_grid(release),
        "duplicates": duplicate_grid(release),
        "swot": swot_of(release.tables, policy),
    }


def place_grid(release: Release, policy: Mapping[str, Mapping[str, str]]) -> Grid:
    """One row a cohort, by region and programme."""
    order = sorted(
        release["cohorts"].to_dict("records"),
        key=lambda row: (str(row["region"]), str(row["programme"]), str(row["cohort_id"])),
    )
    rows = tuple(
        (
            text_cell(known(row["region"]) or UNKNOWN),
            text_cell(known(row["programme"]) or UNKNOWN),
            text_cell(row["cohort_id"], href=f"cohorts.html#cohort-{row['cohort_id']}"),
            text_cell(row["status"], note=str(row["reason"] or "")),
            text_cell(
                row["access"],
                note=", ".join(row["data_use"] if row["data_use"] is not None else []),
            ),
            number_cell(row["n_donors"]),
            *(
                text_cell(policy.get(str(row["cohort_id"]), {}).get(key) or UNKNOWN)
                for key, _, _ in POLICY
            ),
        )
        for row in order
    )
    columns = (
        Column("Region"),
        Column("Programme"),
        Column("Cohort"),
        Column("Status"),
        Column("Access", help="With the permitted uses (Data Use Ontology) below"),
        Column("Donors", True, "Suppressed where too few to be counted"),
        *(Column(name, help=prose) for _, name, prose in POLICY),
    )
    return Grid("Regions, programmes, cohorts and policy", columns, rows, ("cohorts", "dcat.ttl"))


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
    spelled = table("donor_groups")
    columns = (
        *(Column(plain_name(name).capitalize()) for name in DIMENSIONS),
        Column("Donors", True),
        Column("Visits", True),
        Column("Cells", True),
        Column("Others", True, "Of the same programme and tissue"),
        Column("Power", True, f"For a difference of {groups['effect'].iloc[0]:g} SD of donors"),
        Column("Needed", True, spelled.field("n_donors_needed").prose.split(";")[0]),
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
