"""The facts of a cohort that a report needs even when its registration is broken."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pmcell.errors import Fault
from pmcell.registry.cohorts.catalogue import catalogue_facts, lookup
from pmcell.registry.cohorts.keys import COHORT_FILE, GROUPS
from pmcell.registry.cohorts.yaml_text import read_yaml
from pmcell.schema import UNKNOWN

TEXTS = (
    "title",
    "description",
    "license",
    "region",
    "programme",
    "organism_ontology_term_id",
    "access",
    "legal_basis",
    "purpose",
    "retention",
    "withdrawal_policy",
)


def facts_at_least(folder: Path) -> dict[str, Any]:
    """The keys of `Registration.facts()`, 'unknown' where cohort.yaml does not give a text."""
    faults: list[Fault] = []
    tree: dict[str, Any] = {}
    if folder.is_dir():
        text = read_yaml(folder / COHORT_FILE, faults)
        tree = text.tree if not faults and isinstance(text.tree, dict) else {}

    def get(path: str) -> str:
        value = lookup(tree, path)
        return value if isinstance(value, str) and value else UNKNOWN

    uses = lookup(tree, "data_use")
    return {
        "cohort_id": folder.name,
        **{name: get(name) for name in TEXTS},
        **{
            group: {name: get(f"{group}.{name}") for name in names}
            for group, names in GROUPS.items()
        },
        "data_use": [use for use in uses if isinstance(use, str) and use != UNKNOWN]
        if isinstance(uses, list)
        else [],
        "programme_report": "",
        "programme_sources": [],
        "catalogue": catalogue_facts(tree),
    }
