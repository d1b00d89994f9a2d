"""Read registration tables (TSV) as text, and name everything in them that is wrong."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from shlex import quote

from pmcell.errors import Fault
from pmcell.registry.cohorts.keys import TODO, Column
from pmcell.registry.cohorts.registered import A_LINK, MUST_LIE_THERE, PUT_IT_THERE, leads_to
from pmcell.registry.sheets.dates import find_date
from pmcell.registry.sheets.text import (
    is_header_of,
    iter_rows,
    read_lines,
    separator_fault,
)
from pmcell.registry.terms.rules import TERM_RULES, check_term
from pmcell.schema import UNKNOWN
from pmcell.spelling import UNSEEN, as_seen, did_you_mean, nearest

MAX_COLUMNS = 200
MAX_ABOVE = 10
"""Lines in which the header is looked for where the first one is none."""
MAX_HINTS = 20
"""Wrong values of a column for which the nearest term is looked for: it takes long."""
MAX_LETTERS, MAX_SHOWN = 1000, 80
"""Letters of a cell, and how many of them a message repeats."""
MAX_DAYS = 30_000
"""Days that a visit may lie from a donor's first: more are the date itself."""

_NUMBER = re.compile(r"[-+]?\d+(\.\d+)?")
_UNSEEN = re.compile(f"[{UNSEEN}]")
_SUSPECT = re.compile(rf'^[=+@"-]|{_UNSEEN.pattern}')
"""What `_check_text` has to look at closely: few values of a table."""
_NO_DATES = {
    "visit": "Give days since the donor's first visit in visit_day, and a label such as T0 here.",
    "visit_day": "Write the days since the donor's first visit: 0 for it, 28 four weeks later.",
    "age_group": "Write the band of ages, such as 60-69; spreadsheets turn 10-19 into Oct-19.",
}
_NO_DATE = "Write a label that is no date, such as B1, and the date in no other column."


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
    if leads_to(path, [path.parent]) is not None:
        faults.append(Fault(name, MUST_LIE_THERE, A_LINK, PUT_IT_THERE, reason="outside"))
        return []
    if not path.is_file():
        alike = [one.name for one in path.parent.glob("*") if one.name.lower() == name.lower()]
        if path.exists():
            found = "a folder, device or pipe of that name"
            fix = "Move it away, and put the table there."
        elif alike:
            found, fix = f"{alike[0]!r}", f"Rename it: mv {quote(alike[0])} {name}"
        else:
            needed = ", ".join(column.name for column in columns if column.required)
            found = "no such file"
            fix = (
                f"Write a tab-separated table with that name and the columns {needed}; `pmcell "
                "register FILE --id ID` drafts one in a new folder."
            )
        if required or found != "no such file":
            faults.append(Fault(name, "must exist", found, fix, reason="file_missing"))
        return []
    lines = read_lines(path, faults)
    if not lines:
        return []
    if not is_header_of([column.name for column in columns], lines[0]):
        faults.append(_no_table(name, columns, lines))
        return []
    n_before = len(faults)
    rows_of_text = iter_rows(name, lines, faults)
    _, header = next(rows_of_text)
    while header and not header[-1]:
        header.pop()  # Spreadsheets save columns that were once touched.
    if len(faults) > n_before or not _header_is_good(name, lines[0], header, columns, faults):
        return []
    checks = [
        _Checks(name, header_name, next((c for c in columns if c.name == header_name), None), path)
        for header_name in header
    ]
    rows, is_empty = [], True
    for number, cells in rows_of_text:
        if not any(cells):
            continue
        is_empty = False
        if any(cells[len(header) :]):
            found = f"{len(cells)} cells"
            fix = "Separate cells by one tab, and leave none at the end of the line."
            faults.append(
                Fault(name, f"a row must have {len(header)} cells", found, fix, row=number)
            )
            continue
        cells = [*cells[: len(header)], *[""] * (len(header) - len(cells))]
        rows.append(Row(number, dict(zip(header, cells, strict=True))))
        for check, value in zip(checks, cells, strict=True):
            of_value = check[value]
            if of_value:
                faults += [replace(fault, row=number) for fault in of_value]
    if is_empty:
        faults.append(Fault(name, "must have at least one row", "only a header", "Add the rows."))
    return rows


