"""`datacite.json`: what a DOI registration asks for (DataCite Metadata Schema 4.5).

Without a DOI the document is complete but for it: hand it to the repository
that assigns one, and set `release.doi` in the next release's configuration.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pmcell.io.atomic import write_json
from pmcell.publish.facts import Facts, publication_date
from pmcell.publish.metadata.agents import Agent, Organisation, Person
from pmcell.publish.metadata.attribution import (
    contributors,
    credited,
    keywords,
    licence_notes,
    licence_url,
    licences,
    publishers,
    region_address,
    regions,
    source_dois,
    summary,
)
from pmcell.publish.metadata.contents import media_type
from pmcell.publish.metadata.subjects import Subjects, read_subjects
from pmcell.release.manifest import Entries
from pmcell.schema import SCHEMA_VERSION, UNKNOWN
from pmcell.settings.release import Grant
from pmcell.version import __version__

DATACITE = "datacite.json"
DATA = (".h5ad", ".parquet", ".npz")
KERNEL = "http://datacite.org/schema/kernel-4"
ORCID_SITE, ROR_SITE, SPDX_SITE = (
    "https://orcid.org",
    "https://ror.org",
    "https://spdx.org/licenses/",
)


def write_datacite(facts: Facts, folder: Path, entries: Entries) -> None:
    """Write the document about the files of `entries` and the tables in `folder`."""
    write_json(folder / DATACITE, datacite(facts, read_subjects(folder), entries))


def datacite(facts: Facts, subjects: Subjects, entries: Entries) -> dict[str, Any]:
    """The DataCite document."""
    day, is_given = publication_date(facts.options)
    language = facts.options.language
    value: dict[str, Any] = {
        "schemaVersion": KERNEL,
        "doi": facts.options.doi,
        "url": facts.options.url,
        "types": {"resourceTypeGeneral": "Dataset", "resourceType": "Processed single-cell data"},
        "creators": [_agent(person) for person in credited(facts)],
        "titles": [{"title": facts.title, "lang": language}],
        "publisher": _publisher(facts),
        "publicationYear": day[:4],
        "dates": [{"date": day, "dateType": "Issued" if is_given else "Created"}],
        "version": facts.options.version,
        "language": language,
        "subjects": _subjects(facts, subjects),
        "contributors": [*_contributors(facts), *_stewards(facts)],
        "relatedIdentifiers": _related(facts),
        "sizes": _sizes(entries),
        "formats": sorted({media_type(name) for name in entries}),
        "rightsList": _rights(facts),
        "descriptions": _descriptions(facts),
        "geoLocations": [{"geoLocationPlace": _place(code)} for code in regions(facts)],
        "fundingReferences": [_grant(item) for item in facts.options.funding],
    }
    return {key: item for key, item in value.items() if item not in ("", [])}


def _agent(agent: Agent) -> dict[str, Any]:
    if isinstance(agent, Organisation):
        item: dict[str, Any] = {"name": agent.name}
        if agent.ror:
            item["nameType"] = "Organizational"
            item["nameIdentifiers"] = [_identifier(agent.ror, "ROR", ROR_SITE)]
        return item
    item = {"name": agent.sorted_name}
    if agent.orcid or agent.family_name:
        item["nameType"] = "Personal"
    parts = {"familyName": agent.family_name, "givenName": agent.given_name}
    if agent.family_name:
        item |= {key: value for key, value in parts.items() if value}
    if agent.orcid:
        item["nameIdentifiers"] = [_identifier(agent.orcid, "ORCID", ORCID_SITE)]
    if agent.affiliation:
        known = {"name": agent.affiliation.name}
        if agent.affiliation.ror:
            known |= {
                "affiliationIdentifier": agent.affiliation.ror,
                "affiliationIdentifierScheme": "ROR",
                "schemeUri": ROR_SITE,
            }
        item["affiliation"] = [known]
    return item


def _identifier(value: str, scheme: str, site: str) -> dict[str, str]:
    return {"nameIdentifier": value, "nameIdentifierScheme": scheme, "schemeUri": site}


def _publisher(facts: Facts) -> dict[str, str]:
    found = publishers(facts)
    # DataCite has one publisher: several are named in one text, and then have no identifier.
    value = {"name": "; ".join(item.name for item in found)}
    if len(found) == 1 and found[0].ror:
        value |= {
            "publisherIdentifier": found[0].ror,
            "publisherIdentifierScheme": "ROR",
            "schemeUri": ROR_SITE,
        }
    return value


def _subjects(facts: Facts, subjects: Subjects) -> list[dict[str, str]]:
    terms = [
        {"subject": term.label, "subjectScheme": term.ontology, "valueUri": term.address}
        for term in (*subjects.topics, *subjects.assays)
    ]
    return [{"subject": word} for word in keywords(facts)] + terms


def _contributors(facts: Facts) -> list[dict[str, Any]]:
    return [{**_agent(agent), "contributorType": agent.role} for agent in contributors(facts)]


def _stewards(facts: Facts) -> list[dict[str, Any]]:
    """Stewards who are not among the creators: they curate what they registered."""
    named = {agent.name for agent in (*credited(facts), *contributors(facts))}
    found: dict[str, dict[str, Any]] = {}
    for cohort in facts.published:
        name = cohort.text("steward", "name")
        organisation = cohort.text("steward", "organisation")
        if name != UNKNOWN and name not in named:
            known = organisation not in (UNKNOWN, name)
            person = Person(name, affiliation=Organisation(organisation) if known else None)
            found.setdefault(name, {**_agent(person), "contributorType": "DataCurator"})
    return list(found.values())


def _related(facts: Facts) -> list[dict[str, str]]:
    sources = [
        {
            "relatedIdentifier": doi,
            "relatedIdentifierType": "DOI",
            "relationType": "IsDerivedFrom",
        }
        for doi in source_dois(facts)
    ]
    earlier = facts.revises
    if earlier is not None and (earlier.doi or earlier.url):
        sources.append(
            {
                "relatedIdentifier": earlier.doi or earlier.url,
                "relatedIdentifierType": "DOI" if earlier.doi else "URL",
                "relationType": "IsNewVersionOf",
            }
        )
    pages = {cohort.text("source", "url") for cohort in facts.published} - {UNKNOWN}
    return sources + [
        {"relatedIdentifier": page, "relatedIdentifierType": "URL", "relationType": "IsDerivedFrom"}
        for page in sorted(pages)
    ]


def _sizes(entries: Entries) -> list[str]:
    sizes = [entry["size"] for name, entry in entries.items() if name.endswith(DATA)]
    return [f"{len(sizes)} data files", f"{sum(sizes)} bytes"]


def _rights(facts: Facts) -> list[dict[str, str]]:
    items = []
    for spdx in licences(facts):
        if licence_url(spdx):
            items.append(
                {
                    "rights": spdx,
                    "rightsUri": licence_url(spdx),
                    "rightsIdentifier": spdx,
                    "rightsIdentifierScheme": "SPDX",
                    "schemeUri": SPDX_SITE,
                }
            )
        else:
            items.append({"rights": spdx.removeprefix("LicenseRef-")})
    return items + [{"rights": note} for note in licence_notes(facts)]


def _descriptions(facts: Facts) -> list[dict[str, str]]:
    language = facts.options.language
    return [
        {"description": summary(facts), "descriptionType": "Abstract", "lang": language},
        {
            "description": f"Made by pmcell {__version__}; tables follow schema {SCHEMA_VERSION}. "
            "Cells are AnnData files (HDF5), tables are Parquet, with a data dictionary in "
            "tables/README.md; manifest.json holds the SHA-256 of every file.",
            "descriptionType": "TechnicalInfo",
            "lang": "en",
        },
    ]


def _place(code: str) -> str:
    site = region_address(code)
    return f"{code} (NUTS, {site})" if site else f"{code} (ISO 3166-2)"


def _grant(item: Grant) -> dict[str, str]:
    known = {"funderName": item["funder"]}
    if item.get("ror"):
        known |= {"funderIdentifier": item["ror"], "funderIdentifierType": "ROR"}
    award = {
        "awardNumber": item.get("award"),
        "awardTitle": item.get("title"),
        "awardUri": item.get("url"),
    }
    return known | {key: text for key, text in award.items() if text}
