"""The frame of an RO-Crate 1.1 document, the same for a release and for any run of Snakemake."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from pmcell.publish.metadata.crate.run import PROCESS, PROFILES, TERMS, WORKFLOW_CRATE, refer
from pmcell.release.digest import CRATE

Entity = dict[str, Any]

SPECIFICATION = "https://w3id.org/ro/crate/1.1"
CONTEXT = f"{SPECIFICATION}/context"


def crate_text(graph: Iterable[Entity]) -> str:
    """The crate as JSON-LD, an entity a line; what has the same id is one entity."""
    merged: dict[str, Entity] = {}
    for item in graph:
        merged.setdefault(item["@id"], {}).update(item)
    lines = (
        json.dumps(_plain(item), sort_keys=True, ensure_ascii=False) for item in merged.values()
    )
    head = json.dumps([CONTEXT, TERMS], sort_keys=True)
    return f'{{"@context": {head},\n"@graph": [\n' + ",\n".join(lines) + "\n]}\n"


def descriptor() -> list[Entity]:
    """The entity of the metadata file itself, and the specifications that it follows."""
    specifications = [
        {"@id": SPECIFICATION, "@type": "CreativeWork", "name": "RO-Crate 1.1"},
        {"@id": WORKFLOW_CRATE, "@type": "CreativeWork", "name": "Workflow RO-Crate 1.0"},
    ]
    about = {"@id": CRATE, "@type": "CreativeWork", "about": {"@id": "./"}}
    return [about | {"conformsTo": refer(specifications)}, *specifications]


def profiles(*, is_recorded: bool) -> list[Entity]:
    """Without recorded jobs only the writing of the release is told: a single process."""
    return [
        {"@id": address, "@type": "CreativeWork", "name": name}
        for address, name in PROFILES.items()
        if is_recorded or address in (PROCESS, WORKFLOW_CRATE)
    ]


def _plain(item: Entity) -> Entity:
    """The entity without empty lists, and with lists of one as the one, as RO-Crate recommends."""
    return {
        key: value[0] if isinstance(value, list) and len(value) == 1 else value
        for key, value in item.items()
        if value != []
    }
