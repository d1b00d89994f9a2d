"""The gap analysis: what the cohorts did not supply, and what that prevents."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pmcell.io.counts.open import open_counts
from pmcell.publish.atlas import Atlas
from pmcell.publish.content import people
from pmcell.publish.facts import Cohort, Facts
from pmcell.schema import GAPS, UNKNOWN

if TYPE_CHECKING:
    import pandas as pd

WHY: dict[tuple[str, str], str] = {
    ("cohorts", "region"): "The cohort cannot be placed among the regions.",
    ("cohorts", "programme"): "The cohort cannot be found by disease programme.",
    ("cohorts", "license"): "Nobody can tell whether reuse is allowed.",
    ("cohorts", "source_doi"): "The source cannot be cited.",
    ("cohorts", "source_accession"): "The submitted data cannot be compared with their source.",
    ("donors", "region"): "Strata cannot be compared with where the donor lives.",
    ("donors", "sex_ontology_term_id"): "Strata cannot be tested for or adjusted by sex.",
    (
        "donors",
        "self_reported_ethnicity_ontology_term_id",
    ): "Nobody can tell for whom the strata hold.",
    (
        "donors",
        "development_stage_ontology_term_id",
    ): "Strata cannot be tested for or adjusted by age.",
    ("donors", "disease_ontology_term_id"): "Strata cannot be compared with the diagnosis.",
    ("donors", "age_group"): "Strata cannot be tested for or adjusted by age.",
    ("visits", "visit_day"): "Change over time cannot be measured.",
    ("visits", "condition"): "Strata cannot be compared with the condition at the visit.",
    ("samples", "batch_id"): "Batch effects cannot be removed or measured.",
    (
        "samples",
        "assay_ontology_term_id",
    ): "Differences between chemistries cannot be told from biology.",
    (
        "samples",
        "tissue_ontology_term_id",
    ): "Cells of different tissues may be compared by mistake.",
    ("samples", "tissue_type"): "Primary tissue cannot be told from culture.",
    ("samples", "suspension_type"): "Cells cannot be told from nuclei.",
    ("cells", "source_cell_type_ontology_term_id"): "Labels cannot be compared with the source's.",
}
"""What cannot be done without a value, by table and column."""


def gaps_frame(facts: Facts, atlas: Atlas) -> pd.DataFrame:
    """One row a cohort and column with unknown values; donors only of published cohorts."""
    import pandas as pd

    rows = []
    frames = {
        "cohorts": people.cohorts_frame(facts, atlas),
        "donors": people.donors_frame(facts, atlas),
        "visits": people.visits_frame(facts, atlas),
        "samples": people.samples_frame(facts, atlas),
    }
    for (table, column), why in WHY.items():
        if table in frames:
            for cohort_id, values in frames[table].groupby("cohort_id", sort=True)[column]:
                rows.append((cohort_id, table, column, _n_missing(values), len(values), why))
    column = "source_cell_type_ontology_term_id"
    for cohort in facts.published:
        observed = open_counts(cohort.folder / "intake.h5ad").read_obs()
        missing = _n_missing(observed[column]) if column in observed else len(observed)
        rows.append(
            (cohort.cohort_id, "cells", column, missing, len(observed), WHY["cells", column])
        )
    frame = pd.DataFrame(rows, columns=GAPS.columns)
    return frame[frame["n_missing"] > 0]


def donor_groups_frame(facts: Facts, atlas: Atlas) -> pd.DataFrame:
    """One row a group of donors of published cohorts: who is there, and what is found with them."""
    from pmcell.gaps.groups import donor_groups

    return donor_groups(
        people.cohorts_frame(facts, atlas),
        people.donors_frame(facts, atlas),
        people.visits_frame(facts, atlas),
        people.samples_frame(facts, atlas),
    )


def permit_of(intake: Mapping[str, Any]) -> str:
    """Return the permit under which a cohort was taken in, as intake's report has it."""
    use = (intake.get("consent") or {}).get("use") or {}
    return str(use.get("permit_id") or UNKNOWN)


def policy_of(cohort: Cohort) -> dict[str, str]:
    """Return what a cohort's steward registered of access and law; what is unknown is left out."""
    found = {
        "access_body": cohort.text("catalogue", "hdab", "name"),
        "legal_basis": cohort.text("legal_basis"),
        "permits": permit_of(cohort.intake),
        "retention": cohort.text("retention"),
        "withdrawal_policy": cohort.text("withdrawal_policy"),
    }
    return {key: value for key, value in found.items() if value != UNKNOWN}


def _n_missing(values: pd.Series[str]) -> int:
    return int((values.isna() | values.isin([UNKNOWN, ""])).sum())
