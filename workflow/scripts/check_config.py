"""Check the configuration against its JSON schema, where only Snakemake is there to parse it.

Pure Python and jsonschema: the Snakefile loads this without importing pmcell. `pmcell run` and
`pmcell check` read the same file by the models that the schema was made from, and also name lines.
"""

from __future__ import annotations

import json

from jsonschema import Draft202012Validator

ALIAS_OF = "x-alias-of"


def plain(config, schema):
    """The configuration as JSON values, without keys that are not set; old names of sections
    are replaced by those they have now."""
    values = _without_nulls(json.loads(json.dumps(config, default=str)))
    for old, item in schema["properties"].items():
        if ALIAS_OF in item and old in values and item[ALIAS_OF] not in values:
            values[item[ALIAS_OF]] = values.pop(old)
    return values


def faults(values, schema, *, is_part=False):
    """A sentence for each fault of the values; keys of other workflows are none in a part."""
    known = schema["properties"]
    if is_part:
        values = {key: value for key, value in values.items() if key in known}
    # An empty mapping says nothing, as a key without a value does.
    values = {
        key: _without_empty(value) if known.get(key, {}).get("type") == "object" else value
        for key, value in values.items()
    }
    errors = Draft202012Validator(schema).iter_errors(values)
    twice = [name for name in values if ALIAS_OF in known.get(name, {})]
    # A value of a wrong type breaks other rules too: one is enough.
    first = {str(list(error.path)): error for error in reversed(list(errors))}
    return [
        *(f"section {name} is now called {known[name][ALIAS_OF]}: keep one" for name in twice),
        *(_sentence(first[path]) for path in sorted(first)),
    ]


def sections(values, schema):
    """The sections of steps among the values."""
    known = schema["properties"]
    return {
        key: value for key, value in values.items() if known.get(key, {}).get("type") == "object"
    }


def changed(section, schema):
    """What a section sets to something else than the default."""
    known = schema.get("properties", {})
    return {
        key: value
        for key, value in section.items()
        if value not in ({}, known.get(key, {}).get("default"))
    }


def _without_nulls(value):
    if isinstance(value, dict):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None}
    return [_without_nulls(item) for item in value] if isinstance(value, list) else value


def _without_empty(section):
    if not isinstance(section, dict):
        return section
    return {key: value for key, value in section.items() if value != {}}


def _sentence(error):
    place = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in error.path)
    place = place.removeprefix(".") or "the configuration"
    meaning = error.schema.get("description", "")
    if error.validator == "additionalProperties":
        known = error.schema.get("properties", {})
        wrong = ", ".join(sorted(map(repr, set(error.instance) - set(known))))
        return f"{place} has no key {wrong}; it has {', '.join(known) or 'none'}"
    if error.validator in ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"):
        return f"{place} must be in its range ({meaning}): {error.message}"
    return f"{place}: {error.message[:300]}" + (f" ({meaning})" if meaning else "")
