"""Read a table that people keep beside a matrix, as the program at hand saved it.

CSV, TSV or Excel, in any usual encoding and with any separator. What stands above the row of
names, such as a title or names of groups of columns, is left out, and of several sheets the one
with the wanted ids is read.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from pmcell.errors import DataError, Fault, FaultsError
from pmcell.registry.cohorts.excel import cell_text, open_book, read_sheet_of, too_big
from pmcell.spelling import repeated

MAX_BYTES = 50_000_000
MAX_ABOVE = 10
"""Rows above the names that are looked at, and as many below them."""
_SEPARATORS = "\t;,|"
_BROAD = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16", b"\xef\xbb\xbf": "utf-8-sig"}
_WESTERN, _CENTRAL = "cp1252", "cp1250"
_NOT_WESTERN = re.compile("(?<=[^\\W\\d_])[\u00b3\u00b9\u00bf\u00a3](?=[^\\W\\d_])")
"""Signs within a word: what the Polish letters of Windows-1250 look like in Windows-1252."""
_NUMBER = re.compile(r"[-+<>]?\d+(?:[.,]\d+)?%?")


def read_table_of_people(
    path: Path, is_id: Callable[[str], bool] = lambda _: False
) -> list[dict[str, str]]:
    """The rows of a CSV, TSV or Excel table as text; `DataError` where it is none.

    Parameters
    ----------
    path
        The table. Of text, the encoding is UTF-8 or UTF-16 where the file is that, else
        Windows-1250 where Polish words tell it, else Windows-1252; the separator is the sign that
        cuts the first line into most columns.
    is_id
        Whether a cell is one of the ids that are looked for: it tells the sheet of a workbook, and
        a row of values from one of names.
    """
    if path.suffix.lower() in (".xlsx", ".xlsm", ".xls", ".xlsb", ".ods"):
        return _excel(path, is_id)
    if path.stat().st_size > MAX_BYTES:
        raise DataError(
            f"{path.name}: a table must be below {MAX_BYTES:,} bytes. Is it the matrix?",
            reason="too_big",
        )
    content = decode_table(path.read_bytes())
    lines = [line for line in content.splitlines() if line.strip()]
    if len(lines) < 2:
        raise DataError(
            f"{path.name}: a table must have a line of column names and rows; found "
            f"{len(lines)} lines.",
            reason="empty_file",
        )
    cut = (line for line in lines[:MAX_ABOVE] if any(sign in line for sign in _SEPARATORS))
    separator = max(_SEPARATORS, key=next(cut, lines[0]).count)
    rows = [row for row in csv.reader(io.StringIO(content), delimiter=separator) if any(row)]
    above = rows_above_names([[_plain(one) for one in row] for row in rows[: 2 * MAX_ABOVE]], is_id)
    names = [_plain(name) for name in rows[above]]
    if len(names) < 2:
        raise DataError(
            f"{path.name}: a table must have two columns or more, between tabs, semicolons, commas "
            f"or bars; found one in {lines[0][:60]!r}.",
            reason="separator",
        )
    _check_names(names, path)
    faults = [
        Fault(
            path.name,
            f"a row must have {len(names)} cells",
            f"{len(row)}",
            "Put text that holds the separator in quotes.",
            row=number,
        )
        for number, row in enumerate(rows[above + 1 :], above + 2)
        if len(row) > len(names)
    ]
    if faults:
        raise FaultsError(faults)
    return [
        dict(zip(names, map(_plain, row + [""] * len(names)), strict=False))
        for row in rows[above + 1 :]
    ]


def decode_table(data: bytes) -> str:
    """The text of a table: by its mark, as UTF-8 where it is that, else by a Windows code page.

    >>> decode_table("Zürich".encode("cp1252")), decode_table("Zürich".encode("utf-16"))
    ('Zürich', 'Zürich')
    >>> decode_table("mężczyzna".encode("cp1250"))
    'mężczyzna'
    """
    for mark, encoding in _BROAD.items():
        if data.startswith(mark):
            return data.decode(encoding, "replace")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        western = data.decode(_WESTERN, "replace")
        return data.decode(_CENTRAL, "replace") if _NOT_WESTERN.search(western) else western


def rows_above_names(rows: Sequence[Sequence[str]], is_id: Callable[[str], bool]) -> int:
    """How many rows stand above the row of names: titles, and names of groups of columns.

    The names fill as many cells as any row, each differs, and none is a number or an id; the rows
    above fill fewer. 0 where no row is that.

    >>> rows_above_names([["Labs", ""], ["id", "CRP"], ["P1", "7"]], {"P1"}.__contains__)
    1
    """
    filled = [sum(map(bool, row)) for row in rows]
    width = max(filled, default=0)
    for at, row in enumerate(rows[:MAX_ABOVE]):
        if filled[at] == width:
            cells = [cell for cell in row if cell]
            are_names = len(set(cells)) == width > 1 and not any(
                is_id(cell) or _NUMBER.fullmatch(cell) for cell in cells
            )
            return at if are_names else 0
    return 0


def _excel(path: Path, is_id: Callable[[str], bool]) -> list[dict[str, str]]:
    """A sheet of a workbook, held to the rules of our own."""
    sheets = [one for one in open_book(path).worksheets if one.sheet_state == "visible"]
    if not sheets:
        raise DataError(f"{path.name}: a workbook must show a sheet; none is.", reason="workbook")
    looked = [(sheet, [] if too_big(sheet) else _texts(sheet)) for sheet in sheets]

    def n_ids(rows: list[list[str]]) -> tuple[int, bool]:
        found = {cell for row in rows for cell in row if cell and is_id(cell)}
        return len(found), any(sum(map(bool, row)) > 1 for row in rows)

    chosen, rows = max(looked, key=lambda one: n_ids(one[1]))
    above = rows_above_names(rows[: 2 * MAX_ABOVE], is_id)
    faults: list[Fault] = []
    sheet = read_sheet_of(chosen, path.name, faults, first_row=above + 1)
    errors = [fault for fault in faults if fault.severity == "error"]
    if errors:
        raise FaultsError(errors)
    _check_names(list(sheet.letters), path)
    return [row.cells for row in sheet.rows]


def _texts(sheet: Any) -> list[list[str]]:
    return [[cell_text(cell) for cell in row] for row in sheet.iter_rows()]


def _check_names(names: list[str], path: Path) -> None:
    twice = sorted(repeated(names))
    if twice or "" in names:
        found = f"{twice[0]!r} twice" if twice else "a column without a name"
        raise DataError(
            f"{path.name}: each column must have a name of its own; found {found}. Delete rows "
            "above the names, and name each column once.",
            reason="column_missing",
        )


def _plain(value: Any) -> str:
    return re.sub(r"\s+", " ", str(value).replace("\xa0", " ").replace("\0", "")).strip()
