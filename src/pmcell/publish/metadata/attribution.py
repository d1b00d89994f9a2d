"""Who made, publishes and paid for a release, under which licences, from which sources.

One answer for every document that says so: CITATION.cff, DataCite, Croissant,
schema.org, the crate and the README.
"""

from __future__ import annotations

import base64
from dataclasses import replace
from urllib.parse import quote

from pmcell.errors import Fault, FaultsError
from pmcell.limitations import RESEARCH_USE
from pmcell.publish.facts import Facts, publication_date
from pmcell.publish.metadata.agents import (
    Agent,
    Organisation,
    Person,
    read_agent,
    read_organisation,
)
from pmcell.schema import NO_PROGRAMME, UNKNOWN
from pmcell.schema.guide import ONE_WAY
from pmcell.spelling import plural

DOI_SITE = "https://doi.org/"
NUTS_SITE = "http://data.europa.eu/nuts/code/"
_IN_DOIS = "/:;().,+=@!$&'*"
_IN_ADDRESSES = _IN_DOIS + "?#[]%"


def doi_address(doi: str) -> str:
    """The address of a DOI; what an IRI may not hold (RFC 3987) is percent-encoded.

    >>> doi_address("10.1002/(SICI)1097-0258(19980815/30)17:15/16<1661::AID-SIM968>3.0.CO;2-2")
    'https://doi.org/10.1002/(SICI)1097-0258(19980815/30)17:15/16%3C1661::AID-SIM968%3E3.0.CO;2-2'
    """
    return DOI_SITE + quote(doi, safe=_IN_DOIS)


def iri(address: str) -> str:
    """An address as an IRI: what one may not hold is percent-encoded, the rest stays.

    >>> iri("https://example.org/a b?c=<d>&e=%20#f")
    'https://example.org/a%20b?c=%3Cd%3E&e=%20#f'
    """
    return quote(address, safe=_IN_ADDRESSES)


def revised_release(facts: Facts) -> str:
    """The address of the release to which cohorts were added; its digest (RFC 6920) without one.

    Empty for a release that was made whole.
    """
    earlier = facts.revises
    if earlier is None:
        return ""
    if earlier.doi:
        return doi_address(earlier.doi)
    digest = base64.urlsafe_b64encode(bytes.fromhex(earlier.content_sha256)).decode().rstrip("=")
    return earlier.url or f"ni:///sha-256;{digest}"


def require_attribution(facts: Facts) -> None:
    """`FaultsError` when nobody is named as who made the release."""
    if not credited(facts):
        names = ", ".join(cohort.cohort_id for cohort in facts.published)
        raise FaultsError(
            [
                Fault(
                    file="config.yaml",
                    column="release.authors",
                    must="the people or organisations who made the release must be named "
                    "(DataCite creators, authors of the citation)",
                    found=f"none, and no steward's name or organisation in cohort.yaml of {names}",
                    fix="Write for example `release: {authors: [{name: Institute of Cells}]}`.",
                    reason="missing_creators",
                )
            ]
        )


def credited(facts: Facts) -> list[Agent]:
    """Configured authors, else the stewards of the published cohorts, each once."""
    if facts.options.authors:
        return [read_agent(entry) for entry in facts.options.authors]
    people: dict[str, Agent] = {}
    for cohort in facts.published:
        name = cohort.text("steward", "name")
        organisation, page = cohort.text("steward", "organisation"), cohort.text("steward", "url")
        shown = name if name != UNKNOWN else organisation
        if shown != UNKNOWN:
            group = Organisation(organisation, page if page != UNKNOWN else "")
            works_there = organisation not in (UNKNOWN, shown)
            agent = Person(shown, affiliation=group) if works_there else replace(group, name=shown)
            people.setdefault(shown, agent)
    return list(people.values())


def contributors(facts: Facts) -> list[Agent]:
    """Configured contributors, each with a role."""
    return [read_agent(entry) for entry in facts.options.contributors]


def publishers(facts: Facts) -> list[Organisation]:
    """The configured publisher, else the organisations of those who are credited.

    Who published a cohort's data elsewhere did not publish this release.
    """
    if facts.options.publisher:
        return [read_organisation(facts.options.publisher)]
    found = {group.name: group for group in map(_group_of, credited(facts))}
    return [found[name] for name in sorted(found)]


def _group_of(agent: Agent) -> Organisation:
    """An organisation, or where a person works; a person without one stands for themselves."""
    if isinstance(agent, Organisation):
        return Organisation(agent.name, agent.url)
    group = agent.affiliation
    return Organisation(group.name, group.url) if group else Organisation(agent.name)


