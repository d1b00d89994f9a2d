"""Read a table that people keep beside a matrix, as the program at hand saved it.

CSV, TSV or Excel, in any usual encoding and with any separator. What stands above the row of
names, such as a title or names of groups of columns, is left out, and of several sheets the one
with the wanted ids is read.
"""

from __future__ import annotations

import csv
import io
import re
import shlex
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from pmcell.errors import DataError, Fault, FaultsError
from pmcell.registry.sheets.excel import cell_text, open_book, read_sheet_of, too_big
from pmcell.spelling import repeated

MAX_BYTES = 50_000_000
MAX_ABOVE = 10
"""Rows above the names that are looked at, and as many below them."""
ROW_NAMES = "row names"
"""Name of the column that R and pandas write without a name, before all others."""
_SEPARATORS = "\t;,|"
_BROAD = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16", b"\xef\xbb\xbf": "utf-8-sig"}
_WESTERN, _CENTRAL = "cp1252", "cp1250"
_NOT_WESTERN = re.compile("(?<=[^\\W\\d_])[\u00b3\u00b9\u00bf\u00a3](?=[^\\W\\d_])")
"""Signs within a word: what the Polish letters of Windows-1250 look like in Windows-1252."""
_NUMBER = re.compile(r"[-+<>]?\d+(?:[.,]\d+)?%?")
_UNPACK = {
    b"\x1f\x8b": ("packed by gzip", "gunzip -k {name}"),
    b"PK\x03\x04": ("a zip file or a workbook", "Where it is a workbook, name it .xlsx: mv {name}"),
    b"\xd0\xcf\x11\xe0": ("a workbook of Excel 97", "Save it as 'Excel workbook (.xlsx)'."),
}
_NO_TABLE = {"{": "JSON", "[": "JSON", "<": "HTML or XML"}
_SEP_LINE = re.compile(r"sep=(.)", re.IGNORECASE)
_AS_FORMULA = re.compile(r'="([^"]*)"')
"""How a spreadsheet is made to keep an id as text."""


def read_table_of_people(
    path: Path, is_id: Callable[[str], bool] = lambda _: False
) -> list[dict[str, str]]:
    """The rows of a CSV, TSV or Excel table as text; `DataError` where it is none.

    Comments above the names and columns without name and value are passed over.

    Parameters
    ----------
    path
        The table. Of text, the encoding is UTF-8 or UTF-16 where the file is that, else
        Windows-1250 where Polish words tell it, else Windows-1252; the separator is the sign that
        a line `sep=` names, else the one that cuts the first line into most columns.
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
    data = path.read_bytes()
    _refuse_other_kinds(path, data)
    # Old Macs end lines in CR alone, and tables that were put together in all three ways.
    lines = decode_table(data).replace("\r\n", "\n").replace("\r", "\n").split("\n")
    n_above, separator = _above(lines)
    rows = _rows(path, lines[n_above:], n_above, separator)
    if len(rows) < 2:
        raise DataError(
            f"{path.name}: a table must have a line of column names and rows; found "
            f"{len(rows)} lines. Export it again with its rows.",
            reason="empty_file",
        )
    above = rows_above_names([row for _, row in rows[: 2 * MAX_ABOVE]], is_id)
    names = rows[above][1]
    if len(names) < 2:
        raise DataError(
            f"{path.name}: a table must have two columns or more, between tabs, semicolons, commas "
            f"or bars; found one in {names[0][:60]!r}. Delete lines above the names, or save it as "
            "CSV.",
            reason="separator",
        )
    return _named(path, names, rows[above + 1 :])


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
    above fill fewer, and rows stand below. 0 where no row is that.

    >>> rows_above_names([["Labs", ""], ["id", "CRP"], ["P1", "7"]], {"P1"}.__contains__)
    1
    """
    filled = [sum(map(bool, row)) for row in rows]
    width = max(filled, default=0)
    for at, row in enumerate(rows[:-1][:MAX_ABOVE]):
        if filled[at] == width:
            cells = [cell for cell in row if cell]
            are_names = len(set(cells)) == width > 1 and not any(
                is_id(cell) or _NUMBER.fullmatch(cell) for cell in cells
            )
            return at if are_names else 0
    return 0


