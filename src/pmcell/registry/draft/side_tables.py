"""Tables that people keep beside a matrix: what is known of its donors and samples.

CSV, TSV or Excel, in the encoding and with the separator that the program at hand wrote. A table
is joined to the cells by the ids that it shares with them, and then read as if it stood there.
"""

from __future__ import annotations

import csv
import io
import re
import shlex
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pmcell.errors import DataError, Fault, FaultsError, UsageError
from pmcell.io.submitted.submission import Submission
from pmcell.registry.cohorts.same_number import SameNumbers
from pmcell.registry.draft.columns import guess_columns, text
from pmcell.registry.draft.left_out import status_columns
from pmcell.registry.intake.cell_table import BARCODE
from pmcell.registry.sheets.excel import open_book, read_sheet_of
from pmcell.schema.text import as_text
from pmcell.spelling import repeated

if TYPE_CHECKING:
    import pandas as pd

KINDS = {"donors": "donor_id", "samples": "sample_id"}
MAX_BYTES = 50_000_000
MIN_SHARE = 0.5
"""Share of the file's donors (or samples) that the table must name."""
_SEPARATORS = "\t;,|"
_BROAD = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16", b"\xef\xbb\xbf": "utf-8-sig"}
_LEGACY = "cp1252"


def join_table(
    submission: Submission, path: Path, kind: str, given: Mapping[str, str]
) -> Submission:
    """The submission with the columns of a table of `kind` (donors, samples) beside its own.

    Raises
    ------
    UsageError
        Where the file's cells do not say the donor or sample that the table is about.
    DataError
        Where the table cannot be read, names an id twice, or shares too few ids with the file.
    """
    role = KINDS[kind]
    obs = submission.obs
    columns = guess_columns(obs.drop(columns=status_columns(obs)), "cohort", given)
    own = columns.roles.get(role)
    if own is None and role == "donor_id":
        raise UsageError(
            f"--donors needs a column of the file that names the donors; there is none. Name it "
            f"with --donor, or give a table of samples with --samples. There are "
            f"{', '.join(map(str, obs.columns)) or 'no columns'}."
        )
    ids = columns.sample_of_cell if own is None else text(obs, own)
    table = read_table_of_people(path)
    key, rows = _key(table, ids, path, kind, obs)
    joined = obs.copy()
    for column in table[0]:
        if column == key:
            continue
        values = np.array([rows.get(name, {}).get(column, "") for name in ids.tolist()], object)
        joined[column] = values
    beside = submission.beside | {str(name) for name in joined.columns if name not in obs.columns}
    return replace(submission, obs=joined, beside=beside)


def cells_text(submission: Submission, path: Path) -> str:
    """A table of cells as cells.tsv holds it: the file's own barcodes, and every column beside.

    Barcodes match as they are, else without the number of the lane behind a dash. Raises
    `DataError` where fewer than half of the file's cells are named, or one is named twice.
    """
    table = read_table_of_people(path)
    barcodes = as_text(submission.obs.index).tolist()
    for plain in (str, _without_lane):
        known = {plain(one): one for one in barcodes}
        if len(known) < len(barcodes):
            continue
        shares = {
            column: len({plain(row[column]) for row in table} & known.keys()) for column in table[0]
        }
        best = max(shares, key=lambda column: shares[column])
        if shares[best] >= MIN_SHARE * len(barcodes):
            break
    else:
        raise DataError(
            f"{path.name}: a table of cells must name at least {MIN_SHARE:.0%} of the file's "
            f"{len(barcodes):,} cells ({barcodes[0]!r}, …) by their barcodes, each of which stands "
            "once in the file; it does not. Is it the table of another lane?",
            reason="ids_differ",
        )
    columns = [column for column in table[0] if column not in (best, BARCODE)]
    rows: dict[str, list[str]] = {}
    for row in table:
        name = known.get(plain(row[best]))
        if name is None:
            continue
        cells = [row[column] for column in columns]
        if rows.setdefault(name, cells) != cells:
            raise DataError(
                f"{path.name}: a table of cells must name each cell once; {name!r} has two rows "
                "that differ.",
                reason="duplicate_id",
            )
    lines = ["\t".join([BARCODE, *columns])]
    lines += ["\t".join([one, *rows[one]]) for one in barcodes if one in rows]
    return "\n".join(lines) + "\n"


