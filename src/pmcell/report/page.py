"""One self-contained HTML page from a release."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pmcell.report import figures, flow, grids, methods, sections
from pmcell.report.donor_groups import duplicate_grid, group_grid
from pmcell.report.parts import count, percent
from pmcell.report.programmes import programme_texts
from pmcell.report.reflow import label_cells

if TYPE_CHECKING:
    from pmcell.release.report_tables import Release

SECTIONS = (
    ("summary", "Summary"),
    ("flow", "Flow of cells and donors"),
    ("cohorts", "Cohorts"),
    ("qc", "Quality control"),
    ("umap", "Cells"),
    ("clusters", "Clusters and markers"),
    ("composition", "Composition"),
    ("donors", "Donors and strata"),
    ("gaps", "Gaps"),
    ("methods", "Methods"),
)


@dataclass(frozen=True)
class Tile:
    """One number of the summary."""

    value: str
    label: str
    note: str = ""


def render(release: Release) -> str:
    """The page as HTML; equal releases give equal text."""
    from markupsafe import Markup

    # Only pmcell's own style, script and figures are exempt from escaping.
    style = (
        sections.asset("parts.css") + sections.asset("report.css") + sections.asset("reflow.css")
    )
    script = sections.asset("tables.js") + sections.asset("report.js")
    page = sections.environment().get_template("report.html.j2")
    return label_cells(
        page.render(
            **content(release), style=Markup(style), script=Markup(script), policy=_policy(script)
        )
    )


def content(release: Release) -> dict[str, Any]:
    """Everything that the template shows."""
    drawn = figures.all_figures(release)
    return {
        **sections.content(release),
        "root": "",
        "sections": SECTIONS,
        "tiles": tiles(release),
        "figures": drawn,
        "numbers": {key: index for index, key in enumerate(drawn, start=1)},
        "quarantined": list(flow.quarantined(release).itertuples()),
        "warned": list(release["cohorts"][release["cohorts"]["status"] == "warned"].itertuples()),
        "hidden": list(flow.hidden_cohorts(release).itertuples()),
        "cohort_flow": flow.cohort_flow(release),
        "cohorts": grids.cohort_grid(release),
        "programme_texts": programme_texts(release),
        "ledger": grids.ledger_grid(release),
        "qc": grids.qc_grid(release),
        "donor_groups": group_grid(release),
        "duplicates": duplicate_grid(release),
        "methods": methods.methods(release),
        "software": methods.software_grid(release),
        "parameters": methods.parameter_grid(release),
    }


def tiles(release: Release) -> list[Tile]:
    """The numbers that come first."""
    cohorts, cells = release["cohorts"], release["cells"]
    accepted = int((cohorts["status"] != "quarantined").sum())
    passing = int(cells["passes_qc"].sum())
    visits = release["visits"]
    followed = int((visits.groupby("donor_id").size() > 1).sum())
    clusters = release["clusters"]
    abstained = int((clusters["label_method"] == "abstained").sum())
    n_strata = len(release["strata"])
    return [
        Tile(
            count(accepted),
            "cohort" if accepted == 1 else "cohorts",
            f"of {len(cohorts)} registered",
        ),
        Tile(count(len(release["donors"])), "donors", f"{followed} with more than one visit"),
        Tile(count(len(visits)), "visits", ""),
        Tile(count(len(release["samples"])), "samples", ""),
        Tile(
            count(passing),
            "cells",
            f"of {len(cells):,}, {percent(passing / len(cells) if len(cells) else None)} kept",
        ),
        Tile(count(len(clusters)), "clusters", f"{abstained} without a label"),
        Tile(str(n_strata) if n_strata else "none", "strata", "published"),
    ]


def _policy(script: str) -> str:
    """Content security policy: nothing is loaded from anywhere, only our own script runs."""
    digest = base64.b64encode(hashlib.sha256(script.encode("utf-8")).digest()).decode("ascii")
    return (
        "default-src 'none'; img-src data:; style-src 'unsafe-inline'; "
        f"script-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    )
