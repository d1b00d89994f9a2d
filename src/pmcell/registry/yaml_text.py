"""Read YAML as text with line numbers: no types, no tags, no aliases, no duplicate keys.

YAML turns `NO` into false and `007` into 7, and its tags and aliases can do
harm. Here every scalar stays the text that the person wrote.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pmcell.errors import Fault

MAX_BYTES = 1_000_000
MAX_NODES = 20_000
"""Keys and values of a file, together."""
MAX_DEPTH = 20


@dataclass(frozen=True)
class YamlText:
    """The tree (dicts, lists, text), and the line (from 1) of each dotted path."""

    tree: dict[str, Any]
    lines: Mapping[str, int] = field(default_factory=dict)


def read_yaml(path: Path, faults: list[Fault]) -> YamlText:
    """Read `path`; what is wrong with it as YAML is appended to `faults`."""
    import yaml

    name = path.name
    if not path.is_file():
        faults.append(
            Fault(
                name,
                "must exist",
                "no such file",
                "Draft it with `pmcell register`.",
                reason="file_missing",
            )
        )
        return YamlText({})
    if path.stat().st_size > MAX_BYTES:
        faults.append(
            Fault(name, "must be small", f"over {MAX_BYTES:,} bytes", "Keep data out of it.")
        )
        return YamlText({})
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        found = f"byte {error.start} is not UTF-8"
        faults.append(Fault(name, "must be UTF-8 text", found, "Save it as UTF-8."))
        return YamlText({})
    # The parser written in C, where there is one: the other takes a minute for a megabyte.
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        fault = _forbidden(yaml.parse(text, Loader=loader), name)
        if fault is not None:
            faults.append(fault)
            return YamlText({})
        root = yaml.compose(text, Loader=loader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        problem = getattr(error, "problem", None) or "not YAML"
        line = mark.line + 1 if mark else None
        fix = "Check indentation, colons and quotes there."
        faults.append(Fault(name, "must be valid YAML", str(problem), fix, row=line, reason="yaml"))
        return YamlText({})
    lines: dict[str, int] = {}
    tree = {} if root is None else _plain(root, "", lines, name, faults)
    if not isinstance(tree, dict):
        faults.append(
            Fault(name, "must be a mapping of keys to values", "none", "Write `key: value` lines.")
        )
        return YamlText({})
    return YamlText(tree, lines)


def _forbidden(events: Iterable[Any], name: str) -> Fault | None:
    """The first of what is refused before a tree is made: aliases, depth, too many nodes."""
    import yaml

    depth = n_nodes = 0
    for event in events:
        line = event.start_mark.line + 1
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            return Fault(name, "must not use anchors or aliases", "one", "Write it out.", row=line)
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        n_nodes += isinstance(event, yaml.NodeEvent)
        if depth > MAX_DEPTH:
            must = f"must be nested at most {MAX_DEPTH} deep"
            return Fault(name, must, "more", "Write plain keys and values.", row=line)
        if n_nodes > MAX_NODES:
            must = f"must have at most {MAX_NODES:,} keys and values"
            return Fault(name, must, "more", "Keep data out of it.", row=line, reason="too_big")
    return None


def _plain(node: Any, path: str, lines: dict[str, int], name: str, faults: list[Fault]) -> Any:
    import yaml

    line = node.start_mark.line + 1
    lines.setdefault(path, line)
    if not node.tag.startswith("tag:yaml.org,2002:") or "python" in node.tag:
        faults.append(
            Fault(
                name,
                "must not use YAML tags",
                node.tag,
                "Remove the tag.",
                row=line,
                reason="yaml_tag",
            )
        )
        return ""
    if isinstance(node, yaml.ScalarNode):
        return "" if node.tag.endswith(":null") else str(node.value)
    if isinstance(node, yaml.SequenceNode):
        return [
            _plain(item, f"{path}[{i}]", lines, name, faults) for i, item in enumerate(node.value)
        ]
    tree: dict[str, Any] = {}
    for key_node, value_node in node.value:
        key = str(key_node.value) if isinstance(key_node, yaml.ScalarNode) else "?"
        below = f"{path}.{key}" if path else key
        row = key_node.start_mark.line + 1
        if key in tree:
            must = "must have each key once"
            faults.append(
                Fault(name, must, f"{key!r} again", "Keep one of them.", row=row, column=below)
            )
        if key == "__use_yte__":
            must = "must not switch on the YTE template engine"
            faults.append(
                Fault(name, must, key, "Remove the key.", row=row, column=below, reason="yte")
            )
        tree[key] = _plain(value_node, below, lines, name, faults)
        lines[below] = row
    return tree
