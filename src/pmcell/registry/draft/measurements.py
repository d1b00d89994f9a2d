"""Add readings of clinics and phones to a cohort's measurements.tsv; dates stay outside it.

Who a subject of the files is, and the day of their first visit, stands in a table of its own
that is kept outside the cohort's folder: from it days are counted, and no date goes further.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from pmcell.errors import Fault, FaultsError, UsageError
from pmcell.io.atomic import write_text
from pmcell.registry.cohorts.cohort import programmes_folder, read_registration
from pmcell.registry.cohorts.keys import MEASUREMENTS_FILE, Column
from pmcell.registry.cohorts.measurements import (
    COLUMN_NAMES,
    in_unit_of,
    variables_by_code,
)
from pmcell.registry.cohorts.programmes import load_programme
from pmcell.registry.cohorts.registration import Registration
from pmcell.registry.cohorts.sheets import MAX_DAYS, read_sheet
from pmcell.registry.measurements.files import read_files
from pmcell.registry.measurements.reading import NO_SOURCE, SOURCES, Reading, moment_of
from pmcell.registry.measurements.units import UnitError
from pmcell.schema import NO_PROGRAMME, UNKNOWN
from pmcell.settings.programme import Programme
from pmcell.spelling import did_you_mean

PEOPLE_COLUMNS: tuple[Column, ...] = (
    Column("subject", "Subject as the files name it: Patient/17, an identifier or a user.", True),
    Column("donor_id", "Donor, as in donors.tsv.", required=True),
    Column("first_visit", "Day of the donor's first visit, such as 2024-03-31.", required=True),
)
MAX_HINTS = 20
DAY_DIGITS = 4
"""Digits of a day after the point: a ten-thousandth of a day is nine seconds."""

Line = tuple[str, ...]


@dataclass(frozen=True)
class Added:
    """What was added: rows by variable or code, what was left out, and rows that were there."""

    path: Path
    n_added: int
    n_known: int
    by_quantity: Mapping[str, int]
    left_out: Mapping[str, int] = field(default_factory=dict)


def add_measurements(
    files: Sequence[Path],
    folder: Path,
    *,
    people: Path,
    source: str = NO_SOURCE,
) -> Added:
    """Add what FHIR R4, Open mHealth and IEEE 1752 files hold to `folder`/measurements.tsv.

    A value is written as submitted, in its own unit: intake brings it to the programme's. It is
    tried here, so that nothing is added that `pmcell check` would refuse. A value gets the label
    of a visit of samples.tsv whose day is its day. Rows that are there already are not repeated,
    so that the same export can be read twice.

    Parameters
    ----------
    files
        JSON: a resource, a Bundle, a data point, a list of them, or one a line.
    folder
        The registered cohort.
    people
        Table (TSV) of `subject`, `donor_id` and `first_visit` (a date), outside `folder`.
    source
        Who made the values of which a file does not tell: clinic, person or device.

    Raises
    ------
    UsageError
        Where `people` lies in the cohort's folder, or `source` is none of the three.
    FaultsError
        With every fault of all files at once; nothing is written then.
    """
    if source not in (*SOURCES, NO_SOURCE):
        raise UsageError(f"--source must be one of {', '.join(SOURCES)}; got {source!r}")
    if people.resolve().is_relative_to(folder.resolve()):
        raise UsageError(
            f"--people must lie outside the cohort's folder, for its dates identify people; found "
            f"{people}. Move it to a place of its own."
        )
    registration, faults = read_registration(folder)
    if registration is None:
        raise FaultsError([fault for fault in faults if fault.severity == "error"])
    programme = _programme(registration)
    found = read_files(files)
    persons = _persons(people, registration, found.faults)
    placer = _Placer(registration, programme, persons, source, found.faults)
    lines = [placer.line(reading) for reading in found.readings]
    if found.faults:
        raise FaultsError(found.faults)
    before = _lines_of(registration)
    # The same moment may hold two equal values: as many stay as the richer side has.
    now = Counter(line for line in lines if line is not None)
    new = now - Counter(before)
    if new:
        _write(folder / MEASUREMENTS_FILE, sorted([*before, *new.elements()], key=_order))
    names = {code: name for code, (name, _) in variables_by_code(programme).items()}
    counted = Counter(names.get(line[3], f"LOINC {line[3]}") for line in new.elements())
    return Added(
        folder / MEASUREMENTS_FILE,
        new.total(),
        now.total() - new.total(),
        dict(sorted(counted.items())),
        dict(sorted(found.left_out.items())),
    )


def _programme(registration: Registration) -> Programme | None:
    path = programmes_folder(registration.folder) / f"{registration.programme}.yaml"
    if registration.programme == NO_PROGRAMME or not path.is_file():
        return None
    return load_programme(path)


@dataclass(frozen=True)
class _Person:
    donor_id: str
    first_visit: datetime


def _persons(path: Path, registration: Registration, faults: list[Fault]) -> Mapping[str, _Person]:
    """Who each subject is; faults of the table are added to the others."""
    donors = {donor.donor_id for donor in registration.donors}
    persons: dict[str, _Person] = {}
    first: dict[str, datetime] = {}
    for row in read_sheet(path, PEOPLE_COLUMNS, faults):
        subject, donor = row.get("subject", ""), row.get("donor_id", "")
        moment = moment_of(row.get("first_visit", ""))

        def fault(column: str, must: str, found: str, fix: str, line: int = row.line) -> None:
            faults.append(Fault(path.name, must, found, fix, row=line, column=column))

        if donor not in donors:
            fix = did_you_mean(donor, donors) or "Correct it, or leave the row out."
            fault("donor_id", "must be a donor of donors.tsv", repr(donor), fix)
        elif moment is None:
            must, fix = "must be a date", "Write year, month and day, such as 2024-03-31."
            fault("first_visit", must, repr(row.get("first_visit", "")), fix)
        elif first.setdefault(donor, moment[0]) != moment[0]:
            must, fix = "a donor must have one first visit", "Correct one of the rows."
            fault("first_visit", must, f"two for {donor!r}", fix)
        elif persons.setdefault(subject, _Person(donor, moment[0])).donor_id != donor:
            must, fix = "a subject must be one donor", "Correct one of the rows."
            fault("subject", must, f"{subject!r} again", fix)
    return persons


class _Placer:
    """Makes a row of the table of a reading, or a fault."""

    def __init__(
        self,
        registration: Registration,
        programme: Programme | None,
        persons: Mapping[str, _Person],
        source: str,
        faults: list[Fault],
    ) -> None:
        self.persons, self.source, self.faults = persons, source, faults
        self.variables = variables_by_code(programme)
        self.visits = {
            (visit.donor_id, visit.visit_day): visit.visit
            for visit in registration.visits()
            if visit.visit_day is not None
        }
        self.units: dict[str, str] = {
            item.loinc: item.unit for item in registration.measurements if not item.variable
        }
        self.unknown: set[str] = set()

    def line(self, reading: Reading) -> Line | None:
        person = self.persons.get(reading.subject)
        if person is None:
            if reading.subject not in self.unknown:
                self.unknown.add(reading.subject)
                near = did_you_mean(reading.subject, self.persons)
                fix = near if len(self.unknown) <= MAX_HINTS and near else "Add it to that table."
                must = "must be a subject of the table of people"
                self.fault(reading, must, repr(reading.subject), fix)
            return None
        day = (reading.when - person.first_visit.replace(hour=0, minute=0)).total_seconds() / 86400
        if abs(day) > MAX_DAYS:
            must = f"must lie within {MAX_DAYS} days of the first visit"
            self.fault(reading, must, f"{day:.0f} days", "Correct the day, there or here.")
            return None
        if not self.is_plausible(reading):
            return None
        # A day without a time is a whole number; one with a time keeps its part of the day.
        shown = (
            f"{day:.{DAY_DIGITS}f}".rstrip("0").rstrip(".") if reading.has_time else f"{day:.0f}"
        )
        visit = self.visits.get((person.donor_id, float(day // 1)), "")
        own_source = self.source if reading.source == NO_SOURCE else reading.source
        value = f"{reading.value:.12g}"
        return (
            *(person.donor_id, visit, shown, reading.loinc, value, reading.unit),
            *("" if own_source == NO_SOURCE else own_source, reading.comparator),
        )

    def is_plausible(self, reading: Reading) -> bool:
        """Whether intake will take the value; a fault where not."""
        code, unit = reading.loinc, reading.unit
        if code not in self.variables:
            if self.units.setdefault(code, unit) != unit:
                must = "values of a code that the programme does not declare must have one unit"
                seen = f"{unit} and {self.units[code]} for LOINC {code}"
                self.fault(reading, must, seen, "Convert them, or declare it in the programme.")
                return False
            return True
        name, variable = self.variables[code]
        try:
            own = in_unit_of(variable, code, reading.value, unit)
        except UnitError as error:
            must = f"must be a unit that can become {variable.unit} ({name})"
            self.fault(reading, must, str(error), "Correct the unit, or the LOINC code.")
            return False
        if variable.low <= own <= variable.high:
            return True
        must = f"{name} must be from {variable.low:g} to {variable.high:g} {variable.unit}"
        seen = f"{reading.value:g} {unit}"
        seen += "" if unit == variable.unit else f", which is {own:g} {variable.unit}"
        self.fault(reading, must, seen, "Correct the value or its unit, or leave it out.")
        return False

    def fault(self, reading: Reading, must: str, found: str, fix: str) -> None:
        self.faults.append(
            Fault(reading.file, must, found, fix, column=reading.path or None, reason="measurement")
        )


def _lines_of(registration: Registration) -> list[Line]:
    """The rows that the cohort has, as they are written."""
    return [
        (
            *(item.donor_id, "" if item.visit == UNKNOWN else item.visit),
            "" if item.day is None else f"{item.day:.12g}",
            *(item.loinc, f"{item.submitted_value:.12g}", item.submitted_unit),
            *("" if item.source == UNKNOWN else item.source, item.comparator),
        )
        for item in registration.measurements
    ]


def _order(line: Line) -> tuple[object, ...]:
    day = float(line[2]) if line[2] else float("inf")
    return (line[0], day, line[3], line[6], float(line[4]), line)


def _write(path: Path, lines: Sequence[Line]) -> None:
    write_text(path, "".join("\t".join(line) + "\n" for line in [COLUMN_NAMES, *lines]))
