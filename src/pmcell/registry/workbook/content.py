"""Turn the sheets of a workbook into the files of a registration, and remember what came whence."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pmcell.errors import Fault
from pmcell.io.json_text import parse_json
from pmcell.registry.cohorts.catalogue import NO_BODY
from pmcell.registry.cohorts.keys import COHORT_FILE, DONORS_FILE, SAMPLES_FILE, TODO
from pmcell.registry.cohorts.not_people import is_missing
from pmcell.registry.cohorts.registration import Exclusion
from pmcell.registry.draft.answers import normalise_answer
from pmcell.registry.draft.decisions import CELL_TYPES, Decision
from pmcell.registry.draft.draft import Draft
from pmcell.registry.draft.text import cohort_yaml, sheet
from pmcell.registry.sheets.excel import Sheet, SheetRow
from pmcell.registry.terms.rules import TERM_RULES
from pmcell.registry.workbook import layout
from pmcell.registry.workbook.measured import measurement_rows
from pmcell.schema import UNKNOWN
from pmcell.schema.ids import ID_PATTERN

HEAD = "# Written by `pmcell check --workbook`; change the workbook, not this file.\n"


@dataclass
class Content:
    """Files of a registration by name, and the rows of the workbook that they are made of."""

    cohort_id: str
    files: dict[str, str]
    rows: dict[str, list[SheetRow]]
    values: dict[tuple[str, str], SheetRow]
    faults: list[Fault] = field(default_factory=list)


def content_of(sheets: Mapping[str, Sheet], file: str) -> Content:
    """The files that a workbook stands for, with what cannot be written as a file as faults."""
    faults: list[Fault] = []
    values = {
        (row.cells.get("column", ""), row.cells.get("value in the file", "")): row
        for row in sheets[layout.VALUES].rows
    }
    terms = {place: _answer(place[0], row.cells.get("means", "")) for place, row in values.items()}
    given = {row.cells["key"]: row for row in sheets[layout.COHORT].rows if row.cells.get("key")}
    known = {item.path: item for item in layout.cohort_keys()}
    settings = {}
    for path, item in known.items():
        text = given[path].cells.get("value", "") if path in given else ""
        if text and path != "exclude":
            decision = Decision(path, COHORT_FILE, path, "", choices=item.choices)
            settings[path] = normalise_answer(decision, text)
    cohort_id = settings.get("id", "")
    if not re.fullmatch(ID_PATTERN, cohort_id) or ".." in cohort_id:
        must = "must be 1 to 64 letters, digits, '_', '.' or '-', starting with a letter or digit"
        cell = sheets[layout.COHORT].place(given["id"].number, "value") if "id" in given else "A1"
        fix = "Type an id such as island_b2."
        faults.append(
            Fault(
                f"{file}#{layout.COHORT}", must, repr(cohort_id), fix, column=cell, reason="bad_id"
            )
        )
        cohort_id = "cohort"
    if settings.get("access") == "open":
        settings.setdefault("hdab.name", NO_BODY)
    draft = Draft(
        cohort_id,
        settings=settings,
        cell_types={
            text: term or TODO for (column, text), term in terms.items() if column == "cell_type"
        },
        sample_names={
            text: row.cells.get("means", "")
            for (column, text), row in values.items()
            if column == "sample_id"
        },
        exclude=_exclude(given.get("exclude"), sheets[layout.COHORT], file, faults),
    )
    dropped = {
        row.cells.get("column", "")
        for row in sheets[layout.COLUMNS].rows
        if row.cells.get("what to do", "").casefold() != layout.KEEP
    }
    donors = _rows(sheets[layout.DONORS], terms)
    samples = _rows(sheets[layout.SAMPLES], terms)
    _put_visits(sheets[layout.VISITS], samples, file, faults)
    measured = measurement_rows(sheets, donors, samples, file, faults)
    files = {COHORT_FILE: HEAD + cohort_yaml(draft)}
    for name, rows in ((DONORS_FILE, donors), (SAMPLES_FILE, samples)):
        kept = [{c: v for c, v in row.items() if c not in dropped} for row in rows]
        if kept:
            files[name] = sheet(kept)
    if measured:
        files[layout.FILES[layout.MEASUREMENTS]] = sheet(measured)
    rows_of = {
        DONORS_FILE: sheets[layout.DONORS].rows,
        SAMPLES_FILE: sheets[layout.SAMPLES].rows,
        layout.FILES[layout.MEASUREMENTS]: sheets[layout.MEASUREMENTS].rows,
    }
    return Content(cohort_id, files, rows_of, values, faults)


def place_of(fault: Fault, content: Content, sheets: Mapping[str, Sheet], file: str) -> Fault:
    """A fault of a file of the registration as one of the cell that it comes from."""
    if fault.file == COHORT_FILE:
        name, cell = _cohort_place(fault.column or "", content, sheets)
    else:
        name = next(
            (one for one, made in layout.FILES.items() if made == fault.file), layout.COHORT
        )
        rows = content.rows.get(fault.file, [])
        cell = "A1"
        if fault.row is not None and 2 <= fault.row < len(rows) + 2:
            row = rows[fault.row - 2]
            cell = sheets[name].place(row.number, fault.column or "")
            asked = content.values.get((fault.column or "", row.cells.get(fault.column or "", "")))
            if asked is not None:
                name, cell = layout.VALUES, sheets[layout.VALUES].place(asked.number, "means")
    found = "nothing yet" if fault.reason == "todo" else fault.found
    return Fault(
        f"{file}#{name}",
        fault.must,
        found,
        fault.fix,
        column=cell,
        severity=fault.severity,
        reason=fault.reason,
    )


def _cohort_place(path: str, content: Content, sheets: Mapping[str, Sheet]) -> tuple[str, str]:
    path = re.sub(r"\[\d+\].*$", "", path)
    for prefix, column in ((CELL_TYPES, "cell_type"), ("values.sample_id", "sample_id")):
        row = content.values.get((column, path.removeprefix(f"{prefix}.")))
        if path.startswith(f"{prefix}.") and row is not None:
            return layout.VALUES, sheets[layout.VALUES].place(row.number, "means")
    for row in sheets[layout.COHORT].rows:
        if row.cells.get("key") == path:
            return layout.COHORT, sheets[layout.COHORT].place(row.number, "value")
    return layout.COHORT, "A1"


def _rows(sheet: Sheet, terms: Mapping[tuple[str, str], str]) -> list[dict[str, str]]:
    """The rows of a table, names and values of the file turned into terms."""
    rows = []
    for row in sheet.rows:
        cells = dict.fromkeys(sheet.letters, "") | row.cells
        for column, text in cells.items():
            if column not in TERM_RULES or not text:
                continue
            if (column, text) in terms:
                cells[column] = terms[column, text] or f"{TODO} (source: {text})"
            else:
                cells[column] = UNKNOWN if is_missing(text) else _answer(column, text)
        rows.append(cells)
    return rows


def _answer(column: str, text: str) -> str:
    """What was typed for a column, as its term; '' where nothing was."""
    if not text or column == "sample_id":
        return text
    path = f"{CELL_TYPES}." if column == "cell_type" else column
    return normalise_answer(Decision(column, "", path, ""), text)


def _put_visits(
    visits: Sheet, samples: list[dict[str, str]], file: str, faults: list[Fault]
) -> None:
    """Write day and condition of each visit to the samples that were taken at it."""
    by_visit: dict[tuple[str, str], list[dict[str, str]]] = {}
    for sample in samples:
        place = (sample.get("donor_id", ""), sample.get("visit", ""))
        by_visit.setdefault(place, []).append(sample)
    for row in visits.rows:
        place = (row.cells.get("donor_id", ""), row.cells.get("visit", ""))
        taken = by_visit.get(place)
        if taken is None:
            must = "a visit must be one of a sample on sheet samples"
            found = f"donor {place[0]!r}, visit {place[1]!r}"
            fix = "Correct the donor or the visit here, or on sheet samples."
            cell = visits.place(row.number, "visit")
            faults.append(Fault(f"{file}#{layout.VISITS}", must, found, fix, column=cell))
            continue
        for sample in taken:
            for column in ("visit_day", "condition"):
                if row.cells.get(column):
                    sample[column] = row.cells[column]


def _exclude(
    row: SheetRow | None, sheet: Sheet, file: str, faults: list[Fault]
) -> list[tuple[Exclusion, int]]:
    text = row.cells.get("value", "") if row is not None else ""
    if not text or row is None:
        return []
    try:
        items: Any = parse_json(text)
        return [
            (Exclusion(str(one["column"]), tuple(map(str, one["values"])), str(one["reason"])), 0)
            for one in items
        ]
    except (ValueError, KeyError, TypeError):
        must = "must be what `pmcell register` wrote there, or empty"
        fix = 'Write [{"column": "donor", "values": ["doublet"], "reason": "several donors"}].'
        cell = sheet.place(row.number, "value")
        where = f"{file}#{layout.COHORT}"
        faults.append(Fault(where, must, repr(text[:40]), fix, column=cell))
        return []