def _no_table(name: str, columns: Sequence[Column], lines: Sequence[str]) -> Fault:
    """The fault of a file that is another one altogether: nothing of it is quoted."""
    names = [column.name for column in columns]
    wanted = ", ".join(column.name for column in columns if column.required)
    must = f"must be a table whose first line names the columns {wanted}"
    fix = "Put the table in its place: `pmcell register` drafts one."
    for above, line in enumerate(lines[1:MAX_ABOVE], 1):
        if is_header_of(names, line):
            fix = f"Remove the {'line' if above == 1 else f'{above} lines'} above them."
            break
    return Fault(name, must, "a first line that names none of ours", fix, row=1, reason="no_table")


class _Checks(dict[str, list[Fault]]):
    """The faults of a column's values, without a row; each different value is looked at once."""

    def __init__(self, file: str, name: str, column: Column | None, path: Path) -> None:
        super().__init__()
        self._file, self._name, self._column = file, name, column
        self._cohort = f"{path.parent.name}."
        self._n_faulty = 0

    def __missing__(self, value: str) -> list[Fault]:
        faults: list[Fault] = []
        if self._column is None:
            _check_text(self._file, self._name, value, faults)
        else:
            hint = self._n_faulty < MAX_HINTS
            _check_cell(self._file, self._column, value, self._cohort, faults, hint=hint)
        self._n_faulty += bool(faults)
        self[value] = faults
        return faults


def check_unique(name: str, rows: Sequence[Row], column: str, faults: list[Fault]) -> None:
    """Append a fault for every value of `column` that stands in more than one row."""
    first: dict[str, Row] = {}
    for row in rows:
        value = row.cells.get(column, "")
        twin = first.setdefault(value, row)
        if value and twin is not row:
            must = "must stand in one row only"
            found = f"{value!r}, also in row {twin.line}"
            if twin.cells == row.cells:
                fix = "Remove one of the rows: they are the same."
            elif column == "donor_id":
                fix = "Merge the rows into one."
            else:
                fix = "Give each row its own id."
            faults.append(
                Fault(name, must, found, fix, row=row.line, column=column, reason="duplicate_id")
            )


def _header_is_good(
    name: str, line: str, header: list[str], columns: Sequence[Column], faults: list[Fault]
) -> bool:
    before = len(faults)
    if len(header) > MAX_COLUMNS:
        must = f"must have at most {MAX_COLUMNS} columns"
        fix = "Keep what belongs to donors and samples; is it the matrix?"
        faults.append(Fault(name, must, f"{len(header):,}", fix, row=1, reason="too_big"))
        return False
    known = [column.name for column in columns]
    missing = [column for column in columns if column.required and column.name not in header]
    other = separator_fault(name, line) if missing else None
    if other:
        faults.append(other)
        return False
    for column in missing:
        near = nearest(column.name, [cell for cell in header if cell not in known])
        hint = f"Rename {near!r} to it. " if near else ""
        must = f"must have the column {column.name!r}"
        fix = f"{hint}It is: {column.prose}"
        shown = ", ".join(header)[:200]
        faults.append(Fault(name, must, shown, fix, row=1, reason="column_missing"))
    for column_name in sorted(cell for cell, n in Counter(header).items() if n > 1):
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
        term = f"{cell.lower()}_ontology_term_id"
        if term in known and term not in header:
            must = "terms should stand in a column that a step reads"
            fix = f"Write the ids of terms in a column {term}; `pmcell terms NAME` finds them."
            faults.append(
                Fault(name, must, repr(cell), fix, row=1, column=cell, severity="warning")
            )
    return not any(fault.severity == "error" for fault in faults[before:])


