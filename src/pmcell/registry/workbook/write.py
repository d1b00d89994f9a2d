"""Write a drafted registration as a workbook: terms to choose from, reasons beside cells."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pmcell.io.atomic import atomic_path
from pmcell.registry.cohorts.catalogue import REQUIREMENTS
from pmcell.registry.cohorts.cohort_file import meaning
from pmcell.registry.cohorts.keys import ONLY_A_PERSON, TODO
from pmcell.registry.draft.decisions import source_text
from pmcell.registry.sheets.excel import openpyxl
from pmcell.registry.terms.meanings import words_in
from pmcell.registry.terms.ontology import resolve
from pmcell.registry.terms.rules import TERM_RULES, terms_near
from pmcell.registry.terms.vocabulary import LICENSES
from pmcell.registry.workbook import layout
from pmcell.schema import UNKNOWN

MAX_LIST = 255
"""Letters that a list of choices may have in a cell's validation."""
MAX_NEAR = 20
"""Values for which the nearest terms are looked for."""
SPARE_ROWS = 200
_UNSEEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f]")
_ID = re.compile(r"[A-Za-z]+:\d+")
_WIDTHS = {"what it is": 70, "value": 44, "from the file": 40, "nearest terms": 60, "means": 34}


def write_workbook(path: Path, draft: Mapping[str, Any], programmes: Sequence[str]) -> int:
    """Write the workbook of a draft (`pmcell.registry.draft.register.draft_parts`) to `path`.

    Returns the number of lines in which something is still to be decided.
    """
    book = openpyxl().Workbook()
    book.remove(book.active)
    _read_me(book.create_sheet(layout.READ_ME))
    n_open = _cohort(book.create_sheet(layout.COHORT), draft, programmes)
    n_open += _values(book.create_sheet(layout.VALUES), draft)
    _columns(book.create_sheet(layout.COLUMNS), draft)
    _table(book.create_sheet(layout.DONORS), layout.DONORS, draft["donors"])
    _table(book.create_sheet(layout.SAMPLES), layout.SAMPLES, draft["samples"])
    _visits(book.create_sheet(layout.VISITS), draft["samples"])
    _head(book.create_sheet(layout.MEASUREMENTS), layout.MEASUREMENTS_HEAD)
    book.active = 1
    with atomic_path(path) as temporary:
        book.save(temporary)
    return n_open


def put(cell: Any, text: str) -> None:
    """Write a text into a cell: never a formula, no control characters."""
    cell.value = _UNSEEN.sub(" ", text)
    if text.startswith("="):
        cell.data_type = "s"
    cell.number_format = "@"


def _read_me(sheet: Any) -> None:
    from openpyxl.styles import Alignment

    sheet.column_dimensions["A"].width = 110
    for row, line in enumerate(layout.INTRODUCTION, 1):
        put(sheet.cell(row, 1), line)
        sheet.cell(row, 1).alignment = Alignment(wrap_text=True, vertical="top")


def _head(sheet: Any, names: Sequence[str], prose: Mapping[str, str] | None = None) -> None:
    from openpyxl.comments import Comment
    from openpyxl.styles import Alignment, Font, PatternFill

    for column, name in enumerate(names, 1):
        cell = sheet.cell(1, column)
        put(cell, name)
        cell.font = Font(bold=True)
        cell.fill = PatternFill("solid", fgColor="DDE6EE")
        if prose and name in prose:
            cell.comment = Comment(prose[name], "pmcell", width=320, height=120)
        letter = cell.column_letter
        sheet.column_dimensions[letter].width = _WIDTHS.get(name, max(16, len(name) + 4))
        cell.alignment = Alignment(vertical="top")
    sheet.freeze_panes = "B2"


def _choose(sheet: Any, place: str, choices: Sequence[str]) -> None:
    """Let a range of cells be chosen from a list, where the list fits; other text stays allowed."""
    from openpyxl.worksheet.datavalidation import DataValidation

    fitting = [choice for choice in choices if "," not in choice and '"' not in choice]
    while fitting and len(",".join(fitting)) > MAX_LIST:
        fitting.pop()
    if not fitting:
        return
    rule = DataValidation(type="list", formula1=f'"{",".join(fitting)}"', allow_blank=True)
    rule.showErrorMessage = False
    sheet.add_data_validation(rule)
    rule.add(place)


def _cohort(sheet: Any, draft: Mapping[str, Any], programmes: Sequence[str]) -> int:
    from openpyxl.styles import Alignment, PatternFill

    _head(sheet, layout.COHORT_HEAD)
    choices = {"programme": [*programmes, "none"], "license": LICENSES}
    needed_by = {path: need.access for need in REQUIREMENTS for path in need.paths if need.access}
    n_open = 0
    for row, item in enumerate(layout.cohort_keys(), 2):
        value = _cohort_value(item.path, draft)
        is_open = value.startswith(TODO) or (not value and item.path in ONLY_A_PERSON)
        value = "" if value.startswith(TODO) else value
        n_open += is_open
        needed = "yes" if item.required else ""
        if not needed and item.path in needed_by:
            needed = f"where access is {' or '.join(needed_by[item.path])}"
        said = meaning(item.path)
        texts = (
            item.path,
            value,
            " ".join([said, *words_in(said)]),
            needed,
            draft["comments"].get(item.path, ""),
        )
        for column, text in enumerate(texts, 1):
            put(sheet.cell(row, column), text)
            sheet.cell(row, column).alignment = Alignment(wrap_text=True, vertical="top")
        if is_open:
            sheet.cell(row, 2).fill = PatternFill("solid", fgColor="FFF4CC")
        listed = choices.get(item.path) or item.choices
        if listed:
            unknown = [] if item.required else [UNKNOWN]
            _choose(sheet, f"B{row}", [*listed, *unknown])
    return n_open


