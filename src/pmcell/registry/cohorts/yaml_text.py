"""Read YAML as text with line numbers: no types, no tags, no aliases, no duplicate keys.

YAML turns `NO` into false and `007` into 7, and its tags and aliases can do
harm. Here every scalar stays the text that the person wrote.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pmcell.errors import Fault
from pmcell.registry.cohorts.registered import UnsafeYamlError, read_small, yaml_events
from pmcell.settings.yaml_help import CutText, cut_text, yaml_fix, yaml_problem


@dataclass(frozen=True)
class YamlText:
    """The tree (dicts, lists, text), and the line (from 1) of each dotted path.

    `cut` has, by path, the texts behind which a comment stands that may be part of them.
    """

    tree: dict[str, Any]
    lines: Mapping[str, int] = field(default_factory=dict)
    cut: Mapping[str, CutText] = field(default_factory=dict)


def read_yaml(path: Path, faults: list[Fault], *, may_lead_out: bool = False) -> YamlText:
    """Read `path`; what is wrong with it as YAML is appended to `faults`.

    A link out of the file's folder is wrong, unless it `may_lead_out`: the operator's own may.
    """
    import yaml

    name = path.name
    if not path.exists():
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
    try:
        text = read_small(path, may_lead_out=may_lead_out).decode("utf-8-sig")
        for _ in yaml_events(text):
            pass
        # The parser written in C, where there is one: the other takes a minute for a megabyte.
        root = yaml.compose(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except UnicodeDecodeError as error:
        found = f"byte {error.start} is not UTF-8"
        faults.append(Fault(name, "must be UTF-8 text", found, "Save it as UTF-8."))
        return YamlText({})
    except OSError as error:
        found = error.strerror or str(error)
        faults.append(Fault(name, "must be readable", found, "Correct its rights."))
        return YamlText({})
    except UnsafeYamlError as error:
        faults.append(
            Fault(name, error.must, error.found, error.fix, row=error.line, reason=error.reason)
        )
        return YamlText({})
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark else None
        found, fix = yaml_problem(error), yaml_fix(text, line)
        faults.append(Fault(name, "must be valid YAML", found, fix, row=line, reason="yaml"))
        return YamlText({})
    lines: dict[str, int] = {}
    cut: dict[str, CutText] = {}
    tree = {} if root is None else _plain(root, "", lines, name, faults)
    if root is not None:
        _find_cut(root, "", text, cut)
    if not isinstance(tree, dict):
        faults.append(
            Fault(name, "must be a mapping of keys to values", "none", "Write `key: value` lines.")
        )
        return YamlText({})
    return YamlText(tree, lines, cut)


def _find_cut(node: Any, path: str, text: str, cut: dict[str, CutText]) -> None:
    import yaml

    if isinstance(node, yaml.ScalarNode):
        found = None if node.style else cut_text(text, node.value, node.end_mark.index)
        if found is not None:
            cut[path] = found
    elif isinstance(node, yaml.SequenceNode):
        for position, item in enumerate(node.value):
            _find_cut(item, f"{path}[{position}]", text, cut)
    else:
        for key, value in node.value:
            name = str(key.value) if isinstance(key, yaml.ScalarNode) else "?"
            _find_cut(value, f"{path}.{name}" if path else name, text, cut)


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
