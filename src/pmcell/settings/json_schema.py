"""JSON schemas of the settings, and each value's rule in words: for help, tables and errors."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pmcell.settings.model import MAX_COUNT, Settings, one_of
from pmcell.settings.study import StudySettings
from pmcell.settings.table import ALIASES, SETTINGS

DIALECT = "https://json-schema.org/draft/2020-12/schema"
ALIAS_OF = "x-alias-of"
"""Marks a section by its old name: Snakemake's parsing reads it as the one named here."""

Schema = dict[str, Any]


def config_schema() -> Schema:
    """Return the schema of config.yaml: the study's own keys, and a section a step."""
    sections = {name: schema_of(model) for name, model in SETTINGS.items()}
    old = {name: {**sections[new], ALIAS_OF: new} for name, new in ALIASES.items()}
    return {
        "$schema": DIALECT,
        "title": "config.yaml",
        "description": "Configuration of a run; holds only what differs from the defaults.",
        "type": "object",
        "properties": {**schema_of(StudySettings)["properties"], **sections, **old},
        "additionalProperties": False,
    }


@functools.cache
def schema_of(model: type[Settings]) -> Schema:
    """Return the schema of one section, whole: without references, titles and nulls.

    A key that is null is one that is not set, wherever a configuration is read.
    """
    schema = model.model_json_schema(mode="validation")
    whole: Schema = _without_references(schema, schema.get("$defs", {}))
    whole.pop("$defs", None)
    whole.setdefault("properties", {})
    return whole


def _without_references(node: Any, definitions: Mapping[str, Any]) -> Any:
    if isinstance(node, list):
        return [_without_references(item, definitions) for item in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        found = definitions[node["$ref"].rsplit("/", 1)[-1]]
        return _without_references(
            {**found, **{k: v for k, v in node.items() if k != "$ref"}}, definitions
        )
    plain = {
        key: {name: _without_references(item, definitions) for name, item in value.items()}
        if key == "properties"
        else _without_references(value, definitions)
        for key, value in node.items()
        if key not in ("title", "$defs") and not (key == "unit" and not value)
    }
    if "anyOf" in plain:
        ways = [way for way in plain.pop("anyOf") if way.get("type") != "null"]
        plain = {**ways[0], **plain} if len(ways) == 1 else {**plain, "anyOf": ways}
    if plain.get("default", 0) is None:
        del plain["default"]
    return plain


def node_at(schema: Schema, path: Sequence[str | int]) -> Schema:
    """Return the schema of the value at `path`; of what stands above it where it has none."""
    node = schema
    for part in path:
        below = next(_below(node, part), None)
        if below is None:
            return node
        node = below
    return node


def _below(node: Schema, part: str | int) -> Iterator[Schema]:
    for way in (node, *node.get("anyOf", ())):
        if isinstance(part, int) and "items" in way:
            yield way["items"]
        elif part in way.get("properties", {}):
            yield way["properties"][part]
        elif isinstance(way.get("additionalProperties"), dict):
            yield way["additionalProperties"]
        else:
            # Keys of one form: whatever the key, its value must be the same.
            yield from way.get("patternProperties", {}).values()


def keys_of(node: Schema) -> list[str]:
    """Return the keys that a mapping may have; none where it may have any."""
    for way in (node, *node.get("anyOf", ())):
        if "properties" in way:
            return list(way["properties"])
        if "enum" in way.get("propertyNames", {}):
            return list(way["propertyNames"]["enum"])
    return []


def shown_default(node: Schema, quote: str = "") -> str:
    """Return a default as a person writes it, texts between quotes; 'none' for what is not set."""
    default = node.get("default")
    if default in (None, "", [], {}):
        return "none"
    if isinstance(default, bool):
        return str(default).lower()
    words = default if isinstance(default, list) else [default]
    return ", ".join(f"{quote}{w}{quote}" if isinstance(w, str) else str(w) for w in words)


def describe(node: Schema) -> str:
    """Say what a value must be.

    Examples
    --------
    >>> describe({"type": "number", "exclusiveMinimum": 0, "maximum": 1})
    'a number above 0, at most 1'
    >>> describe({"enum": ["umap", "snn"]})
    'umap or snn'
    """
    if "anyOf" in node:
        return _describe_ways(_words_together(node["anyOf"]))
    if "const" in node:
        return str(node["const"])
    if "enum" in node:
        return one_of(list(map(str, node["enum"])))
    kind = node.get("type")
    if kind in ("integer", "number"):
        return _describe_number(node)
    if kind == "boolean":
        return "true or false"
    if kind == "array":
        once = ", each once" if node.get("uniqueItems") else ""
        empty = ", at least one" if node.get("minItems") else ""
        return f"a list of {_plural(node.get('items', {}))}{once}{empty}"
    if kind == "object":
        known = keys_of(node)
        if isinstance(node.get("additionalProperties"), dict):
            return f"keys and values, each {describe(node['additionalProperties'])}"
        return f"a mapping ({', '.join(known)})"
    if "examples" in node:
        return f"a text such as {node['examples'][0]}"
    return "a text"


def _plural(node: Schema) -> str:
    if node.get("type") == "string" and not {"enum", "examples"} & set(node):
        return "texts"
    return describe(node).removeprefix("a ")


def _describe_ways(ways: Sequence[Schema]) -> str:
    """Return the alternatives; a list of the others is called so."""
    single = [describe(way) for way in ways if way.get("type") != "array"]
    lists = [way for way in ways if way.get("type") == "array"]
    alone = _either(single)
    for way in lists:
        is_of_them = describe(way.get("items", {})) == alone
        single.append("a list of them" if is_of_them else describe(way))
    return _either(single)


def _either(ways: Sequence[str]) -> str:
    *others, last = [*dict.fromkeys(ways)] or [""]
    return f"{', '.join(others)}, or {last}" if others else last


def _words_together(ways: Sequence[Schema]) -> list[Schema]:
    """Return the alternatives with all single words as one choice, in front."""
    words = [word for way in ways for word in way.get("enum", [way.get("const")]) if word]
    others = [way for way in ways if not {"enum", "const"} & set(way)]
    return [{"enum": words}, *others] if words else others


def _describe_number(node: Schema) -> str:
    noun = "a whole number" if node["type"] == "integer" else "a number"
    low, high = node.get("minimum"), node.get("maximum")
    above, below = node.get("exclusiveMinimum"), node.get("exclusiveMaximum")
    if low is not None and high not in (None, MAX_COUNT):
        return f"{noun} from {low} to {high}"
    parts = [
        *([f"from {low}"] if low is not None else []),
        *([f"above {above}"] if above is not None else []),
        *([f"below {below}"] if below is not None else []),
        *([f"at most {high}"] if high not in (None, MAX_COUNT) else []),
    ]
    return f"{noun} {', '.join(parts)}" if parts else noun
