"""The observatory: regions, programmes, cohorts and policy side by side, groups of donors, SWOT."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pmcell.gaps.swot import swot_of
from pmcell.report.donor_groups import duplicate_grid, group_grid
from pmcell.report.methods import known
from pmcell.report.parts import Column, Grid, number_cell, text_cell
from pmcell.schema import UNKNOWN

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
