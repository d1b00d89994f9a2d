"""measurements.tsv of a cohort: read, checked, and brought to the units of its programme."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pmcell.errors import Fault
from pmcell.registry.cohorts.keys import MEASUREMENTS_FILE, Column
from pmcell.registry.cohorts.sheets import MAX_DAYS, Row, read_sheet
from pmcell.registry.measurements.loinc import loinc_problem
from pmcell.registry.measurements.reading import COMPARATORS, SOURCES
from pmcell.registry.measurements.units import SeenUnits, UnitError, convert
from pmcell.registry.sheets.dates import LABEL, VISIT
from pmcell.schema import UNKNOWN
from pmcell.schema.ids import ID_PATTERN
from pmcell.settings.programme import Programme, Variable
from pmcell.spelling import did_you_mean

MEASUREMENT_COLUMNS: tuple[Column, ...] = (
    Column("donor_id", "Donor, as in donors.tsv.", required=True, pattern=ID_PATTERN),
    Column("visit", "Label of the visit, as in samples.tsv; may be empty.", dates=VISIT),
    Column(
        "day",
        "Days since the donor's first visit, with a fraction where the time of day is known; "
        "may be empty where visit is not.",
        dates=LABEL,
    ),
    Column("loinc", "LOINC code of what was measured.", required=True),
    Column("value", "The value, a number.", required=True),
    Column("unit", "Its unit, as a UCUM code.", required=True),
    Column("source", "Who made the value: clinic, person or device.", choices=SOURCES),
    Column(
        "comparator",
        "<, <=, >= or > where the value is only a limit of the method; else empty.",
        choices=COMPARATORS,
    ),
)
COLUMN_NAMES = tuple(column.name for column in MEASUREMENT_COLUMNS)
MAX_HINTS = 20
DIGITS = 10
"""Significant digits of a converted value: more are the converter's rounding."""


@dataclass(frozen=True)
class Measurement:
    """One value of a donor, in the unit of the programme's variable where it is one of them.

    `variable` is the programme's name, '' where the code is none of its; `day` is None where
    only the visit is known. `submitted_value` and `submitted_unit` are what the table says.
    """

    donor_id: str
    visit: str
    day: float | None
    loinc: str
    variable: str
    value: float
    unit: str
    source: str
    comparator: str
    submitted_value: float
    submitted_unit: str


def read_measurements(
    folder: Path,
    donor_rows: Sequence[Row],
    programme: Programme | None,
    faults: list[Fault],
) -> tuple[Measurement, ...]:
    """The values of a cohort's measurements.tsv; none where there is no such file.

    Parameters
    ----------
    folder
        The cohort's folder.
    donor_rows
        Rows of donors.tsv.
    programme
        The cohort's programme: its variables, units and plausible ranges.
    faults
        What is wrong is added here: form, codes, units, ranges, donors that there are not.
    """
    rows = read_sheet(folder / MEASUREMENTS_FILE, MEASUREMENT_COLUMNS, faults, required=False)
    variables = variables_by_code(programme)
    donors = {row.get("donor_id", "") for row in donor_rows}
    reader = _Reader(variables, donors, faults)
    found = [reader.read(row) for row in rows]
    return tuple(item for item in found if item is not None)


def variables_by_code(
    programme: Programme | None,
) -> Mapping[str, tuple[str, Variable]]:
    """Name and variable of each LOINC code that a programme declares."""
    if programme is None:
        return {}
    return {
        code: (name, variable)
        for name, variable in programme.variables.items()
        for code in (variable.loinc, *(other.loinc for other in variable.also))
    }


def in_unit_of(variable: Variable, code: str, value: float, unit: str) -> float:
    """Return a value of one of a variable's codes in the variable's unit.

    Raises
    ------
    UnitError
        Where the unit cannot become it.
    """
    if code == variable.loinc:
        found = convert(value, unit=unit, target=variable.unit, molar_mass=variable.molar_mass)
    else:
        other = next(item for item in variable.also if item.loinc == code)
        own = convert(value, unit=unit, target=other.unit, molar_mass=variable.molar_mass)
        found = own * other.slope + other.intercept
    return float(f"{found:.{DIGITS}g}")


