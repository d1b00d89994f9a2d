"""Tables about cohorts, donors, visits and samples, with the cells that passed QC counted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from pmcell.io.tables import read_table
from pmcell.publish.disclosure.rules import rules_of
from pmcell.publish.facts import Cohort, Facts
from pmcell.schema import UNKNOWN, Table
from pmcell.schema import table as schema_table

if TYPE_CHECKING:
    import pandas as pd


def sample_counts(cohort: Cohort) -> pd.DataFrame:
    """Samples of a cohort (index) with donor_id, visit and cells submitted and passing QC."""
    samples = read_table(cohort.folder / "samples.parquet").set_index("sample_id")
    qc = read_table(cohort.folder / "qc.parquet", ["sample_id", "passes_qc"])
    grouped = qc.groupby("sample_id", observed=True)["passes_qc"]
    counted = samples[["donor_id", "visit"]].copy()
    counted["n_cells_submitted"] = (
        grouped.size().reindex(samples.index, fill_value=0).astype("int64")
    )
    counted["n_cells"] = grouped.sum().reindex(samples.index, fill_value=0).astype("int64")
    return counted


def iter_samples(facts: Facts) -> Iterator[pd.DataFrame]:
    """Samples of published cohorts."""
    for cohort in facts.published:
        counted = sample_counts(cohort)[["n_cells_submitted", "n_cells"]].reset_index()
        yield _merge(cohort, "samples", counted, ["sample_id"])


def iter_visits(facts: Facts) -> Iterator[pd.DataFrame]:
    """Visits of published cohorts."""
    for cohort in facts.published:
        used = sample_counts(cohort).query("n_cells > 0")
        counted = used.groupby(["donor_id", "visit"], observed=True).agg(
            n_samples=("n_cells", "size"), n_cells=("n_cells", "sum")
        )
        yield _merge(cohort, "visits", counted.reset_index(), ["donor_id", "visit"])


def iter_donors(facts: Facts) -> Iterator[pd.DataFrame]:
    """Donors of published cohorts."""
    for cohort in facts.published:
        used = sample_counts(cohort).query("n_cells > 0")
        counted = used.groupby("donor_id", observed=True).agg(
            n_visits=("visit", "nunique"), n_samples=("n_cells", "size"), n_cells=("n_cells", "sum")
        )
        yield _merge(cohort, "donors", counted.reset_index(), ["donor_id"])


def cohorts_frame(facts: Facts) -> pd.DataFrame:
    """All registered cohorts; counts of cohorts that are too small to be counted are null."""
    import pandas as pd

    rows = [_cohort_row(facts, cohort) for cohort in facts.cohorts]
    return pd.DataFrame(rows, columns=[item.name for item in schema_table("cohorts").fields])


def _cohort_row(facts: Facts, cohort: Cohort) -> dict[str, Any]:
    metrics = cohort.metrics
    n_cells: int | None = 0
    n_donors: int | None = 0
    n_samples: int | None = 0
    if cohort.accepted:
        used = sample_counts(cohort).query("n_cells > 0")
        n_cells, n_samples = int(used["n_cells"].sum()), len(used)
        n_donors = int(used["donor_id"].nunique())
    hidden = not cohort.is_open and (n_donors or 0) < rules_of(facts).of(cohort.cohort_id)
    if hidden:
        n_cells = n_donors = n_samples = None
    return {
        "cohort_id": cohort.cohort_id,
        "title": cohort.text("title"),
        "region": cohort.text("region"),
        "programme": cohort.text("programme"),
        "organism_ontology_term_id": cohort.text("organism_ontology_term_id"),
        "access": cohort.access,
        "license": cohort.text("license"),
        "data_use": [str(term) for term in cohort.registration.get("data_use") or ()],
        "source_doi": cohort.text("source", "doi"),
        "source_accession": cohort.text("source", "accession"),
        "status": cohort.status,
        "reason": cohort.reason,
        "message": "" if cohort.status == "ok" else public_message(cohort),
        "n_cells_submitted": None if hidden else metrics.get("n_cells_submitted"),
        "n_cells_left_out": None if hidden else metrics.get("n_cells_left_out", 0),
        "left_out": _reasons(metrics) if cohort.is_open else "",
        "n_cells": n_cells,
        "n_donors": n_donors,
        "n_samples": n_samples,
        "n_genes_submitted": metrics.get("n_genes_submitted"),
        "n_genes": metrics.get("n_genes"),
        "share_umis_lost": None if hidden else metrics.get("share_umis_lost"),
    }


def _reasons(metrics: Mapping[str, Any]) -> str:
    """Why cells were left out at registration, with their numbers."""
    return "; ".join(
        f"{item['reason']} ({item['n_cells']})" for item in metrics.get("left_out", ())
    )


def public_message(cohort: Cohort) -> str:
    """The verdict's message; of a cohort without open access it may quote an id: not shown."""
    if cohort.is_open or not cohort.message:
        return cohort.message
    return "Shown to the cohort's steward only."


def _merge(cohort: Cohort, name: str, counted: pd.DataFrame, key: list[str]) -> pd.DataFrame:
    """The registered table with the counts joined; registered rows without cells get 0."""
    table = schema_table(name)
    frame = read_table(cohort.folder / f"{name}.parquet")
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
    return frame[[item.name for item in table.fields]]
