"""Columns of donors or samples that are clinical values, as rows of measurements.tsv."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from pmcell.errors import UsageError
from pmcell.registry.cohorts.not_people import is_missing

_VALUE = re.compile(r"(<=|>=|<|>)?\s*([-+]?\d+(?:[.,]\d+)?)")
_OPTION = re.compile(r"(.+)=\s*(\d{1,7}-\d)\s+(\S+)")
LOINC = re.compile(r"\d{1,7}-\d")

Visits = Mapping[str, Mapping[str, str]]
"""Day of each visit, by donor and visit."""


@dataclass(frozen=True)
class Measured:
    """A column, what it measures (LOINC) and its unit (UCUM)."""

    column: str
    loinc: str
    unit: str


@dataclass(frozen=True)
class Problem:
    """Why a cell is no measurement: what must hold, and what to do."""

    must: str
    fix: str


def split_measured(argument: str) -> Measured:
    """COLUMN, code and unit of 'COLUMN=LOINC UNIT'; `UsageError` where they are not told.

    >>> split_measured("HbA1c (%)=4548-4 %")
    Measured(column='HbA1c (%)', loinc='4548-4', unit='%')
    """
    found = _OPTION.fullmatch(argument.strip())
    if found is None:
        raise UsageError(
            "--measure must be COLUMN=LOINC UNIT, such as 'HbA1c=4548-4 %' or 'BMI=39156-5 kg/m2', "
            f"with the code of loinc.org and a UCUM unit (1 where there is none); got {argument!r}"
        )
    return Measured(found[1].strip(), found[2], found[3])


def visits_of(samples: Iterable[Mapping[str, str]]) -> Visits:
    """The visits of each donor, with their days, from the rows of samples.tsv."""
    visits: dict[str, dict[str, str]] = {}
    for sample in samples:
        found = visits.setdefault(sample.get("donor_id", ""), {})
        found[sample.get("visit", "")] = sample.get("visit_day", "")
    return visits


def measurement_row(
    measured: Measured, cells: Mapping[str, str], visits: Visits, *, of_donor: bool
) -> dict[str, str] | Problem | None:
    """The measurement in a row of donors.tsv (`of_donor`) or samples.tsv; None where it is empty.

    A column of donors is of the visit of those who have one only; of others it cannot be told.
    A decimal comma is a point.
    """
    text = cells.get(measured.column, "")
    if is_missing(text):
        return None
    value = _VALUE.fullmatch(text)
    if value is None:
        return Problem("a measurement must be a number, or empty", "Type the number, or empty it.")
    donor, visit = cells.get("donor_id", ""), cells.get("visit", "")
    if of_donor:
        if len(visits.get(donor, {})) != 1:
            return Problem(
                "the visit of a measurement must be known; this person has several or none",
                "Give it in a table of samples, or with its visit in the table of measurements.",
            )
        visit = next(iter(visits[donor]))
    day = visits.get(donor, {}).get(visit, "")
    return {
        "donor_id": donor,
        "visit": visit,
        # Days are counted from the first visit, so a person's only visit is day 0.
        "day": day or ("" if visit else "0"),
        "loinc": measured.loinc,
        "value": value[2].replace(",", "."),
        "unit": measured.unit,
        "source": "",
        "comparator": value[1] or "",
    }
