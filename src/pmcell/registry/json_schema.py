"""JSON schemas of the registration files and of the configuration, made from `registry.keys`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pmcell.registry.key import Key
from pmcell.registry.keys import COHORT_KEYS, DONOR_COLUMNS, ID, SAMPLE_COLUMNS, Column
from pmcell.schema import SCHEMA_VERSION, UNKNOWN
from pmcell.schema.verdict import verdict_schema

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def all_schemas(steps: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Every schema by the stem of its file in `config/schemas`; `steps` are step commands."""
    return {
        "cohort": cohort_schema(),
        "donors": sheet_schema("donors.tsv", "The donors of a cohort.", DONOR_COLUMNS),
        "samples": sheet_schema("samples.tsv", "The samples of a cohort.", SAMPLE_COLUMNS),
        "config": config_schema(steps),
        "strata": strata_schema(),
    }


def strata_schema() -> dict[str, Any]:
    """The schema of strata.json, as a release holds it and as the strata step writes it."""
    return {
        "$schema": DIALECT,
        "title": "strata.json",
        "description": "Whether there are strata of donors, and all that the answer rests on.",
        **verdict_schema(),
        "x-pmcell-schema-version": SCHEMA_VERSION,
    }


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


def config_schema(steps: Sequence[str]) -> dict[str, Any]:
    """The schema of config/config.yaml: where things are, and a section of parameters a step."""
    return {
        "$schema": DIALECT,
        "title": "config.yaml",
        "description": "Configuration of a run; holds only what differs from the defaults.",
        "type": "object",
        "properties": {
            "cohorts_dir": {"type": "string", "description": "Folder with one folder a cohort."},
            "cohorts": {
                "type": "array",
                "items": {"type": "string", "pattern": ID},
                "uniqueItems": True,
                "description": "Cohorts to use; by default all that are registered.",
            },
            "resources": {
                "type": "string",
                "description": "Model of memory and time, from `pmcell estimate --refit --out`.",
            },
            **{
                step: {"type": "object", "description": f"Parameters of `pmcell {step}`."}
                for step in steps
            },
        },
        "additionalProperties": False,
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