class _Reader:
    """Reads the rows of one table; remembers the unit of codes that no programme declares."""

    def __init__(
        self,
        variables: Mapping[str, tuple[str, Variable]],
        donors: set[str],
        faults: list[Fault],
    ) -> None:
        self.variables, self.donors, self.faults = variables, donors, faults
        self.units: dict[str, tuple[str, int]] = {}
        self.seen_units = SeenUnits()
        self.n_hints = 0

    def read(self, row: Row) -> Measurement | None:
        before = len(self.faults)
        donor = row.get("donor_id", "")
        if self.donors and donor and donor not in self.donors:
            self.n_hints += 1
            near = did_you_mean(donor, self.donors) if self.n_hints <= MAX_HINTS else ""
            fix = near or "Add the donor to donors.tsv, or leave the row out."
            self.fault(row, "donor_id", "must be a donor of donors.tsv", repr(donor), fix)
        day, value = self.number(row, "day", required=False), self.number(row, "value")
        visit = row.get("visit")
        if visit == UNKNOWN and row.get("day") == UNKNOWN:
            must = "must say when: the visit, or the day since the first visit"
            self.fault(row, "day", must, "neither", "Give one of them.")
        if day is not None and abs(day) > MAX_DAYS:
            must = f"must be days since the first visit, at most {MAX_DAYS}"
            self.fault(row, "day", must, f"{day:g}", "Days, not a date.")
        code, unit = row.get("loinc", ""), row.get("unit", "")
        problem = loinc_problem(code) if code else ""
        if problem:
            self.fault(row, "loinc", "must be a LOINC code", f"{code!r}: {problem}", "Look it up.")
        problem = self.seen_units.problem(unit) if unit else ""
        if problem:
            self.n_hints += 1
            near = did_you_mean(unit, self.known_units()) if self.n_hints <= MAX_HINTS else ""
            fix = near or "Look it up on ucum.org."
            self.fault(row, "unit", "must be a UCUM unit", f"{unit!r}: {problem}", fix, "unit")
        if len(self.faults) > before or value is None or not unit or not code:
            return None
        return self.measurement(row, day, code, value, unit)

    def measurement(
        self, row: Row, day: float | None, code: str, value: float, unit: str
    ) -> Measurement | None:
        name, variable = self.variables.get(code, ("", None))
        own, own_unit = value, unit
        if variable is None:
            first, line = self.units.setdefault(code, (unit, row.line))
            if first != unit:
                must = "values of a code that the programme does not declare must have one unit"
                fix = "Convert them, or declare the variable in the programme."
                self.fault(row, "unit", must, f"{unit}, and {first} in row {line}", fix, "unit")
                return None
        else:
            try:
                own, own_unit = in_unit_of(variable, code, value, unit), variable.unit
            except UnitError as error:
                must = f"must be a unit that can become {variable.unit} ({name})"
                fix = "Correct the unit, or the LOINC code."
                self.fault(row, "unit", must, str(error), fix, "unit")
                return None
            if not variable.low <= own <= variable.high:
                must = f"{name} must be from {variable.low:g} to {variable.high:g} {variable.unit}"
                shown = f"{value:g} {unit}" + (
                    "" if unit == variable.unit else f", which is {own:g} {variable.unit}"
                )
                fix = "Correct the value or its unit, or leave the row out."
                self.fault(row, "value", must, shown, fix, "range")
                return None
        visit, source = row.get("visit"), row.get("source")
        comparator = row.get("comparator", "")
        comparator = "" if comparator == UNKNOWN else comparator
        return Measurement(
            row.get("donor_id"),
            *(visit, day, code, name, own, own_unit, source, comparator),
            submitted_value=value,
            submitted_unit=unit,
        )

    def number(self, row: Row, column: str, *, required: bool = True) -> float | None:
        text = row.get(column, "")
        if text in ("", UNKNOWN):
            if required and text:
                fix = "Leave the row out: a value that nobody measured has no row."
                self.fault(row, column, "must be a number", repr(text), fix)
            return None
        try:
            number = float(text)
        except ValueError:
            number = math.nan
        # float() also takes 1_000 and nan.
        if not math.isfinite(number) or "_" in text:
            point = text.replace(",", ".")
            fix = f"Write {point}." if _is_number(point) else "Write a number such as 5.4."
            self.fault(row, column, "must be a finite number", repr(text), fix)
            return None
        return number

    def known_units(self) -> list[str]:
        return sorted({variable.unit for _, variable in self.variables.values()})

    def fault(
        self, row: Row, column: str, must: str, found: str, fix: str, reason: str = "measurement"
    ) -> None:
        self.faults.append(
            Fault(MEASUREMENTS_FILE, must, found, fix, row.line, column, reason=reason)
        )


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False
