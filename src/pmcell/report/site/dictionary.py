"""The data dictionary, read from what the Parquet files say of themselves."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pmcell.schema import TABLES


@dataclass(frozen=True)
class ColumnEntry:
    """One column: Arrow type, unit, sentence, ontology, and the table that it refers to."""

    name: str
    kind: str
    unit: str
    prose: str
    ontology: str
    key: bool
    refers_to: str


@dataclass(frozen=True)
class TableEntry:
    """One table of the release."""

    name: str
    path: str
    prose: str
    n_rows: int
    key: tuple[str, ...]
    columns: tuple[ColumnEntry, ...]


def read_dictionary(folder: Path) -> list[TableEntry]:
    """Every table below `tables/` in the order of the schema, then those split by cohort."""
    order = {table.name: number for number, table in enumerate(TABLES)}
    paths = sorted(
        (folder / "tables").rglob("*.parquet"),
        key=lambda path: (order.get(path.stem, len(order)), path.as_posix()),
    )
    found = [_entry(path, path.relative_to(folder).as_posix()) for path in paths]
    parts = sorted((folder / "expression").glob("*.parquet"))
    if parts:
        entry = _entry(parts[0], "expression/*.parquet")
        rows = [entry.n_rows, *(_n_rows(path) for path in parts[1:])]
        found.append(replace(entry, name="expression", n_rows=sum(rows)))
    return found


def _n_rows(path: Path) -> int:
    import pyarrow.parquet as pq

    with path.open("rb") as stream:
        return int(pq.ParquetFile(stream).metadata.num_rows)


def _entry(path: Path, name: str) -> TableEntry:
    import pyarrow.parquet as pq

    with path.open("rb") as stream:
        file = pq.ParquetFile(stream)
        schema, n_rows = file.schema_arrow, file.metadata.num_rows
    said = _text(schema.metadata)
    key = tuple(json.loads(said.get("pmcell:primary_key", "[]")))
    foreign: list[dict[str, Any]] = json.loads(said.get("pmcell:foreign_keys", "[]"))
    targets: dict[str, str] = {}
    for item in sorted(foreign, key=lambda item: len(item["columns"])):
        for column in item["columns"]:
            targets.setdefault(column, item["table"])
    columns = []
    for field in schema:
        own = _text(field.metadata)
        columns.append(
            ColumnEntry(
                field.name,
                _kind(str(field.type)),
                own.get("pmcell:unit", ""),
                own.get("pmcell:prose", ""),
                own.get("pmcell:ontology", ""),
                field.name in key,
                targets.get(field.name, ""),
            )
        )
    return TableEntry(path.stem, name, said.get("pmcell:prose", ""), n_rows, key, tuple(columns))


def _kind(arrow: str) -> str:
    """The Arrow type as the schema spells it.

    >>> _kind("list<element: string>")
    'list<string>'
    """
    return {"double": "float64", "float": "float32"}.get(arrow, arrow).replace("element: ", "")


def _text(metadata: dict[bytes, bytes] | None) -> dict[str, str]:
    return {key.decode(): value.decode() for key, value in (metadata or {}).items()}
