"""Files of FHIR resources: a Bundle, one resource, a list of them, or one a line."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pmcell.consent.fhir.codes import CONFIDENTIALITY
from pmcell.errors import Fault, UsageError

SUFFIXES = (".json", ".ndjson", ".jsonl")
MAX_BYTES = 200_000_000
OF_BUNDLE = frozenset(
    (
        *("resourceType", "id", "meta", "language", "identifier", "type", "timestamp", "total"),
        *("link", "entry", "signature"),
    )
)
"""Keys of a bundle that change nothing of what it holds."""


def read_resources(path: Path, faults: list[Fault]) -> list[tuple[str, Mapping[str, Any]]]:
    """Each resource with its full URL, in the order of the file."""
    if path.stat().st_size > MAX_BYTES:
        raise UsageError(f"{path.name} must be below {MAX_BYTES:,} bytes; import it in parts")
    raw = path.read_bytes()
    try:
        text = raw.decode("utf-8-sig")
        if path.suffix == ".json":
            values = [_load(text)]
        else:
            values = [_load(line) for line in text.split("\n") if line.strip()]
    except (ValueError, RecursionError) as error:
        must, fix = "must be JSON in UTF-8 (one resource a line in .ndjson)", "Export it anew."
        faults.append(Fault(path.name, must, str(error)[:100], fix, reason="not_json"))
        return []
    found: list[tuple[str, Mapping[str, Any]]] = []
    for value in values:
        for item in value if isinstance(value, list) else [value]:
            if isinstance(item, Mapping) and item.get("resourceType") == "Bundle":
                faults += _of_bundle(item, path.name)
                for part in as_list(item.get("entry")):
                    part = part if isinstance(part, Mapping) else {}
                    inside = part.get("resource")
                    url = str(part.get("fullUrl", ""))
                    faults += _of_request(part, path.name, len(found) + 1)
                    found.append((url, inside if isinstance(inside, Mapping) else {}))
            else:
                found.append(("", item if isinstance(item, Mapping) else {}))
    for number, (url, item) in enumerate(found, start=1):
        kind, own = item.get("resourceType"), item.get("id")
        named = re.search(rf"/{kind}/([^/]+)", url)
        if named and isinstance(own, str) and named[1] != own:
            must, fix = "must have one id", "Export it anew: of two resources only one is here."
            both = f"{own}, and {named[1]} in its fullUrl"[:80]
            faults.append(Fault(path.name, must, both, fix, row=number, reason="consent"))
        if not isinstance(item.get("resourceType"), str):
            must, fix = "must be a FHIR resource", "Export it anew."
            found_text = "something without resourceType"
            faults.append(Fault(path.name, must, found_text, fix, row=number, reason="consent"))
        elif item["resourceType"] in ("Bundle", "OperationOutcome"):
            must, fix = "must be whole, and no answer that failed", "Export the consents anew."
            kind = str(item["resourceType"])
            faults.append(Fault(path.name, must, kind, fix, row=number, reason="consent"))
    return found


def _of_request(part: Mapping[str, Any], file: str, row: int) -> Iterator[Fault]:
    """A resource that is put in the place of another one."""
    asked, own = _of(part, "request").get("url"), _of(part, "resource").get("id")
    kind, _, name = str(asked or "").partition("/")
    if name and kind == _of(part, "resource").get("resourceType") and name != own:
        must, fix = "must have one id", "Export it anew: of two resources only one is here."
        both = f"{own}, and {name} in its request"[:80]
        yield Fault(file, must, both, fix, row=row, reason="consent")


def _of_bundle(bundle: Mapping[str, Any], file: str) -> Iterator[Fault]:
    """A page of an answer lacks others; of a history nobody says which version holds."""
    if any(
        isinstance(a, Mapping) and a.get("relation") == "next" for a in as_list(bundle.get("link"))
    ):
        must, fix = "must hold all pages of an answer", "Follow its links, and import all at once."
        yield Fault(file, must, "a link to the next page", fix, column="link", reason="consent")
    for key in sorted(bundle.keys() - OF_BUNDLE):
        must = "must hold nothing that changes the meaning of its resources"
        yield Fault(file, must, "a value", "Export it anew.", column=key, reason="consent")
    labels = as_list(_of(bundle, "meta").get("security"))
    if not all(is_of(label, CONFIDENTIALITY) for label in labels):
        must, fix = "must hold no label but of who may see it", "Export what is in use."
        yield Fault(file, must, "another", fix, column="meta.security", reason="consent")
    parts = [part for part in as_list(bundle.get("entry")) if isinstance(part, Mapping)]
    modes = [_of(part, "search").get("mode", "match") for part in parts]
    total = bundle.get("total")
    if total is not None and total != modes.count("match"):
        must, fix = "must hold all that were found", "Import all pages at once."
        found = f"{modes.count('match')} of {total}"
        yield Fault(file, must, found, fix, column="total", reason="consent")
    states = [str(_of(part, "response").get("status", "200")) for part in parts]
    if "outcome" in modes or not all(state.startswith("2") for state in states):
        must, fix = "must be whole, and no answer that failed", "Export the consents anew."
        found = ", ".join(sorted({state for state in states if state[0] != "2"})) or "an outcome"
        yield Fault(file, must, found[:80], fix, column="entry", reason="consent")
    methods = {str(request.get("method")) for part in parts if (request := _of(part, "request"))}
    kind = str(bundle.get("type", "collection"))
    if kind in ("history", "message", "subscription-notification") or methods - {"POST", "PUT"}:
        found = ", ".join(sorted(methods)) or f"type {kind}"
        must, fix = "must hold what is in force, and no history", "Export the state that holds."
        yield Fault(file, must, found, fix, column="type", reason="consent")


def _of(part: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = part.get(key)
    return value if isinstance(value, Mapping) else {}


def _load(text: str) -> Any:
    """JSON in which every key stands once and every number is one; `ValueError` for other text."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        names = [name for name, _ in pairs]
        if len(set(names)) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise ValueError(f"the key {twice[:60]!r} stands twice in one object")
        return dict(pairs)

    def no_number(text: str) -> None:
        raise ValueError(f"{text} is no number of JSON")

    return json.loads(text, object_pairs_hook=once, parse_constant=no_number)


def as_list(value: Any) -> list[Any]:
    """A value as a list: what FHIR may write once or several times."""
    return value if isinstance(value, list) else [] if value is None else [value]


def codings_of(concept: Any) -> list[Mapping[str, Any]]:
    """The codings of a concept; none of what is no concept."""
    if not isinstance(concept, Mapping):
        return []
    return [coding for coding in as_list(concept.get("coding")) if isinstance(coding, Mapping)]


def is_of(coding: Any, system: str) -> bool:
    """Whether a coding is of a system."""
    return isinstance(coding, Mapping) and coding.get("system") == system


def changed_meanings(value: Any, where: str) -> Iterator[str]:
    """Where a resource holds what changes its meaning: extensions, and what stands for a value."""
    if isinstance(value, list):
        for item in value:
            yield from changed_meanings(item, where)
    elif isinstance(value, Mapping):
        for key, item in value.items():
            if key == "modifierExtension" and where != "Consent":
                # Of a provision: read there.
                if not where.endswith("provision"):
                    yield f"{where}.{key}"
            elif key.startswith("_"):
                yield f"{where}.{key}"
            elif key not in ("text", "extension"):
                yield from changed_meanings(item, f"{where}.{key}")
