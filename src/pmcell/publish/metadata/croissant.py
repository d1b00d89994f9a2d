"""`croissant.json`: the release for machine learning (Croissant 1.1, http://mlcommons.org/croissant/1.1).

Each Parquet table is a record set, described by the schema module. AnnData
files are listed as files only: Croissant knows no way to read HDF5, and the
columns of their `obs` are those of the tables `cells` and `samples`. So are
the files of `expression/`: a loader would read each of them whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pmcell.io.atomic import write_json
from pmcell.limitations import LIMITATIONS
from pmcell.publish.facts import Facts
from pmcell.publish.metadata.agents import Agent, Person
from pmcell.publish.metadata.attribution import (
    address,
    citation_text,
    credited,
    dated,
    doi_address,
    keywords,
    licence_notes,
    licence_url,
    licences,
    publishers,
    revised_release,
    source_dois,
    summary,
)
from pmcell.publish.metadata.contents import describe, media_type
from pmcell.release.manifest import Entries
from pmcell.schema import TABLES, Field, Table

CROISSANT = "croissant.json"
VERSION = "http://mlcommons.org/croissant/1.1"
RAI_VERSION = "http://mlcommons.org/croissant/RAI/1.0"

CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "arrayShape": "cr:arrayShape",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "containedIn": "cr:containedIn",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "description": {"@container": "@language"},
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileObject": "cr:fileObject",
    "fileProperty": "cr:fileProperty",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isArray": "cr:isArray",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "name": {"@container": "@language"},
    "parentField": "cr:parentField",
    "path": "cr:path",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
"""The context that Croissant 1.1 prescribes, in the document as the format asks."""

DATA_TYPES = {
    "string": "sc:Text",
    "list<string>": "sc:Text",
    "bool": "sc:Boolean",
    "int64": "cr:Int64",
    "float64": "cr:Float64",
}

LOADED_AS = {"application/vnd.apache.parquet": "application/x-parquet"}
"""Media types that Croissant's loader knows under another name than IANA's."""


def write_croissant(facts: Facts, folder: Path, entries: Entries) -> None:
    """Describe the files of `entries`, which must not change any more, and the tables' columns."""
    write_json(folder / CROISSANT, croissant(facts, entries))


def croissant(facts: Facts, entries: Entries) -> dict[str, Any]:
    """The Croissant document; paths are relative to the release's folder."""
    tables = [table for table in TABLES if _file_of(table) in entries]
    value: dict[str, Any] = {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": [VERSION, RAI_VERSION],
        "name": facts.title,
        "description": " ".join([summary(facts), *licence_notes(facts)]),
        "version": facts.options.version,
        **dated(facts),
        "license": [licence_url(spdx) or spdx for spdx in licences(facts)],
        "citeAs": citation_text(facts),
        "url": facts.options.url or address(facts),
        "sameAs": [doi_address(facts.options.doi)] if facts.options.doi else [],
        "inLanguage": facts.options.language,
        "keywords": keywords(facts),
        "isLiveDataset": False,
        "creator": [_agent(person) for person in credited(facts)],
        "publisher": [_agent(item) for item in publishers(facts)],
        "isBasedOn": [
            *(doi_address(doi) for doi in source_dois(facts)),
            *filter(None, [revised_release(facts)]),
        ],
        **_responsible_use(facts),
        "distribution": [_file(facts, name, entries[name]) for name in sorted(entries)],
        "recordSet": [_record_set(table, {item.name for item in tables}) for table in tables],
    }
    return {key: item for key, item in value.items() if item not in ("", [])}


def _responsible_use(facts: Facts) -> dict[str, Any]:
    statements: dict[str, Sequence[str]] = dict(facts.options.rai.items())
    own = [item.sentence for item in LIMITATIONS]
    statements["dataLimitations"] = [*own, *statements.get("dataLimitations", ())]
    return {f"rai:{name}": _one(texts) for name, texts in sorted(statements.items())}


def _agent(agent: Agent) -> dict[str, Any]:
    kind = "sc:Person" if isinstance(agent, Person) else "sc:Organization"
    item: dict[str, Any] = {"@type": kind, "name": agent.name}
    return item | ({"url": agent.address} if agent.address else {})


def _file(facts: Facts, name: str, entry: dict[str, Any]) -> dict[str, Any]:
    media = media_type(name)
    return {
        "@type": "cr:FileObject",
        "@id": name,
        "name": name,
        "description": describe(facts, name),
        "contentUrl": name,
        "contentSize": f"{entry['size']} B",
        "encodingFormat": [LOADED_AS[media], media] if media in LOADED_AS else media,
        "sha256": entry["sha256"],
    }


def _record_set(table: Table, described: set[str]) -> dict[str, Any]:
    return {
        "@type": "cr:RecordSet",
        "@id": table.name,
        "name": table.name,
        "description": " ".join([table.prose, *_joint_references(table)]),
        "key": [{"@id": f"{table.name}/{column}"} for column in table.key],
        "field": [_field(table, item, described) for item in table.fields],
    }


def _field(table: Table, item: Field, described: set[str]) -> dict[str, Any]:
    notes = [
        f"Unit: {item.unit}." if item.unit else "",
        f"Terms of {item.ontology}." if item.ontology else "",
    ]
    field: dict[str, Any] = {
        "@type": "cr:Field",
        "@id": f"{table.name}/{item.name}",
        "name": item.name,
        "description": " ".join(filter(None, [item.prose, *notes])),
        "dataType": [DATA_TYPES[item.kind], item.term_iri]
        if item.term_iri
        else DATA_TYPES[item.kind],
        "source": {"fileObject": {"@id": _file_of(table)}, "extract": {"column": item.name}},
    }
    if item.kind.startswith("list<"):
        field |= {"isArray": True, "arrayShape": "-1"}
    for key in table.foreign_keys:
        if key.columns == (item.name,) and key.table in described:
            target = (key.references or _key_of(key.table))[0]
            field["references"] = {"field": {"@id": f"{key.table}/{target}"}}
    return field


def _joint_references(table: Table) -> list[str]:
    """Foreign keys of several columns, in words: Croissant refers from single columns only."""
    return [
        f"Columns {' and '.join(key.columns)} together refer to {key.table}."
        for key in table.foreign_keys
        if len(key.columns) > 1
    ]


def _key_of(name: str) -> tuple[str, ...]:
    return next(table.key for table in TABLES if table.name == name)


def _file_of(table: Table) -> str:
    return f"tables/{table.name}.parquet"


def _one(texts: Any) -> Any:
    return texts[0] if len(texts) == 1 else list(texts)
