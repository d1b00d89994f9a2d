"""What the files of single cohorts say of the release as a whole, decided before they are written.

A cohort's cells and expression are written by a job of its own, which must not read what the
other cohorts registered. Title, licence and version, who is shown, and whether anyone is
withheld stand in `atlas/release_plan.json`: equal plans give equal files.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from pmcell.io.atomic import read_json
from pmcell.publish.facts import Cohort, Facts, strata_verdict
from pmcell.publish.metadata.attribution import common_licence
from pmcell.schema import SCHEMA_VERSION
from pmcell.settings.load import checked_section
from pmcell.settings.release import ReleaseSettings
from pmcell.steps import BY_NAME

PLAN = "atlas/release_plan.json"
SAID = tuple(name.removeprefix("release.") for name in BY_NAME["release_plan"].settings)
"""Settings of a release that the files of its cohorts repeat, or follow."""


def plan_of(facts: Facts) -> dict[str, Any]:
    """The plan of a release: settings with title and licence as they are said, and verdicts."""
    said = {name: getattr(facts.options, name) for name in SAID}
    return {
        # The files carry the schema's sentences: those of another version are written again.
        "schema_version": SCHEMA_VERSION,
        "release": {**said, "title": facts.title, "license": common_licence(facts)},
        "cohorts": {
            cohort.cohort_id: {"status": cohort.status, "access": cohort.access}
            for cohort in facts.cohorts
        },
    }


def planned_facts(results: Path, cohort_id: str) -> tuple[Facts, Cohort]:
    """What the plan below `results` says, with one cohort as it was registered."""
    plan: Mapping[str, Any] = read_json(results / PLAN)
    cohorts = {name: _cohort(results, name, item) for name, item in plan["cohorts"].items()}
    own = cohorts[cohort_id]
    own = replace(own, intake=read_json(own.folder / "intake.json"))
    facts = Facts(
        results=results,
        cohorts=tuple((cohorts | {cohort_id: own}).values()),
        options=checked_section(ReleaseSettings, plan["release"]),
        parameters={},
        strata=strata_verdict(results),
    )
    return facts, own


def _cohort(results: Path, name: str, item: Mapping[str, str]) -> Cohort:
    known = {"registration": {"access": item["access"]}}
    return Cohort(name, results / "cohorts" / name, item["status"], "", "", known)
