"""One colour a name, throughout the report."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pmcell import pl
from pmcell.pl.style import in_order, palettes
from pmcell.report.flow import accepted_cohorts

if TYPE_CHECKING:
    from pmcell.release.report_tables import Release


def colours_of(release: Release) -> dict[str, dict[str, str]]:
    """One colour a name throughout the report."""
    types = [str(name) for name in release["cells"]["cell_type"].dropna().unique()]
    types += [str(name) for name in release["composition"]["cell_type"].unique()]
    return {"cell_type": pl.palette(in_order(types)), **donor_colours(release)}


def donor_colours(release: Release) -> dict[str, dict[str, str]]:
    """The colours of what is told of donors; a stratum never has that of a condition or cohort."""
    conditions = [
        *release["visits"]["condition"].dropna(),
        *release["samples"]["condition"].dropna(),
    ]
    return palettes(
        {
            "stratum": in_order(release["strata"]["stratum"]),
            "condition": in_order(["unknown", *conditions]),
            "cohort_id": in_order(accepted_cohorts(release)),
        }
    )