def _cohort_value(path: str, draft: Mapping[str, Any]) -> str:
    fixed = {"schema_version": "1", "id": draft["cohort_id"]}
    if path == "exclude":
        return json.dumps(draft["exclude"], ensure_ascii=False) if draft["exclude"] else ""
    return str(fixed.get(path) or draft["settings"].get(path, "")).replace(UNKNOWN, "")


def _values(sheet: Any, draft: Mapping[str, Any]) -> int:
    """One line for each value of the file that stands for a term; returns how many are open."""
    from openpyxl.styles import Alignment, PatternFill

    _head(sheet, layout.VALUES_HEAD)
    entries = [("sample_id", name, 0, given) for name, given in draft["sample_names"].items()]
    entries += [("cell_type", name, 0, term) for name, term in draft["cell_types"].items()]
    for table in (layout.DONORS, layout.SAMPLES):
        for declared in layout.TABLES[table]:
            counted = Counter(row.get(declared.name, "") for row in draft[table])
            entries += [
                (declared.name, source_text(value), n, "")
                for value, n in counted.items()
                if source_text(value)
            ]
    n_open = 0
    for row, (column, text, n, term) in enumerate(entries, 2):
        is_open = not term or term.startswith(TODO)
        near = []
        if is_open and column in TERM_RULES and n_open < MAX_NEAR:
            near = terms_near(text, column, 5)
        n_open += is_open
        texts = (
            column,
            text,
            str(n) if n else "",
            "" if is_open else _with_label(term),
            " | ".join(near),
            _why(column) if is_open else "",
        )
        for at, said in enumerate(texts, 1):
            put(sheet.cell(row, at), said)
            sheet.cell(row, at).alignment = Alignment(wrap_text=True, vertical="top")
        if is_open:
            sheet.cell(row, 4).fill = PatternFill("solid", fgColor="FFF4CC")
            _choose(sheet, f"D{row}", [*near, UNKNOWN])
    return n_open


def _why(column: str) -> str:
    if column == "self_reported_ethnicity_ontology_term_id":
        return "Nobody may guess it: write what the people said of themselves, or unknown."
    return "The text is no label, synonym or usual abbreviation of one term."


def _columns(sheet: Any, draft: Mapping[str, Any]) -> None:
    _head(sheet, layout.COLUMNS_HEAD)
    choices = (layout.LEAVE_OUT, layout.KEEP, layout.MEASURE)
    for row, item in enumerate(draft["keepable"], 2):
        values = " | ".join(item["values"])
        texts = (
            *(item["column"], item["level"], values, layout.LEAVE_OUT),
            *(item["loinc"], item["unit"]),
        )
        for at, text in enumerate(texts, 1):
            put(sheet.cell(row, at), text)
        _choose(sheet, f"D{row}", choices)


def _table(sheet: Any, table: str, rows: Sequence[Mapping[str, str]]) -> None:
    declared = layout.TABLES[table]
    extra = [name for name in rows[0] if name not in {column.name for column in declared}]
    names = [*(column.name for column in declared), *extra]
    prose = {column.name: " ".join([column.prose, *words_in(column.prose)]) for column in declared}
    _head(sheet, names, prose)
    last = len(rows) + 1 + SPARE_ROWS
    for at, column in enumerate(declared, 1):
        letter = sheet.cell(1, at).column_letter
        listed = list(column.choices)
        if column.name == "sex_ontology_term_id":
            listed = terms_near("", column.name)
        if listed:
            _choose(sheet, f"{letter}2:{letter}{last}", [*listed, UNKNOWN])
    for row, cells in enumerate(rows, 2):
        for at, name in enumerate(names, 1):
            value = cells.get(name, "")
            text = source_text(value) or ("" if value.startswith(TODO) else value)
            put(sheet.cell(row, at), _with_label(text) if name in TERM_RULES else text)


def _visits(sheet: Any, samples: Sequence[Mapping[str, str]]) -> None:
    prose = {
        "visit": "Label of the time point, such as T0; never a date.",
        "visit_day": "Days since the person's first visit: 0 for it, 28 four weeks later.",
    }
    _head(sheet, layout.VISITS_HEAD, prose)
    seen: dict[tuple[str, str], Mapping[str, str]] = {}
    for sample in samples:
        if sample.get("visit") and not sample["donor_id"].startswith(TODO):
            seen.setdefault((sample["donor_id"], sample["visit"]), sample)
    for row, sample in enumerate(seen.values(), 2):
        for at, name in enumerate(layout.VISITS_HEAD, 1):
            put(sheet.cell(row, at), sample.get(name, ""))


def _with_label(text: str) -> str:
    """A term with its label, so that a person can read it; the id alone is read back."""
    label = resolve(text) if _ID.fullmatch(text) else ""
    return f"{text} {label}" if isinstance(label, str) and label else text
