"""Read sheets of Excel workbooks as text, and name every cell that is not what it looks like.

Spreadsheets change what is typed: formulas, dates, numbers, merged and hidden cells each get an
answer in words. Nothing is calculated, and no macro is read.
"""

from __future__ import annotations

import datetime
import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pmcell.errors import DataError, Fault, UsageError
from pmcell.spelling import did_you_mean

MAX_BYTES = 20_000_000
MAX_UNPACKED = 200_000_000
MAX_ROWS = 50_000
MAX_COLUMNS = 200
MAX_CELLS = 1_000_000
"""Cells of a sheet, the empty ones between others too: each is an object of its own."""
MAX_TAGS = 4_000_000
"""Tags of a part of the file: a cell has four, an empty row one. These take some ten seconds."""
_OLE = b"\xd0\xcf\x11\xe0"
_MERGED = re.compile(rb"<(?:[^\s<>/:]+:)?mergeCell(?![^\s/>])([^>]*)>")
_REF = re.compile(rb"(?:^|\s)ref\s*=\s*[\"']([^\"']{1,40})[\"']")
_ENCODING = re.compile(rb"encoding\s*=\s*[\"']([^\"']+)")
_UNSEEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")


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
    library = openpyxl()
    try:
        return library.load_workbook(path, data_only=False, keep_vba=False, keep_links=False)
    except MemoryError:
        raise
    except Exception as error:
        # A file of others: what the library makes of a broken part is any error of Python.
        why = f"{type(error).__name__}: {error}"[:200]
        raise DataError(
            f"{path.name}: the workbook must be readable; reading it failed ({why}). Open it and "
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


def plain_text(text: str) -> str:
    """A text without the signs that a workbook cannot hold.

    >>> plain_text("a\\x01b")
    'a?b'
    """
    return _UNSEEN.sub("?", text)


def too_big(sheet: Any) -> str:
    """How a sheet is beyond what is read of one; '' where it is not."""
    n_rows, n_columns = sheet.max_row, sheet.max_column
    if n_rows <= MAX_ROWS and n_columns <= MAX_COLUMNS and n_rows * n_columns <= MAX_CELLS:
        return ""
    return f"{n_rows:,} rows and {n_columns:,} columns"


def _check_zip(path: Path) -> None:
    """Refuse what a library should not be given: bombs, macros, passwords, endless sheets."""
    fix = "Save it as 'Excel workbook (.xlsx)', without a password."
    if path.stat().st_size > MAX_BYTES:
        raise DataError(
            f"{path.name}: a workbook must be below {MAX_BYTES:,} bytes. Is it the matrix?",
            reason="too_big",
        )
    with path.open("rb") as stream:
        if stream.read(4) == _OLE:
            raise DataError(
                f"{path.name}: the file must be an Excel workbook; it is one of Excel 97, or has "
                f"a password. {fix}",
                reason="not_xlsx",
            )
    try:
        with zipfile.ZipFile(path) as packed:
            entries = packed.infolist()
            if sum(entry.file_size for entry in entries) > MAX_UNPACKED:
                raise DataError(
                    f"{path.name}: a workbook must be below {MAX_UNPACKED:,} bytes unpacked.",
                    reason="too_big",
                )
            if any(entry.filename.lower().endswith("vbaproject.bin") for entry in entries):
                raise UsageError(f"{path.name}: a workbook must hold no macros; it does. {fix}")
            for entry in entries:
                _check_part(packed, entry, path.name)
    except (zipfile.BadZipFile, OSError, RuntimeError, NotImplementedError, EOFError) as error:
        raise DataError(
            f"{path.name}: the file must be an Excel workbook; it is none that can be read "
            f"({error}). {fix}",
            reason="not_xlsx",
        ) from error


def _check_part(packed: zipfile.ZipFile, entry: zipfile.ZipInfo, file: str) -> None:
    """Refuse XML that a library would make far more of than it is: the text is searched as it is.

    For that it must be UTF-8 without entities of its own, which no spreadsheet writes.
    """

    def refuse(must: str, found: str, fix: str) -> None:
        message = f"{file}: {must}; found {found} ({entry.filename}). {fix}"
        raise DataError(message, reason="too_big")

    if not entry.filename.lower().endswith((".xml", ".rels")):
        return
    text = packed.read(entry)
    head = text[:200].removeprefix(b"\xef\xbb\xbf").lstrip()
    encoding = _ENCODING.search(head)
    is_utf8 = encoding is None or encoding[1].lower() in (b"utf-8", b"us-ascii")
    if not (head[:1] in (b"<", b"") and is_utf8) or b"<!DOCTYPE" in text or b"<!ENTITY" in text:
        fix = "Open it and save it again as 'Excel workbook (.xlsx)'."
        refuse("a workbook must be plain XML in UTF-8", "another encoding, or entities", fix)
    if text.count(b"<") > MAX_TAGS:
        must = (
            f"a sheet must have at most {MAX_ROWS:,} rows, {MAX_COLUMNS} columns and "
            f"{MAX_CELLS:,} cells"
        )
        fix = "Delete the empty rows and columns that were touched; is it the matrix?"
        refuse(must, "more", fix)
    for tag in _MERGED.finditer(text):
        found = _REF.search(tag[1])
        range_ = found[1].decode("ascii", "replace") if found else ""
        n_cells = _cells_of(range_)
        if n_cells == 0 or n_cells > MAX_CELLS:
            fix = "Unmerge them, and write the value into each."
            refuse("cells must not be merged", range_ or "a range that is none", fix)


def _cells_of(reference: str) -> int:
    """Number of cells of a range such as A1:C4; 0 for what is none."""
    found = re.fullmatch(
        r"\$?([A-Za-z]{1,3})\$?(\d{1,9}):\$?([A-Za-z]{1,3})\$?(\d{1,9})", reference
    )
    if found is None:
        return 0
    first, last = (_column_number(found[at]) for at in (1, 3))
    return (abs(last - first) + 1) * (abs(int(found[4]) - int(found[2])) + 1)


def _column_number(letters: str) -> int:
    number = 0
    for letter in letters.upper():
        number = number * 26 + ord(letter) - 64
    return number


def read_sheet_of(
    sheet: Any,
    file: str,
    faults: list[Fault],
    *,
    identifier: str = "",
    first_row: int = 1,
    last_row: int | None = None,
) -> Sheet:
    """One sheet of a workbook as text; what is wrong with its cells is appended to `faults`.

    A fault names the sheet as its file's part behind '#', and the cell as its column. Where there
    is an `identifier`, the first row must name that column. Rows above `first_row` and below
    `last_row` are not read.
    """
    name = str(sheet.title)

    def fault(cell: str, must: str, found: str, fix: str, reason: str = "workbook") -> None:
        faults.append(Fault(f"{file}#{name}", must, found, fix, column=cell, reason=reason))

    for cell, must, found, fix in form_problems(sheet, first_row, last_row):
        fault(cell, must, found, fix)
    if found := too_big(sheet):
        must = (
            f"a sheet must have at most {MAX_ROWS:,} rows, {MAX_COLUMNS} columns and "
            f"{MAX_CELLS:,} cells"
        )
        fault("A1", must, found, "Delete the empty rows and columns that were touched.", "too_big")
        return Sheet(name)
    hidden_rows, hidden_columns = hidden_parts(sheet)
    rows = sheet.iter_rows(min_row=first_row, max_row=last_row)
    head = next(rows, ())
    names = [cell_text(cell) for cell in head]
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
            if cell.value is not None and cell.has_style and cell.font.strike:
                must = "a cell must not be struck out: nobody can tell whether it holds"
                fix = "Delete it, or clear the format."
                fault(cell.coordinate, must, repr(cell_text(cell)[:40]), fix, "struck_out")
            if column:
                texts[column] = _value(cell, fault)
            elif cell_text(cell):
                must = "a value must stand below a column's name"
                found = repr(cell_text(cell)[:40])
                fault(
                    cell.coordinate,
                    must,
                    found,
                    f"Name the column in row {first_row}, or delete it.",
                )
        if not any(texts.values()):
            continue
        if number in hidden_rows:
            must = "a row must be visible"
            fault(f"A{number}", must, "it is hidden", "Unhide it, or delete it.", "hidden")
        same = [column for column, text in texts.items() if text and _alike(text, column)]
        if number == first_row + 1 and len(same) > 1:
            must = "there must be one row of column names"
            found = f"a second one ({', '.join(same[:3])})"
            fault(f"A{number}", must, found, f"Delete row {number}.", "two_headers")
            continue
        result.rows.append(SheetRow(number, texts))
    for column, letter in result.letters.items():
        if letter in hidden_columns:
            must = "a column must be visible"
            fault(f"{letter}1", must, f"{column!r} is hidden", "Unhide it, or delete it.", "hidden")
    return result


def names_merged_down(sheet: Any) -> list[Any]:
    """Merged cells of one column: names beside which others have a group's name above them."""
    return [one for one in sheet.merged_cells.ranges if one.min_col == one.max_col]


def fill_names(sheet: Any, row: int) -> None:
    """Write names that are merged down to a row of names into that row, of the open workbook."""
    for merged in names_merged_down(sheet):
        if merged.max_row == row:
            name = sheet.cell(merged.min_row, merged.min_col).value
            sheet.unmerge_cells(merged.coord)
            sheet.cell(row, merged.min_col).value = name


def form_problems(
    sheet: Any, first_row: int = 1, last_row: int | None = None
) -> Iterator[tuple[str, str, str, str]]:
    """Cell, what must hold, what was found and the fix, where a sheet hides or merges cells."""
    if sheet.sheet_state != "visible":
        yield "A1", "a sheet must be visible", "it is hidden", "Unhide it."
    read = [
        merged
        for merged in sheet.merged_cells.ranges
        if merged.max_row >= first_row and merged.min_row <= (last_row or merged.min_row)
    ]
    for merged in read[:20]:
        must = "cells must not be merged"
        fix = "Unmerge them, and write the value into each."
        yield merged.coord.split(":")[0], must, merged.coord, fix


def hidden_parts(sheet: Any) -> tuple[set[int], set[str]]:
    """Numbers of the rows and letters of the columns that a sheet does not show.

    A group of columns is kept by its first: its hidden ones are all named.
    """
    rows = {number for number, row in sheet.row_dimensions.items() if row.hidden}
    columns = set()
    for letter, column in sheet.column_dimensions.items():
        if column.hidden:
            first = column.min or _column_number(letter)
            last = min(column.max or first, first + MAX_COLUMNS)
            columns |= {_column_letters(number) for number in range(first, last + 1)}
    return rows, columns


def _column_letters(number: int) -> str:
    letters = ""
    while number:
        number, rest = divmod(number - 1, 26)
        letters = chr(65 + rest) + letters
    return letters


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
    return cell_text(cell)


def cell_text(cell: Any) -> str:
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
