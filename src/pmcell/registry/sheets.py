"""Read registration tables (TSV) as text, and name everything in them that is wrong."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pmcell.errors import Fault
from pmcell.registry.keys import TODO, Column
from pmcell.registry.rules import TERM_RULES, check_term
from pmcell.schema import UNKNOWN
from pmcell.spelling import did_you_mean, nearest

MAX_BYTES = 50_000_000

_DATE = re.compile(
    r"\d{4}-\d{1,2}-\d{1,2}|\d{1,2}[./]\d{1,2}[./]\d{2,4}|\d{1,2}-[A-Za-z]{3}-\d{2,4}"
)
_NUMBER = re.compile(r"[-+]?\d+(\.\d+)?")
_UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f\u200b-\u200f\u202a-\u202e\u2066-\u2069\ufeff]")


@dataclass(frozen=True)
class Row:
    """One row: its line in the file (the header is line 1) and its cells by column."""

    line: int
    cells: dict[str, str]

    def get(self, column: str, default: str = UNKNOWN) -> str:
        """The cell, or `default` where it is empty or there is no such column."""
        return self.cells.get(column, "") or default


def read_sheet(
    path: Path, columns: Sequence[Column], faults: list[Fault], *, required: bool = True
) -> list[Row]:
    """Rows of a TSV whose columns are declared in `columns`; extra columns are allowed.

    Nothing is converted: `NA` and `007` stay what they are. Faults (missing
    file or columns, cells of the wrong form, formulas, dates, terms) are
    appended to `faults`; rows that have them are returned all the same.
    """
    name = path.name
    if not path.is_file():
        if required:
            must = "must exist"
            fix = "Draft it with `pmcell register`, or write a tab-separated table with that name."
            faults.append(Fault(name, must, "no such file", fix, reason="file_missing"))
        return []
    lines = _lines(path, faults)
    if not lines:
        return []
    header = [cell.strip() for cell in lines[0].split("\t")]
    if not _header_is_good(name, header, columns, faults):
        return []
    rows = []
    for number, line in enumerate(lines[1:], start=2):
        if not line.strip():
            continue
        cells = line.split("\t")
        if len(cells) > len(header):
            found = f"{len(cells)} cells"
            fix = "Separate cells by one tab, and leave none at the end of the line."
            faults.append(
                Fault(name, f"a row must have {len(header)} cells", found, fix, row=number)
            )
            continue
        cells += [""] * (len(header) - len(cells))
        row = Row(
            number, {column: cell.strip() for column, cell in zip(header, cells, strict=True)}
        )
        rows.append(row)
        for column in columns:
            if column.name in row.cells:
                _check_cell(name, row, column, faults)
        for column_name in set(header) - {column.name for column in columns}:
            _check_text(name, row, column_name, faults)
    if not rows:
        faults.append(Fault(name, "must have at least one row", "only a header", "Add the rows."))
    return rows


def check_unique(name: str, rows: Sequence[Row], column: str, faults: list[Fault]) -> None:
    """Append a fault for every value of `column` that stands in more than one row."""
    first: dict[str, int] = {}
    for row in rows:
        value = row.cells.get(column, "")
        if value and value in first:
            must = "must stand in one row only"
            found = f"{value!r}, also in row {first[value]}"
            fix = (
                "Merge the rows into one." if column == "donor_id" else "Give each row its own id."
            )
            faults.append(
                Fault(name, must, found, fix, row=row.line, column=column, reason="duplicate_id")
            )
        first.setdefault(value, row.line)


def _lines(path: Path, faults: list[Fault]) -> list[str]:
    if path.stat().st_size > MAX_BYTES:
        faults.append(
            Fault(path.name, f"must be below {MAX_BYTES:,} bytes", "more", "Is it the matrix?")
        )
        return []
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        found = f"byte {error.start} is not UTF-8"
        faults.append(
            Fault(path.name, "must be UTF-8 text", found, "Save it as UTF-8, tab-separated.")
        )
        return []
    lines = text.splitlines()
    if not lines:
        faults.append(
            Fault(path.name, "must have a header and rows", "an empty file", "Write the table.")
        )
        return []
    return lines


def _header_is_good(
    name: str, header: list[str], columns: Sequence[Column], faults: list[Fault]
) -> bool:
    before = len(faults)
    known = [column.name for column in columns]
    missing = [column for column in columns if column.required and column.name not in header]
    if missing and len(header) == 1 and ("," in header[0] or ";" in header[0]):
        fix = "Save the table with tabs between the cells."
        faults.append(Fault(name, "must be tab-separated", f"{header[0][:60]!r}", fix, row=1))
        return False
    for column in missing:
        near = nearest(column.name, [cell for cell in header if cell not in known])
        hint = f"Rename {near!r} to it. " if near else ""
        must = f"must have the column {column.name!r}"
        fix = f"{hint}It is: {column.prose}"
        faults.append(Fault(name, must, ", ".join(header), fix, row=1, reason="column_missing"))
    for column_name in sorted({cell for cell in header if header.count(cell) > 1}):
        faults.append(
            Fault(
                name, "must have each column once", f"{column_name!r} again", "Remove one.", row=1
            )
        )
    for cell in header:
        near = nearest(cell, [item for item in known if item not in header], cutoff=0.85)
        if cell not in known and near and near not in {column.name for column in missing}:
            must = "a column must be a known one, or clearly another"
            fix = f"Did you mean {near!r}?"
            faults.append(Fault(name, must, repr(cell), fix, row=1, column=cell))
    return len(faults) == before


def _check_cell(name: str, row: Row, column: Column, faults: list[Fault]) -> None:
    value = row.cells[column.name]

    def fault(must: str, fix: str, reason: str = "invalid") -> None:
        faults.append(
            Fault(name, must, repr(value), fix, row=row.line, column=column.name, reason=reason)
        )

    if value.startswith(TODO):
        fix = "Replace it." if column.required else "Replace it; unknown is allowed."
        return fault("must be decided", f"{fix} It is: {column.prose}", "todo")
    if not value:
        if column.required:
            fault("must not be empty", f"It is: {column.prose}", "empty")
        return None
    if column.pattern and (not re.match(column.pattern, value) or ".." in value):
        return fault(
            "must be 1 to 64 letters, digits, '_', '.' or '-', starting with a letter or digit",
            "Rename it here and in every other table; spaces and accents are not allowed.",
            "bad_id",
        )
    if column.name in ("visit", "visit_day") and _DATE.search(value):
        return fault(
            "must never be a date, which identifies people",
            "Give days since the first visit in visit_day, and a label such as T0 in visit.",
            "date",
        )
    if column.name == "visit_day" and value != UNKNOWN and not _NUMBER.fullmatch(value):
        return fault(
            "must be a number of days, or empty", "Write for example 0, 28 or -3.", "not_a_number"
        )
    if column.choices and value not in (*column.choices, UNKNOWN):
        choices = ", ".join(column.choices)
        return fault(
            f"must be one of {choices}", did_you_mean(value, column.choices) or "Choose one."
        )
    if column.name in TERM_RULES:
        found = check_term(value, column.name, file=name, row=row.line)
        if found:
            faults.append(found)
        return None
    if column.name != "visit_day":
        _check_text(name, row, column.name, faults)
    return None


def _check_text(name: str, row: Row, column: str, faults: list[Fault]) -> None:
    value = row.cells[column]
    if value[:1] in ("=", "+", "-", "@") and not _NUMBER.fullmatch(value):
        must = "text must not start with =, +, - or @, which a spreadsheet runs as a formula"
        fix = "Remove the sign, or write a word before it."
        faults.append(
            Fault(name, must, repr(value[:40]), fix, row=row.line, column=column, reason="formula")
        )
    unseen = _UNSEEN.search(value)
    if unseen:
        must = "must not hold control or invisible characters"
        fix = "Type the value again."
        found = f"U+{ord(unseen.group()):04X} in {value[:40]!a}"
        faults.append(Fault(name, must, found, fix, row=row.line, column=column, reason="unseen"))