def _check_cell(
    name: str, column: Column, value: str, cohort: str, faults: list[Fault], *, hint: bool
) -> None:
    def fault(must: str, fix: str, reason: str = "invalid", seen: str = "") -> None:
        shown = repr(value if len(value) <= MAX_SHOWN else f"{value[:MAX_SHOWN]}…")
        found = f"{shown}: {seen}" if seen else shown
        faults.append(Fault(name, must, found, fix, column=column.name, reason=reason))

    if value.startswith(TODO):
        fix = "Replace it." if column.required else "Replace it; unknown is allowed."
        return fault("must be decided", f"{fix} It is: {column.prose}", "todo")
    if not value:
        if column.required:
            fault("must not be empty", f"It is: {column.prose}", "empty")
        return None
    if column.pattern and (not re.match(column.pattern, value) or ".." in value):
        seen = as_seen(value)
        fix = "Rename it here and in every other table; spaces and accents are not allowed."
        if seen != value and re.match(column.pattern, seen):
            fix = f"Write {seen}: a sign of {value!a} is not seen, or only looks like it."
        return fault(
            "must be 1 to 64 letters, digits, '_', '.' or '-', starting with a letter or digit",
            fix,
            "bad_id",
        )
    if column.name == "visit_day" and (value == UNKNOWN or _NUMBER.fullmatch(value)):
        days = 0.0 if value == UNKNOWN else float(value)
        if math.isfinite(days) and abs(days) <= MAX_DAYS:
            return None
        must = f"must be days since the first visit, at most {MAX_DAYS}"
        seen = find_date(value, "visit") or f"{len(value)} digits"
        return fault(must, _NO_DATES["visit_day"], "date", seen)
    if column.dates and value != UNKNOWN:
        date = find_date(value.removeprefix(cohort), column.dates)
        if date:
            must = "must never be a date, which identifies people"
            return fault(must, _NO_DATES.get(column.name, _NO_DATE), "date", date)
    if column.name == "visit_day":
        point = as_seen(value).replace(",", ".")
        fix = f"Write {point}." if _NUMBER.fullmatch(point) else "Write for example 0, 28 or -3."
        return fault("must be a number of days, or empty", fix, "not_a_number")
    if column.choices and value not in (*column.choices, UNKNOWN):
        choices = ", ".join(column.choices)
        return fault(
            f"must be one of {choices}", did_you_mean(value, column.choices) or "Choose one."
        )
    if column.name in TERM_RULES:
        found = check_term(value, column.name, file=name, hint=hint)
        if found:
            faults.append(found)
        return None
    _check_text(name, column.name, value, faults)
    return None


def _check_text(name: str, column: str, value: str, faults: list[Fault]) -> None:
    if len(value) > MAX_LETTERS:
        must, found = f"must have at most {MAX_LETTERS:,} letters", f"{len(value):,}"
        faults.append(Fault(name, must, found, "Shorten it.", column=column, reason="too_big"))
        return
    if not _SUSPECT.search(value):
        return

    def fault(must: str, found: str, fix: str, reason: str) -> None:
        faults.append(Fault(name, must, found, fix, column=column, reason=reason))

    if value[:1] in ("=", "+", "-", "@") and not _NUMBER.fullmatch(value):
        must = "text must not start with =, +, - or @, which a spreadsheet runs as a formula"
        fix = "Remove the sign, or write a word before it."
        fault(must, repr(value[:40]), fix, "formula")
    if len(value) > 1 and value[0] == value[-1] == '"':
        fix = "Remove the quotes: the program that saved the table added them once more."
        fault("text must not stand in quotes", repr(value[:40]), fix, "quotes")
    unseen = _UNSEEN.search(value)
    if unseen:
        found = f"U+{ord(unseen.group()):04X} in {value[:40]!a}"
        fix = "Type the value again, without it."
        fault("must not hold control or invisible characters", found, fix, "unseen")