def _without_lane(barcode: str) -> str:
    return re.sub(r"-\d+$", "", barcode)


def read_table_of_people(path: Path) -> list[dict[str, str]]:
    """The rows of a CSV, TSV or Excel table as text; `DataError` where it is none.

    Of text, the encoding is UTF-8 or UTF-16 where the file is that, else Windows-1252, and the
    separator the sign that cuts the first line into most columns of equal rows.
    """
    if path.suffix.lower() in (".xlsx", ".xlsm", ".xls", ".xlsb", ".ods"):
        return _excel(path)
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
    separator = max(_SEPARATORS, key=lines[0].count)
    rows = [row for row in csv.reader(io.StringIO(content), delimiter=separator) if any(row)]
    names = [_plain(name) for name in rows[0]]
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
        for number, row in enumerate(rows[1:], 2)
        if len(row) > len(names)
    ]
    if faults:
        raise FaultsError(faults)
    return [
        dict(zip(names, map(_plain, row + [""] * len(names)), strict=False)) for row in rows[1:]
    ]


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


def _excel(path: Path) -> list[dict[str, str]]:
    """The first sheet of a workbook, held to the rules of our own."""
    faults: list[Fault] = []
    book = open_book(path)
    sheet = read_sheet_of(book.worksheets[0], path.name, faults)
    errors = [fault for fault in faults if fault.severity == "error"]
    if errors:
        raise FaultsError(errors)
    _check_names(list(sheet.letters), path)
    return [row.cells for row in sheet.rows]


def _key(
    table: list[dict[str, str]], ids: np.ndarray, path: Path, kind: str, obs: pd.DataFrame
) -> tuple[str, dict[str, dict[str, str]]]:
    """The column of the table that holds the ids, and its rows by the id as the file writes it."""
    wanted = {name for name in ids.tolist() if name}
    same = SameNumbers(wanted)

    def own(value: str) -> str:
        """The id of the file that a value is, also where a spreadsheet took its zeros."""
        return value if value in wanted else same.find(value) or value

    shares = {
        column: len({own(row[column]) for row in table} & wanted) / max(len(wanted), 1)
        for column in table[0]
    }
    best = max(shares, key=lambda column: shares[column])
    if shares[best] < MIN_SHARE:
        shown = ", ".join(sorted(wanted)[:4])
        raise DataError(
            f"{path.name}: a table of {kind} must name those of the file ({shown}, …) in one of "
            f"its columns; {best!r} comes nearest, with {shares[best]:.0%} of them. "
            f"{_naming_option(table, obs, kind) or 'Write the ids as they stand in the file.'}",
            reason="ids_differ",
        )
    rows: dict[str, dict[str, str]] = {}
    twice = []
    for row in table:
        name = own(row[best])
        if name in rows and rows[name] != row:
            twice.append(name)
        rows.setdefault(name, row)
    if twice:
        raise DataError(
            f"{path.name}: a table of {kind} must have one row for each; {twice[0]!r} has several "
            "that differ. Give what differs by sample in a table of samples (--samples).",
            reason="duplicate_id",
        )
    return best, rows


def _naming_option(table: list[dict[str, str]], obs: pd.DataFrame, kind: str) -> str:
    """The option that names the column of the file whose values the table has; '' for none."""
    for column in obs.columns:
        wanted = set(text(obs, column).tolist()) - {""}
        for name in table[0]:
            if len(wanted) > 1 and wanted <= {row[name] for row in table}:
                return (
                    f"They are the values of column {column!r} of the file: add "
                    f"--{kind.removesuffix('s')} {shlex.quote(str(column))}."
                )
    return ""


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
