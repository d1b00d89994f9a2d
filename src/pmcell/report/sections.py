"""What report and site both show: the same facts, through the same templates."""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING, Any

from pmcell.limitations import LIMITATIONS, RESEARCH_USE
from pmcell.report import (
    comparisons,
    explanation,
    flow,
    followup,
    grids,
    identity,
    methods,
    movement,
    placement,
)
from pmcell.report import strata as verdicts
from pmcell.report.environment import open_templates
from pmcell.schema import SCHEMA_VERSION
from pmcell.spelling import plural
from pmcell.version import __version__

if TYPE_CHECKING:
    from jinja2 import Environment

    from pmcell.release.report_tables import Release


def environment(*packages: str) -> Environment:
    """Return the templates of `packages`, then those that they share."""
    from markupsafe import Markup

    found = open_templates(*packages, "pmcell.report")
    # Only pmcell's own figures are exempt from escaping.
    found.filters["drawn"] = Markup
    return found


def asset(name: str) -> str:
    """Return the text of a style or script that both share."""
    return (files("pmcell.report") / "templates" / name).read_text(encoding="utf-8")


def content(release: Release) -> dict[str, Any]:
    """Return what the shared templates show; equal releases give equal content."""
    cited = methods.citation(release)
    return {
        "title": release.manifest.get("title") or cited.get("title") or _title(release),
        "gaps": grids.gap_grid(release),
        "clusters": grids.cluster_grid(release),
        **_strata(release),
        "absent": release.absent,
        "citation": cited,
        "sources": [(source, methods.doi_link(source.doi)) for source in methods.sources(release)],
        "limits": [item.sentence for item in LIMITATIONS],
        "use": RESEARCH_USE,
        "version": __version__,
        "schema_version": SCHEMA_VERSION,
    }


def _title(release: Release) -> str:
    names = sorted({methods.known(name) for name in release["cohorts"]["programme"]} - {""})
    n = len(flow.accepted_cohorts(release))
    about = f" ({', '.join(names)})" if names else ""
    return f"Cells, donors and strata of {plural(n, 'cohort')}{about}"


def _strata(release: Release) -> dict[str, Any]:
    return {
        "limitations": identity.limitations(release),
        "verdict": verdicts.verdict(release),
        "identity": identity.identity(release),
        "has_strata": verdicts.is_published(release),
        "cross": identity.cross_grid(release),
        "strata": verdicts.strata_grid(release),
        "warnings": verdicts.warnings(release),
        "left_out": identity.left_out_grid(release),
        "placement": placement.placement_grid(release),
        "placement_text": placement.placement_text(release),
        "channels": verdicts.channel_grid(release),
        "confounding": verdicts.confounding(release),
        "confounders": comparisons.confounding_grid(release),
        "adjusted": comparisons.adjusted_text(release),
        "generalisation": placement.generalisation_grid(release),
        "generalisation_note": placement.generalisation_note(release),
        "clinical": verdicts.clinical_grid(release),
        "not_tested": verdicts.not_tested(release),
        "outcomes": comparisons.outcome_grid(release),
        "movement": movement.movement_grid(release),
        "movement_text": movement.movement_text(release),
        "followup_text": followup.followup_text(release),
        "stratum_steps": followup.steps_grid(release),
        "followup_effects": followup.effects_grid(release),
        "explanation": explanation.explanation_text(release),
        "explanation_meaning": explanation.MEANING,
        "shifts_note": explanation.shifts_note(release),
        "contrasts": explanation.contrast_grid(release),
        "differing_genes": explanation.gene_grid(release),
        "differing_sets": explanation.pathway_grid(release),
        "gene_drivers": explanation.gene_driver_grid(release),
        "withheld": verdicts.withheld(release),
        "strata_facts": verdicts.facts_grid(release),
    }
