"""`tables/*.parquet` and their data dictionary: every table of the schema, empty ones too."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from pmcell.io.atomic import write_text
from pmcell.io.tables import conform, resolved_foreign_keys, write_chunks, write_table
from pmcell.publish import gaps, molecules, pairs, people, stratification
from pmcell.publish.atlas import Atlas
from pmcell.publish.disclosure.counts import cohort_counts_frame
from pmcell.publish.explanation import explanation_frame
from pmcell.publish.facts import Facts
from pmcell.publish.file_facts import file_facts
from pmcell.publish.runtime import runtime_frame
from pmcell.schema import EXPRESSION, SCHEMA_VERSION, TABLES, Table

if TYPE_CHECKING:
    import pandas as pd

SMALL: dict[str, Callable[[Facts, Atlas], pd.DataFrame]] = {
    "cohorts": lambda facts, atlas: people.cohorts_frame(facts),
    "cohort_counts": cohort_counts_frame,
    "donors": lambda facts, atlas: _join("donors", people.iter_donors(facts)),
    "visits": lambda facts, atlas: _join("visits", people.iter_visits(facts)),
    "samples": lambda facts, atlas: _join("samples", people.iter_samples(facts)),
    "genes": lambda facts, atlas: molecules.genes_frame(facts),
    "gene_ledger": lambda facts, atlas: _join("gene_ledger", molecules.iter_gene_ledger(facts)),
    "clusters": molecules.clusters_frame,
    "markers": molecules.markers_frame,
    "composition": lambda facts, atlas: stratification.composition_frame(facts),
    "strata": lambda facts, atlas: stratification.strata_frame(facts),
    "assignments": lambda facts, atlas: stratification.assignments_frame(facts),
    "associations": lambda facts, atlas: stratification.associations_frame(facts),
    "drivers": lambda facts, atlas: stratification.drivers_frame(facts),
    "composition_shifts": lambda facts, atlas: explanation_frame(facts, "composition_shifts"),
    "movement": lambda facts, atlas: stratification.movement_frame(facts),
    "outcomes": lambda facts, atlas: stratification.outcomes_frame(facts),
    "survival": lambda facts, atlas: stratification.survival_frame(facts),
    "consensus": lambda facts, atlas: pairs.consensus_frame(facts),
    "expression_contrasts": lambda facts, atlas: explanation_frame(facts, "expression_contrasts"),
    "differential_expression": lambda facts, atlas: explanation_frame(
        facts, "differential_expression"
    ),
    "pathways": lambda facts, atlas: explanation_frame(facts, "pathways"),
    "gene_drivers": lambda facts, atlas: explanation_frame(facts, "gene_drivers"),
    "gaps": lambda facts, atlas: gaps.gaps_frame(facts),
    "qc": lambda facts, atlas: _join("qc", molecules.iter_qc(facts)),
    "runtime": lambda facts, atlas: runtime_frame(facts),
}
"""Tables that are built whole."""

LARGE: dict[str, Callable[[Facts, Atlas], Iterable[pd.DataFrame]]] = {
    "cells": molecules.iter_cells,
    "pseudobulk": molecules.iter_pseudobulk,
    "donor_distances": pairs.iter_distances,
}
"""Tables that are written in chunks, one cohort in memory at a time."""


def write_tables(facts: Facts, atlas: Atlas, folder: Path) -> None:
    """Write all tables and their dictionary into `folder`."""
    for table in TABLES:
        target = folder / f"{table.name}.parquet"
        about = file_facts(facts, f"tables/{target.name}")
        if table.name in LARGE:
            write_chunks(target, LARGE[table.name](facts, atlas), table, about=about)
        else:
            write_table(target, SMALL[table.name](facts, atlas), table, about=about)
    write_text(folder / "README.md", dictionary())


def dictionary() -> str:
    """The data dictionary in Markdown, made from the schema."""
    lines = [
        "# Data dictionary",
        "",
        f"Schema {SCHEMA_VERSION}. The same sentences, units and keys are in each file's metadata.",
        "Rows are sorted by the primary key unless said otherwise. `unknown` means that nobody",
        "supplied the value; null is allowed only in columns marked so.",
        "",
    ]
    tables = (*TABLES, EXPRESSION)
    lines += [f"- [{table.name}](#{table.name}): {table.prose}" for table in tables]
    for table in tables:
        lines += ["", *_describe(table)]
    return "\n".join(lines) + "\n"


def _describe(table: Table) -> list[str]:
    lines = [f"## {table.name}", "", table.prose, "", f"Primary key: {', '.join(table.key)}."]
    lines += [
        f"Foreign key: {', '.join(key.columns)} → {key.table} ({', '.join(key.references)})."
        for key in resolved_foreign_keys(table)
    ]
    if table.order:
        lines.append(f"Rows are sorted by {', '.join(table.order)}.")
    lines += [
        "",
        "| column | type | null | unit | ontology | concept | meaning |",
        "|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {item.name} | {item.kind} | {'' if item.required else 'yes'} | {item.unit} "
        f"| {item.ontology} | {item.term} | {item.prose} |"
        for item in table.fields
    ]
    return lines


def _join(name: str, frames: Iterable[pd.DataFrame]) -> pd.DataFrame:
    import pandas as pd

    from pmcell.schema import table

    # Each part gets the table's types first: joining parts with empty columns would lose them.
    parts = [conform(frame, table(name)) for frame in frames]
    if parts:
        return pd.concat(parts, ignore_index=True)
    return pd.DataFrame({item.name: [] for item in table(name).fields})
