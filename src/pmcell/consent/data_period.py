"""Periods of data: in dates, as FHIR writes them, and in visit days, as a ledger does.

No visit has a date in a study. So a period of dates is turned into visit days when a consent is
imported, with a table of the donors' first visits that stays with the steward, and back when
one is exported.
"""

from __future__ import annotations

import calendar
import re
from collections.abc import Mapping
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from pmcell.consent.entries import day_of
from pmcell.errors import Fault, FaultsError, UsageError
from pmcell.registry.sheets.text import read_lines

COLUMNS = ("donor_id", "first_visit")
NO_LIMIT = 999_999
"""Visit day of a period that does not end, and before 0 of one that does not begin."""
_MOMENT = re.compile(
    r"(\d{4})(?:-(\d{2})(?:-(\d{2})(?:T(\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?)(?:Z|[+-]\d{2}:\d{2}))?)?)?"
)


def read_first_visits(path: Path, *, study: Path) -> dict[str, date]:
    """First visit of each donor, from a table of two columns.

    Raises
    ------
    UsageError
        There is no such file, or it lies in the study folder, where no date of a person may be.
    FaultsError
        With every fault of the table.
    """
    if not path.is_file():
        raise UsageError(f"--first-visits must be a table of {' and '.join(COLUMNS)}; no {path}")
    if path.resolve().is_relative_to(study.resolve()):
        raise UsageError(
            f"--first-visits must lie outside the study folder, got {path}: dates of visits belong "
            "to no study. Move it, and keep it for its owner alone."
        )
    faults: list[Fault] = []
    lines = read_lines(path, faults)
    sign = "\t" if lines and "\t" in lines[0] else ","
    header = [cell.strip() for cell in lines[0].split(sign)] if lines else []
    if not faults and header != list(COLUMNS):
        must, fix = f"must have the columns {', '.join(COLUMNS)}", "Write it so, with tabs."
        faults.append(_fault(path, must, ", ".join(header)[:80] or "nothing", fix, 1, None))
    found: dict[str, date] = {}
    for row, line in enumerate(lines[1:], start=2) if not faults else ():
        cells = [cell.strip() for cell in line.split(sign)]
        if not any(cells):
            continue
        try:
            donor, day = cells
            first = day_of(day)
        except ValueError:
            must, fix = "must be a donor and a day such as 2021-03-01", "Correct the row."
            faults.append(_fault(path, must, f"{len(cells)} cells, or no day", fix, row, None))
            continue
        if found.setdefault(donor, first) != first:
            must, fix = "must have each donor once", "Remove the row that is wrong."
            faults.append(_fault(path, must, "two days of one donor", fix, row, "donor_id"))
    if faults:
        raise FaultsError(faults)
    return found


def visit_days_of(period: Mapping[str, Any], first: date) -> tuple[int, int]:
    """Visit days that lie whole in a period of FHIR; both of its ends are in it.

    Parameters
    ----------
    period
        `start` and `end` as FHIR's dateTime; a year or a month alone means all of it.
    first
        The day of the donor's first visit.

    Raises
    ------
    ValueError
        An end is no dateTime, or the period holds no whole day.

    Examples
    --------
    >>> visit_days_of({"start": "2021-01-01", "end": "2021-02"}, date(2021, 1, 11))
    (-10, 48)
    """
    begins, ends = -NO_LIMIT, NO_LIMIT
    if period.get("start"):
        begins = (_begin_of(str(period["start"])) - first).days
    if period.get("end"):
        ends = (_end_of(str(period["end"])) - first).days
    if begins > ends:
        raise ValueError("it ends before it begins")
    return begins, ends


def period_of(days: tuple[int, int], first: date) -> dict[str, str]:
    """Visit days as a period of FHIR.

    >>> period_of((0, 28), date(2021, 1, 1))
    {'start': '2021-01-01', 'end': '2021-01-29'}
    """
    named = zip(("start", "end"), days, strict=True)
    return {
        name: (first + timedelta(days=day)).isoformat()
        for name, day in named
        if abs(day) < NO_LIMIT
    }


def meet(one: tuple[int, int] | None, other: tuple[int, int] | None) -> tuple[int, int] | None:
    """Days that are in both spans; None stands for all days."""
    if one is None or other is None:
        return one or other
    return max(one[0], other[0]), min(one[1], other[1])


def _begin_of(text: str) -> date:
    year, month, day, time = _parts(text)
    found = date(year, month or 1, day or 1)
    # A visit has a day and no time: one that is cut by the limit is not in it.
    return found + timedelta(days=1) if time and time.strip("0:.") else found


def _end_of(text: str) -> date:
    year, month, day, time = _parts(text)
    found = date(year, month or 12, day or calendar.monthrange(year, month or 12)[1])
    return found - timedelta(days=1) if time and not time.startswith("23:59") else found


def _parts(text: str) -> tuple[int, int, int, str]:
    match = _MOMENT.fullmatch(text)
    if match is None:
        raise ValueError("it is no dateTime of FHIR")
    year, month, day, time = match.groups()
    return int(year), int(month or 0), int(day or 0), time or ""


def _fault(path: Path, must: str, found: str, fix: str, row: int, column: str | None) -> Fault:
    return Fault(path.name, must, found, fix, row=row, column=column, reason="consent")
