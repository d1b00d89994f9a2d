"""One self-contained HTML page from a release."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from pmcell.limitations import LIMITATIONS, RESEARCH_USE
from pmcell.report import (
    comparisons,
    explanation,
    figures,
    flow,
    followup,
    grids,
    identity,
    methods,
    movement,
    placement,
)
from pmcell.report import strata as verdicts
from pmcell.report.donor_groups import duplicate_grid, group_grid
from pmcell.report.environment import open_templates
from pmcell.report.parts import count, percent
from pmcell.report.reflow import label_cells
from pmcell.schema import SCHEMA_VERSION
from pmcell.version import __version__

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

    environment = open_templates("pmcell.report")
    # Only pmcell's own style, script and figures are exempt from escaping.
    style, script = _asset("report.css") + _asset("reflow.css"), _asset("report.js")
    environment.filters["drawn"] = Markup
    page = environment.get_template("report.html.j2")
    return label_cells(
        page.render(
            **content(release), style=Markup(style), script=Markup(script), policy=_policy(script)
        )
    )


def content(release: Release) -> dict[str, Any]:
    """Everything that the template shows."""
    drawn = figures.all_figures(release)
    numbers = {key: index for index, key in enumerate(drawn, start=1)}
    cited = methods.citation(release)
    return {
        "sections": SECTIONS,
        "title": release.manifest.get("title") or cited.get("title") or _title(release),
        "tiles": tiles(release),
        "limitations": identity.limitations(release),
        "verdict": verdicts.verdict(release),
        "identity": identity.identity(release),
        "cross": identity.cross_grid(release),
        "left_out": identity.left_out_grid(release),
        "has_strata": verdicts.is_published(release),
        "reason": verdicts.reason(release),
        "figures": drawn,
        "numbers": numbers,
        "quarantined": list(flow.quarantined(release).itertuples()),
        "warned": list(release["cohorts"][release["cohorts"]["status"] == "warned"].itertuples()),
        "hidden": list(flow.hidden_cohorts(release).itertuples()),
        "cohort_flow": flow.cohort_flow(release),
        "cohorts": grids.cohort_grid(release),
        "ledger": grids.ledger_grid(release),
        "qc": grids.qc_grid(release),
        "clusters": grids.cluster_grid(release),
        "strata": verdicts.strata_grid(release),
        "placement": placement.placement_grid(release),
        "placement_text": placement.placement_text(release),
        "movement": movement.movement_grid(release),
        "movement_text": movement.movement_text(release),
        "followup_text": followup.followup_text(release),
        "stratum_steps": followup.steps_grid(release),
        "followup_effects": followup.effects_grid(release),
        "generalisation": placement.generalisation_grid(release),
        "generalisation_note": placement.generalisation_note(release),
        "channels": verdicts.channel_grid(release),
        "technical": verdicts.association_grid(release, "technical"),
        "clinical": verdicts.association_grid(release, "clinical"),
        "confounding": verdicts.confounding(release),
        "confounders": comparisons.confounding_grid(release),
        "outcomes": comparisons.outcome_grid(release),
        "adjusted": comparisons.adjusted_text(release),
        "not_tested": verdicts.not_tested(release),
        "strata_facts": verdicts.facts_grid(release),
        "warnings": verdicts.warnings(release),
        "withheld": verdicts.withheld(release),
        "explanation": explanation.explanation_text(release),
        "explanation_meaning": explanation.MEANING,
        "contrasts": explanation.contrast_grid(release),
        "differing_genes": explanation.gene_grid(release),
        "differing_sets": explanation.pathway_grid(release),
        "gene_drivers": explanation.gene_driver_grid(release),
        "gaps": grids.gap_grid(release),
        "donor_groups": group_grid(release),
        "duplicates": duplicate_grid(release),
        "absent": release.absent,
        "methods": methods.methods(release),
        "software": methods.software_grid(release),
        "parameters": methods.parameter_grid(release),
        "sources": [(source, methods.doi_link(source.doi)) for source in methods.sources(release)],
        "citation": cited,
        "limits": [item.sentence for item in LIMITATIONS],
        "use": RESEARCH_USE,
        "version": __version__,
        "schema_version": SCHEMA_VERSION,
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
        Tile(count(accepted), "cohorts", f"of {len(cohorts)} registered"),
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


def _title(release: Release) -> str:
    names = sorted({methods.known(name) for name in release["cohorts"]["programme"]} - {""})
    n = len(flow.accepted_cohorts(release))
    about = f" ({', '.join(names)})" if names else ""
    return f"Cells, donors and strata of {n} cohort{'' if n == 1 else 's'}{about}"


def _asset(name: str) -> str:
    return (files("pmcell.report") / "templates" / name).read_text(encoding="utf-8")


def _policy(script: str) -> str:
    """Content security policy: nothing is loaded from anywhere, only our own script runs."""
    digest = base64.b64encode(hashlib.sha256(script.encode("utf-8")).digest()).decode("ascii")
    return (
        "default-src 'none'; img-src data:; style-src 'unsafe-inline'; "
        f"script-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    )
