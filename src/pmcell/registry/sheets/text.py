"""Take a registration table apart as text: encoding, lines, cells and their quotes.

Spreadsheets and R put cells in quotes, in tab-separated text too; they are
taken off as readers of CSV do. Lines end at LF or CRLF and nowhere else:
other signs that break lines stay in their cell, where they are refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from pmcell.errors import Fault
from pmcell.spelling import nearest

MAX_BYTES = 50_000_000
MAX_LINES_A_CELL = 50

MAX_UNENDED = 20
"""Quotes without an end after which no row is looked at beyond its line."""

_QUOTED = re.compile(r' *"((?:[^"]|"")*)" *(?=\t|$)')
_QUOTE = re.compile(r' *"')
_SEPARATORS = re.compile(r"[\t;,|]")
_CONTROL = re.compile("[\x00-\x08\x0e-\x1f\x7f]")
"""Signs that no line of text has."""
MAX_CELLS = 1000
"""Cells of a first line that are looked at to tell whether it is a table of ours."""

_PACKED = {
    b"PK\x03\x04": "a spreadsheet or zip file",
    b"\xd0\xcf\x11\xe0": "a spreadsheet of Excel 97",
    b"\x1f\x8b": "gzip",
}
_BROAD = ((b"\xff\xfe", "UTF-16"), (b"\xfe\xff", "UTF-16"))


def read_lines(path: Path, faults: list[Fault]) -> list[str]:
    """The lines of a table; none where it cannot be read as text, with the fault and its fix."""
    name = path.name

    def refuse(must: str, found: str, fix: str, reason: str = "not_text") -> list[str]:
        faults.append(Fault(name, must, found, fix, reason=reason))
        return []

    if path.stat().st_size > MAX_BYTES:
        return refuse(f"must be below {MAX_BYTES:,} bytes", "more", "Is it the matrix?", "too_big")
    data = path.read_bytes()
    for magic, kind in _PACKED.items():
        if data.startswith(magic):
            fix = "Open it and save it as tab-separated text (UTF-8) under this name."
            return refuse("must be UTF-8 text", kind, fix)
    for magic, encoding in _BROAD:
        if data.startswith(magic):
            return refuse("must be UTF-8 text", encoding, _recode(name, encoding))
    if data[:2] and b"\0" in data[:2]:
        encoding = "UTF-16BE" if data[:1] == b"\0" else "UTF-16LE"
        return refuse("must be UTF-8 text", encoding, _recode(name, encoding))
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        if b"\0" in data:
            return refuse("must be UTF-8 text", "a file that is no text", "Put the table there.")
        line = data.count(b"\n", 0, error.start) + 1
        found = f"byte {error.start} ({data[error.start]:#04x}, line {line}) is not UTF-8"
        return refuse("must be UTF-8 text", found, _recode(name, "WINDOWS-1252"))
    if "\r" in text and "\n" not in text:
        command = f"tr '\\r' '\\n' < {name}"
        fix = f"In the cohort's folder: {_replace(name, command)}"
        return refuse("lines must end in LF or CRLF", "CR alone, as old Macs write", fix)
    lines = [line.removesuffix("\r") for line in text.split("\n")]
    if lines[-1] == "":
        lines.pop()
    if not lines:
        return refuse("must have a header and rows", "an empty file", "Write the table.", "empty")
    return lines


def is_header_of(columns: Sequence[str], line: str) -> bool:
    """Whether a line names one of the columns or nearly so, whatever sign separates its cells."""
    if _CONTROL.search(line):
        return False
    cells = [cell.strip().strip('"').lower() for cell in _SEPARATORS.split(line)]
    return any(nearest(cell, columns, 0.7) for cell in cells[:MAX_CELLS] if cell)


def separator_fault(name: str, header: str) -> Fault | None:
    """The fault of a header without tabs that another sign separates, with the exact way out."""
    if "\t" in header:
        return None
    counts = {sign: header.count(sign) for sign in (";", ",", "|")}
    sign = max(counts, key=lambda item: counts[item])
    if not counts[sign]:
        return None
    words = {";": "semicolons", ",": "commas", "|": "bars"}[sign]
    command = (
        'python3 -c "import csv, sys; '
        "csv.writer(sys.stdout, delimiter='\\t', lineterminator='\\n')"
        f".writerows(csv.reader(sys.stdin, delimiter='{sign}'))\" < {name}"
    )
    replaced = _replace(name, command)
    fix = f"Save the table with tabs between the cells, or in the cohort's folder: {replaced}"
    found = f"{words} in {header[:60]!r}"
    return Fault(name, "must be tab-separated", found, fix, row=1, reason="separator")


def iter_rows(name: str, lines: list[str], faults: list[Fault]) -> Iterator[tuple[int, list[str]]]:
    """Line number and cells of each row; a quoted cell may span lines, and is joined by spaces."""
    at = n_unended = 0
    while at < len(lines):
        first = at
        cells = _cells(lines[at]) if '"' in lines[at] else lines[at].split("\t")
        at += 1
        if cells is None:
            if n_unended < MAX_UNENDED:
                cells, at = _joined(lines, first)
            if cells is None:
                n_unended += 1
                must = "a cell that starts with a quote must end with one"
                found = repr(lines[first][:60])
                fix = "Remove the quote, or write it twice within quotes."
                faults.append(Fault(name, must, found, fix, row=first + 1, reason="quotes"))
                cells = lines[first].split("\t")
        yield first + 1, [cell.strip() for cell in cells]


def _joined(lines: list[str], first: int) -> tuple[list[str] | None, int]:
    """The row whose quoted cell ends in a later line, and where the next row begins."""
    row = lines[first]
    for at in range(first + 1, min(first + MAX_LINES_A_CELL, len(lines))):
        row += f" {lines[at]}"
        if '"' in lines[at]:
            cells = _cells(row)
            if cells is not None:
                return cells, at + 1
    return None, first + 1


def _cells(line: str) -> list[str] | None:
    """The cells of a line without their quotes; None where a quoted cell does not end."""
    cells, at = [], 0
    while True:
        quoted = _QUOTED.match(line, at)
        if quoted:
            # A tab within a cell would part it in every table that it is written to.
            cells.append(quoted[1].replace('""', '"').replace("\t", " "))
            end = quoted.end()
        elif _QUOTE.match(line, at):
            return None
        else:
            end = line.find("\t", at)
            end = len(line) if end < 0 else end
            cells.append(line[at:end])
        if end >= len(line):
            return cells
        at = end + 1


def _recode(name: str, encoding: str) -> str:
    command = _replace(name, f"iconv -f {encoding} -t UTF-8 {name}")
    return f"Save it as UTF-8, tab-separated, or in the cohort's folder: {command}"


def _replace(name: str, command: str) -> str:
    """A command line that puts what `command` prints in the place of the file."""
    return f"{command} > {name}.new && mv {name}.new {name}"
