"""Everything that can be wrong with a cohort.yaml, in words: its keys, and their form."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from pmcell.errors import Fault
from pmcell.registry.cohorts.catalogue import explain
from pmcell.registry.cohorts.catalogue_keys import CATALOGUE_KEYS
from pmcell.registry.cohorts.cohort_values import MAX_HINTS, Values, value_faults
from pmcell.registry.cohorts.json_schema import cohort_schema
from pmcell.registry.cohorts.key import Key
from pmcell.registry.cohorts.keys import COHORT_FILE, COHORT_KEYS, TODO
from pmcell.registry.cohorts.yaml_text import YamlText
from pmcell.settings.yaml_help import MUST_BE_QUOTED, MUST_SHOW, control_sign
from pmcell.spelling import did_you_mean, nearest

_IN_PLACE = re.compile(r"10\.\d{4,9}/\S+$")
"""A DOI, behind the address or word that people write before it."""
_BARE_ADDRESS = re.compile(r"(?:[\w-]+\.)+[a-z]{2,}(?:/\S*)?", re.IGNORECASE)
_ORGANISM = "Write NCBITaxon:9606 where the cells are human; pmcell takes no others."
_OF_NAMES = ("matrix.", "columns.", "values.sample_id.", "exclude")
"""Begins paths of names that are held against the submitted file."""
_PROSE = ("title", "description")
"""Texts in which a lone # is likely a number sign."""
MAX_OF_LINE, MAX_OF_LINES = 1000, 20_000
"""Letters of a text of one line, such as a title, and of one of several."""
_OF_LINES = (
    *("description", "license_note", "provenance", "population_coverage"),
    *("legal_basis", "purpose", "retention", "withdrawal_policy"),
)
"""Texts that may have several lines."""
_UNDECIDED = ("todo", "tbd", "fixme")
"""What people write for `TODO`."""
WANTED = {"object": "keys and values", "string": "one text", "array": "a list"}


def check_cohort_file(text: YamlText, folder: Path, programmes: list[str] | None) -> list[Fault]:
    """Faults of the cohort.yaml in `folder`; `programmes` are those there are, if known."""
    cut = list(_cut_texts(text))
    # An empty text, or one in the place of a mapping, is explained by what was cut off.
    explained = {fault.column for fault in cut}
    faults = [*_todos(text), *_text_faults(text), *_schema_faults(text)]
    faults = [*cut, *(fault for fault in faults if fault.column not in explained)]
    values = Values(text, frozenset(fault.column for fault in faults if fault.column))
    faults += value_faults(values, folder, programmes)
    return sorted(faults, key=lambda item: (item.row or 0, item.column or ""))


def _todos(text: YamlText) -> Iterator[Fault]:
    for path, found in _scalars(text.tree, ""):
        if found.startswith(TODO) or found.lower() in _UNDECIDED:
            yield Fault(
                COHORT_FILE,
                "must be decided",
                repr(found),
                f"Replace it. It is: {meaning(path)}",
                row=text.lines.get(path),
                column=path,
                reason="todo",
            )


def _text_faults(text: YamlText) -> Iterator[Fault]:
    """Texts that are published and cannot be: control signs, lines in a title, nothing at all."""
    for path, found in _scalars(text.tree, ""):
        declared = _declared(path)
        if declared is None or path.startswith((*_OF_NAMES, "values.")):
            continue
        if declared.required and not found.strip():
            fix = f"Write it. It is: {meaning(path)}"
            yield _fault(text, path, "must be given", "nothing", fix, reason="missing")
        elif (control := control_sign(found)) is not None:
            yield _fault(text, path, MUST_SHOW, *control, reason="unseen")
        elif declared.path not in _OF_LINES and len(found.strip().splitlines()) > 1:
            n, fix = len(found.splitlines()), "Write > for |, or it on one line."
            yield _fault(text, path, "must be one line", f"{n} lines", fix)
        else:
            most = MAX_OF_LINES if declared.path in _OF_LINES else MAX_OF_LINE
            if len(found) > most:
                must, seen = f"must have at most {most:,} letters", f"{len(found):,}"
                yield _fault(text, path, must, seen, "Shorten it.", reason="too_big")


def _cut_texts(text: YamlText) -> Iterator[Fault]:
    """Texts that YAML ends at a # behind a blank: prose is refused, a name is warned of."""
    for path, cut in text.cut.items():
        declared = _declared(path)
        if not (cut.is_sure or path in _PROSE or cut.comment[1:].strip()[:1].isdigit()):
            continue  # A note on a name, as people write it.
        is_name = path.startswith(_OF_NAMES)
        if declared is not None and declared.kind == "mapping":
            is_error, fix = True, "Put the key that holds the # in quotes."
        elif is_name or (declared is not None and declared.is_free):
            is_error, fix = cut.is_sure and not is_name, cut.fix
        else:
            continue
        severity = "error" if is_error else "warning"
        yield _fault(text, path, MUST_BE_QUOTED, cut.found, fix, severity=severity)


def _fault(text: YamlText, path: str, must: str, found: str, fix: str, **more: str) -> Fault:
    return Fault(COHORT_FILE, must, found, fix, row=text.lines.get(path), column=path, **more)


