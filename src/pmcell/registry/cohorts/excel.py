"""Read sheets of Excel workbooks as text, and name every cell that is not what it looks like.

Spreadsheets change what is typed: formulas, dates, numbers, merged and hidden cells each get an
answer in words. Nothing is calculated, and no macro is read.
"""

from __future__ import annotations

import datetime
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pmcell.errors import DataError, Fault, UsageError
from pmcell.spelling import did_you_mean

MAX_BYTES = 20_000_000
MAX_UNPACKED = 200_000_000
MAX_ROWS = 50_000
MAX_COLUMNS = 200


@dataclass(frozen=True)
class SheetRow:
    """One row of a sheet: its number there, and its cells by column."""

    number: int
    cells: dict[str, str]


@dataclass
class Sheet:
    """A sheet as text: the letter of each column, and the rows that are not empty."""

    name: str
    letters: dict[str, str] = field(default_factory=dict)
    rows: list[SheetRow] = field(default_factory=list)

    def place(self, row: int, column: str) -> str:
        """The name of a cell, such as B5; of the row's first cell for another column."""
        return f"{self.letters.get(column, 'A')}{row}"


def open_book(path: Path) -> Any:
    """The open workbook; `UsageError` or `DataError` for all that is none."""
    if not path.is_file():
        raise UsageError(f"a workbook must be a file; there is no {path}")
    suffix = path.suffix.lower()
    if suffix in (".xlsm", ".xlsb", ".xltm", ".xls", ".ods"):
        why = {".xlsm": "it may hold macros", ".xltm": "it may hold macros"}.get(
            suffix, "it is another format"
        )
        raise UsageError(
            f"{path.name}: a workbook must be .xlsx; {suffix} is refused: {why}. Save it as "
            "'Excel workbook (.xlsx)'."
        )
    _check_zip(path)
    try:
        return openpyxl().load_workbook(path, data_only=False, keep_vba=False, keep_links=False)
    except (ValueError, KeyError, OSError, zipfile.BadZipFile, TypeError) as error:
        raise DataError(
            f"{path.name}: the workbook must be readable; reading it failed ({error}). Open it and "
            "save it again as .xlsx.",
            reason="unreadable",
        ) from error


def openpyxl() -> Any:
    """The library that reads and writes workbooks; `UsageError` where it is not installed."""
    try:
        import openpyxl as library
    except ImportError as error:
        raise UsageError(
            "workbooks need the package openpyxl, which is not installed. Install it: "
            "python -m pip install 'pmcell[publish]'"
        ) from error
    return library


def _check_zip(path: Path) -> None:
    fix = "Save it as 'Excel workbook (.xlsx)', without a password."
    if path.stat().st_size > MAX_BYTES:
        raise DataError(
            f"{path.name}: a workbook must be below {MAX_BYTES:,} bytes. Is it the matrix?",
            reason="too_big",
        )
    try:
        with zipfile.ZipFile(path) as packed:
            entries = packed.infolist()
    except (zipfile.BadZipFile, OSError) as error:
        raise DataError(
            f"{path.name}: the file must be an Excel workbook; it is none. {fix}", reason="not_xlsx"
        ) from error
    if sum(entry.file_size for entry in entries) > MAX_UNPACKED:
        raise DataError(
            f"{path.name}: a workbook must be below {MAX_UNPACKED:,} bytes unpacked.",
            reason="too_big",
        )
    if any(entry.filename.lower().endswith("vbaproject.bin") for entry in entries):
        raise UsageError(f"{path.name}: a workbook must hold no macros; it does. {fix}")


