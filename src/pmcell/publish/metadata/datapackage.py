"""`datapackage.json`: every table with its columns, keys, units and digests (Data Package 2.0).

Made from `pmcell.schema`, so it cannot disagree with the files' own metadata.
Readers of the standard open the tables with it and check rows, types and keys:

  frictionless validate datapackage.json --trusted

needs frictionless[pandas,parquet]; `--limit-rows 10000` is for large releases.
Source: https://datapackage.org/standard/data-package/
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pmcell.io.atomic import write_json
from pmcell.io.tables import resolved_foreign_keys
from pmcell.publish.facts import Facts
from pmcell.publish.metadata.agents import Agent, Person
from pmcell.publish.metadata.attribution import (
    address,
    contributors,
    credited,
    doi_address,
    keywords,
    licence_url,
    licences,
    source_dois,
    summary,
)
from pmcell.publish.metadata.contents import describe, media_type
from pmcell.release.manifest import Entries
from pmcell.schema import EXPRESSION, TABLES, Field, Table

DATA_PACKAGE = "datapackage.json"
PROFILES = "https://datapackage.org/profiles/2.0"
TYPES = {
    "string": "string",
    "int64": "integer",
    "float64": "number",
    "bool": "boolean",
    # The reference reader, frictionless 5, hands lists of Parquet on as no type that it knows.
    "list<string>": "any",
}


def write_datapackage(facts: Facts, folder: Path, entries: Entries) -> None:
    """Write the descriptor of the files in `entries` (size and SHA-256 by path) into `folder`."""
    write_json(folder / DATA_PACKAGE, _package(facts, entries))


def _package(facts: Facts, entries: Entries) -> dict[str, Any]:
    options = facts.options
    value = {
        "$schema": f"{PROFILES}/datapackage.json",
        "name": _slug(f"pmcell-release-{options.version}"),
        "id": address(facts),
        "title": facts.title,
        "description": summary(facts),
        "homepage": options.url,
        "version": options.version,
        "created": f"{options.date}T00:00:00Z" if options.date else "",
        "keywords": keywords(facts),
        "licenses": [_licence(spdx) for spdx in licences(facts)],
        "contributors": [
            *(_contributor(agent, "creator") for agent in credited(facts)),
            *(_contributor(agent, agent.role) for agent in contributors(facts)),
        ],
        "sources": [
            {"title": f"Source of {', '.join(names)}", "path": doi_address(doi)}
            for doi, names in source_dois(facts).items()
        ]
        + _revised(facts),
        "resources": list(_resources(facts, entries)),
    }
    return {key: item for key, item in value.items() if item}


def _revised(facts: Facts) -> list[dict[str, str]]:
    """The release to which cohorts were added."""
    if facts.revises is None:
        return []
    path = facts.revises.url or (doi_address(facts.revises.doi) if facts.revises.doi else "")
    # A path must be an address: without one the release is named alone.
    found = {"title": f"Release {facts.revises.version}", "path": path}
    return [{key: value for key, value in found.items() if value}]


def _resources(facts: Facts, entries: Entries) -> Iterable[dict[str, Any]]:
    for table in TABLES:
        yield _table(facts, table, table.name, f"tables/{table.name}.parquet", entries)
    for path in sorted(entries):
        if path.startswith("expression/"):
            yield _table(facts, EXPRESSION, _slug(path), path, entries)
        elif path.endswith(".h5ad"):
            yield _file(facts, _slug(path), path, entries)


def _file(facts: Facts, name: str, path: str, entries: Entries) -> dict[str, Any]:
    return {
        "$schema": f"{PROFILES}/dataresource.json",
        "name": name,
        "path": path,
        "description": describe(facts, path),
        "format": Path(path).suffix.lstrip("."),
        "mediatype": media_type(path),
        "bytes": entries[path]["size"],
        "hash": f"sha256:{entries[path]['sha256']}",
    }


def _table(facts: Facts, table: Table, name: str, path: str, entries: Entries) -> dict[str, Any]:
    value = _file(facts, name, path, entries)
    # frictionless 5 counts no bytes of a Parquet file and takes a stated number for wrong.
    del value["bytes"]
    return {
        **value,
        "type": "table",
        "description": table.prose,
        "schema": table_schema(table),
    }


def table_schema(table: Table) -> dict[str, Any]:
    """The Table Schema of a table: fields with unit and concept, primary and foreign keys."""
    return {
        "$schema": f"{PROFILES}/tableschema.json",
        "fields": [_field(item, table) for item in table.fields],
        "primaryKey": list(table.key),
        "foreignKeys": [
            {
                "fields": list(key.columns),
                "reference": {"resource": key.table, "fields": list(key.references)},
            }
            for key in resolved_foreign_keys(table)
        ],
        # An empty text is a value here: nothing was said. What is missing is null.
        "missingValues": [],
    }


def _field(item: Field, table: Table) -> dict[str, Any]:
    value: dict[str, Any] = {
        "name": item.name,
        "type": _type(item),
        "description": item.prose,
        "constraints": {"required": item.required},
    }
    if table.key == (item.name,):
        value["constraints"]["unique"] = True
    if item.term_iri:
        value["rdfType"] = item.term_iri
    # `unit` and `ontology` are ours: the standard allows further properties and has none for them.
    for key, text in (("unit", item.unit), ("ontology", item.ontology_iri)):
        if text:
            value[key] = text
    return value


def _type(item: Field) -> str:
    """Whole numbers that may be null are read as floats by pandas, so by all who build on it."""
    return "number" if item.kind == "int64" and not item.required else TYPES[item.kind]


def _licence(spdx: str) -> dict[str, str]:
    url = licence_url(spdx)
    return {"name": spdx, **({"path": url} if url else {})}


def _contributor(agent: Agent, role: str) -> dict[str, Any]:
    value: dict[str, Any] = {"title": agent.name, "roles": [role]}
    if isinstance(agent, Person):
        group = agent.affiliation
        value |= {"path": agent.orcid, "organization": group.name if group else ""}
    value["email"] = agent.email
    return {key: item for key, item in value.items() if item}


def _slug(text: str) -> str:
    """A resource name: lower case letters, digits, dots, dashes and underscores."""
    return re.sub(r"[^a-z0-9._-]+", "-", text.removesuffix(".parquet").lower())
