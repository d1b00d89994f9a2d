"""The tables of config/README.md, made from the settings."""

from __future__ import annotations

from collections.abc import Iterator

from pmcell.settings.json_schema import Schema, describe, schema_of, shown_default
from pmcell.settings.study import StudySettings
from pmcell.settings.table import ALIASES, SETTINGS

MARKS = {
    "study": ("<!-- settings of the study: generated -->", "<!-- end of the study -->"),
    "steps": ("<!-- settings of the steps: generated -->", "<!-- end of the steps -->"),
}
"""The lines between which a table stands."""


def with_tables(text: str) -> str:
    """Return the text of config/README.md with its tables made anew between their marks."""
    for name, (start, end) in MARKS.items():
        before, found, rest = text.partition(start)
        _, found_end, after = rest.partition(end)
        if not (found and found_end):
            raise ValueError(f"config/README.md must have the lines {start} and {end}")
        rows = study_rows() if name == "study" else step_rows()
        text = "\n".join([f"{before}{start}", *rows, f"{end}{after}"])
    return text


def study_rows() -> Iterator[str]:
    """Yield the table of the keys outside any section."""
    yield "| key | default | must be | meaning |"
    yield "|---|---|---|---|"
    for key, node in schema_of(StudySettings)["properties"].items():
        yield f"| {_cells(key, node)} |"


def step_rows() -> Iterator[str]:
    """Yield the table of all sections; those without settings are named below it."""
    yield "| section | key | default | must be | meaning |"
    yield "|---|---|---|---|---|"
    empty = []
    for section, model in SETTINGS.items():
        properties = schema_of(model)["properties"]
        if not properties:
            empty.append(f"`{section}`")
        for row, (key, node) in enumerate(properties.items()):
            yield f"| {'' if row else f'`{section}`'} | {_cells(key, node)} |"
    if empty:
        yield ""
        yield f"Without settings: {', '.join(empty)}."
    if ALIASES:
        old = ", ".join(f"`{name}` (now `{new}`)" for name, new in ALIASES.items())
        yield ""
        yield f"Still read under the name that they once had: {old}."


def _cells(key: str, node: Schema) -> str:
    unit = f" ({node['unit']})" if "unit" in node else ""
    cells = (f"`{key}`", shown_default(node, "`"), f"{describe(node)}{unit}", node["description"])
    return " | ".join(cell.replace("|", "\\|") for cell in cells)
