"""A JSON document as frozen dataclasses: read, written and described by the same fields.

A field that the file need not have is `None` where it is absent. A number that does not
exist is null in the file and NaN here, so that absent and null stay apart.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, field, fields, is_dataclass
from functools import cache
from types import NoneType, UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from pmcell.errors import Fault, FaultsError
from pmcell.spelling import did_you_mean

T = TypeVar("T")

PROSE, TELLS = "prose", "tells"
FIX = "Was it written by another version of pmcell? Write it again with this one."
SCALARS = {str: "string", int: "integer", float: "number", bool: "boolean"}


def fact(prose: str, *, tells: str, required: bool = False) -> Any:
    """Declare a field of a document.

    Parameters
    ----------
    prose
        One sentence: what the value means.
    tells
        What the value tells of donors: one of the classes of the document.
    required
        Whether the file must have the key; else it may be absent (`None`).
    """
    metadata = {PROSE: prose, TELLS: tells}
    return field(metadata=metadata) if required else field(default=None, metadata=metadata)


def parse(cls: type[T], value: Any, *, file: str) -> T:
    """Return the document that a JSON value holds.

    Parameters
    ----------
    cls
        Frozen dataclass whose fields were declared with `fact`.
    value
        What the file holds, as read from JSON.
    file
        Name of the file in messages.

    Raises
    ------
    FaultsError
        With every key that is unknown, missing or of another type, and its path.
    """
    faults: list[Fault] = []
    found = _parsed(cls, value, "", file, faults)
    if faults:
        raise FaultsError(faults)
    return found  # type: ignore[no-any-return]


def plain(document: Any) -> Any:
    """Return the value for JSON: absent keys left out, NaN as null."""
    if is_dataclass(document) and not isinstance(document, type):
        values = ((item.name, getattr(document, item.name)) for item in fields(document))
        return {name: plain(value) for name, value in values if value is not None}
    if isinstance(document, Mapping):
        return {str(name): plain(value) for name, value in document.items()}
    if isinstance(document, list | tuple):
        return [plain(item) for item in document]
    return None if isinstance(document, float) and math.isnan(document) else document


def json_schema(cls: type) -> dict[str, Any]:
    """Return the JSON Schema of a document, without its head."""
    hints = _hints(cls)
    return {
        "type": "object",
        "properties": {
            item.name: {"description": item.metadata[PROSE], **_node(_present(hints[item.name]))}
            for item in fields(cls)
        },
        "required": [item.name for item in fields(cls) if item.default is MISSING],
        "additionalProperties": False,
    }


def facts_of(cls: type) -> Iterator[tuple[str, str, str]]:
    """Yield path, prose and class of every field of a document and of its parts."""
    hints = _hints(cls)
    for item in fields(cls):
        yield item.name, item.metadata[PROSE], item.metadata[TELLS]
        for part in _parts(hints[item.name]):
            for path, prose, tells in facts_of(part):
                yield f"{item.name}.{path}", prose, tells


def _parsed(kind: Any, value: Any, path: str, file: str, faults: list[Fault]) -> Any:
    """The value as `kind`; a value that is none adds a fault."""
    if is_dataclass(kind):
        return _parsed_object(kind, value, path, file, faults)
    origin = get_origin(kind)
    if origin is tuple and isinstance(value, list):
        inner = get_args(kind)[0]
        return tuple(
            _parsed(inner, item, f"{path}[{index}]", file, faults)
            for index, item in enumerate(value)
        )
    if origin is Mapping and isinstance(value, Mapping):
        inner = get_args(kind)[1]
        return {
            str(name): _parsed(inner, item, f"{path}.{name}", file, faults)
            for name, item in value.items()
        }
    if kind is Any:
        return value
    if kind is float and value is None:
        return math.nan
    right = (int, float) if kind is float else kind
    if origin is None and isinstance(value, right) and (kind is bool) == isinstance(value, bool):
        return value
    faults.append(_fault(file, path, f"must be {_named(kind)}", repr(value)))
    return None


def _parsed_object(kind: Any, value: Any, path: str, file: str, faults: list[Fault]) -> Any:
    if not isinstance(value, Mapping):
        faults.append(_fault(file, path, "must be an object", repr(value)))
        return None
    hints, known = _hints(kind), {item.name: item for item in fields(kind)}
    n_before = len(faults)
    for name in value:
        if name not in known:
            hint = f"{did_you_mean(name, known)} ".lstrip()
            must = f"must have the keys of this version only: {', '.join(known)}"
            fault = _fault(file, _joined(path, name), must, f"the key {name!r}", hint)
            faults.append(fault)
    for name, item in known.items():
        if item.default is MISSING and name not in value:
            faults.append(_fault(file, _joined(path, name), "must be there", "no such key"))
    given = {
        name: _parsed(_present(hints[name]), value[name], _joined(path, name), file, faults)
        for name in known
        if name in value
    }
    return kind(**given) if len(faults) == n_before else None


def _fault(file: str, path: str, must: str, found: str, hint: str = "") -> Fault:
    return Fault(file, must, found, hint + FIX, column=path or None, reason="document")


def _joined(path: str, name: object) -> str:
    return f"{path}.{name}" if path else str(name)


def _present(kind: Any) -> Any:
    """The type of a value that is there: `X | None` without None."""
    if get_origin(kind) in (UnionType, Union):
        return next(part for part in get_args(kind) if part is not NoneType)
    return kind


def _parts(kind: Any) -> Iterator[type]:
    """Documents within a type."""
    kind = _present(kind)
    if is_dataclass(kind) and isinstance(kind, type):
        yield kind
    for inner in get_args(kind):
        if inner is not Ellipsis:
            yield from _parts(inner)


def _node(kind: Any) -> dict[str, Any]:
    if is_dataclass(kind) and isinstance(kind, type):
        return json_schema(kind)
    origin = get_origin(kind)
    if origin is tuple:
        return {"type": "array", "items": _node(get_args(kind)[0])}
    if origin is Mapping:
        inner = get_args(kind)[1]
        return {
            "type": "object",
            "additionalProperties": True if inner is Any else _node(inner),
        }
    return {"type": ["number", "null"] if kind is float else SCALARS[kind]}


def _named(kind: Any) -> str:
    """The type in words."""
    name = str(_node(kind)["type"]) if kind is not float else "number or null"
    return f"an {name}" if name[0] in "aeiou" else f"a {name}"


@cache
def _hints(cls: type) -> dict[str, Any]:
    return get_type_hints(cls)
