"""Join tables that people keep beside a matrix: what is known of its donors and samples.

A table is joined to the cells by the ids that it shares with them, and then read as if it stood
there.
"""

from __future__ import annotations

import re
import shlex
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pmcell.errors import DataError, UsageError
from pmcell.io.submitted.submission import Submission
from pmcell.registry.cohorts.not_people import not_people
from pmcell.registry.cohorts.same_number import SameNumbers
from pmcell.registry.draft.column_names import ROLES, is_named, plain_name
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
VISIT_NAMES = (*ROLES["visit_day"], "redcapeventname", "redcaprepeatinstance")
"""Names, beside those of visits, of the column that tells the rows of a donor apart."""
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
    told = dict(submission.told)
    columns = guess_columns(obs.drop(columns=status_columns(obs)), "cohort", {**told, **given})
    own = columns.roles.get(role)
    if own is None and role == "donor_id":
        own = told[role] = _told_column(path, obs, set(columns.roles.values()))
    if own == "":
        raise UsageError(
            f"--donors needs a column of the file that names the donors; there is none. Name it "
            f"with --donor, or give a table of samples with --samples. There are "
            f"{', '.join(map(str, obs.columns)) or 'no columns'}."
        )
    ids = columns.sample_of_cell if own is None else text(obs, own)
    own_id = _own_id(ids)
    table = read_table_of_people(path, lambda cell: bool(own_id(cell)))
    key = _key(table, ids, own_id, path, kind, obs)
    if own is not None and own != key and own in table[0]:
        raise DataError(
            f"{path.name}: column {own!r} must hold the {kind} of the file, which calls them so; "
            f"they stand in column {key!r}. Exchange the two names, or rename {own!r}.",
            reason="ids_differ",
        )
    rows, by_visit = _one_row_each(table, key, own_id, path, kind)
    left_out = {key, *by_visit}
    joined = _beside(obs, ids, rows, [column for column in table[0] if column not in left_out])
    beside = submission.beside | {str(name) for name in joined.columns if name not in obs.columns}
    several = submission.by_visit + by_visit
    joined_to = replace(submission, obs=joined, beside=beside, by_visit=several, told=told)
    notes = [*_unmatched(path, kind, rows, ids), *contradictions(obs, joined, path)]
    if told.keys() - submission.told.keys():
        option = f"--{role.removesuffix('_id')}"
        notes.insert(
            0,
            f"column {own!r} has the ids of {path.name}: {kind} are taken from it, else name "
            f"another with {option}",
        )
    return joined_to, notes


def _beside(
    obs: pd.DataFrame, ids: np.ndarray, rows: dict[str, dict[str, str]], columns: list[str]
) -> pd.DataFrame:
    """The cells' columns and those of the table, all joined at once."""
    import pandas as pd

    names, of_cell = np.unique(ids, return_inverse=True)
    own_rows = [rows.get(name, {}) for name in names.tolist()]
    values = {
        column: np.array([row.get(column, "") for row in own_rows], object)[of_cell]
        for column in columns
    }
    more = {column: of_cells for column, of_cells in values.items() if column not in obs.columns}
    joined = pd.concat([obs, pd.DataFrame(more, index=obs.index, dtype=object)], axis=1)
    for column in values.keys() - more.keys():
        # What the table does not say of somebody, the file may.
        own = text(obs, column)
        joined[column] = np.where([is_empty(one) for one in values[column]], own, values[column])
    return joined


def contradictions(before: pd.DataFrame, joined: pd.DataFrame, path: Path) -> list[str]:
    """A note for each column in which a table says otherwise than the file did."""
    notes = []
    for column in map(str, before.columns):
        pairs = zip(text(before, column).tolist(), text(joined, column).tolist(), strict=True)
        differ = Counter(
            pair for pair in pairs if not any(map(is_empty, pair)) and not _say_the_same(*pair)
        )
        if differ:
            (own, told), _ = differ.most_common(1)[0]
            notes.append(
                f"{path.name}: column {column!r} says otherwise than the file of "
                f"{differ.total():,} cells ({told!r}, not {own!r}): the table is believed; where "
                "the file is right, take the column out of the table"
            )
    return notes


def _say_the_same(one: str, other: str) -> bool:
    if as_seen(one).casefold() == as_seen(other).casefold():
        return True
    try:
        return float(one) == float(other)
    except ValueError:
        return False


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
                "that differ. Keep one of them.",
                reason="duplicate_id",
            )
    lines = ["\t".join([BARCODE, *columns])]
    lines += ["\t".join([one, *rows[one]]) for one in barcodes if one in rows]
    return "\n".join(lines) + "\n"


def _without_lane(barcode: str) -> str:
    return re.sub(r"-\d+$", "", barcode)


