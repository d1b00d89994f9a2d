"""Read YAML as the values that everybody's YAML gives, with the line of each and its own words.

YAML reads `1e-3` as text, `no` as false and `1.10` as 1.1. Snakemake reads the same file, so that
values stay as YAML has them; what was written is kept beside them, for errors to explain.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from pmcell.errors import Fault
from pmcell.settings.yaml_help import (
    MUST_BE_QUOTED,
    MUST_SHOW,
    control_sign,
    cut_text,
    yaml_fix,
    yaml_problem,
)

MAX_BYTES = 1_000_000
MAX_VALUES = 100_000
MAX_DEPTH = 100
"""Lists and mappings within one another."""
MAX_SHOWN = 240
"""Letters of each part of a fault."""

PROSE = frozenset(
    {
        *("title", "description", "name", "given_name", "family_name", "affiliation", "keywords"),
        *("funding", "funder", "award", "authors", "contributors", "publisher", "rai", "report"),
        *("question", "display", "source"),
    }
)
"""Keys, or keys above them, of texts that are published as they stand."""

Place = tuple[str | int, ...]
"""Keys and positions that lead to a value."""


@dataclass(frozen=True)
class Written:
    """How a value stands in the file: its line (from 1), its text, whether it is quoted."""

    line: int
    text: str = ""
    is_quoted: bool = False


@dataclass
class Document:
    """The values of a file; keys without one are left out."""

    name: str
    values: dict[str, Any] = field(default_factory=dict)
    written: dict[Place, Written] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)

    def line_of(self, place: Place) -> int | None:
        """Return the line of a value, or of the nearest one above it; None for values without."""
        while place not in self.written and place:
            place = place[:-1]
        return self.written[place].line if place in self.written else None

    def add(
        self, must: str, found: str, fix: str, place: Place = (), line: int | None = None
    ) -> None:
        """Add a fault of a value, or of a line."""
        self.faults.append(
            Fault(
                self.name,
                _cut(must),
                _cut(found),
                _cut(fix),
                row=line or self.line_of(place),
                column=_cut(dotted(place)) or None,
                reason="configuration",
            )
        )


def _cut(text: str) -> str:
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}…"


def dotted(place: Place) -> str:
    """Return a place as a person writes it.

    Examples
    --------
    >>> dotted(("release", "authors", 0, "orcid"))
    'release.authors[0].orcid'
    """
    parts = [f"[{part}]" if isinstance(part, int) else f".{part}" for part in place]
    return "".join(parts).removeprefix(".")


def read_document(path: Path, *, max_values: int = MAX_VALUES) -> Document:
    """Read a file; what is wrong with it as YAML is in the document's faults."""
    import yaml

    document = Document(str(path))
    text = _read_text(path, document)
    try:
        _check_depth(text)
        root = yaml.compose(text, Loader=_loader())
        if root is not None:
            document.written[()] = Written(root.start_mark.line + 1)
            values = _Reader(document, text, max_values).value(root, ())
            if isinstance(values, dict):
                document.values = values
            elif not document.faults:
                found = f"{type(values).__name__} {str(values)[:40]!r}"
                document.add(
                    "must hold keys and values", found, "Write lines such as `qc: {n_mads: 4}`."
                )
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        # Where the text ends too early, the parser stands on a line that is not there.
        last = text.rstrip().count("\n") + 1
        line = min(mark.line + 1, last) if mark else None
        document.add("must be valid YAML", yaml_problem(error), yaml_fix(text, line), line=line)
    except RecursionError:
        document.add(
            "must be valid YAML", "brackets within brackets without end", "Write it plainly."
        )
    return document


def _read_text(path: Path, document: Document) -> str:
    try:
        if path.stat().st_size > MAX_BYTES:
            found = f"{path.stat().st_size:,} bytes"
            document.add(f"must have at most {MAX_BYTES:,} bytes", found, "Keep data out of it.")
            return ""
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        document.add(
            "must be UTF-8 text", f"a byte that is none at {error.start}", "Save it as UTF-8."
        )
    except OSError as error:
        document.add("must be a file that can be read", str(error.strerror), "Correct its name.")
    return ""


def _loader() -> Any:
    """The parser written in C, where there is one: the other takes a minute for a megabyte."""
    import yaml

    return getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def _check_depth(text: str) -> None:
    """Raise `RecursionError` before the parser written in C would use up its stack."""
    import yaml

    depth = 0
    for event in yaml.parse(text, Loader=_loader()):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > MAX_DEPTH:
                raise RecursionError
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


