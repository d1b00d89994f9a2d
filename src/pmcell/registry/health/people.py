"""Text in a file's cells that could identify people, and people who stand under two names."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from pmcell.errors import Fault
from pmcell.registry.cohorts import identities
from pmcell.registry.draft.columns import Columns, is_empty, text
from pmcell.registry.sheets.dates import LABEL, TEXT, VISIT, find_date

if TYPE_CHECKING:
    import pandas as pd

MAX_VALUES = 5000
"""Different values of a column that are looked at."""
_NAMES = re.compile(
    r"(^|_)(first|last|sur|full|family|given)_?name|^name$|patient_?name|birth|^dob$|geboorte"
    r"|(^|_)(mrn|ssn|bsn|nhs|iban|passport|address|street|postcode|zip(code)?|phone|e?mail)($|_)",
    re.IGNORECASE,
)
"""Names of columns that hold what a person is called or found by."""
_DATES = re.compile(r"(^|[^a-z])(date|datum|fecha|data_?di)($|[^a-z])", re.IGNORECASE)
_NUMBER = re.compile(r"[-+]?\d+([.,]\d+)?")
_FORMS = (
    # Looked for where a word begins: else a text of a million letters takes hours.
    ("an e-mail address", re.compile(r"(?<![\w.+-])[\w.+-]{1,64}@[\w-]{1,63}\.[A-Za-z]{2,}")),
    (
        "a telephone number",
        re.compile(r"(?<![\w.])\+\d{1,3}[\s-]?\(?\d{1,4}\)?(?:[\s-]?\d{2,4}){2,}"),
    ),
)


def identifying(obs: pd.DataFrame, columns: Columns, file: str) -> Iterator[Fault]:
    """A fault for each column that holds dates, addresses, or what a person is called.

    Bare numbers are the day of a spreadsheet only where the column is a visit or is named like a
    date: a count may look like one.
    """
    visit = {columns.roles.get("visit"), columns.roles.get("visit_day")}
    visit |= {str(column) for column in obs.columns if _DATES.search(str(column))}
    for column in map(str, obs.columns):
        if _NAMES.search(column):
            must = "must not hold what a person is called or found by"
            fix = "Remove the column where the file came from."
            yield _fault(file, column, must, "its name says so", fix, "identifying")
            continue
        is_number = obs[column].dtype.kind in "fiub"
        if is_number and column not in visit:
            continue
        values = [one for one in dict.fromkeys(text(obs, column).tolist()) if not is_empty(one)]
        is_short = len(values) <= MAX_VALUES // 10 and not _are_numbers(values)
        kind = VISIT if column in visit else LABEL if is_short else TEXT
        dated = [one for one in values[:MAX_VALUES] if find_date(one, kind)]
        if dated:
            must = "must never hold a date, which identifies people"
            fix = "Write days since the person's first visit, or remove the column."
            found = f"{len(dated)} of {len(values)} values, such as {dated[0][:40]!r}"
            yield _fault(file, column, must, found, fix, "date")
        for what, form in _FORMS:
            seen = [one for one in values[:MAX_VALUES] if form.search(one)]
            if seen:
                must = f"must not hold {what}"
                fix = "Remove the column where the file came from."
                yield _fault(file, column, must, f"{len(seen)} values", fix, "identifying")


def alike_people(obs: pd.DataFrame, columns: Columns, file: str) -> Iterator[Fault]:
    """A warning for ids of donors that differ in case, punctuation or zeros only."""
    column = columns.roles.get("donor_id")
    if column is None:
        return
    names = dict.fromkeys(text(obs, column).tolist())
    yield from identities.alike_people((name for name in names if not is_empty(name)), file, column)


def _are_numbers(values: list[str]) -> bool:
    return sum(bool(_NUMBER.fullmatch(one)) for one in values) > 0.9 * len(values)


def _fault(file: str, column: str, must: str, found: str, fix: str, reason: str) -> Fault:
    return Fault(file, must, found, fix, column=f"obs {column}", reason=reason)
