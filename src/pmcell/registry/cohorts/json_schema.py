"""JSON schemas of registration files (from `registry.keys`), strata.json and mapped.json."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pmcell.registry.cohorts.key import Key
from pmcell.registry.cohorts.keys import (
    COHORT_KEYS,
    DONOR_COLUMNS,
    MEASUREMENTS_FILE,
    SAMPLE_COLUMNS,
    Column,
)
from pmcell.registry.cohorts.measurements import MEASUREMENT_COLUMNS
from pmcell.schema import SCHEMA_VERSION, UNKNOWN
from pmcell.schema.mapped import mapped_schema
from pmcell.schema.verdict import verdict_schema
from pmcell.settings.json_schema import schema_of
from pmcell.settings.programme import Programme

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def data_schemas() -> dict[str, dict[str, Any]]:
    """The schemas of a registration and of two documents by the stem of their files."""
    return {
        "cohort": cohort_schema(),
        "donors": sheet_schema("donors.tsv", "The donors of a cohort.", DONOR_COLUMNS),
        "samples": sheet_schema("samples.tsv", "The samples of a cohort.", SAMPLE_COLUMNS),
        "measurements": sheet_schema(
            MEASUREMENTS_FILE, "Clinical values of a cohort's donors.", MEASUREMENT_COLUMNS
        ),
        "programme": programme_schema(),
        "strata": document_schema(
            "strata.json",
            "Whether there are strata of donors, and all that the answer rests on.",
            verdict_schema(),
        ),
        "mapped": document_schema(
            "mapped.json",
            "What is said of samples that were mapped onto a release.",
            mapped_schema(),
        ),
    }


def document_schema(file: str, prose: str, body: dict[str, Any]) -> dict[str, Any]:
    """The schema of a JSON document that pmcell writes."""
    head = {"$schema": DIALECT, "title": file, "description": prose}
    return {**head, **body, "x-pmcell-schema-version": SCHEMA_VERSION}


def programme_schema() -> dict[str, Any]:
    """The schema of a programme, one file in config/programmes."""
    prose = (Programme.__doc__ or "").strip()
    return {"$schema": DIALECT, **schema_of(Programme), "title": "programme", "description": prose}


def cohort_schema() -> dict[str, Any]:
    """The schema of cohort.yaml; every value is text, as pmcell reads it."""
    root = _object("cohort.yaml", "The registration of a cohort.")
    for item in COHORT_KEYS:
        node = root
        *parents, leaf = item.path.split(".")
        for parent in parents:
            if item.required and parent not in node["required"]:
                node["required"].append(parent)
            node = node["properties"].setdefault(parent, _object(parent, ""))
        node["properties"][leaf] = _value(item)
        if item.required:
            node["required"].append(leaf)
    return {"$schema": DIALECT, **root}


def sheet_schema(name: str, prose: str, columns: Sequence[Column]) -> dict[str, Any]:
    """The schema of one row of a registration table; extra columns are allowed."""
    properties = {}
    for column in columns:
        value: dict[str, Any] = {"description": column.prose, "type": "string"}
        if column.choices:
            value["enum"] = [*column.choices, UNKNOWN, ""]
        if column.pattern:
            value["pattern"] = column.pattern
        properties[column.name] = value
    return {
        "$schema": DIALECT,
        "title": f"One row of {name}",
        "description": prose,
        "type": "object",
        "properties": properties,
        "required": [column.name for column in columns if column.required],
        "additionalProperties": {"type": "string"},
        "x-pmcell-schema-version": SCHEMA_VERSION,
    }


def _object(title: str, prose: str) -> dict[str, Any]:
    node: dict[str, Any] = {"title": title, "type": "object", "properties": {}, "required": []}
    if prose:
        node["description"] = prose
    node["additionalProperties"] = False
    return node


def _value(item: Key) -> dict[str, Any]:
    value: dict[str, Any] = {"description": item.prose}
    if item.example:
        value["examples"] = [item.example]
    if item.kind == "records":
        entry = {
            "type": "object",
            "properties": {part.path: _value(part) for part in item.parts},
            "required": [part.path for part in item.parts if part.required],
            "additionalProperties": False,
        }
        return {**value, "type": "array", "items": entry}
    if item.kind == "list" and not (item.choices or item.pattern):
        return {**value, "type": ["array", "string"], "items": {"type": "string"}}
    if item.kind == "list":
        return {**value, "type": "array", "items": {"type": "string", **_limits(item)}}
    if item.kind == "mapping":
        return {**value, "type": "object", "additionalProperties": {"type": "string"}}
    return {**value, "type": "string", **_limits(item)}


def _limits(item: Key) -> dict[str, Any]:
    """What the text may be: one of the choices, of a form, or unknown."""
    options: list[dict[str, Any]] = []
    if item.choices:
        options.append({"enum": list(item.choices)})
    if item.pattern:
        options.append({"pattern": item.pattern})
    if options and not item.required:
        options.append({"enum": [UNKNOWN, ""]})
    if len(options) > 1:
        return {"anyOf": options}
    return options[0] if options else {}
