"""`tables/*.parquet` and their data dictionary: every table of the schema, empty ones too."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from pmcell.io.atomic import write_text
from pmcell.io.coded_tables import write_coded_chunks
from pmcell.io.tables import resolved_foreign_keys, write_chunks, write_table
from pmcell.publish.atlas import Atlas
from pmcell.publish.content.sources import is_coded, require_source, rows_of
from pmcell.publish.disclosure.policy import Policy
from pmcell.publish.disclosure.redact import disclosure_of, redact, redact_coded
from pmcell.publish.facts import Facts
from pmcell.publish.file_facts import file_facts
from pmcell.schema import EXPRESSION, SCHEMA_VERSION, TABLES, Table


def write_tables(facts: Facts, atlas: Atlas, folder: Path) -> None:
    """Write all tables, redacted, and their dictionary into `folder`."""
    for table in TABLES:
        require_source(table)
        disclosure_of(table)
    policy = Policy(facts, atlas)
    for table in TABLES:
        name = f"{table.name}.parquet"
        write_rows(table, policy, folder / name, about=file_facts(facts, f"tables/{name}"))
    write_text(folder / "README.md", dictionary())


def write_rows(
    table: Table, policy: Policy, target: Path, *, about: Mapping[str, str] | None = None
) -> None:
    """Write the rows of one table that `policy` lets anyone see."""
    assert policy.atlas is not None
    rows = rows_of(table, policy.facts, policy.atlas)
    if is_coded(table) and isinstance(rows, Iterator):
        coded = (redact_coded(table, part, policy) for part in rows)
        write_coded_chunks(target, coded, table, about=about)
    elif isinstance(rows, Iterator):
        shown = (redact(table, part, policy) for part in rows)
        write_chunks(target, shown, table, about=about)
    else:
        write_table(target, redact(table, rows, policy), table, about=about)


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
