"""Rows of measurements: those of their own sheet, and those of columns that are measurements."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pmcell.errors import Fault
from pmcell.registry.draft.measured_columns import (
    LOINC,
    Measured,
    Problem,
    measurement_row,
    visits_of,
)
from pmcell.registry.sheets.excel import Sheet, SheetRow
from pmcell.registry.workbook import layout


def measurement_rows(
    sheets: Mapping[str, Sheet],
    donors: list[dict[str, str]],
    samples: list[dict[str, str]],
    file: str,
    faults: list[Fault],
) -> list[dict[str, str]]:
    """All measurements of a workbook; a value that is no number is a fault of its cell."""
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
    if not LOINC.fullmatch(code):
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
    measured = Measured(asked.cells["column"], asked.cells["LOINC"], asked.cells["unit"])
    visits = visits_of(samples)
    for row, cells in zip(sheet.rows, table, strict=True):
        made = measurement_row(measured, cells, visits, of_donor=sheet.name == layout.DONORS)
        if isinstance(made, Problem):
            cell = sheet.place(row.number, measured.column)
            found = repr(cells.get(measured.column, "")[:40])
            where = f"{file}#{sheet.name}"
            faults.append(Fault(where, made.must, found, made.fix, column=cell, reason="number"))
        elif made is not None:
            yield made
