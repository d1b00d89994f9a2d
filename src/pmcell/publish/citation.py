"""`CITATION.cff` (Citation File Format 1.2.0): how to cite the release."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pmcell.io.atomic import write_text
from pmcell.publish.facts import Facts
from pmcell.schema import UNKNOWN


def write_citation(facts: Facts, target: Path) -> None:
    """Write the file; sources are identifiers, because their authors are not ours to name."""
    import yaml

    value: dict[str, Any] = {
        "cff-version": "1.2.0",
        "message": "Please cite this release and the sources listed under identifiers.",
        "type": "dataset",
        "title": facts.title,
        "version": facts.options.version,
        "authors": [_author(person) for person in credited(facts)],
    }
    licence = common_licence(facts)
    if licence:
        value["license"] = licence
    if facts.options.doi:
        value["doi"] = facts.options.doi
    if facts.options.url:
        value["url"] = facts.options.url
    sources = source_dois(facts)
    if sources:
        value["identifiers"] = [
            {"type": "doi", "value": doi, "description": f"Source of {', '.join(names)}"}
            for doi, names in sources.items()
        ]
    write_text(target, yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=100))


def credited(facts: Facts) -> list[Mapping[str, str]]:
    """Configured authors, else the stewards of the published cohorts, each once."""
    if facts.options.authors:
        return list(facts.options.authors)
    people: dict[str, Mapping[str, str]] = {}
    for cohort in facts.published:
        name = cohort.text("steward", "name")
        organisation = cohort.text("steward", "organisation")
        shown = name if name != UNKNOWN else organisation
        if shown != UNKNOWN:
            known = organisation not in (UNKNOWN, shown)
            people.setdefault(
                shown, {"name": shown, **({"affiliation": organisation} if known else {})}
            )
    return list(people.values()) or [{"name": "The stewards of the cohorts"}]


def source_dois(facts: Facts) -> dict[str, list[str]]:
    """Cohorts by the DOI of their source."""
    sources: dict[str, list[str]] = {}
    for cohort in facts.published:
        doi = cohort.text("source", "doi").removeprefix("https://doi.org/")
        if doi != UNKNOWN:
            sources.setdefault(doi, []).append(cohort.cohort_id)
    return dict(sorted(sources.items()))


def common_licence(facts: Facts) -> str:
    """SPDX identifier of the whole: configured, else the one of all published cohorts, else ''."""
    if facts.options.license:
        return facts.options.license
    licences = {cohort.text("license") for cohort in facts.published}
    only = licences.pop() if len(licences) == 1 else UNKNOWN
    return "" if only == UNKNOWN else only


def _author(person: Mapping[str, str]) -> dict[str, str]:
    known = {"name": person["name"]}
    for key in ("orcid", "email"):
        if person.get(key):
            known[key] = person[key]
    return known