def _own_id(ids: np.ndarray) -> Callable[[str], str]:
    """A function: the id of the file that a value is, or '' where it is none.

    Also where a spreadsheet took its zeros, or where the file's id has more before or behind it,
    as GSM1_P1 has of GSM1 and P1. Signs that nobody sees are no part of an id, nor is the ' by
    which cells are made text.
    """
    wanted = {name for name in ids.tolist() if name}
    same = SameNumbers(wanted)
    looks: dict[str, str | None] = {}
    for name in wanted:
        looks[as_seen(name)] = None if as_seen(name) in looks else name

    by_part = _parts_of_one(wanted)

    def own(value: str) -> str:
        if value in wanted:
            return value
        seen = as_seen(value).removeprefix("'")
        return same.find(value) or looks.get(seen) or by_part.get(seen) or ""

    return own


def _parts_of_one(names: set[str]) -> dict[str, str]:
    """The name that begins or ends with a word; only words that one name has, and no numbers.

    >>> sorted(_parts_of_one({"GSM1_P1", "GSM2_P2_T0", "P3_T0"}).items())[:3]
    [('GSM1', 'GSM1_P1'), ('GSM2', 'GSM2_P2_T0'), ('GSM2_P2', 'GSM2_P2_T0')]
    """
    found: dict[str, set[str]] = {}
    for name in names:
        for cut in re.finditer(r"[_.:|-]", name):
            for part in (name[: cut.start()], name[cut.end() :]):
                if part and not part.isdecimal():
                    found.setdefault(part, set()).add(name)
    return {
        part: next(iter(of)) for part, of in found.items() if len(of) == 1 and part not in names
    }


def _key(
    table: list[dict[str, str]],
    ids: np.ndarray,
    own_id: Callable[[str], str],
    path: Path,
    kind: str,
    obs: pd.DataFrame,
) -> str:
    """The column of the table that holds the ids."""
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
    return best


def _told_column(path: Path, obs: pd.DataFrame, used: set[str]) -> str:
    """The one column of the file all of whose values are ids of the table's rows; '' for none.

    Bare numbers tell nothing: clusters have them as well as people.
    """
    values = {
        str(column): set(text(obs, column).tolist()) - {""}
        for column in obs.columns
        if str(column) not in used
    }
    names = {
        column: found
        for column, found in values.items()
        if len(found) > 1 and not any(one.isdecimal() for one in found)
    }
    if not names:
        return ""
    every = {one for found in names.values() for one in found}
    table = read_table_of_people(path, every.__contains__)
    ids = [{row[name] for row in table} for name in table[0]]
    unique = [found for found in ids if len(found) == len(table)]
    fitting = [column for column, found in names.items() if any(found <= one for one in unique)]
    return fitting[0] if len(fitting) == 1 else ""


def _one_row_each(
    table: list[dict[str, str]], key: str, own_id: Callable[[str], str], path: Path, kind: str
) -> tuple[dict[str, dict[str, str]], tuple[str, ...]]:
    """The row of each id as the file writes it, and the columns that differ by visit.

    A table of donors may have a row for each visit, as REDCap exports it, where a column names the
    visit: what a donor has one value of is the donor's, whichever row it stands in.
    """
    rows: dict[str, list[dict[str, str]]] = {}
    for row in table:
        own = rows.setdefault(own_id(row[key]) or row[key], [])
        if row not in own:
            own.append(row)
    twice = next((name for name, own in rows.items() if len(own) > 1), None)
    if twice is None:
        return {name: own[0] for name, own in rows.items()}, ()
    visit = next(filter(_tells_visits, table[0]), None)
    if (
        kind != "donors"
        or visit is None
        or any(len({row[visit] for row in own}) < len(own) for own in rows.values())
    ):
        raise DataError(
            f"{path.name}: a table of {kind} must have one row for each; {twice!r} has several "
            "that differ. Give what differs by sample in a table of samples (--samples); or name "
            "the visit of each row in a column 'visit'.",
            reason="duplicate_id",
        )
    return _merged(rows, [column for column in table[0] if column != key], visit, path)


def _tells_visits(column: str) -> bool:
    return is_named(column, "visit") or plain_name(column) in VISIT_NAMES


def _merged(
    rows: dict[str, list[dict[str, str]]], columns: list[str], visit: str, path: Path
) -> tuple[dict[str, dict[str, str]], tuple[str, ...]]:
    """A row of each donor's own values, and the columns in which a donor has several."""
    merged: dict[str, dict[str, str]] = {}
    several = {visit}
    for name, own in rows.items():
        values = {
            column: list(dict.fromkeys(row[column] for row in own if not is_empty(row[column])))
            for column in columns
        }
        several |= {column for column, found in values.items() if len(found) > 1}
        merged[name] = {column: (found or [""])[0] for column, found in values.items()}
    sex = next((column for column in several if plain_name(column) in ROLES["sex"]), None)
    if sex is not None:
        raise DataError(
            f"{path.name}: a donor must have one sex; some have several in column {sex!r}. "
            "Correct the rows.",
            reason="duplicate_id",
        )
    return merged, tuple(column for column in columns if column in several)


def _unmatched(
    path: Path, kind: str, rows: Mapping[str, Mapping[str, str]], ids: np.ndarray
) -> list[str]:
    """A note each for rows that name nobody of the file, and for those of the file without one."""
    wanted = {name for name in ids.tolist() if not is_empty(name)}
    wanted -= not_people(wanted).keys()
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
