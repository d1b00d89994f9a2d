"""Join tables that people keep beside a matrix: what is known of its donors and samples.

A table is joined to the cells by the ids that it shares with them, and then read as if it stood
there.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pmcell.errors import DataError, UsageError
from pmcell.io.submitted.submission import Submission
from pmcell.registry.cohorts.same_number import SameNumbers
from pmcell.registry.draft.columns import guess_columns, is_empty, text
from pmcell.registry.draft.left_out import status_columns
from pmcell.registry.draft.people_table import read_table_of_people
from pmcell.registry.intake.cell_table import BARCODE
from pmcell.schema.text import as_text
from pmcell.spelling import as_seen

if TYPE_CHECKING:
    import pandas as pd

KINDS = {"donors": "donor_id", "samples": "sample_id"}
MAX_SHOWN = 4
"""Ids that a message lists."""
MIN_SHARE = 0.5
"""Share of the file's donors (or samples) that the table must name."""


def join_table(
    submission: Submission, path: Path, kind: str, given: Mapping[str, str]
) -> tuple[Submission, list[str]]:
    """The submission with the columns of a table of `kind` (donors, samples) beside its own.

    Beside it notes on ids that only the table or only the file has.

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
    own_id = _own_id(ids)
    table = read_table_of_people(path, lambda cell: bool(own_id(cell)))
    key, rows = _key(table, ids, own_id, path, kind, obs)
    joined = obs.copy()
    for column in table[0]:
        if column == key:
            continue
        values = np.array([rows.get(name, {}).get(column, "") for name in ids.tolist()], object)
        joined[column] = values
    beside = submission.beside | {str(name) for name in joined.columns if name not in obs.columns}
    return replace(submission, obs=joined, beside=beside), _unmatched(path, kind, rows, ids)


def cells_text(submission: Submission, path: Path) -> str:
    """A table of cells as cells.tsv holds it: the file's own barcodes, and every column beside.

    Barcodes match as they are, else without the number of the lane behind a dash. Raises
    `DataError` where fewer than half of the file's cells are named, or one is named twice.
    """
    barcodes = as_text(submission.obs.index).tolist()
    own = {_without_lane(one) for one in barcodes}
    table = read_table_of_people(path, lambda cell: _without_lane(cell) in own)
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


def _own_id(ids: np.ndarray) -> Callable[[str], str]:
    """A function: the id of the file that a value is, or '' where it is none.

    Also where a spreadsheet took its zeros. Signs that nobody sees are no part of an id, nor is the
    ' by which cells are made text.
    """
    wanted = {name for name in ids.tolist() if name}
    same = SameNumbers(wanted)
    looks: dict[str, str | None] = {}
    for name in wanted:
        looks[as_seen(name)] = None if as_seen(name) in looks else name

    def own(value: str) -> str:
        if value in wanted:
            return value
        return same.find(value) or looks.get(as_seen(value).removeprefix("'")) or ""

    return own


def _key(
    table: list[dict[str, str]],
    ids: np.ndarray,
    own_id: Callable[[str], str],
    path: Path,
    kind: str,
    obs: pd.DataFrame,
) -> tuple[str, dict[str, dict[str, str]]]:
    """The column of the table that holds the ids, and its rows by the id as the file writes it."""
    wanted = {name for name in ids.tolist() if name}
    shares = {
        column: len({own_id(row[column]) for row in table} - {""}) / max(len(wanted), 1)
        for column in table[0]
    }
    best = max(shares, key=lambda column: shares[column])
    if shares[best] < MIN_SHARE:
        fix = _naming_option(table, obs, kind) or "Write the ids as they stand in the file."
        if len({own_id(column) for column in table[0]} - {""}) >= MIN_SHARE * len(wanted):
            fix = f"They stand in its first line: turn it, so that each of the {kind} has a row."
        shown = ", ".join(sorted(wanted)[:4])
        raise DataError(
            f"{path.name}: a table of {kind} must name those of the file ({shown}, …) in one of "
            f"its columns; {best!r} comes nearest, with {shares[best]:.0%} of them. {fix}",
            reason="ids_differ",
        )
    rows: dict[str, dict[str, str]] = {}
    twice = []
    for row in table:
        name = own_id(row[best]) or row[best]
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


def _unmatched(
    path: Path, kind: str, rows: Mapping[str, Mapping[str, str]], ids: np.ndarray
) -> list[str]:
    """A note each for rows that name nobody of the file, and for those of the file without one."""
    wanted = {name for name in ids.tolist() if not is_empty(name)}
    notes = []
    for names, said in (
        (rows.keys() - wanted, f"not used, for they are no {kind} of the file"),
        (wanted - rows.keys(), f"{kind} of the file that have no row, so it says nothing of them"),
    ):
        if names:
            shown = ", ".join(map(repr, sorted(names)[:MAX_SHOWN]))
            more = f" and {len(names) - MAX_SHOWN} more" if len(names) > MAX_SHOWN else ""
            notes.append(f"{path.name}: {shown}{more}: {said}")
    return notes


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
