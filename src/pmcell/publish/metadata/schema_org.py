"""schema.org and Bioschemas JSON-LD for the landing page, and its signposting links.

A `Dataset` after Bioschemas Dataset 1.0 (https://bioschemas.org/profiles/Dataset/1.0-RELEASE)
inside a `DataCatalog` of the cohorts. The context stands in the document: a
remote one is not read by harvesters that are offline.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from pmcell.limitations import RESEARCH_USE
from pmcell.publish.facts import Cohort, Facts
from pmcell.publish.metadata.agents import Agent, Organisation, Person
from pmcell.publish.metadata.attribution import (
    address,
    contributors,
    credited,
    dated,
    doi_address,
    keywords,
    licence_notes,
    licence_url,
    licences,
    publishers,
    region_address,
    regions,
    revised_release,
    source_dois,
    summary,
)
from pmcell.publish.metadata.contents import describe, media_type
from pmcell.publish.metadata.subjects import Term, read_subjects
from pmcell.release.digest import combined_sha256
from pmcell.release.manifest import Entries
from pmcell.schema import NO_PROGRAMME, TABLES, UNKNOWN
from pmcell.settings.release import Grant

CONTEXT = {"@vocab": "http://schema.org/"}
PROFILE = "https://bioschemas.org/profiles/Dataset/1.0-RELEASE"
PAGE = "site/index.html"
METADATA = (
    "dcat.ttl",
    "croissant.json",
    "datacite.json",
    "ro-crate-metadata.json",
    "datapackage.json",
    "CITATION.cff",
)
"""Documents that describe the release, the richest first."""
TECHNIQUE = Term("EFO:0008913", "single-cell RNA sequencing")


def json_ld(facts: Facts, folder: Path, entries: Entries, *, root: str = "../") -> dict[str, Any]:
    """What `<script type="application/ld+json">` of the landing page holds.

    `folder` is the release being written (its tables are read), `entries` its
    files with size and digest, as `manifest.file_entries` gives them; what is
    not in `entries` is not listed. `root` is the way from the page to the
    release's folder, used where `release.files_url` is not configured.
    In HTML it stands with `<`, `>` and `&` written as `\\u003c`, `\\u003e`, `\\u0026`.
    """
    subjects = read_subjects(folder)
    where = facts.options.files_url or root
    value: dict[str, Any] = {
        "@context": CONTEXT,
        "@type": "Dataset",
        "@id": address(facts),
        "http://purl.org/dc/terms/conformsTo": {"@id": PROFILE, "@type": "CreativeWork"},
        "name": facts.title,
        "alternateName": [f"pmcell release {facts.options.version}"],
        "description": " ".join([summary(facts), *licence_notes(facts)]),
        "identifier": _identifier(facts, entries),
        "url": facts.options.url or _address_of(PAGE, where),
        "sameAs": doi_address(facts.options.doi) if facts.options.doi else "",
        "version": facts.options.version,
        **dated(facts),
        "inLanguage": facts.options.language,
        "license": _licence(facts),
        "keywords": keywords(facts),
        "creator": [_agent(person) for person in credited(facts)],
        "contributor": [_agent(person) for person in contributors(facts)],
        "publisher": _one([_agent(item) for item in publishers(facts)]),
        "funding": [_grant(item) for item in facts.options.funding],
        "isAccessibleForFree": True,
        "conditionsOfAccess": "Open: the files can be downloaded without asking. Cohorts whose "
        "access is not open are not in the files; ask their stewards. "
        f"{RESEARCH_USE.capitalize()}.",
        "citation": [doi_address(doi) for doi in source_dois(facts)],
        "isBasedOn": [
            *(_source(doi, names) for doi, names in source_dois(facts).items()),
            *_revised(facts),
        ],
        "about": [_term(term) for term in subjects.topics],
        "measurementTechnique": [_term(term) for term in (subjects.assays or (TECHNIQUE,))],
        "variableMeasured": _variables(),
        "spatialCoverage": [_place(code) for code in regions(facts)],
        "includedInDataCatalog": _catalogue(facts),
        "distribution": [
            _download(facts, name, entries[name], where) for name in _in_reading_order(entries)
        ],
    }
    return _plain(value)


def _revised(facts: Facts) -> list[dict[str, Any]]:
    """The release to which cohorts were added."""
    if facts.revises is None:
        return []
    name = f"Release {facts.revises.version}"
    return [{"@type": "Dataset", "@id": revised_release(facts), "name": name}]


def signposting(facts: Facts, entries: Entries) -> list[dict[str, str]]:
    """Typed links of the landing page (https://signposting.org/FAIR/), for its `<head>`.

    Each is a mapping of `rel`, `href` and, where known, `type`: the attributes
    of one `<link>` element. The relations are cite-as (only with a DOI),
    author, license, type, describedby and item.
    """
    where = facts.options.files_url or "../"
    names = _in_reading_order(entries)
    links = (
        [{"rel": "cite-as", "href": doi_address(facts.options.doi)}] if facts.options.doi else []
    )
    links += [
        {"rel": "author", "href": agent.orcid}
        for agent in credited(facts)
        if isinstance(agent, Person) and agent.orcid
    ]
    links += [
        {"rel": "license", "href": licence_url(spdx)}
        for spdx in licences(facts)
        if licence_url(spdx)
    ]
    links += [
        {"rel": "type", "href": f"https://schema.org/{kind}"} for kind in ("AboutPage", "Dataset")
    ]
    links += [_link("describedby", name, where) for name in METADATA if name in entries]
    return links + [_link("item", name, where) for name in names if _is_data(name)]


def _identifier(facts: Facts, entries: Entries) -> Any:
    """The release's address, or else the digest of its data, which no other release has."""
    if address(facts):
        return address(facts)
    data = {name: entry["content_sha256"] for name, entry in entries.items() if _is_data(name)}
    return {
        "@type": "PropertyValue",
        "name": "SHA-256 of the content of all data files",
        "value": combined_sha256(data),
    }


def _in_reading_order(entries: Entries) -> list[str]:
    """Cells first: HDF5 is the one of our formats that assessors know to last. Then tables.

    The pages themselves are no part of the data.
    """
    places = (".h5ad", ".parquet", ".npz")

    def place(name: str) -> tuple[int, str]:
        return next((i for i, end in enumerate(places) if name.endswith(end)), len(places)), name

    return sorted((name for name in entries if not name.startswith("site/")), key=place)


def _is_data(name: str) -> bool:
    return name.endswith((".h5ad", ".parquet", ".npz"))


def _link(relation: str, name: str, where: str) -> dict[str, str]:
    return {"rel": relation, "href": _address_of(name, where), "type": media_type(name)}


def _address_of(name: str, where: str) -> str:
    return f"{where.rstrip('/')}/{quote(name)}" if where else quote(name)


def _download(facts: Facts, name: str, entry: Mapping[str, Any], where: str) -> dict[str, Any]:
    return {
        "@type": "DataDownload",
        "name": name,
        "description": describe(facts, name),
        "contentUrl": _address_of(name, where),
        "encodingFormat": media_type(name),
        "contentSize": f"{entry['size']} B",
        "sha256": entry["sha256"],
    }


def _agent(agent: Agent) -> dict[str, Any]:
    if isinstance(agent, Organisation):
        return _plain(
            {
                "@type": "Organization",
                "name": agent.name,
                "email": agent.email,
                "@id": agent.ror,
                "identifier": agent.ror,
                "url": agent.url,
            }
        )
    item: dict[str, Any] = {
        "@type": "Person",
        "name": agent.name,
        "givenName": agent.given_name,
        "familyName": agent.family_name,
        "email": agent.email,
        "@id": agent.orcid,
        "identifier": agent.orcid,
    }
    if agent.affiliation:
        group = agent.affiliation
        item["affiliation"] = _plain(
            {"@type": "Organization", "@id": group.ror, "name": group.name}
        )
    return _plain(item)


def _licence(facts: Facts) -> Any:
    """The address of the one licence, else a work that says which cohort has which."""
    known, notes = licences(facts), licence_notes(facts)
    if len(known) == 1 and not notes and licence_url(known[0]):
        return licence_url(known[0])
    name = known[0].removeprefix("LicenseRef-") if len(known) == 1 else "Licence of each cohort"
    return _plain({"@type": "CreativeWork", "name": name, "description": " ".join(notes)})


def _grant(item: Grant) -> dict[str, Any]:
    grant = {
        "@type": "Grant",
        "identifier": item.get("award", ""),
        "name": item.get("title", ""),
        "url": item.get("url", ""),
        "funder": _agent(Organisation(item["funder"], ror=item.get("ror", ""))),
    }
    return _plain(grant)


def _source(doi: str, names: list[str]) -> dict[str, Any]:
    where = doi_address(doi)
    return {
        "@type": "CreativeWork",
        "@id": where,
        "identifier": where,
        "name": f"Source of {', '.join(names)}",
        "url": where,
    }


def _term(term: Term) -> dict[str, Any]:
    return {
        "@type": "DefinedTerm",
        "@id": term.address,
        "name": term.label,
        "termCode": term.term_id,
        "url": term.address,
    }


def _variables() -> list[str]:
    """Every column that the tables can have, each once, in the words of the data dictionary.

    As texts: the profile wants a single value with each `PropertyValue`, which a column has not.
    """
    texts = (
        f"{item.name}: {item.prose}" + (f" Unit: {item.unit}." if item.unit else "")
        for table in TABLES
        for item in table.fields
    )
    return list(dict.fromkeys(texts))


def _place(code: str) -> dict[str, Any]:
    scheme = "NUTS" if region_address(code) else "ISO 3166-2"
    code_of = {"@type": "PropertyValue", "propertyID": scheme, "value": code}
    place = {"@type": "Place", "@id": region_address(code), "name": code, "identifier": code_of}
    return _plain(place)


def _catalogue(facts: Facts) -> dict[str, Any]:
    return _plain(
        {
            "@type": "DataCatalog",
            "name": f"Cohorts of: {facts.title}",
            "description": "The cohorts that this release was made from and may show.",
            "url": facts.options.url,
            "publisher": [_agent(item) for item in publishers(facts)],
            "dataset": [_cohort(cohort) for cohort in facts.published],
        }
    )


def _cohort(cohort: Cohort) -> dict[str, Any]:
    doi, licence = cohort.text("source", "doi"), cohort.text("license")
    programme = cohort.text("programme")
    names = (cohort.text("source", "accession"), doi_address(doi) if doi != UNKNOWN else "")
    known = {
        "name": cohort.text("title"),
        "alternateName": cohort.cohort_id,
        "identifier": [cohort.cohort_id, *(name for name in names if name not in ("", UNKNOWN))],
        "description": cohort.text("description"),
        "license": (licence_url(licence) or licence) if licence != UNKNOWN else "",
        "url": cohort.text("source", "url"),
        "keywords": programme if programme != NO_PROGRAMME else "",
    }
    kept = {key: value for key, value in known.items() if value not in ("", UNKNOWN)}
    return {"@type": "Dataset", **kept}


def _one(items: list[Any]) -> Any:
    return items[0] if len(items) == 1 else items


def _plain(item: dict[str, Any]) -> dict[str, Any]:
    """The node without what is empty."""
    return {key: value for key, value in item.items() if value not in ("", [], {})}
