"""Cells and donors from submission to strata, with every exclusion and its reason."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pmcell.pl import Exits, Stage
from pmcell.report.parts import Column, Grid, as_number, count, number_cell, percent, text_cell
from pmcell.schema.text import as_text
from pmcell.spelling import plural

if TYPE_CHECKING:
    import pandas as pd

    from pmcell.release.report_tables import Release

REASONS = {
    "low_counts": "too few counts",
    "high_counts": "too many counts",
    "low_genes": "too few genes detected",
    "high_mitochondrial": "mitochondrial share too high",
    "doublet": "doublet score too high",
}
"""Exclusion codes of the cells table in words; others are shown as they are."""

SEVERAL = "two or more of these reasons"
MAX_COLUMNS = 5


def exclusions(release: Release) -> pd.DataFrame:
    """Cells excluded by QC, reasons × cohorts; a cell with several reasons counts once."""
    import pandas as pd

    cells = release["cells"]
    excluded = cells.loc[~cells["passes_qc"].astype(bool), ["cohort_id", "exclusion"]]
    reason = as_text(excluded["exclusion"], missing="").map(_reason)
    accepted = accepted_cohorts(release)
    table = pd.crosstab(reason, as_text(excluded["cohort_id"])) if len(excluded) else None
    if table is None:
        return pd.DataFrame(columns=accepted, dtype=int)
    table = table.reindex(columns=accepted, fill_value=0)
    order = sorted(table.index, key=lambda name: (name == SEVERAL, -table.loc[name].sum(), name))
    return table.loc[order]


def _reason(codes: str) -> str:
    parts = [code for code in codes.split(";") if code]
    if len(parts) > 1:
        return SEVERAL
    return reason_text(parts[0]) if parts else "no reason recorded"


def reason_text(code: str) -> str:
    """An exclusion code in words."""
    return REASONS.get(code, code.replace("_", " "))


def accepted_cohorts(release: Release) -> list[str]:
    """Ids of the accepted cohorts whose cells and donors are in the release."""
    cohorts = release["cohorts"]
    shown = (cohorts["status"] != "quarantined") & (cohorts["access"] == "open")
    present = cohorts["cohort_id"].isin(release["samples"]["cohort_id"])
    return [str(name) for name in cohorts.loc[shown | present, "cohort_id"]]


def hidden_cohorts(release: Release) -> pd.DataFrame:
    """Accepted cohorts that shaped the atlas, whose rows access keeps out of the release."""
    cohorts = release["cohorts"]
    shown = cohorts["cohort_id"].isin(accepted_cohorts(release))
    return cohorts[(cohorts["status"] != "quarantined") & ~shown]


def quarantined(release: Release) -> pd.DataFrame:
    """Rows of the cohorts that were left out."""
    cohorts = release["cohorts"]
    return cohorts[cohorts["status"] == "quarantined"]


def stages(release: Release) -> list[Stage]:
    """The boxes of the flow diagram."""
    cohorts, donors, visits, samples = (
        release[name] for name in ("cohorts", "donors", "visits", "samples")
    )
    cells, assignments = release["cells"], release["assignments"]
    passing = cells["passes_qc"].astype(bool)
    boxes = [
        Stage(
            "Submitted",
            (
                plural(len(cohorts), "cohort"),
                plural(int(cohorts["n_cells_submitted"].fillna(0).sum()), "cell"),
            ),
            (*_left_out_exits(release), *_quarantine_exits(release), *_access_exits(release)),
        ),
        Stage(
            "Accepted and published",
            (
                plural(len(accepted_cohorts(release)), "cohort"),
                f"{plural(len(donors), 'donor')} · {plural(len(visits), 'visit')} · "
                f"{plural(len(samples), 'sample')}",
                plural(len(cells), "cell"),
            ),
            _qc_exits(release),
        ),
        Stage(
            "Passing QC",
            (
                f"{plural(int((donors['n_cells'] > 0).sum()), 'donor')} · "
                f"{plural(int((visits['n_cells'] > 0).sum()), 'visit')} · "
                f"{plural(int((samples['n_cells'] > 0).sum()), 'sample')}",
                plural(int(passing.sum()), "cell"),
            ),
            _profile_exits(assignments),
        ),
    ]
    if len(assignments):
        placed = assignments[assignments["axis_1"].notna()]
        assigned = placed[placed["stratum"].notna()]
        boxes.append(
            Stage("Placed on the donor map", (_people(placed),), _assignment_exits(placed))
        )
        boxes.append(Stage("Assigned to a published stratum", (_people(assigned),)))
    return boxes


def _people(rows: pd.DataFrame) -> str:
    return f"{plural(rows['donor_id'].nunique(), 'donor')} · {plural(len(rows), 'visit')}"


def _quarantine_exits(release: Release) -> tuple[Exits, ...]:
    out = quarantined(release)
    if out.empty:
        return ()
    rows = tuple(
        (
            f"{row.cohort_id}: {row.reason or 'no reason recorded'} "
            f"({count(row.n_cells_submitted)} cells)",
            (),
        )
        for row in out.itertuples()
    )
    total = int(out["n_cells_submitted"].fillna(0).sum())
    return (Exits(f"{plural(len(out), 'cohort')} quarantined ({plural(total, 'cell')})", (), rows),)


def _left_out_exits(release: Release) -> tuple[Exits, ...]:
    cohorts = release["cohorts"]
    if "n_cells_left_out" not in cohorts:
        # Releases of before have no such column.
        return ()
    n_left_out = cohorts["n_cells_left_out"].fillna(0)
    out = cohorts[n_left_out > 0]
    if out.empty:
        return ()
    rows = tuple(
        (f"{row.cohort_id}: {row.left_out or plural(int(row.n_cells_left_out), 'cell')}", ())
        for row in out.itertuples()
    )
    total = int(n_left_out.sum())
    return (Exits(f"{plural(total, 'cell')} left out at registration", (), rows),)


def _access_exits(release: Release) -> tuple[Exits, ...]:
    out = hidden_cohorts(release)
    if out.empty:
        return ()
    rows = tuple((f"{row.cohort_id}: access {row.access}", ()) for row in out.itertuples())
    return (Exits(f"{plural(len(out), 'cohort')} used, but not published row by row", (), rows),)


def _qc_exits(release: Release) -> tuple[Exits, ...]:
    table = exclusions(release)
    lost_samples = int((release["samples"]["n_cells"] == 0).sum())
    if table.empty and not lost_samples:
        return (Exits("0 cells excluded by QC"),)
    total, n = int(table.to_numpy().sum()), len(release["cells"])
    few = 1 < table.shape[1] <= MAX_COLUMNS
    columns = ("all", *table.columns) if few else ("all",)
    rows = []
    for reason, numbers in table.iterrows():
        values = tuple(int(value) for value in numbers)
        rows.append((str(reason), (sum(values), *values) if few else (sum(values),)))
    title = f"{plural(total, 'cell')} excluded by QC ({percent(total / n if n else None)})"
    if lost_samples:
        title += f"; {plural(lost_samples, 'sample')} left without cells"
    return (Exits(title, columns, tuple(rows)),)


def _profile_exits(assignments: pd.DataFrame) -> tuple[Exits, ...]:
    out = assignments[assignments["axis_1"].isna()]
    if out.empty:
        return ()
    rows = tuple(
        (f"{_status_text(str(status))}: {plural(len(own), 'visit')}", ())
        for status, own in out.groupby("status", sort=True)
    )
    placed = assignments.loc[assignments["axis_1"].notna(), "donor_id"]
    lost = int((~out["donor_id"].drop_duplicates().isin(placed)).sum())
    title = f"{plural(len(out), 'visit')} without a profile"
    if lost:
        title += f"; {plural(lost, 'donor')} left without any"
    return (Exits(title, (), rows),)


def _assignment_exits(placed: pd.DataFrame) -> tuple[Exits, ...]:
    out = placed[placed["stratum"].isna()]
    if out.empty:
        return ()
    rows = tuple(
        (f"{_status_text(str(status))}: {plural(len(own), 'visit')}", ())
        for status, own in out.groupby("status", sort=True)
    )
    return (Exits(f"{plural(len(out), 'visit')} without a published stratum", (), rows),)


def _status_text(status: str) -> str:
    return {
        "too_few_cells": "too few cells",
        "withheld": "strata not published",
        "ambiguous": "ambiguous between strata",
        "assigned": "assigned",
    }.get(status, status.replace("_", " "))


def cohort_flow(release: Release) -> Grid:
    """The same flow, a row per cohort."""
    table = exclusions(release)
    columns = [
        Column("Cohort"),
        Column("Status"),
        Column("Submitted cells", number=True),
        *[Column(str(reason).capitalize(), number=True) for reason in table.index],
        Column("Kept cells", number=True),
        Column("Kept", number=True, help="Kept over submitted cells"),
        Column("Donors", number=True),
        Column("Samples", number=True),
    ]
    rows = []
    for row in release["cohorts"].itertuples():
        name = str(row.cohort_id)
        out = row.status == "quarantined"
        lost = [
            number_cell(table.at[reason, name] if name in table.columns else None)
            for reason in table.index
        ]
        kept, submitted = as_number(row.n_cells), as_number(row.n_cells_submitted)
        share = None if kept is None or not submitted else kept / submitted
        rows.append(
            (
                text_cell(name),
                text_cell(
                    row.status, tone="warn" if out else "ok" if row.status == "ok" else "note"
                ),
                number_cell(row.n_cells_submitted),
                *lost,
                number_cell(row.n_cells),
                number_cell(share, percent(share), bar=True),
                number_cell(row.n_donors),
                number_cell(row.n_samples),
            )
        )
    return Grid("Cells per cohort", tuple(columns), tuple(rows), ("cohorts", "cells"), fold=40)