class _Reader:
    """Turns nodes into values, one document's."""

    def __init__(self, document: Document, text: str, max_values: int) -> None:
        import yaml

        self.document, self.text = document, text
        self.scalars = yaml.SafeLoader("")
        self.above: set[int] = set()
        self.n_values, self.max_values = 0, max_values

    def value(self, node: Any, place: Place) -> Any:
        """Return the value of a node, None where it has none."""
        import yaml

        self.n_values += 1
        if id(node) in self.above or self.n_values > self.max_values:
            found = f"more than {self.max_values:,} values, or an alias that stands for so many"
            raise yaml.composer.ComposerError(None, None, found, node.start_mark)
        kind = node.tag.removeprefix("tag:yaml.org,2002:")
        if kind not in ("map", "seq", "str", "int", "float", "bool", "null", "timestamp"):
            line = node.start_mark.line + 1
            self.document.add("must use no YAML tag", node.tag, "Remove it.", place, line)
            return None
        if isinstance(node, yaml.ScalarNode):
            return self.scalar(node, place)
        self.above.add(id(node))
        try:
            if isinstance(node, yaml.SequenceNode):
                items = enumerate(node.value)
                return [self.item(item, (*place, at)) for at, item in items]
            return self.mapping(node, place)
        finally:
            self.above.discard(id(node))

    def item(self, node: Any, place: Place) -> Any:
        """Return an item of a list."""
        self.document.written[place] = Written(node.start_mark.line + 1)
        return self.value(node, place)

    def scalar(self, node: Any, place: Place) -> Any:
        """Return a single value as YAML reads it, as text where it reads none."""
        line = self.document.written.get(place, Written(node.start_mark.line + 1)).line
        self.document.written[place] = Written(line, node.value, bool(node.style))
        if PROSE.intersection(place) and (control := control_sign(node.value)) is not None:
            self.document.add(MUST_SHOW, *control, place)
        if not node.style and PROSE.intersection(place):
            cut = cut_text(self.text, node.value, node.end_mark.index)
            if cut is not None and cut.is_sure:
                self.document.add(MUST_BE_QUOTED, cut.found, cut.fix, place)
        try:
            value = self.scalars.construct_object(node)
        except (ValueError, OverflowError):  # The 30th of February, or thousands of digits.
            return str(node.value)
        if _is_surprising(value, node.value):
            fix = f"Write {value}, or '{node.value}' with quotes for a text."
            self.document.add(
                "must be a decimal number", f"{node.value}, which YAML reads as {value}", fix, place
            )
        return value

    def mapping(self, node: Any, place: Place) -> dict[str, Any]:
        """Return a mapping; each key must stand in it once."""
        import yaml

        found: dict[str, Any] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode):
                self.document.add(
                    "must have texts as keys", "a list or mapping", "Name it.", place, line
                )
                continue
            key = str(key_node.value)
            below = (*place, key)
            if key_node.tag.endswith(":merge"):
                must = "must not merge mappings"
                self.document.add(must, repr(key), "Write the keys out.", below, line)
                continue
            if below in self.document.written:
                first = self.document.written[below].line
                must, fix = f"must be given once; line {first} has it too", "Keep one of them."
                self.document.add(must, "it again", fix, below, line)
                continue
            self.document.written[below] = Written(line)
            value = self.value(value_node, below)
            if value is not None:
                found[key] = value
        return found


def _is_surprising(value: Any, text: str) -> bool:
    """Whether YAML reads digits as another number: 010 as 8, 1:30 as 90, 0x1f as 31."""
    if isinstance(value, bool) or not isinstance(value, int):
        return False
    try:
        return Decimal(text.replace("_", "")) != value
    except InvalidOperation:
        return True


def as_given(values: Mapping[str, Any]) -> Document:
    """Return values that come from no file as a document."""
    return Document("config.yaml", _without_nulls(values))


def _without_nulls(value: Any) -> Any:
    if isinstance(value, Mapping):
        pairs = ((str(key), _without_nulls(item)) for key, item in value.items())
        return {key: item for key, item in pairs if item is not None}
    if isinstance(value, list | tuple):
        return [_without_nulls(item) for item in value]
    return value
