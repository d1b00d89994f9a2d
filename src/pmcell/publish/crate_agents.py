"""People and organisations of a release as entities of its crate."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from pmcell.publish.attribution import contributors, credited, is_person, publishers
from pmcell.publish.facts import Facts

Entity = dict[str, Any]


def agent_entities(facts: Facts) -> list[Entity]:
    """Everyone who is credited, contributes or publishes, and where they work."""
    known = {item["name"]: _organisation(item) for item in publishers(facts)}
    entities = [publisher(facts), *known.values()]
    for person in (*credited(facts), *contributors(facts)):
        affiliation = person.get("affiliation", "")
        if affiliation and affiliation not in known:
            known[affiliation] = _organisation(
                {
                    "name": affiliation,
                    "ror": person.get("ror", ""),
                    "url": person.get("affiliation_url", ""),
                }
            )
            entities.append(known[affiliation])
        if not is_person(person) and person["name"] in known:
            continue
        item = _organisation(person)
        if is_person(person):
            item |= {"@type": "Person", "@id": _person_id(person)}
            for key, name in (("given_name", "givenName"), ("family_name", "familyName")):
                item |= {name: person[key]} if person.get(key) else {}
        if affiliation:
            item["affiliation"] = {"@id": known[affiliation]["@id"]}
        entities.append(item)
    return entities


def author_ids(facts: Facts) -> list[str]:
    """Ids of those who made the release, in the order in which they are credited."""
    return [_id(facts, person) for person in credited(facts)]


def contributor_ids(facts: Facts) -> list[str]:
    """Ids of the further contributors."""
    return [_id(facts, person) for person in contributors(facts)]


def publisher(facts: Facts) -> Entity:
    """The one publisher; several are shown as the members of one, as RO-Crate allows one only."""
    items = [_organisation(item) for item in publishers(facts)]
    if len(items) == 1:
        return items[0]
    return {
        "@id": "#agent/publishers",
        "@type": "Organization",
        "name": "; ".join(item["name"] for item in items),
        "member": [{"@id": item["@id"]} for item in items],
    }


def _id(facts: Facts, person: Mapping[str, str]) -> str:
    if is_person(person):
        return _person_id(person)
    known = {item["name"]: _organisation(item)["@id"] for item in publishers(facts)}
    return str(known.get(person["name"]) or _organisation(person)["@id"])


def _person_id(person: Mapping[str, str]) -> str:
    return person.get("orcid") or _fragment(person["name"])


def _organisation(item: Mapping[str, str]) -> Entity:
    url = item.get("url") or item.get("ror") or ""
    entity = {"@id": url or _fragment(item["name"]), "@type": "Organization", "name": item["name"]}
    return entity | ({"url": url} if url else {})


def _fragment(name: str) -> str:
    return f"#agent/{quote('-'.join(name.split()), safe='')}"