def read_sheet_of(sheet: Any, file: str, faults: list[Fault], *, identifier: str = "") -> Sheet:
    """One sheet of a workbook as text; what is wrong with its cells is appended to `faults`.

    A fault names the sheet as its file's part behind '#', and the cell as its column. Where there
    is an `identifier`, the first row must name that column.
    """
    name = str(sheet.title)

    def fault(cell: str, must: str, found: str, fix: str, reason: str = "workbook") -> None:
        faults.append(Fault(f"{file}#{name}", must, found, fix, column=cell, reason=reason))

    if sheet.sheet_state != "visible":
        fault("A1", "a sheet must be visible", "it is hidden", "Unhide it.")
    for merged in list(sheet.merged_cells.ranges)[:20]:
        must = "cells must not be merged"
        fix = "Unmerge them, and write the value into each."
        fault(merged.coord.split(":")[0], must, merged.coord, fix)
    if sheet.max_row > MAX_ROWS or sheet.max_column > MAX_COLUMNS:
        must = f"a sheet must have at most {MAX_ROWS:,} rows and {MAX_COLUMNS} columns"
        found = f"{sheet.max_row:,} rows and {sheet.max_column:,} columns"
        fault("A1", must, found, "Delete the empty rows and columns that were touched.", "too_big")
        return Sheet(name)
    rows = sheet.iter_rows()
    head = next(rows, ())
    names = [_text(cell) for cell in head]
    result = Sheet(name)
    for cell, column in zip(head, names, strict=True):
        if column and column in result.letters:
            fault(
                cell.coordinate, "each column must stand once", f"{column!r} again", "Remove one."
            )
        elif column:
            result.letters[column] = cell.column_letter
    if identifier and identifier not in result.letters:
        near = did_you_mean(identifier, result.letters)
        must = f"the first row must name the columns, {identifier!r} among them"
        shown = ", ".join(filter(None, names))[:100] or "nothing"
        fix = near or "Delete rows above the names, and write each name once."
        fault("A1", must, shown, fix, "column_missing")
        return result
    for cells in rows:
        number = cells[0].row
        texts = {}
        for cell, column in zip(cells, names, strict=True):
            if column:
                texts[column] = _value(cell, fault)
            elif _text(cell):
                must = "a value must stand below a column's name"
                found = repr(_text(cell)[:40])
                fault(cell.coordinate, must, found, "Name the column in row 1, or delete it.")
        if not any(texts.values()):
            continue
        if sheet.row_dimensions[number].hidden:
            must = "a row must be visible"
            fault(f"A{number}", must, "it is hidden", "Unhide it, or delete it.", "hidden")
        same = [column for column, text in texts.items() if text and _alike(text, column)]
        if number == 2 and len(same) > 1:
            must = "there must be one row of column names"
            found = f"a second one ({', '.join(same[:3])})"
            fault("A2", must, found, "Delete row 2.", "two_headers")
            continue
        result.rows.append(SheetRow(number, texts))
    for column, letter in result.letters.items():
        if sheet.column_dimensions[letter].hidden:
            must = "a column must be visible"
            fault(f"{letter}1", must, f"{column!r} is hidden", "Unhide it, or delete it.", "hidden")
    return result


def _value(cell: Any, fault: Any) -> str:
    """A cell as text; what a spreadsheet made of it is a fault."""
    value = cell.value
    if cell.data_type == "f" or value.__class__.__name__ in ("ArrayFormula", "DataTableFormula"):
        must = "a cell must hold a value, not a formula"
        shown = getattr(value, "text", value)
        fault(cell.coordinate, must, repr(str(shown)[:40]), "Type the value itself.", "formula")
        return ""
    if cell.data_type == "e":
        must = "a cell must hold a value"
        fault(cell.coordinate, must, f"the error {value}", "Type the value, or unknown.", "error")
        return ""
    if isinstance(value, datetime.datetime | datetime.date | datetime.time | datetime.timedelta):
        must = "a cell must not be a date: Excel made one of what was typed, or it is one"
        shown = value.strftime("%d %b %Y") if isinstance(value, datetime.date) else str(value)
        fix = (
            "Format the cell as text, then type again what was meant (10-19 as an age band, 28 as "
            "days since the first visit); a date itself identifies people."
        )
        fault(cell.coordinate, must, shown, fix, "date")
        return ""
    return _text(cell)


def _text(cell: Any) -> str:
    """A value as text without spaces around it: 7.0 is 7, as it was typed."""
    value = cell.value
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
    return " ".join(str(value).replace("\xa0", " ").split())


def _alike(text: str, column: str) -> bool:
    plain = [one.casefold().replace(" ", "_") for one in (text, column)]
    return plain[0] == plain[1]