def _refuse_other_kinds(path: Path, data: bytes) -> None:
    """`DataError` for what is packed, or text that is no table, by its first signs."""
    must = f"{path.name}: a table must be CSV, TSV or an Excel workbook (.xlsx)"
    name = shlex.quote(path.name)
    for magic, (kind, fix) in _UNPACK.items():
        if data.startswith(magic):
            command = fix.format(name=name)
            if magic.startswith(b"\x1f"):
                command = f"Unpack it: {command}"
            elif magic.startswith(b"PK"):
                command = f"{command} {shlex.quote(path.stem + '.xlsx')}; else unpack it."
            raise DataError(f"{must}; found {kind}. {command}", reason="format_unknown")
    kind = _NO_TABLE.get(decode_table(data[:200]).lstrip()[:1], "")
    if kind:
        raise DataError(
            f"{must}; found {kind}. Open it in the program that wrote it and save it as CSV.",
            reason="format_unknown",
        )


def _above(lines: list[str]) -> tuple[int, str]:
    """How many comments stand above the table, and its separator: that of the first cut line."""
    for at, line in enumerate(lines):
        told = _SEP_LINE.fullmatch(line.strip().strip('"')) if at == 0 else None
        if told:
            return 1, told[1]
        if line.strip() and not line.lstrip().startswith("#"):
            near = lines[at : at + MAX_ABOVE]
            cut = (one for one in near if any(sign in one for sign in _SEPARATORS))
            return at, max(_SEPARATORS, key=next(cut, line).count)
    return len(lines), ","


def _rows(
    path: Path, lines: list[str], n_above: int, separator: str
) -> list[tuple[int, list[str]]]:
    """Line number and cells, as text without what nobody sees, of each row that is not empty."""
    reader = csv.reader(io.StringIO("\n".join(lines)), delimiter=separator, strict=True)
    rows, first = [], 1
    try:
        for cells in reader:
            texts = [*map(_plain, cells)]
            if any(texts):
                rows.append((n_above + first, texts))
            first = reader.line_num + 1
    except csv.Error:
        raise DataError(
            f"{path.name}, row {n_above + first}: a cell that starts with a quote must end with "
            "one, before the separator; found none. Remove the quote, or write it twice within "
            "quotes.",
            reason="quotes",
        ) from None
    return rows


def _named(path: Path, names: list[str], rows: list[tuple[int, list[str]]]) -> list[dict[str, str]]:
    """The rows by the names of their columns, those without name and value left out."""
    while names and not names[-1] and not any(any(row[len(names) - 1 :]) for _, row in rows):
        names.pop()
    if names and not names[0] and ROW_NAMES not in names:
        names[0] = ROW_NAMES
    _check_names(names, path)
    faults = [
        Fault(
            path.name,
            f"a row must have {len(names)} cells",
            f"{len(row)}",
            "Put text that holds the separator in quotes, and a name above each column.",
            row=number,
        )
        for number, row in rows
        if any(row[len(names) :])
    ]
    if faults:
        raise FaultsError(faults)
    return [dict(zip(names, row + [""] * len(names), strict=False)) for _, row in rows]


def _excel(path: Path, is_id: Callable[[str], bool]) -> list[dict[str, str]]:
    """The sheet of a workbook that has most of the ids, held to the rules of our own."""
    book = open_book(path).worksheets
    sheets = [one for one in book if one.sheet_state == "visible"]
    if not sheets:
        raise DataError(
            f"{path.name}: a workbook must show a sheet; none is. Unhide it.", reason="workbook"
        )
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
    if sheet.rows and len(sheet.letters) == 1 and re.search("[,;\t|]", next(iter(sheet.letters))):
        raise DataError(
            f"{path.name}#{sheet.name}: a sheet must have a column for each name; found all of "
            f"them in column A ({next(iter(sheet.letters))[:60]!r}). In the spreadsheet: Data, "
            "Text to Columns; or save it as CSV.",
            reason="separator",
        )
    if not sheet.rows or len(sheet.letters) < 2:
        raise DataError(
            f"{path.name}#{sheet.name}: a sheet must hold the table: a row of column names and "
            f"rows below; found {len(sheet.letters)} names and {len(sheet.rows)} rows. Fill it.",
            reason="empty_file",
        )
    _check_names(list(sheet.letters), path)
    return [row.cells for row in sheet.rows]


def _texts(sheet: Any) -> list[list[str]]:
    return [[cell_text(cell) for cell in row] for row in sheet.iter_rows()]


def _check_names(names: list[str], path: Path) -> None:
    twice = sorted(repeated(names))
    if twice or "" in names:
        found = f"{twice[0]!r} twice" if twice and twice[0] else "a column without a name"
        raise DataError(
            f"{path.name}: each column must have a name of its own; found {found}. Delete rows "
            "above the names, and name each column once.",
            reason="column_missing",
        )


def _plain(cell: str) -> str:
    plain = re.sub(r"\s+", " ", cell.replace("\xa0", " ").replace("\0", "")).strip()
    kept = _AS_FORMULA.fullmatch(plain)
    return kept[1] if kept else plain