def _scalars(node: Any, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(node, dict):
        for name, below in node.items():
            yield from _scalars(below, f"{path}.{name}" if path else name)
    elif isinstance(node, list):
        for position, below in enumerate(node):
            yield from _scalars(below, f"{path}[{position}]")
    else:
        yield path, node


def meaning(path: str) -> str:
    """What the value at a dotted path is: the sentence on its key, its choices, an example."""
    if path.startswith("values.cell_type."):
        label = path.removeprefix("values.cell_type.")
        return f"the Cell Ontology term of the cell type {label!r}, or unknown."
    declared = _declared(path)
    if declared is None:
        return "a value of your choice."
    if declared in CATALOGUE_KEYS:
        return explain(declared)
    example = f" Example: {declared.example}." if declared.example else ""
    choices = f" One of {', '.join(declared.choices)}." if len(declared.choices) > 1 else ""
    return f"{declared.prose}{choices}{example}"


def _declared(path: str) -> Key | None:
    plain = re.sub(r"\[\d+\]", "", path)
    for item in COHORT_KEYS:
        if plain == item.path:
            return item
        for part in item.parts:
            if plain == f"{item.path}.{part.path}":
                return part
    return None


def _schema_faults(text: YamlText) -> Iterator[Fault]:
    from jsonschema import Draft202012Validator

    for error in Draft202012Validator(cohort_schema()).iter_errors(text.tree):
        path = _dotted(error.absolute_path)
        value = error.instance
        if isinstance(value, str) and value.startswith(TODO):
            continue
        yield from _in_words(error, path, value, text)


def _dotted(parts: Iterable[str | int]) -> str:
    """keywords[0] for the first entry of a list, a.b for keys within keys."""
    path = ""
    for part in parts:
        path += f"[{part}]" if isinstance(part, int) else f".{part}" if path else part
    return path


def _in_words(error: Any, path: str, value: Any, text: YamlText) -> Iterator[Fault]:
    def fault(where: str, must: str, found: str, fix: str, reason: str = "invalid") -> Fault:
        return Fault(
            COHORT_FILE, must, found, fix, row=text.lines.get(where), column=where, reason=reason
        )

    prefix = f"{path}." if path else ""
    if error.validator == "required":
        missing = re.match(r"'(.+)' is a required", error.message)
        name = missing.group(1) if missing else ""
        where = prefix + name
        if nearest(name, set(error.instance) - set(error.schema["properties"])):
            # It is there, misspelt, and named as an unknown key.
            return
        yield fault(
            where, "must be given", "no such key", f"Add it. It is: {_about(where)}", "missing"
        )
    elif error.validator == "additionalProperties":
        known = list(error.schema["properties"])
        unknown = sorted(set(error.instance) - {*known, "__use_yte__"})
        free = [item for item in known if item not in error.instance]
        for name in unknown[:MAX_HINTS]:
            fix = did_you_mean(name, free) or f"Known keys here: {', '.join(known)}."
            yield fault(prefix + name, "must be a known key", repr(name), fix, "unknown_key")
        if len(unknown) > MAX_HINTS:
            rest = unknown[MAX_HINTS:]
            found = f"{len(rest):,} more, such as {rest[0]!r}"
            fix = "Keep data out of this file."
            yield fault(prefix + rest[0], "must be a known key", found, fix, "unknown_key")
    elif error.validator == "type":
        wanted = WANTED.get(str(error.validator_value), "a list")
        kind = repr(value) if isinstance(value, str) else WANTED.get(_json_type(value), "nothing")
        yield fault(path, f"must be {wanted}", kind, f"It is: {_about(path)}")
    else:
        declared = _declared(path)
        choices = declared.choices if declared else ()
        if choices:
            must = (
                f"must be one of {', '.join(choices)}"
                if len(choices) > 1
                else f"must be {choices[0]}"
            )
            if declared and not declared.required:
                must += ", or unknown"
            hint = did_you_mean(str(value), choices)
            if len(choices) == 1:
                # The nearest of one would have mouse cells called human.
                hint = _ORGANISM if path.startswith("organism") else f"Write {choices[0]}."
            if declared in CATALOGUE_KEYS:
                hint = f"{hint} It is: {meaning(path)}".strip()
            yield fault(path, must, repr(value), hint or "Choose one.")
            return
        doi = _IN_PLACE.search(str(value)) if path.endswith("doi") else None
        fix = f"It is: {_about(path)}"
        if doi:
            fix = f"Write {doi[0]}."
        elif path.endswith("url") and _BARE_ADDRESS.fullmatch(str(value)):
            fix = f"Write https://{value}."
        yield fault(path, "must have the form that its key says", repr(value), fix)


def _json_type(value: Any) -> str:
    return "object" if isinstance(value, dict) else "array" if isinstance(value, list) else ""


def _about(path: str) -> str:
    if _declared(path):
        return meaning(path)
    below = [item for item in COHORT_KEYS if item.path.startswith(f"{path}.")]
    if not below:
        return "a value of your choice."
    return f"keys {', '.join(item.path.removeprefix(path + '.') for item in below)}."
