"""People and organisations of a release as entities of its crate."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from pmcell.publish.facts import Facts
from pmcell.publish.metadata.agents import Agent, Organisation, Person
from pmcell.publish.metadata.attribution import contributors, credited, publishers

Entity = dict[str, Any]


def agent_entities(facts: Facts) -> list[Entity]:
    """Everyone who is credited, contributes or publishes, and where they work."""
    known = {item.name: _organisation(item) for item in publishers(facts)}
    entities = [publisher(facts), *known.values()]
    for agent in (*credited(facts), *contributors(facts)):
        if isinstance(agent, Organisation):
            if agent.name not in known:
                entities.append(_organisation(agent))
            continue
        group = agent.affiliation
        if group and group.name not in known:
            known[group.name] = _organisation(group)
            entities.append(known[group.name])
        entities.append(_person(agent, known[group.name]["@id"] if group else ""))
    return entities


def author_ids(facts: Facts) -> list[str]:
    """Ids of those who made the release, in the order in which they are credited."""
    return [_id(facts, agent) for agent in credited(facts)]


def contributor_ids(facts: Facts) -> list[str]:
    """Ids of the further contributors."""
    return [_id(facts, agent) for agent in contributors(facts)]


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


def _id(facts: Facts, agent: Agent) -> str:
    if isinstance(agent, Person):
        return agent.orcid or _fragment(agent.name)
    known = {item.name: item for item in publishers(facts)}
    return str(_organisation(known.get(agent.name, agent))["@id"])


def _person(person: Person, group_id: str) -> Entity:
    item = {"@id": person.orcid or _fragment(person.name), "@type": "Person", "name": person.name}
    parts = {"givenName": person.given_name, "familyName": person.family_name}
    item |= {key: value for key, value in parts.items() if value}
    return {**item, **({"affiliation": {"@id": group_id}} if group_id else {})}


def _organisation(item: Organisation) -> Entity:
    url = item.address
    entity = {"@id": url or _fragment(item.name), "@type": "Organization", "name": item.name}
    return entity | ({"url": url} if url else {})


def _fragment(name: str) -> str:
    return f"#agent/{quote('-'.join(name.split()), safe='')}"
