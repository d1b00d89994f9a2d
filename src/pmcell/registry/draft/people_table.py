"""Read a table that people keep: CSV, TSV or Excel, as the program at hand saved it."""

from __future__ import annotations

import csv
import io
import re
import shlex
from pathlib import Path

from pmcell.errors import DataError, Fault, FaultsError
from pmcell.registry.cohorts.excel import open_book, read_sheet_of
from pmcell.spelling import repeated

MAX_BYTES = 50_000_000
ROW_NAMES = "row names"
"""Name of the column that R and pandas write without a name, before all others."""
_SEPARATORS = "\t;,|"
_BROAD = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16", b"\xef\xbb\xbf": "utf-8-sig"}
_LEGACY = "cp1252"
_UNPACK = {
    b"\x1f\x8b": ("packed by gzip", "gunzip -k {name}"),
    b"PK\x03\x04": ("a zip file or a workbook", "Where it is a workbook, name it .xlsx: mv {name}"),
    b"\xd0\xcf\x11\xe0": ("a workbook of Excel 97", "Save it as 'Excel workbook (.xlsx)'."),
}
_NO_TABLE = {"{": "JSON", "[": "JSON", "<": "HTML or XML"}
_SEP_LINE = re.compile(r"sep=(.)", re.IGNORECASE)
_AS_FORMULA = re.compile(r'="([^"]*)"')
"""How a spreadsheet is made to keep an id as text."""


def read_table_of_people(path: Path) -> list[dict[str, str]]:
    """The rows of a CSV, TSV or Excel table as text; `DataError` where it is none.

    Of text, the encoding is UTF-8 or UTF-16 where the file is that, else Windows-1252, and the
    separator the sign that a line `sep=` names, else the one that cuts the first line into most
    columns. Comments above the names and columns without name and value are passed over.
    """
    if path.suffix.lower() in (".xlsx", ".xlsm", ".xls", ".xlsb", ".ods"):
        return _excel(path)
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
    names = [_plain(name) for name in rows[0][1]]
    if len(names) < 2:
        raise DataError(
            f"{path.name}: a table must have two columns or more, between tabs, semicolons, commas "
            f"or bars; found one in {names[0][:60]!r}. Delete lines above the names, or save it as "
            "CSV.",
            reason="separator",
        )
    return _named(path, names, [(number, [*map(_plain, row)]) for number, row in rows[1:]])


def decode_table(data: bytes) -> str:
    """The text of a table: by its mark, as UTF-8 where it is that, else as Windows-1252.

    >>> decode_table("Zürich".encode("cp1252")), decode_table("Zürich".encode("utf-16"))
    ('Zürich', 'Zürich')
    """
    for mark, encoding in _BROAD.items():
        if data.startswith(mark):
            return data.decode(encoding, "replace")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode(_LEGACY, "replace")


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
    """How many lines stand above the names, and the separator."""
    for at, line in enumerate(lines):
        told = _SEP_LINE.fullmatch(line.strip().strip('"')) if at == 0 else None
        if told:
            return 1, told[1]
        if line.strip() and not line.lstrip().startswith("#"):
            return at, max(_SEPARATORS, key=line.count)
    return len(lines), ","


def _rows(
    path: Path, lines: list[str], n_above: int, separator: str
) -> list[tuple[int, list[str]]]:
    """Line number and cells of each row that is not empty."""
    reader = csv.reader(io.StringIO("\n".join(lines)), delimiter=separator, strict=True)
    rows, first = [], 1
    try:
        for cells in reader:
            if any(map(_plain, cells)):
                rows.append((n_above + first, cells))
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


def _excel(path: Path) -> list[dict[str, str]]:
    """The first sheet of a workbook, held to the rules of our own."""
    faults: list[Fault] = []
    sheets = open_book(path).worksheets
    sheet = read_sheet_of(sheets[0], path.name, faults)
    errors = [fault for fault in faults if fault.severity == "error"]
    if errors:
        raise FaultsError(errors)
    if not sheet.rows or len(sheet.letters) < 2:
        others = ", ".join(repr(str(other.title)) for other in sheets[1:])
        raise DataError(
            f"{path.name}#{sheet.name}: the first sheet must hold the table: a row of column names "
            f"and rows below; found {len(sheet.letters)} names and {len(sheet.rows)} rows. "
            + (f"Put the sheet of the table first, of {others}." if others else "Fill it."),
            reason="empty_file",
        )
    _check_names(list(sheet.letters), path)
    return [row.cells for row in sheet.rows]


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