def source_dois(facts: Facts) -> dict[str, list[str]]:
    """Cohorts by the DOI of their source."""
    sources: dict[str, list[str]] = {}
    for cohort in facts.published:
        doi = cohort.text("source", "doi").removeprefix(DOI_SITE)
        if doi != UNKNOWN:
            sources.setdefault(doi, []).append(cohort.cohort_id)
    return dict(sorted(sources.items()))


def common_licence(facts: Facts) -> str:
    """SPDX identifier of the whole: configured, else the one of all published cohorts, else ''."""
    if facts.options.license:
        return facts.options.license
    known = licences(facts)
    everywhere = all(cohort.text("license") != UNKNOWN for cohort in facts.published)
    return known[0] if len(known) == 1 and everywhere else ""


def licences(facts: Facts) -> list[str]:
    """SPDX identifiers of all licences that are known: the configured one, else each cohort's."""
    if facts.options.license:
        return [facts.options.license]
    return sorted({cohort.text("license") for cohort in facts.published} - {UNKNOWN})


def licence_url(spdx: str) -> str:
    """The page of a licence; '' for one of the data provider's own (`LicenseRef-…`)."""
    return "" if spdx.startswith("LicenseRef-") else f"https://spdx.org/licenses/{spdx}"


def licence_notes(facts: Facts) -> list[str]:
    """What no list of licences can say: which cohort has which, or an unknown one."""
    if facts.options.license or common_licence(facts):
        return []
    notes = []
    for cohort in facts.published:
        licence = cohort.text("license")
        said = "unknown: ask the source before sharing further" if licence == UNKNOWN else licence
        notes.append(f"Licence of {cohort.cohort_id}: {said}.")
    return [*notes, *known_of_terms(facts)]


def known_of_terms(facts: Facts) -> list[str]:
    """What stewards know of the terms of use beside a licence, each text once, with its cohorts."""
    told: dict[str, list[str]] = {}
    for cohort in facts.published:
        text = cohort.text("catalogue", "license_note")
        if text != UNKNOWN:
            told.setdefault(text, []).append(cohort.cohort_id)
    return [f"{', '.join(names)}: {text}" for text, names in told.items()]


def regions(facts: Facts) -> list[str]:
    """Region codes of the published cohorts."""
    return sorted({cohort.text("region") for cohort in facts.published} - {UNKNOWN})


def region_address(code: str) -> str:
    """The European Union's address of a NUTS code, or '' for a code of ISO 3166-2."""
    return "" if "-" in code else f"{NUTS_SITE}{code}"


def keywords(facts: Facts) -> list[str]:
    """Configured keywords after those that the release itself gives."""
    programmes = sorted(
        {cohort.text("programme") for cohort in facts.published} - {UNKNOWN, NO_PROGRAMME}
    )
    made = ["single-cell RNA sequencing", *programmes, "patient stratification"]
    return list(dict.fromkeys([*made, *facts.options.keywords]))


def summary(facts: Facts) -> str:
    """The configured description, else a sentence made from the facts."""
    return facts.options.description or (
        f"Single cells, donors and strata of {plural(len(facts.published), 'cohort')} "
        f"({', '.join(cohort.cohort_id for cohort in facts.published)}), {ONE_WAY}. "
        f"{RESEARCH_USE.capitalize()}."
    )


def address(facts: Facts) -> str:
    """Where the release is found: its DOI, else its landing page, else ''."""
    if facts.options.doi:
        return doi_address(facts.options.doi)
    return facts.options.url


def dated(facts: Facts) -> dict[str, str]:
    """The day as schema.org has it: published where that day was given, else created."""
    day, is_given = publication_date(facts.options)
    return {"datePublished" if is_given else "dateCreated": day}


def citation_text(facts: Facts) -> str:
    """How to cite the release, as BibTeX; with a year where the day of publication was given."""
    day, is_given = publication_date(facts.options)
    rows = {
        "title": facts.title,
        "author": " and ".join(_bibtex_name(person) for person in credited(facts)),
        "year": day[:4] if is_given else "",
        "version": facts.options.version,
        "publisher": "; ".join(item.name for item in publishers(facts)),
        "doi": facts.options.doi,
        "url": address(facts),
    }
    body = ", ".join(f"{key} = {{{value}}}" for key, value in rows.items() if value)
    return f"@misc{{release, {body}}}"


def _bibtex_name(agent: Agent) -> str:
    if isinstance(agent, Person) and agent.family_name:
        return agent.sorted_name
    # Braces keep BibTeX from splitting a name of which only the whole is known.
    return f"{{{agent.name}}}"
