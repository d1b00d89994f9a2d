"""Read the sheets of a filled-in workbook as text."""

from __future__ import annotations

from pathlib import Path

from pmcell.errors import Fault, UsageError
from pmcell.registry.sheets.excel import Sheet, open_book, read_sheet_of
from pmcell.registry.workbook import layout
from pmcell.spelling import did_you_mean

NEEDED = (layout.COHORT, layout.DONORS, layout.SAMPLES)
ID_COLUMN = {layout.DONORS: "donor_id", layout.SAMPLES: "sample_id", layout.COHORT: "key"}


def read_sheets(path: Path, faults: list[Fault]) -> dict[str, Sheet]:
    """The sheets of a workbook; what is wrong with cells is appended to `faults`.

    A fault names the sheet as its file's part behind '#', and the cell as its column. Raises
    `UsageError` for what is no workbook of ours, and `DataError` for one that is damaged.
    """
    book = open_book(path)
    missing = [name for name in NEEDED if name not in book.sheetnames]
    if missing:
        raise UsageError(
            f"{path.name}: the workbook must have the sheets {', '.join(NEEDED)}; there is no "
            f"{missing[0]!r}. {did_you_mean(missing[0], book.sheetnames)} Write one with "
            "`pmcell register FILE --id ID --workbook W.xlsx`."
        )
    known = (layout.COHORT, layout.VALUES, layout.COLUMNS, layout.DONORS, layout.SAMPLES)
    names = (*known, layout.VISITS, layout.MEASUREMENTS)
    found = {}
    for name in names:
        if name in book.sheetnames:
            found[name] = read_sheet_of(
                book[name], path.name, faults, identifier=ID_COLUMN.get(name, "")
            )
        else:
            found[name] = Sheet(name)
    return found
