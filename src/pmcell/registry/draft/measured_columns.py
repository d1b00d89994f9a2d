"""Columns of donors or samples that are clinical values, as rows of measurements.tsv."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from pmcell.errors import Fault, FaultsError, UsageError
from pmcell.registry.cohorts.keys import DONORS_FILE, SAMPLES_FILE
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

    def __str__(self) -> str:
        return f"{self.column}={self.loinc} {self.unit}"


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


def rows_of_columns(
    measured: Sequence[Measured],
    donors: Sequence[Mapping[str, str]],
    samples: Sequence[Mapping[str, str]],
) -> list[dict[str, str]]:
    """Rows of measurements.tsv from columns of the rows of donors.tsv or samples.tsv.

    Raises `FaultsError` with every value that is no measurement.
    """
    visits = visits_of(samples)
    rows, faults = [], []
    for item in measured:
        of_donor = item.column in donors[0]
        for number, cells in enumerate(donors if of_donor else samples, 2):
            made = measurement_row(item, cells, visits, of_donor=of_donor)
            if isinstance(made, Problem):
                name = cells["donor_id" if of_donor else "sample_id"]
                found = f"{cells[item.column][:40]!r} of {name}"
                table = DONORS_FILE if of_donor else SAMPLES_FILE
                faults.append(
                    Fault(table, made.must, found, made.fix, row=number, column=item.column)
                )
            elif made is not None:
                rows.append(made)
    if faults:
        raise FaultsError(faults)
    if not rows:
        names = ", ".join(item.column for item in measured)
        raise UsageError(f"--measure must name columns with values; {names} are empty")
    return rows
