"""Write a draft as cohort.yaml, donors.tsv and samples.tsv."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from pmcell.registry.cohorts.catalogue import REQUIREMENTS
from pmcell.registry.cohorts.catalogue_keys import CATALOGUE_KEYS
from pmcell.registry.cohorts.keys import COHORT_KEYS, ONLY_A_PERSON, TODO, key
from pmcell.registry.draft.draft import Draft
from pmcell.registry.terms.health_terms import HEALTH_CATEGORIES, TRANSCRIPTOMIC
from pmcell.schema import UNKNOWN
from pmcell.spelling import without_unseen

HEAD = """\
# Drafted by `pmcell register`. Replace every TODO; 'unknown' means that nobody supplied it.
# Then run: pmcell check {cohort_id}
"""
MAX_KEY = 1000
"""Letters of a key: YAML ends one at 1,024."""
OMITTED_WHEN_UNSET = (
    "matrix.keep_features.column",
    "matrix.keep_features.value",
    "matrix.orientation",
    "columns.donor_id",
    "columns.cell_type",
    "matrix.cells",
)


def cohort_yaml(draft: Draft) -> str:
    """The text of cohort.yaml, its keys in their declared order, each decision explained."""
    lines = [HEAD.format(cohort_id=draft.cohort_id).rstrip()]
    fixed = {
        "schema_version": "1",
        "id": draft.cohort_id,
        "health_categories": TRANSCRIPTOMIC,
    }
    draft.comments.setdefault("health_categories", HEALTH_CATEGORIES[TRANSCRIPTOMIC])
    opened: list[str] = []
    for item in COHORT_KEYS:
        if item.kind == "mapping":
            lines += _mapping(item.path, draft, opened)
            continue
        if item.kind == "records":
            lines += _open([], opened)
            lines += _exclude(item.path, draft)
            continue
        value = draft.settings.get(item.path) or fixed.get(item.path)
        if value is None:
            if item.path in OMITTED_WHEN_UNSET:
                continue
            value = TODO if item.path in ONLY_A_PERSON else UNKNOWN
        *parents, leaf = item.path.split(".")
        lines += _open(parents, opened)
        # What the file says may have line ends, which would end the comment.
        comment = without_unseen(_comment(item.path, value, draft))
        shown = _list(value) if item.kind == "list" else scalar(value)
        lines.append(f"{'  ' * len(parents)}{leaf}: {shown}{f'   # {comment}' if comment else ''}")
    return "\n".join(lines) + "\n"


def sheet(rows: Sequence[dict[str, str]]) -> str:
    """The text of a table: tabs between cells, one line a row."""
    columns = list(rows[0])
    lines = ["\t".join(columns), *("\t".join(row[column] for column in columns) for row in rows)]
    return "\n".join(lines) + "\n"


def _mapping(path: str, draft: Draft, opened: list[str]) -> Iterator[str]:
    entries = draft.cell_types if path.endswith("cell_type") else draft.sample_names
    if not entries:
        return
    *parents, leaf = path.split(".")
    yield from _open([*parents, leaf], opened)
    for name, value in entries.items():
        if len(scalar(name)) > MAX_KEY:
            continue  # No reader of YAML takes it for a key; a cell type is unknown then.
        comment = draft.comments.get(f"{path}.{name}", "")
        if not comment and ":" in value:
            from pmcell.registry.terms.ontology import resolve

            comment = str(resolve(value))
        shown = f"   # {without_unseen(comment)}" if comment else ""
        yield f"    {scalar(name)}: {scalar(value)}{shown}"


def _exclude(path: str, draft: Draft) -> Iterator[str]:
    """What is left out, each with the number of its cells."""
    if not draft.exclude:
        return
    yield f"{path}:   # {key(path).prose}"
    for item, n in draft.exclude:
        yield f"  - column: {scalar(item.column)}"
        yield f"    values: [{', '.join(json.dumps(v, ensure_ascii=False) for v in item.values)}]"
        yield f"    reason: {scalar(item.reason)}   # {n} cells"


def _open(parents: list[str], opened: list[str]) -> Iterator[str]:
    """Lines that open the mappings that are not open yet."""
    while opened and opened != parents[: len(opened)]:
        opened.pop()
    for depth in range(len(opened), len(parents)):
        yield f"{'  ' * depth}{parents[depth]}:"
        opened.append(parents[depth])


def _comment(path: str, value: str, draft: Draft) -> str:
    seen = draft.comments.get(path, "")
    if value == UNKNOWN and not seen:
        return _asked_for(path)
    if value != TODO:
        return seen
    declared = key(path)
    parts = [declared.prose]
    if declared.choices:
        parts.append(f"One of {', '.join(declared.choices)}.")
    if declared.example:
        parts.append(f"Example: {declared.example}.")
    if seen:
        parts.append(f"The file says: {seen}.")
    return " ".join(parts)


def _asked_for(path: str) -> str:
    """When a catalogue's record needs an unknown value, and what it is."""
    item = next((item for item in CATALOGUE_KEYS if item.path == path), None)
    needed = [need.access for need in REQUIREMENTS if path in need.paths]
    when = f"Needed where access is {' or '.join(needed[0])}. " if needed else ""
    if item is None:
        return when.strip()
    example = f" Example: {item.example}." if item.example else ""
    return f"{when}{item.prose}{example}"


def _list(value: str) -> str:
    """A list, given with commas between its entries, as YAML."""
    return f"[{', '.join(scalar(part.strip()) for part in value.split(','))}]"


def scalar(value: str) -> str:
    """The text as YAML, quoted where a YAML reader would not give the same text back."""
    import yaml

    try:
        plain = yaml.safe_load(f"x: {value}") == {"x": value} and yaml.safe_load(f"{value}: x") == {
            value: "x"
        }
    except yaml.YAMLError:
        plain = False
    return value if plain else json.dumps(value, ensure_ascii=False)
