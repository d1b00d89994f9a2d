"""Who changed between visits, and from which stratum to which."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pmcell.report.parts import Column, Grid, decimal, number_cell, p_text, text_cell
from pmcell.spelling import plural

if TYPE_CHECKING:
    from pmcell.release.report_tables import Release

TABLE = "movement"
MAX_Q = 0.05


def movement_text(release: Release) -> str:
    """How many visits lie farther from the one before than their cells explain; '' without any."""
    rows = release[TABLE]
    if rows.empty:
        return ""
    tested = rows[rows["p_value"].notna()]
    n_moved = int((tested["q_value"] <= MAX_Q).sum())
    text = (
        f"{plural(rows['donor_id'].nunique(), 'donor')} with more than one visit: "
        f"{n_moved} of {plural(len(tested), 'step')} from a visit to the next are longer than "
        f"resampling of the cells explains (q ≤ {MAX_Q:g}). What handling of the tubes adds is "
        "not known."
    )
    if len(tested) < len(rows):
        text += (
            f" {plural(len(rows) - len(tested), 'step')} between batches: not tested, for the "
            "offset between the batches is uncertain."
        )
    labelled = rows.dropna(subset=["stratum", "previous_stratum"])
    if len(labelled):
        changed = labelled[labelled["stratum"] != labelled["previous_stratum"]]
        ways = changed.groupby(["previous_stratum", "stratum"], observed=True).size()
        named = "; ".join(f"{one} to {other}: {n}" for (one, other), n in ways.items())
        text += (
            f" {len(changed)} of {plural(len(labelled), 'step')} with a stratum at both visits "
            f"lead to another stratum{f' ({named})' if named else ''}."
        )
    return text


def movement_grid(release: Release) -> Grid | None:
    """Every step, those least explained by chance first."""
    rows = release[TABLE]
    if rows.empty:
        return None
    cells = tuple(
        (
            text_cell(row.donor_id),
            text_cell(f"{row.previous_visit} → {row.visit}"),
            text_cell(f"{_name(row.previous_stratum)} → {_name(row.stratum)}"),
            number_cell(row.moved, decimal(row.moved)),
            number_cell(row.moved_by_chance, decimal(row.moved_by_chance)),
            number_cell(row.p_value, p_text(row.p_value)),
            number_cell(row.q_value, p_text(row.q_value)),
        )
        for row in rows.sort_values(
            ["p_value", "moved"], ascending=[True, False], kind="stable"
        ).itertuples()
    )
    columns = (
        Column("Donor"),
        Column("Visits"),
        Column("Strata"),
        Column("Change", True, "Distance between the visits, cell sampling subtracted"),
        Column("By chance", True, "Median when both are resampled from their pooled cells"),
        Column("p", True, "Share of resamples with at least this distance"),
        Column("q", True, "Benjamini-Hochberg over all steps"),
    )
    return Grid("Steps between visits", columns, cells, (TABLE,), fold=8)


def _name(stratum: object) -> str:
    return stratum if isinstance(stratum, str) else "none"
