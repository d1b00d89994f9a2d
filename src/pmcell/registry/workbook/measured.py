"""Rows of measurements: those of their own sheet, and those of columns that are measurements."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from pmcell.errors import Fault
from pmcell.registry.cohorts.excel import Sheet, SheetRow
from pmcell.registry.cohorts.not_people import is_missing
from pmcell.registry.workbook import layout

_VALUE = re.compile(r"(<=|>=|<|>)?\s*([-+]?\d+(?:[.,]\d+)?)")
_LOINC = re.compile(r"\d{1,7}-\d")


def measurement_rows(
    sheets: Mapping[str, Sheet],
    donors: list[dict[str, str]],
    samples: list[dict[str, str]],
    file: str,
    faults: list[Fault],
) -> list[dict[str, str]]:
    """All measurements of a workbook; a value that is no number is a fault of its cell.

    A column of donors is of the visit of those who have one only; of others it cannot be told.
    """
    rows = [
        {name: row.cells.get(name, "") for name in layout.MEASUREMENTS_HEAD}
        for row in sheets[layout.MEASUREMENTS].rows
    ]
    for asked in sheets[layout.COLUMNS].rows:
        if asked.cells.get("what to do", "").casefold() != layout.MEASURE:
            continue
        if not _is_named(asked, sheets[layout.COLUMNS], file, faults):
            continue
        column = asked.cells.get("column", "")
        for name, table in ((layout.DONORS, donors), (layout.SAMPLES, samples)):
            if column in sheets[name].letters:
                rows += _of_column(asked, sheets[name], table, samples, file, faults)
    return rows


def _is_named(asked: SheetRow, sheet: Sheet, file: str, faults: list[Fault]) -> bool:
    """Whether a measurement has its code and unit; else they are asked for."""
    n_before = len(faults)
    where = f"{file}#{layout.COLUMNS}"
    code = asked.cells.get("LOINC", "")
    if not _LOINC.fullmatch(code):
        must = "a measurement must have a LOINC code, such as 4548-4 for HbA1c"
        fix = "Look it up on loinc.org, or choose 'keep' or 'leave out'."
        cell = sheet.place(asked.number, "LOINC")
        faults.append(Fault(where, must, repr(code), fix, column=cell, reason="loinc"))
    if not asked.cells.get("unit"):
        must = "a measurement must have a unit, such as mmol/L or {score}"
        cell = sheet.place(asked.number, "unit")
        fix = "Type its UCUM code; 1 where it has none."
        faults.append(Fault(where, must, "nothing", fix, column=cell, reason="unit"))
    return len(faults) == n_before


def _of_column(
    asked: SheetRow,
    sheet: Sheet,
    table: list[dict[str, str]],
    samples: list[dict[str, str]],
    file: str,
    faults: list[Fault],
) -> Iterator[dict[str, str]]:
    column = asked.cells["column"]
    visits: dict[str, dict[str, str]] = {}
    for sample in samples:
        found = visits.setdefault(sample.get("donor_id", ""), {})
        found[sample.get("visit", "")] = sample.get("visit_day", "")
    for row, cells in zip(sheet.rows, table, strict=True):
        text = cells.get(column, "")
        if is_missing(text):
            continue

        def fault(must: str, fix: str, row: SheetRow = row, text: str = text) -> None:
            cell = sheet.place(row.number, column)
            where = f"{file}#{sheet.name}"
            faults.append(Fault(where, must, repr(text[:40]), fix, column=cell, reason="number"))

        value = _VALUE.fullmatch(text)
        if value is None:
            fault("a measurement must be a number, or empty", "Type the number, or empty the cell.")
            continue
        donor = cells.get("donor_id", "")
        visit = cells.get("visit", "")
        if sheet.name == layout.DONORS:
            if len(visits.get(donor, {})) != 1:
                must = "the visit of a measurement must be known; this person has several or none"
                fix = "Move it to sheet measurements, with its visit."
                fault(must, fix)
                continue
            visit = next(iter(visits[donor]))
        day = visits.get(donor, {}).get(visit, "")
        yield {
            "donor_id": donor,
            "visit": visit,
            # Days are counted from the first visit, so a person's only visit is day 0.
            "day": day or ("" if visit else "0"),
            "loinc": asked.cells["LOINC"],
            "value": value[2].replace(",", "."),
            "unit": asked.cells["unit"],
            "source": "",
            "comparator": value[1] or "",
        }
