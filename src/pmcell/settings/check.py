"""Check values against the settings models; each fault says what must hold and how to fix it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from math import inf
from typing import Any, TypeVar

from pydantic import ValidationError

from pmcell.settings.json_schema import describe, keys_of, node_at, schema_of
from pmcell.settings.model import Settings, one_of
from pmcell.settings.yaml_lines import Document, Place, Written, dotted
from pmcell.spelling import did_you_mean

AnySettings = TypeVar("AnySettings", bound=Settings)

MAX_SHOWN = 60
_NUMBER = re.compile(r"[-+]?(\d[\d_]*\.?\d*|\.\d+)([eE][-+]?\d+)?")


def checked(
    model: type[AnySettings], values: Any, document: Document, place: Place = ()
) -> AnySettings | None:
    """Return the settings of one section; faults are added to the document.

    Parameters
    ----------
    model
        The section's model.
    values
        What stands in the section.
    document
        The file, for the lines of values and for its faults.
    place
        Where the section stands in the file.

    Returns
    -------
    The settings, or None where there are faults.
    """
    if not isinstance(values, Mapping):
        name = place[-1] if place else "it"
        fix = f"Write `{name}: {{KEY: VALUE}}`, or indent the keys below it."
        document.add("must hold keys and values", _found(values, document, place), fix, place)
        return None
    try:
        # An empty mapping says nothing, as a key without a value does.
        return model.model_validate({key: value for key, value in values.items() if value != {}})
    except ValidationError as error:
        # A value that fits none of several types has one fault of each.
        for at, kind, message in dict.fromkeys(_plain_errors(error, values)):
            _add(model, values, document, place, at, kind, message)
        return None


def _plain_errors(error: ValidationError, given: Any) -> list[tuple[Place, str, str]]:
    """Return place, kind and message of each fault; of a value and its parts only the value's."""
    found = []
    for item in error.errors(include_url=False, include_context=False):
        place: Place = ()
        value = given
        for part in item["loc"]:
            try:
                value = value[part]
            except (KeyError, IndexError, TypeError):
                break
            place = (*place, part)
        kind = item["type"]
        if kind == "missing":
            kind, place = "missing", (*place, item["loc"][-1])
        elif item["loc"][-1:] == ("[key]",):
            kind = "extra_forbidden"
        elif kind not in ("extra_forbidden", "value_error"):
            kind = "wrong"
        message = item["msg"].removeprefix("Value error, ") if kind == "value_error" else ""
        found.append((place, kind, message))
    wrong = {place for place, kind, _ in found if kind == "wrong"}
    return [item for item in found if not any(item[0][:n] in wrong for n in range(len(item[0])))]


def _add(
    model: type[Settings],
    given: Any,
    document: Document,
    section: Place,
    at: Place,
    kind: str,
    message: str,
) -> None:
    place = (*section, *at)
    schema = schema_of(model)
    if kind == "extra_forbidden":
        _add_unknown_key(document, place, keys_of(node_at(schema, at[:-1])))
        return
    if kind == "missing":
        key = str(at[-1])
        found = _found(_value_at(given, at[:-1]), document, place[:-1])
        meaning = node_at(schema, at).get("description", "")
        document.add(f"must have {key} ({meaning})", found, f"Add {key}.", place[:-1])
        return
    value = _value_at(given, at)
    if kind == "value_error":
        # The sentence of a rule across several keys says what was found itself.
        must, _, found = message.partition("; found ")
        document.add(must, found or _found(value, document, place), "Correct it.", place)
        return
    node = node_at(schema, at)
    document.add(
        f"must be {describe(node)}",
        _found(value, document, place),
        _fix(node, value, document, place),
        place,
    )


def _add_unknown_key(document: Document, place: Place, known: list[str]) -> None:
    *above, key = place
    where = dotted(tuple(above))
    if not known:
        must, fix = f"must not be there: {where} has no settings", "Remove it."
    else:
        must = f"must be a key of {where}"
        fix = did_you_mean(key, known) or f"It has {', '.join(known)}."
    document.add(must, repr(str(key)[:MAX_SHOWN]), fix, place)


def _value_at(given: Any, at: Place) -> Any:
    for part in at:
        given = given[part]
    return given


def _found(value: Any, document: Document, place: Place) -> str:
    """Say what was found, as YAML reads it and, where that differs, as it is written."""
    if isinstance(value, bool):
        shown = str(value).lower()
    elif isinstance(value, str):
        shown = f"the text {value!r}"
    else:
        shown = _shortened(value)
    written = document.written.get(place, Written(0))
    is_read = written.text and not written.is_quoted and not isinstance(value, str)
    if is_read and written.text.lower() != shown:
        shown += f" (YAML reads {written.text[:MAX_SHOWN]} so)"
    return shown


def _shortened(value: Any) -> str:
    try:
        return repr(value)
    except ValueError:  # An integer with more digits than Python writes.
        return "a number with thousands of digits"


def _fix(node: dict[str, Any], value: Any, document: Document, place: Place) -> str:
    written = document.written.get(place, Written(0))
    wants_number = node.get("type") in ("number", "integer")
    is_short = isinstance(value, str) and len(value) <= MAX_SHOWN
    if wants_number and is_short and _NUMBER.fullmatch(value) and _is_allowed(node, value):
        plain = _plain_number(value)
        if written.is_quoted:
            return f"Write {plain}, without quotes."
        return f"Write {plain}: YAML reads {value} as a text."
    if not isinstance(value, str) and written.text and "text" in describe(node):
        return f"Write '{written.text}', with quotes."
    if node.get("type") == "array" and isinstance(value, str):
        return f"Write [{value}]."
    words = _words(node)
    if isinstance(value, bool) and written.text and words:
        return did_you_mean(written.text, words) or f"Choose {one_of(words)}."
    for item in value if isinstance(value, list) else (value,):
        if words and item not in words and (near := did_you_mean(item, words)):
            return near
    return (
        f"Correct it; the default is {node['default']!r}." if "default" in node else "Correct it."
    )


def _words(node: dict[str, Any]) -> list[str]:
    ways = node.get("anyOf", [node])
    ways = [*ways, *(way["items"] for way in ways if "items" in way)]
    return [str(word) for way in ways for word in way.get("enum", [way.get("const")]) if word]


def _is_allowed(node: dict[str, Any], text: str) -> bool:
    """Whether the number that a text looks like could stand here."""
    number = float(text.replace("_", ""))
    return (
        (node["type"] == "number" or number.is_integer())
        and node.get("minimum", -inf) <= number <= node.get("maximum", inf)
        and node.get("exclusiveMinimum", -inf) < number < node.get("exclusiveMaximum", inf)
    )


def _plain_number(text: str) -> str:
    """Return a number that every YAML reads as one.

    Examples
    --------
    >>> _plain_number("1e-3"), _plain_number("1e-10"), _plain_number("1e3")
    ('0.001', '1.0e-10', '1000')
    """
    number = float(text.replace("_", ""))
    if number.is_integer() and abs(number) < 1e15:
        return str(int(number))
    shown = repr(number)
    mantissa, e, exponent = shown.partition("e")
    if not e:
        return shown
    sign = exponent if exponent[0] == "-" else f"+{exponent.lstrip('+')}"
    return f"{mantissa if '.' in mantissa else mantissa + '.0'}e{sign}"
