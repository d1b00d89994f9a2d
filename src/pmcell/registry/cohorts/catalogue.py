"""What a cohort's record in a health data catalogue must say, by the cohort's access.

Source: the mandatory lists of HealthDCAT-AP Release 8 (DG SANTE, September 2026) for PUBLIC,
RESTRICTED and NON_PUBLIC data. What follows from the data themselves is not asked for: identifier,
access rights, theme, distribution, variables, and the category that every cohort has.
Release 8 names a health data access body for PUBLIC data too; the law asks for it only where a
body decides, so an open cohort without one is warned, not refused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pmcell.errors import Fault
from pmcell.registry.cohorts.catalogue_keys import CATALOGUE_KEYS
from pmcell.registry.cohorts.key import Key
from pmcell.registry.terms.health_terms import LABELS
from pmcell.schema import UNKNOWN

FILE = "cohort.yaml"
NO_BODY = "None: the data are open and need no permit"
"""What stands for the health data access body where none decides, as the key asks for."""
FORMS = {"open": "PUBLIC", "registered": "RESTRICTED", "controlled": "NON_PUBLIC"}
"""The form of the record, by the cohort's access."""


@dataclass(frozen=True)
class Requirement:
    """One of `paths` must be given where the access is one of `access`, should where `advised`."""

    paths: tuple[str, ...]
    access: tuple[str, ...]
    advised: tuple[str, ...] = ()


REQUIREMENTS = (
    Requirement(("hdab.name",), ("registered", "controlled"), ("open",)),
    Requirement(("hdab.email", "hdab.url"), ("registered", "controlled")),
    Requirement(("description",), ("registered", "controlled")),
    Requirement(("contact.email", "contact.url"), ("controlled",)),
    Requirement(("keywords",), ("controlled",)),
    Requirement(("provenance",), ("controlled",)),
)
RECOMMENDED = (
    "custodian.name",
    "health_themes",
    "population_coverage",
    "legal_basis_terms",
    "purpose_terms",
    "personal_data",
    "retention_period.end",
    "temporal_coverage.start",
    "minimum_typical_age",
    "maximum_typical_age",
    "languages",
)
"""What Release 8 recommends for restricted and non-public data and only a steward can know."""


def catalogue_facts(tree: Mapping[str, Any]) -> dict[str, Any]:
    """The values of the catalogue's keys that somebody supplied, nested as in cohort.yaml."""
    found: dict[str, Any] = {}
    for item in CATALOGUE_KEYS:
        value = known(lookup(tree, item.path))
        if value is None:
            continue
        *parents, leaf = item.path.split(".")
        node = found
        for parent in parents:
            node = node.setdefault(parent, {})
        node[leaf] = value if item.kind == "text" or isinstance(value, list) else [value]
    return found


def missing_metadata(
    tree: Mapping[str, Any],
    meaning: Callable[[str], str],
    lines: Mapping[str, int] | None = None,
) -> list[Fault]:
    """What the record of a cohort lacks; `tree` is its cohort.yaml, or the facts made from it.

    `meaning` explains a dotted path. Without a known access nothing is asked for.
    """
    access = known(lookup(tree, "access"))
    form = FORMS.get(str(access))
    if form is None:
        return []
    faults = []
    for item in REQUIREMENTS:
        if access not in (*item.access, *item.advised) or any(
            known(lookup(tree, path)) is not None for path in item.paths
        ):
            continue
        must_be = "must" if access in item.access else "should"
        one_of = f"{' or '.join(item.paths)} " if len(item.paths) > 1 else ""
        found = lookup(tree, item.paths[0])
        faults.append(
            Fault(
                FILE,
                f"{one_of}{must_be} be given where access is {access}: "
                f"HealthDCAT-AP Release 8 requires it of {form} data",
                "no such key" if found is None else repr(found),
                f"Add it. It is: {' Or: '.join(meaning(path) for path in item.paths)}",
                row=_line(item.paths[0], lines or {}),
                column=item.paths[0],
                severity="error" if access in item.access else "warning",
                reason="catalogue",
            )
        )
    for agent in ("hdab", "custodian", "publisher"):
        reach = [f"{agent}.email", f"{agent}.url"]
        named = known(lookup(tree, f"{agent}.name"))
        required = any(reach[0] in item.paths and access in item.access for item in REQUIREMENTS)
        if named and named.casefold().split(":")[0] == "none":
            continue
        if named and not required and all(known(lookup(tree, path)) is None for path in reach):
            faults.append(
                Fault(
                    FILE,
                    f"should be given, or {reach[1]}: nobody is named who cannot be reached",
                    f"neither, beside the name {named!r}",
                    f"Add one. It is: {' Or: '.join(meaning(path) for path in reach)}",
                    row=_line(reach[0], lines or {}),
                    column=reach[0],
                    severity="warning",
                    reason="catalogue",
                )
            )
    absent = [path for path in RECOMMENDED if known(lookup(tree, path)) is None]
    if absent and access != "open":
        faults.append(
            Fault(
                FILE,
                f"should be given where known: HealthDCAT-AP recommends them of {form} data",
                f"not given: {', '.join(absent)}",
                "config/README.md says what each is.",
                column=absent[0],
                severity="warning",
                reason="catalogue",
            )
        )
    return faults


def contradictions(value: Callable[[str], Any]) -> Iterator[tuple[str, str, str, str]]:
    """Values that cannot both hold: path, what must hold, what was found, what to do."""
    for agent in ("contact", "hdab", "custodian"):
        reach = [f"{agent}.{leaf}" for leaf in ("email", "url") if known(value(f"{agent}.{leaf}"))]
        if reach and known(value(f"{agent}.name")) is None and agent != "contact":
            must = f"must be given beside {reach[0]}"
            yield f"{agent}.name", must, "nothing", "Add the name, or remove the address."
    low, high = known(value("minimum_typical_age")), known(value("maximum_typical_age"))
    if low and high and low.isdigit() and high.isdigit() and int(low) > int(high):
        must = "must not be above maximum_typical_age"
        yield "minimum_typical_age", must, f"{low}, above {high}", "Exchange or correct them."
    for period in ("temporal_coverage", "retention_period"):
        start, end = known(value(f"{period}.start")), known(value(f"{period}.end"))
        if start and end and start[: len(end)] > end[: len(start)]:
            must = f"must not be after {period}.end"
            yield f"{period}.start", must, f"{start}, after {end}", "Exchange or correct them."


def explain(item: Key) -> str:
    """The sentence on a key of this catalogue, its choices with what they mean, and an example."""
    example = f" Example: {item.example}." if item.example else ""
    if not item.choices:
        return f"{item.prose}{example}"
    labels = LABELS[item.path]
    choices = ", ".join(f"{code} ({labels[code]})" for code in item.choices)
    return f"{item.prose} Of: {choices}.{example}"


def known(value: Any) -> Any:
    """The value, or None where nobody supplied it; a list without its unknown entries."""
    if isinstance(value, list):
        return [entry for entry in value if entry not in ("", UNKNOWN)] or None
    return None if value in (None, "", UNKNOWN) else value


def lookup(tree: Mapping[str, Any], path: str) -> Any:
    """The value at a dotted path, or None."""
    node: Any = tree
    for part in path.split("."):
        if not isinstance(node, Mapping) or part not in node:
            return None
        node = node[part]
    return node


def _line(path: str, lines: Mapping[str, int]) -> int | None:
    return lines.get(path) or lines.get(path.split(".")[0])
