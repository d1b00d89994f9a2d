"""Read consent from a table (CSV, TSV, Excel): every fault at once, with its row and fix."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Any

from pmcell.consent.entries import COLUMNS, REQUIRED, Entry, parse_row
from pmcell.errors import DataError, Fault, FaultsError, UsageError
from pmcell.registry.cohorts.identities import alike
from pmcell.registry.sheets.text import read_lines
from pmcell.spelling import did_you_mean

EXCEL = (".xlsx", ".xlsm")
TEXT = (".csv", ".tsv", ".txt")
MAX_ROWS = 200_000
MAX_COLUMNS = 100
MAX_FAULTS = 500
"""Faults after which rows are not looked at: it is another table."""
MAX_HINTS = 20
"""Unknown donors for which the nearest known one is looked for."""
Numbered = tuple[int, dict[str, str]]


def read_consent_table(path: Path, *, recorded_at: str) -> tuple[list[Entry], list[int]]:
    """Entries of a table, their subjects still donors' ids, and the row of each.

    Raises
    ------
    FaultsError
        With every fault of the table.
    UsageError
        For a file of another kind, or where Excel cannot be read for want of openpyxl.
    """
    faults: list[Fault] = []
    rows = _excel_rows(path, faults) if path.suffix.lower() in EXCEL else _text_rows(path, faults)
    table = _with_header(path.name, rows, faults)
    entries, places = [], []
    for number, cells in table:
        entry, wrong = parse_row(cells, file=path.name, row=number, recorded_at=recorded_at)
        faults += wrong
        if len(faults) > MAX_FAULTS:
            must = f"must have at most {MAX_FAULTS} faults"
            fix = "Correct these first; the rest follows."
            faults.append(Fault(path.name, must, "more", fix, row=number, reason="consent"))
            break
        if entry is not None:
            entries.append(entry)
            places.append(number)
    if not table and not faults:
        faults.append(Fault(path.name, "must have rows", "only a header", "Add the entries."))
    if faults:
        raise FaultsError(faults)
    return entries, places


def donor_faults(
    entries: Sequence[Entry], rows: Sequence[int], donors: Collection[str], *, file: str
) -> Iterator[Fault]:
    """Entries about somebody who is no donor of the cohort."""
    n_hints = 0
    for row, entry in zip(rows, entries, strict=True):
        if entry.subject not in donors:
            n_hints += 1
            near = did_you_mean(entry.subject, sorted(donors)) if n_hints <= MAX_HINTS else ""
            fix = near or "Correct it, or remove the row."
            found = repr(entry.subject[:60])
            must = "must be a donor of donors.tsv"
            yield Fault(file, must, found, fix, row=row, column="donor_id", reason="consent")


def spelling_faults(entries: Sequence[Entry], rows: Sequence[int], *, file: str) -> Iterator[Fault]:
    """Donors whose ids are spelt alike and of whom a file says different acts: one person, or two.

    Parameters
    ----------
    entries, rows
        Entries, their subjects still donors' ids, and the row of each.
    file
        Its name.
    """
    acts: dict[str, set[str]] = {}
    last: dict[str, int] = {}
    for row, entry in zip(rows, entries, strict=True):
        acts.setdefault(entry.subject, set()).add(entry.act)
        last[entry.subject] = row
    for group in alike(acts):
        if len({frozenset(acts[name]) for name in group}) > 1:
            must = "must say the same of ids that differ in their spelling only"
            said = (f"{name!r} {', '.join(sorted(acts[name]))}" for name in group[:3])
            fix = (
                "Write what the person said under one id; if they are two people, give clearer "
                "ids in donors.tsv."
            )
            row = max(last[name] for name in group)
            found = "; ".join(said)[:120]
            yield Fault(file, must, found, fix, row=row, column="donor_id", reason="consent")


def _text_rows(path: Path, faults: list[Fault]) -> list[list[str]]:
    if path.suffix.lower() not in TEXT:
        kinds = ", ".join((*TEXT, *EXCEL, ".json", ".ndjson"))
        raise UsageError(f"{path.name} must be a table or FHIR ({kinds}); its ending is none")
    lines = read_lines(path, faults)
    if not lines:
        return []
    sign = max("\t,;", key=lines[0].count)
    try:
        return list(csv.reader(io.StringIO("\n".join(lines)), delimiter=sign, strict=True))
    except csv.Error as error:
        fix = "Save it anew as UTF-8 with tabs, commas or semicolons between the cells."
        faults.append(Fault(path.name, "must be a table", str(error), fix, reason="not_text"))
        return []


def _excel_rows(path: Path, faults: list[Fault]) -> list[list[str]]:
    from pmcell.registry.sheets.excel import open_book, too_big

    try:
        sheets = open_book(path).worksheets
    except DataError as error:
        fix = "Save it anew as .xlsx, or as CSV (UTF-8)."
        faults.append(Fault(path.name, "must be a workbook", str(error), fix, reason="not_a_table"))
        return []
    if len(sheets) > 1:
        names = ", ".join(sheet.title for sheet in sheets)
        must, fix = "must have one sheet", "Move the others to another file."
        faults.append(Fault(path.name, must, names, fix, reason="sheets"))
    if not sheets:
        return []
    if found := too_big(sheets[0]):
        must, fix = "must be a sheet that can be read whole", "Save it as CSV (UTF-8)."
        faults.append(Fault(path.name, must, found, fix, reason="too_big"))
        return []
    return list(_visible_rows(sheets[0], path.name, faults))


def _visible_rows(sheet: Any, name: str, faults: list[Fault]) -> Iterator[list[str]]:
    """Rows as text; a consent that nobody sees, or that a formula makes, is a fault."""
    from pmcell.registry.sheets.excel import form_problems, hidden_parts

    for cell, must, found, fix in form_problems(sheet):
        faults.append(Fault(name, must, found, fix, column=cell, reason="workbook"))
    rows, columns = hidden_parts(sheet)
    for letter in sorted(columns):
        if any(cell.value is not None for (cell,) in sheet[f"{letter}1:{letter}{sheet.max_row}"]):
            must, fix = "a column must be visible", "Unhide it, or delete it."
            faults.append(Fault(name, must, "it is hidden", fix, column=letter, reason="hidden"))
    for number, cells in enumerate(sheet.iter_rows(), start=1):
        row = []
        for cell in cells:
            if getattr(cell, "data_type", "") in ("f", "e"):
                must, fix = "must be a value, no formula", "Paste it as a value."
                where = cell.column_letter
                faults.append(Fault(name, must, repr(cell.value), fix, row=number, column=where))
            if cell.value is not None and (how := _unsaid(cell)):
                must, fix = "must say in words what it means", "Clear the format, or correct it."
                where = cell.column_letter
                faults.append(Fault(name, must, how, fix, row=number, column=where))
            row.append(_plain(cell.value))
        if number in rows and any(row):
            must, fix = "a row must be visible", "Unhide it, or delete it."
            faults.append(Fault(name, must, "it is hidden", fix, row=number, reason="hidden"))
        yield row


def _unsaid(cell: Any) -> str:
    """What a reader sees of a cell that its value does not say; '' for nothing.

    Who strikes out a row means that it no longer holds.
    """
    if cell.font is not None and cell.font.strike:
        return "it is struck out"
    if cell.comment is not None:
        return "it has a note"
    colour = cell.font.color.rgb if cell.font is not None and cell.font.color else None
    if cell.number_format == ";;;" or (colour == "FFFFFFFF" and not cell.fill.patternType):
        return "it cannot be seen"
    return ""


def _plain(value: Any) -> str:
    """A cell as text; a day without a time is written as a day."""
    if value is None:
        return ""
    if isinstance(value, datetime):
        is_day = not (value.hour or value.minute or value.second or value.microsecond)
        return value.date().isoformat() if is_day else value.isoformat()
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def _with_header(name: str, rows: list[list[str]], faults: list[Fault]) -> list[Numbered]:
    if not rows:
        return []
    header = [cell.strip().lower() for cell in rows[0]]
    while header and not header[-1]:
        header.pop()

    def add(must: str, found: str, fix: str, row: int = 1, column: str | None = None) -> None:
        faults.append(Fault(name, must, found, fix, row=row, column=column, reason="consent"))

    if len(header) > MAX_COLUMNS:
        fix = "Keep the columns of consent; is it another table?"
        add(f"must have at most {MAX_COLUMNS} columns", f"{len(header):,}", fix)
        return []
    for column in REQUIRED:
        if column not in header:
            add(
                f"must have a column {column!r}",
                f"{', '.join(header)[:80]}",
                f"It is {COLUMNS[column]}.",
            )
    for column, n in Counter(header).items():
        if column not in COLUMNS:
            fix = did_you_mean(column, COLUMNS) or f"There are {', '.join(COLUMNS)}."
            add("must have columns of consent alone", repr(column[:40]), fix)
        elif n > 1:
            add("must have each column once", f"{n} of {column!r}", "Keep one.")
    if len(rows) > MAX_ROWS:
        add(f"must have at most {MAX_ROWS} rows", "more", "Import it in parts.")
    if faults:
        return []
    table = []
    for number, cells in enumerate(rows[1:], start=2):
        if not any(cell.strip() for cell in cells):
            continue
        if len(cells) < len(header) or any(cell.strip() for cell in cells[len(header) :]):
            # A row that was cut short may have lost what limits it.
            fix = "Write cells that are empty, too, and quote those that hold a separator."
            add(f"must have {len(header)} cells", f"{len(cells)}", fix, number)
            continue
        table.append((number, dict(zip(header, cells, strict=False))))
    return table
