"""The data dictionary, read from what the Parquet files say of themselves."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from pmcell.io.json_text import parse_json
from pmcell.schema import TABLES

if TYPE_CHECKING:
    import pyarrow as pa

    from pmcell.release import ReleaseFolder


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


def read_dictionary(folder: ReleaseFolder) -> list[TableEntry]:
    """Every table below `tables/` in the order of the schema, then those split by cohort."""
    order = {table.name: number for number, table in enumerate(TABLES)}
    names = sorted(
        folder.names("tables", ".parquet"),
        key=lambda name: (order.get(PurePosixPath(name).stem, len(order)), name),
    )
    found = [_read_entry(folder, name) for name in names]
    parts = [_read_entry(folder, name) for name in folder.names("expression", ".parquet")]
    if parts:
        n_rows = sum(part.n_rows for part in parts)
        whole = replace(parts[0], name="expression", path="expression/*.parquet", n_rows=n_rows)
        found.append(whole)
    return found


def _read_entry(folder: ReleaseFolder, name: str) -> TableEntry:
    with folder.parquet(name) as file:
        return _entry(name, file.schema_arrow, file.metadata.num_rows)


def _entry(name: str, schema: pa.Schema, n_rows: int) -> TableEntry:
    said = _text(schema.metadata)
    key = tuple(parse_json(said.get("pmcell:primary_key", "[]")))
    foreign: list[dict[str, Any]] = parse_json(said.get("pmcell:foreign_keys", "[]"))
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
    stem, prose = PurePosixPath(name).stem, said.get("pmcell:prose", "")
    return TableEntry(stem, name, prose, n_rows, key, tuple(columns))


def _kind(arrow: str) -> str:
    """The Arrow type as the schema spells it.

    >>> _kind("list<element: string>")
    'list<string>'
    """
    return {"double": "float64", "float": "float32"}.get(arrow, arrow).replace("element: ", "")


def _text(metadata: dict[bytes, bytes] | None) -> dict[str, str]:
    return {key.decode(): value.decode() for key, value in (metadata or {}).items()}
