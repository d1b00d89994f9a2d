"""`ro-crate-metadata.json`: the release as an RO-Crate 1.1 (https://w3id.org/ro/crate/1.1).

Written directly: the graph is small, and equal facts must give equal bytes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import quote

from pmcell.io.atomic import write_json
from pmcell.publish.attribution import common_licence, credited, source_dois
from pmcell.publish.contents import FOLDERS, describe, media_type
from pmcell.publish.digest import CRATE
from pmcell.publish.facts import Facts, publication_date
from pmcell.publish.manifest import MANIFEST, Entries
from pmcell.schema import UNKNOWN
from pmcell.version import __version__

CONTEXT = "https://w3id.org/ro/crate/1.1/context"
SOFTWARE_ID = "#pmcell"


def write_crate(facts: Facts, folder: Path, entries: Entries) -> None:
    """Describe the files of `entries` and the manifest, which is written last."""
    files = [_file(facts, name, entry) for name, entry in sorted(entries.items()) if name != CRATE]
    files.append(_file(facts, MANIFEST, {}))
    folders = [_folder(name, prose, files) for name, prose in FOLDERS.items()]
    folders = [item for item in folders if item["hasPart"]]
    inside = {part["@id"] for item in folders for part in item["hasPart"]}
    top = [item for item in (*folders, *files) if item["@id"] not in inside]
    licence = _licence(facts)
    people = _people(facts)
    sources = [
        {
            "@id": f"https://doi.org/{doi}",
            "@type": "CreativeWork",
            "name": f"Source of {', '.join(names)}",
        }
        for doi, names in source_dois(facts).items()
    ]
    root: dict[str, Any] = {
        "@id": "./",
        "@type": "Dataset",
        "name": facts.title,
        "description": facts.options.description
        or f"Processed single cells, donors and strata of {len(facts.published)} cohorts. "
        "Research use only.",
        "version": facts.options.version,
        "datePublished": publication_date(facts.options)[0],
        "license": _refer(licence),
        "author": [_refer(person) for person in people],
        "publisher": [_refer(item) for item in _publishers(facts)] or [_refer(people[0])],
        "isBasedOn": [_refer(source) for source in sources],
        "keywords": ["single-cell RNA sequencing", *_programmes(facts)],
        "hasPart": [_refer(item) for item in top],
    }
    if facts.options.doi:
        root["identifier"] = f"https://doi.org/{facts.options.doi}"
    if facts.options.url:
        root["url"] = facts.options.url
    metadata = {
        "@id": CRATE,
        "@type": "CreativeWork",
        "conformsTo": {"@id": "https://w3id.org/ro/crate/1.1"},
        "about": {"@id": "./"},
    }
    graph = [metadata, root, *folders, *files, licence, *people, *_affiliations(facts)]
    graph += [*_publishers(facts), *sources, _software(), _creation(files)]
    unique = {item["@id"]: _plain(item) for item in graph}
    context = [CONTEXT, {"sha256": "https://schema.org/sha256"}]
    write_json(folder / CRATE, {"@context": context, "@graph": list(unique.values())})


def _file(facts: Facts, name: str, entry: dict[str, Any]) -> dict[str, Any]:
    item: dict[str, Any] = {
        "@id": name,
        "@type": "File",
        "name": name.rsplit("/", 1)[-1],
        "description": describe(facts, name),
        "encodingFormat": media_type(name),
    }
    if entry:
        item |= {"contentSize": str(entry["size"]), "sha256": entry["sha256"]}
    return item


def _folder(name: str, prose: str, files: list[dict[str, Any]]) -> dict[str, Any]:
    parts = [_refer(item) for item in files if item["@id"].startswith(name)]
    return {
        "@id": name,
        "@type": "Dataset",
        "name": name.rstrip("/"),
        "description": prose,
        "hasPart": parts,
    }


def _licence(facts: Facts) -> dict[str, Any]:
    spdx = common_licence(facts)
    if spdx:
        return {
            "@id": f"https://spdx.org/licenses/{spdx}",
            "@type": "CreativeWork",
            "name": spdx,
            "description": f"SPDX licence {spdx}.",
        }
    return {
        "@id": "#licences",
        "@type": "CreativeWork",
        "name": "Licence of each cohort",
        "description": "; ".join(
            f"{item.cohort_id}: {item.text('license')}" for item in facts.published
        ),
    }


def _people(facts: Facts) -> list[dict[str, Any]]:
    """Who made the release; someone with an affiliation or an ORCID is a person."""
    urls = {item["name"]: item["@id"] for item in _publishers(facts)}
    people = []
    for person in credited(facts):
        name, affiliation = person["name"], person.get("affiliation", "")
        item: dict[str, Any] = {"@id": person.get("orcid") or urls.get(name) or _fragment(name)}
        item["@type"] = "Person" if person.get("orcid") or affiliation else "Organization"
        item["name"] = name
        if affiliation:
            item["affiliation"] = {"@id": urls.get(affiliation) or _fragment(affiliation)}
        people.append(item)
    return people


def _affiliations(facts: Facts) -> list[dict[str, Any]]:
    described = {item["name"] for item in _publishers(facts)}
    names = sorted({person.get("affiliation", "") for person in credited(facts)} - described - {""})
    return [{"@id": _fragment(name), "@type": "Organization", "name": name} for name in names]


def _publishers(facts: Facts) -> list[dict[str, Any]]:
    items = {}
    for cohort in facts.published:
        name, url = cohort.text("publisher", "name"), cohort.text("publisher", "url")
        if name != UNKNOWN:
            item = {"@id": url if url != UNKNOWN else _fragment(name), "@type": "Organization"}
            items[name] = item | {"name": name} | ({"url": url} if url != UNKNOWN else {})
    return [items[name] for name in sorted(items)]


def _programmes(facts: Facts) -> list[str]:
    return sorted({cohort.text("programme") for cohort in facts.published} - {UNKNOWN})


def _software() -> dict[str, Any]:
    return {
        "@id": SOFTWARE_ID,
        "@type": "SoftwareApplication",
        "name": "pmcell",
        "softwareVersion": __version__,
        "description": "From registered single-cell cohorts to a published release.",
    }


def _creation(files: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "@id": "#release",
        "@type": "CreateAction",
        "name": "Write the release",
        "instrument": {"@id": SOFTWARE_ID},
        "result": [_refer(item) for item in files],
    }


def _plain(item: dict[str, Any]) -> dict[str, Any]:
    """The entity without empty lists, and with lists of one as the one, as RO-Crate recommends."""
    return {
        key: value[0] if isinstance(value, list) and len(value) == 1 else value
        for key, value in item.items()
        if value != []
    }


def _fragment(name: str) -> str:
    return "#" + quote("-".join(name.split()))


def _refer(item: dict[str, Any]) -> dict[str, str]:
    return {"@id": item["@id"]}
