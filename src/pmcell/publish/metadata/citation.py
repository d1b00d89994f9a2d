"""`CITATION.cff` (Citation File Format 1.2.0): how to cite the release."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from pmcell.io.atomic import write_text
from pmcell.publish.facts import Facts
from pmcell.publish.metadata.agents import Agent, Person
from pmcell.publish.metadata.attribution import (
    common_licence,
    credited,
    doi_address,
    keywords,
    licence_url,
    revised_release,
    source_dois,
    summary,
)
from pmcell.registry.terms.vocabulary import LICENSES

DOI = r"10\.\d{4,9}(\.\d+)?/[A-Za-z0-9:/_;\-\.\(\)\[\]\\]+"
"""DOIs that the format takes as such; it refuses rarer characters that DOIs may have."""


def write_citation(facts: Facts, target: Path) -> None:
    """Write the file; sources are identifiers, because their authors are not ours to name."""
    import yaml

    value: dict[str, Any] = {
        "cff-version": "1.2.0",
        "message": "Please cite this release and the sources listed under identifiers.",
        "type": "dataset",
        "title": facts.title,
        "abstract": summary(facts),
        "version": facts.options.version,
        "authors": [_author(person) for person in credited(facts)],
        "keywords": keywords(facts),
    }
    # Several licences would be read as a choice between them, so they are not listed.
    licence = common_licence(facts)
    if licence in LICENSES:
        value["license"] = licence
    elif licence and licence_url(licence):
        value["license-url"] = licence_url(licence)
    if facts.options.date:
        value["date-released"] = facts.options.date
    if facts.options.doi:
        value["doi"] = facts.options.doi
    if facts.options.url:
        value["url"] = facts.options.url
    sources = source_dois(facts)
    if sources or facts.revises:
        value["identifiers"] = [_source(doi, names) for doi, names in sources.items()]
    if facts.revises:
        value["identifiers"].append(_revised(facts))
    write_text(target, yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=100))


def _source(doi: str, names: list[str]) -> dict[str, str]:
    is_plain = re.fullmatch(DOI, doi)
    kind, value = ("doi", doi) if is_plain else ("url", doi_address(doi))
    return {"type": kind, "value": value, "description": f"Source of {', '.join(names)}"}


def _revised(facts: Facts) -> dict[str, str]:
    """The release to which cohorts were added."""
    assert facts.revises is not None
    is_doi = re.fullmatch(DOI, facts.revises.doi)
    where = facts.revises.doi if is_doi else revised_release(facts)
    kind = "doi" if is_doi else "url" if where.startswith("http") else "other"
    about = f"Release {facts.revises.version}, which this one revises"
    return {"type": kind, "value": where, "description": about}


def _author(agent: Agent) -> dict[str, str]:
    known = {"name": agent.name}
    if isinstance(agent, Person) and agent.family_name:
        group = agent.affiliation
        known = {
            "family-names": agent.family_name,
            "given-names": agent.given_name,
            "affiliation": group.name if group else "",
        }
    known["orcid"] = agent.orcid if isinstance(agent, Person) else ""
    known["email"] = agent.email
    return {key: value for key, value in known.items() if value}
