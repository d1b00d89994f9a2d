"""Settings as options of a command: every one of its section, with its meaning and its default."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any, TypeVar

from pmcell.settings.json_schema import Schema, describe, schema_of, shown_default
from pmcell.settings.load import load_section, load_settings
from pmcell.settings.model import Settings
from pmcell.settings.table import section_of

AnySettings = TypeVar("AnySettings", bound=Settings)

PREFIX = "setting."
"""Before the names of settings among the values of options, where files have plain names."""


def add_settings(
    parser: argparse.ArgumentParser, model: type[Settings], *, leave_out: Sequence[str] = ()
) -> None:
    """Add an option for each setting of a section; those left out have one of another kind."""
    properties = schema_of(model)["properties"]
    if not properties:
        return
    group = parser.add_argument_group(
        "settings", f"keys of section '{section_of(model)}' as well; an option beats the file"
    )
    for name, node in properties.items():
        if name in leave_out:
            continue
        kind: dict[str, Any] = {"metavar": _metavar(node)}
        if node.get("type") == "boolean":
            kind = {"action": argparse.BooleanOptionalAction}
        elif _is_list_of_words(node):
            kind["nargs"] = "*"
        group.add_argument(
            f"--{name.replace('_', '-')}",
            dest=PREFIX + name,
            default=None,
            help=_help(node),
            **kind,
        )


def step_settings(args: argparse.Namespace, model: type[AnySettings]) -> AnySettings:
    """Return the settings of a command: its options, else the file of `--config`, else defaults."""
    return load_section(model, args.config, given_settings(args, model))


def given_configuration(args: argparse.Namespace, model: type[Settings]) -> dict[str, Any]:
    """Return what the file of `--config` gives, with the command's options in its section."""
    step_settings(args, model)
    given = dict(load_settings(args.config).given) if args.config else {}
    name = section_of(model)
    return {**given, name: {**given.get(name, {}), **given_settings(args, model)}}


def given_settings(args: argparse.Namespace, model: type[Settings]) -> dict[str, Any]:
    """Return the settings that stand on the command line."""
    properties = schema_of(model)["properties"]
    words = {name: getattr(args, PREFIX + name, None) for name in properties}
    return {
        name: _value(properties[name], found) for name, found in words.items() if found is not None
    }


def _value(node: Schema, found: Any) -> Any:
    """Return what an option's text means; a text that is no number stays one, for the check."""
    if isinstance(found, list):
        alone = [word for way in node.get("anyOf", ()) for word in way.get("enum", ())]
        return found[0] if len(found) == 1 and found[0] in alone else found
    if _number_kind(node):
        for number in (int, float):
            try:
                return number(found)
            except ValueError:
                continue
    if isinstance(found, str) and _is_nested(node):
        import yaml

        try:
            return yaml.safe_load(found)
        except yaml.YAMLError:
            return found
    return found


def _ways(node: Schema) -> list[Schema]:
    return [node, *node.get("anyOf", ())]


def _number_kind(node: Schema) -> str:
    """Return which kind of number a value may be, beside single words; '' for none."""
    ways = [way for way in _ways(node) if "type" in way and not {"enum", "const"} & way.keys()]
    kinds = {str(way["type"]) for way in ways}
    return kinds.pop() if len(kinds) == 1 and kinds <= {"integer", "number"} else ""


def _is_list_of_words(node: Schema) -> bool:
    return not _is_nested(node) and any(way.get("type") == "array" for way in _ways(node))


def _is_nested(node: Schema) -> bool:
    """Whether a value holds keys and values, or a list of them: its option takes YAML."""
    parts = [*_ways(node), *(way["items"] for way in _ways(node) if "items" in way)]
    return any(way.get("type") == "object" for part in parts for way in _ways(part))


def _metavar(node: Schema) -> str:
    if "enum" in node:
        return "{" + ",".join(map(str, node["enum"])) + "}"
    if _is_nested(node):
        return "YAML"
    names = {"integer": "N", "number": "X"}
    return names.get(_number_kind(node), "NAME" if _is_list_of_words(node) else "TEXT")


def _help(node: Schema) -> str:
    prose = node["description"].replace("`", "").replace("%", "%%")
    unit = f", in {node['unit']}" if "unit" in node else ""
    must = f"{describe(node)}{unit}".replace("%", "%%")
    return f"{prose} ({must}; default {shown_default(node)})"
