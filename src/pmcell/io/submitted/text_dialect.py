"""How a text table separates its fields and writes its decimals, seen from its first lines."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from pmcell.errors import DataError
from pmcell.io.textfile import open_text

FAMILIES = {"csv": (",", ";", "|"), "tsv": ("\t", " ")}
"""Separators that a format is read with, likelier ones first."""
_WORDS = {",": "commas", ";": "semicolons", "|": "bars", "\t": "tabs", " ": "spaces"}
_SAMPLED_LINES = 6
_MAX_BEFORE = 40
_BEFORE = re.compile(r"#|sep=.\s*$|\s*$", re.IGNORECASE)
"""Lines that are no part of a table: comments, empty ones, and what tells Excel the separator."""
_DECIMAL_COMMA = re.compile(r"-?\d+,\d+")
_THREE_DIGITS = re.compile(r"-?\d{1,3}(?:,\d{3})+")


@dataclass(frozen=True)
class Dialect:
    """The separator of fields and the decimal sign of a text table.

    `n_before` are lines above its header: comments, and what tells Excel the separator.
    """

    delimiter: str
    decimal: str = "."
    n_before: int = 0

    def __str__(self) -> str:
        commas = " and decimal commas" if self.decimal == "," else ""
        return f"separated by {_WORDS[self.delimiter]}{commas}"

    def reader(self, lines: Iterable[str]) -> Any:
        """A csv reader of the lines."""
        spaces = self.delimiter == " "
        return csv.reader(lines, delimiter=self.delimiter, skipinitialspace=spaces)

    def plain_numbers(self, fields: Sequence[str]) -> list[str]:
        """The fields with points for decimal commas.

        `ValueError` for 1,000, which may be 1000, and for 1_000, which Python alone reads.
        """
        if any("_" in field for field in fields):
            raise ValueError("a number must not hold a low line")
        if self.decimal == ".":
            return list(fields)
        for field in fields:
            if "," in field and _THREE_DIGITS.fullmatch(field):
                raise ValueError(f"{field!r} may be one or a thousand")
        return [field.replace(",", ".") for field in fields]


def sniff_dialect(path: Path, fmt: str) -> Dialect:
    """The dialect of a table of format csv or tsv.

    A separator fits when it cuts the first rows into equally many fields, two at least, and
    the header into as many or one fewer. Raises `DataError` that names the separator that
    fits where the format does not.
    """
    with open_text(path) as stream:
        lines = list(islice(stream, _SAMPLED_LINES + _MAX_BEFORE))
    n_before = _lines_before(lines)
    lines = [line for line in lines[n_before:] if line.strip()][:_SAMPLED_LINES]
    if not lines:
        raise DataError(
            f"{path.name}: the first line must name the columns, and the second hold a name and "
            "their values; found nothing. Copy the file again from the source.",
            reason="empty_file",
        )
    fits = _fitting(lines)
    own = [delimiter for delimiter in FAMILIES[fmt] if delimiter in fits]
    if own:
        best = max(own, key=lambda delimiter: fits[delimiter])
        return Dialect(best, _decimal(lines, best), n_before)
    other = "tsv" if fmt == "csv" else "csv"
    for delimiter in FAMILIES[other]:
        if delimiter in fits:
            raise DataError(
                f"{path.name}: a table of format {fmt} must be separated by "
                f"{' or '.join(_WORDS[one] for one in FAMILIES[fmt])}; found {_WORDS[delimiter]}. "
                f"Set matrix.format in cohort.yaml to {other}.",
                reason="unreadable",
            )
    above = next((k for k in range(1, len(lines) - 1) if _fitting(lines[k:])), 0)
    if above:
        raise DataError(
            f"{path.name}: the first line must name the columns; found {above} "
            f"{'line' if above == 1 else 'lines'} above them ({lines[0].strip()[:60]!r}). Remove "
            f"{'it' if above == 1 else 'them'}.",
            reason="unreadable",
        )
    widths = [len(row) for row in Dialect(FAMILIES[fmt][0]).reader(lines[:2])]
    raise DataError(
        f"{path.name}: the first line must name the columns, and the second hold a name and their "
        f"values; found {' and '.join(map(str, widths))} fields. Write the table with "
        f"{_WORDS[FAMILIES[fmt][0]]} between its fields and the same number of them in each row.",
        reason="unreadable",
    )


def _lines_before(lines: list[str]) -> int:
    """How many lines stand above the header; one that begins with # may be the header itself."""
    n_marked = next((k for k, line in enumerate(lines) if not _BEFORE.match(line)), len(lines))
    starts = [k for k in range(n_marked + 1) if k < len(lines) and lines[k].strip()]
    return max(
        starts, key=lambda k: max(_fitting(lines[k:]).values(), default=0), default=len(lines)
    )


def _fitting(lines: list[str]) -> dict[str, int]:
    """The separators that fit, likelier ones first, with the number of fields of a row."""
    some = [line for line in lines if line.strip()][:_SAMPLED_LINES]
    every = (delimiter for delimiters in FAMILIES.values() for delimiter in delimiters)
    return {delimiter: width for delimiter in every if (width := _width(some, delimiter))}


def _width(lines: list[str], delimiter: str) -> int:
    """Fields of each row after the header; 0 where the separator does not fit."""
    try:
        widths = [len(row) for row in Dialect(delimiter).reader(lines) if row]
    except csv.Error:
        return 0
    if len(widths) < 2 or widths[1] < 2 or widths[0] not in (widths[1], widths[1] - 1):
        return 0
    # A later row that is cut off is named by the reader, with its number.
    return widths[1]


def _decimal(lines: list[str], delimiter: str) -> str:
    if delimiter == ",":
        return "."
    rows = list(Dialect(delimiter).reader(lines))[1:]
    values = [field for row in rows for field in row[1:]]
    return "," if any(_DECIMAL_COMMA.fullmatch(value) for value in values) else "."
