"""Read a table that people keep beside a matrix, as the program at hand saved it.

CSV, TSV or Excel, in any usual encoding and with any separator. What stands above the row of
names, such as a title or names of groups of columns, is left out. Of several sheets, and of several
tables on a sheet with an empty row between them, the one with the wanted ids is read.
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
from pmcell.registry.draft.column_names import is_known_word, is_named
from pmcell.registry.sheets.excel import (
    cell_text,
    fill_names,
    names_merged_down,
    open_book,
    read_sheet_of,
    too_big,
)
from pmcell.spelling import folded, repeated

MAX_BYTES = 50_000_000
MAX_ABOVE = 10
"""Rows above the names that are looked at, and as many below them."""
ROW_NAMES = "row names"
"""Name of the column that R and pandas write without a name, before all others."""
_SEPARATORS = "\t;,|"
_BROAD = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16", b"\xef\xbb\xbf": "utf-8-sig"}
_CODE_PAGES = ("cp1252", "cp1250", "cp1253", "cp1251", "cp1254", "mac-roman")
"""Western, Central European, Greek, Cyrillic, Turkish, of old Macs; likelier ones first."""
_NOT_WESTERN = re.compile("(?<=[^\\W\\d_])[\u00b3\u00b9\u00bf\u00a3](?=[^\\W\\d_])")
"""Signs within a word: what the Polish letters of Windows-1250 look like in Windows-1252."""
_OTHER_ALPHABET = re.compile(rb"[\xb8-\xff]{4}")
"""Letters beyond ASCII in a row, as of Greek and Cyrillic words and of no Latin ones."""
_TWICE = ("\u00c3", "\u00c2", "\u00c5", "\u00c4")
"""What the first byte of a letter beyond ASCII is in Windows-1252."""
_NUMBER = re.compile(r"[-+<>]?\d+(?:[.,]\d+)?%?")
_UNPACK = {
    b"\x1f\x8b": ("packed by gzip", "gunzip -k {name}"),
    b"PK\x03\x04": ("a zip file or a workbook", "Where it is a workbook, name it .xlsx: mv {name}"),
    b"\xd0\xcf\x11\xe0": ("a workbook of Excel 97", "Save it as 'Excel workbook (.xlsx)'."),
}
_NO_TABLE = {"{": "JSON", "[": "JSON", "<": "HTML or XML"}
_SEP_LINE = re.compile(r"sep=(.)", re.IGNORECASE)
Row = tuple[int, list[str]]
"""The number of a row in its file, and its cells."""
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
        The table. Of text, the encoding is UTF-8 or UTF-16 where the file is that, else the code
        page in which words of it are known, else Windows-1252; the separator is the sign that a
        line `sep=` names, else the one that cuts the first line into most columns.
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
    rows = _best_table(tables_of(rows, is_id), is_id)
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
    """The text of a table: by its mark, as UTF-8 where it is that, else by a code page.

    It is the one in which most words beyond ASCII are names of columns or sexes. `DataError` where
    they are of another alphabet and none is known.

    >>> decode_table("Zürich".encode("cp1252")), decode_table("Zürich".encode("utf-16"))
    ('Zürich', 'Zürich')
    >>> decode_table("mężczyzna".encode("cp1250"))
    'mężczyzna'
    >>> decode_table("m\u00e4nnlich".encode().decode("cp1252").encode())  # Encoded twice.
    'männlich'
    """
    for mark, encoding in _BROAD.items():
        if data.startswith(mark):
            return data.decode(encoding, "replace")
    try:
        return _decoded_once(data.decode("utf-8"))
    except UnicodeDecodeError:
        read = {page: data.decode(page, "replace") for page in _CODE_PAGES}
    n_known = {page: _n_known_words(text) for page, text in read.items()}
    best = max(_CODE_PAGES, key=lambda page: n_known[page])
    if n_known[best]:
        return read[best]
    if _OTHER_ALPHABET.search(data):
        raise DataError(
            "a table must be in UTF-8 where it is in another alphabet than the Latin one; found "
            "an encoding that no word tells. Save it as 'CSV UTF-8'.",
            reason="encoding",
        )
    western, central, *_ = _CODE_PAGES
    return read[central if _NOT_WESTERN.search(read[western]) else western]


def _n_known_words(text: str) -> int:
    """How many words with a letter beyond ASCII are the name of a column, or a sex."""
    words = {word for word in re.findall(r"[^\W\d_]+", text) if not word.isascii()}
    return sum(is_known_word(folded(word)) for word in words)


def _decoded_once(text: str) -> str:
    """The text itself, or what it was before it was encoded a second time."""
    if not any(sign in text for sign in _TWICE):
        return text
    try:
        return text.encode("cp1252").decode("utf-8")
    except (UnicodeEncodeError, UnicodeDecodeError):
        return text


def rows_above_names(rows: Sequence[Sequence[str]], is_id: Callable[[str], bool]) -> int:
    """How many rows stand above the row of names: titles, and names of groups of columns.

    The names fill as many cells as any row, each differs, and none is a number or an id; the rows
    above fill fewer, and rows stand below. 0 where no row is that.

    >>> rows_above_names([["Labs", ""], ["id", "CRP"], ["P1", "7"]], {"P1"}.__contains__)
    1
    """
    return _names_at(rows, is_id) or 0


def _names_at(rows: Sequence[Sequence[str]], is_id: Callable[[str], bool]) -> int | None:
    """The position of the row of names, None where there is none."""
    filled = [sum(map(bool, row)) for row in rows]
    width = max(filled, default=0)
    for at, row in enumerate(rows[:-1][:MAX_ABOVE]):
        if filled[at] == width:
            cells = [cell for cell in row if cell]
            are_names = len(set(cells)) == width > 1 and not any(
                is_id(cell) or _NUMBER.fullmatch(cell) for cell in cells
            )
            return at if are_names else None
    return None


def tables_of(rows: Sequence[Row], is_id: Callable[[str], bool]) -> list[list[Row]]:
    """The tables that stand one below the other, cut where an empty row precedes new names.

    They are new names where a title stands above them, one of them is a name of the table before,
    or the usual one of donors or samples. An empty row within a table, or above its remarks, cuts
    nothing.

    >>> rows = [(1, ["id", "sex"]), (2, ["P1", "f"]), (4, ["sample", "donor"]), (5, ["S1", "P1"])]
    >>> [table[0][0] for table in tables_of(rows, {"P1"}.__contains__)]
    [1, 4]
    """
    parts: list[list[Row]] = []
    for number, cells in rows:
        if parts and number == parts[-1][-1][0] + 1:
            parts[-1].append((number, cells))
        else:
            parts.append([(number, cells)])
    tables: list[list[Row]] = []
    names: set[str] = set()
    for part in parts:
        texts = [cells for _, cells in part]
        at = _names_at(texts[: 2 * MAX_ABOVE], is_id)
        own = set() if at is None else {cell for cell in texts[at] if cell}
        are_new = bool(at) or bool(own & names) or any(map(_is_id_column, own))
        if tables and names and not (own and are_new):
            tables[-1] += part
        else:
            tables.append(part)
            names = own
    return tables


def _is_id_column(name: str) -> bool:
    return is_named(name, "donor_id") or is_named(name, "sample_id")


def _best_table(tables: list[list[Row]], is_id: Callable[[str], bool]) -> list[Row]:
    """The table with most of the ids; of those alike one with a row for each, else the first."""
    return max(tables, key=lambda table: _n_ids([cells for _, cells in table], is_id))


def _n_ids(rows: Sequence[Sequence[str]], is_id: Callable[[str], bool]) -> tuple[int, bool, bool]:
    """Ids of a table, whether it has a row for each, and whether it has columns at all."""
    found = [cell for row in rows for cell in set(row) if cell and is_id(cell)]
    is_once = len(found) == len(set(found))
    return len(set(found)), is_once, any(sum(map(bool, row)) > 1 for row in rows)


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
    looked = [
        (sheet, table)
        for sheet in sheets
        for table in tables_of([] if too_big(sheet) else _texts(sheet), is_id) or [[]]
    ]
    chosen, rows = max(looked, key=lambda one: _n_ids([cells for _, cells in one[1]], is_id))
    texts = [cells for _, cells in rows]
    above = rows_above_names(texts[: 2 * MAX_ABOVE], is_id)
    first_row = rows[above][0] if rows else 1
    # What stands below with a title of its own is another table.
    last_row = rows[-1][0] if rows else None
    fill_names(chosen, first_row)
    faults: list[Fault] = []
    sheet = read_sheet_of(chosen, path.name, faults, first_row=first_row, last_row=last_row)
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


def _texts(sheet: Any) -> list[Row]:
    """The rows that are not empty; a name that is merged downwards stands in its lowest cell."""
    rows = [[cell_text(cell) for cell in row] for row in sheet.iter_rows()]
    for merged in names_merged_down(sheet):
        column = merged.min_col - sheet.min_column
        top, bottom = merged.min_row - sheet.min_row, merged.max_row - sheet.min_row
        if bottom < min(len(rows), MAX_ABOVE):
            rows[bottom][column] = rows[top][column]
    return [(number, row) for number, row in enumerate(rows, sheet.min_row) if any(row)]


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
