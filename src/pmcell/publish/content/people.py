"""Tables about cohorts, donors, visits and samples, with the cells that passed QC counted."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from pmcell.io.tables import join_tables, read_table
from pmcell.publish.atlas import Atlas
from pmcell.publish.facts import Cohort, Facts
from pmcell.schema import COHORTS, DONORS, SAMPLES, UNKNOWN, VISITS, Table

if TYPE_CHECKING:
    import pandas as pd


def _once(make: Callable[[Facts], pd.DataFrame]) -> Callable[[Facts, Atlas], pd.DataFrame]:
    """Make a table once for a release, as five others are made from it; each gets its own copy."""

    @functools.wraps(make)
    def made(facts: Facts, atlas: Atlas) -> pd.DataFrame:
        if make.__name__ not in facts.made:
            facts.made[make.__name__] = make(facts)
        return facts.made[make.__name__].copy()

    return made


@_once
def cohorts_frame(facts: Facts) -> pd.DataFrame:
    """All registered cohorts."""
    import pandas as pd

    rows = [_cohort_row(cohort) for cohort in facts.cohorts]
    return pd.DataFrame(rows, columns=COHORTS.columns)


@_once
def donors_frame(facts: Facts) -> pd.DataFrame:
    """Donors of published cohorts."""
    return join_tables((_donors(cohort) for cohort in facts.published), DONORS)


@_once
def visits_frame(facts: Facts) -> pd.DataFrame:
    """Visits of published cohorts."""
    return join_tables((_visits(cohort) for cohort in facts.published), VISITS)


@_once
def samples_frame(facts: Facts) -> pd.DataFrame:
    """Samples of published cohorts."""
    return join_tables((_samples(cohort) for cohort in facts.published), SAMPLES)


def _donors(cohort: Cohort) -> pd.DataFrame:
    used = cohort.sample_counts.query("n_cells > 0")
    counted = used.groupby("donor_id", observed=True).agg(
        n_visits=("visit", "nunique"), n_samples=("n_cells", "size"), n_cells=("n_cells", "sum")
    )
    return _merge(cohort, DONORS, counted.reset_index())


def _visits(cohort: Cohort) -> pd.DataFrame:
    used = cohort.sample_counts.query("n_cells > 0")
    counted = used.groupby(["donor_id", "visit"], observed=True).agg(
        n_samples=("n_cells", "size"), n_cells=("n_cells", "sum")
    )
    return _merge(cohort, VISITS, counted.reset_index())


def _samples(cohort: Cohort) -> pd.DataFrame:
    counted = cohort.sample_counts[["n_cells_submitted", "n_cells"]].reset_index()
    return _merge(cohort, SAMPLES, counted)


def _cohort_row(cohort: Cohort) -> dict[str, Any]:
    metrics = cohort.metrics
    n_cells = n_donors = n_samples = 0
    if cohort.accepted:
        used = cohort.sample_counts.query("n_cells > 0")
        n_cells, n_samples = int(used["n_cells"].sum()), len(used)
        n_donors = int(used["donor_id"].nunique())
    return {
        "cohort_id": cohort.cohort_id,
        "title": cohort.text("title"),
        "region": cohort.text("region"),
        "programme": cohort.text("programme"),
        "programme_report": str(cohort.registration.get("programme_report") or ""),
        "programme_sources": list(cohort.registration.get("programme_sources") or ()),
        "organism_ontology_term_id": cohort.text("organism_ontology_term_id"),
        "access": cohort.access,
        "license": cohort.text("license"),
        "data_use": [str(term) for term in cohort.registration.get("data_use") or ()],
        "source_doi": cohort.text("source", "doi"),
        "source_accession": cohort.text("source", "accession"),
        "status": cohort.status,
        "reason": cohort.reason,
        "message": "" if cohort.status == "ok" else cohort.message,
        "n_cells_submitted": metrics.get("n_cells_submitted"),
        "n_cells_left_out": metrics.get("n_cells_left_out", 0),
        "left_out": _reasons(metrics),
        "consent": consent_text(cohort.intake.get("consent") or {}),
        "n_cells": n_cells,
        "n_donors": n_donors,
        "n_samples": n_samples,
        "n_genes_submitted": metrics.get("n_genes_submitted"),
        "n_genes": metrics.get("n_genes"),
        "share_umis_lost": metrics.get("share_umis_lost"),
    }


NO_LEDGER = "no consent ledger: the cohort's own policy holds"
DECIDED = "decided from the consent ledger"


def consent_text(facts: Mapping[str, Any]) -> str:
    """What was decided from a cohort's consent ledger: use, permit, and how many were dropped.

    >>> consent_text({})
    "no consent ledger: the cohort's own policy holds"
    """
    if not facts:
        return NO_LEDGER
    use = facts["use"]
    words = [use["purpose"], use["disease"], use["permit_id"] and f"permit {use['permit_id']}"]
    dropped = [f"{item['n_donors']} dropped: {item['reason']}" for item in facts["dropped"]]
    return "; ".join(
        [f"{DECIDED} for {', '.join(filter(None, words))}", *(dropped or ["none dropped"])]
    )


def _reasons(metrics: Mapping[str, Any]) -> str:
    """Why cells were left out at registration, with their numbers."""
    return "; ".join(
        f"{item['reason']} ({item['n_cells']})" for item in metrics.get("left_out", ())
    )


def _merge(cohort: Cohort, table: Table, counted: pd.DataFrame) -> pd.DataFrame:
    """The registered table with the counts joined; registered rows without cells get 0."""
    frame, key = read_table(cohort.folder / f"{table.name}.parquet"), list(table.key)
    frame["cohort_id"] = cohort.cohort_id
    counts = [column for column in counted.columns if column not in key]
    frame = frame.drop(columns=[column for column in counts if column in frame.columns])
    frame = frame.merge(counted, on=key, how="left", validate="one_to_one")
    frame[counts] = frame[counts].fillna(0).astype("int64")
    return _fill(frame, table, cohort)


def _fill(frame: pd.DataFrame, table: Table, cohort: Cohort) -> pd.DataFrame:
    for item in table.fields:
        if item.name not in frame.columns:
            if item.name in ("region", "programme"):
                frame[item.name] = cohort.text(item.name)
            else:
                frame[item.name] = UNKNOWN if item.kind == "string" else None
        elif item.kind == "string" and item.required:
            values = frame[item.name].astype(object)
            frame[item.name] = values.where(values.notna() & (values != ""), UNKNOWN)
    return frame[table.columns]
