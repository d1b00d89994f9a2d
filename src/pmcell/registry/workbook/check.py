"""Check a workbook by the rules of a registration; mark its cells, or write the registration."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pmcell.errors import Fault, UsageError
from pmcell.io.atomic import atomic_path, write_text, write_texts
from pmcell.registry.cohorts.catalogue import missing_metadata
from pmcell.registry.cohorts.cohort import find_faults
from pmcell.registry.cohorts.cohort_file import meaning
from pmcell.registry.cohorts.keys import COHORT_FILE
from pmcell.registry.cohorts.yaml_text import read_yaml
from pmcell.registry.sheets.excel import open_book, plain_text, too_big
from pmcell.registry.workbook import layout
from pmcell.registry.workbook.content import HEAD, Content, content_of, place_of
from pmcell.registry.workbook.read import read_sheets

AUTHOR = "pmcell check"
RED, AMBER = "F6B7B0", "FFE08A"


@dataclass(frozen=True)
class WorkbookCheck:
    """The faults of a workbook by sheet and cell, and the folder that was written where none is."""

    cohort_id: str
    faults: tuple[Fault, ...]
    folder: Path | None

    @property
    def errors(self) -> list[Fault]:
        """The faults that keep the registration from being written."""
        return [fault for fault in self.faults if fault.severity == "error"]


def check_workbook(path: Path, cohorts_dir: Path) -> WorkbookCheck:
    """Check `path`, mark its cells, and write `cohorts_dir/ID` where nothing is wrong.

    Raises
    ------
    UsageError
        Where the file is no workbook of pmcell, or the cohort's folder was not written from one.
    DataError
        Where the file is damaged.
    """
    faults: list[Fault] = []
    sheets = read_sheets(path, faults)
    content = content_of(sheets, path.name)
    faults += content.faults
    programmes = cohorts_dir.resolve().parent / "programmes"
    with tempfile.TemporaryDirectory(prefix="pmcell-workbook-") as scratch:
        trial = Path(scratch) / content.cohort_id
        trial.mkdir()
        for name, text in content.files.items():
            write_text(trial / name, text)
        of_files = find_faults(trial, programmes_dir=programmes)
        cohort = read_yaml(trial / COHORT_FILE, [])
        of_files += missing_metadata(cohort.tree, meaning, cohort.lines)
    placed = [place_of(fault, content, sheets, path.name) for fault in of_files]
    # A value that stands in many rows is one fault of its line on the sheet of values.
    seen = {(fault.file, fault.column) for fault in faults}
    faults += [one for one in dict.fromkeys(placed) if (one.file, one.column) not in seen]
    folder = None
    if not any(fault.severity == "error" for fault in faults):
        folder = _write(content, cohorts_dir)
    _mark(path, faults)
    return WorkbookCheck(content.cohort_id, tuple(faults), folder)


def _write(content: Content, cohorts_dir: Path) -> Path:
    folder = cohorts_dir / content.cohort_id
    there = folder / COHORT_FILE
    if there.is_file() and not there.read_text(encoding="utf-8").startswith(HEAD):
        raise UsageError(
            f"{there} must have been written from a workbook; it was not, and would be lost. "
            "Give the cohort another id, or move the folder away."
        )
    names = (COHORT_FILE, *layout.FILES.values())
    texts = {name: content.files[name] for name in names if name in content.files}
    write_texts(folder, texts, last=COHORT_FILE)
    for name in names:
        if name not in texts:
            (folder / name).unlink(missing_ok=True)
    return folder


def _mark(path: Path, faults: Sequence[Fault]) -> None:
    """Write each fault as a comment on its cell, and take away those of an earlier check."""
    from openpyxl.comments import Comment
    from openpyxl.styles import PatternFill

    book = open_book(path)
    n_before = sum(_clear(sheet) for sheet in book.worksheets)
    if not faults and not n_before:
        return
    by_cell: dict[tuple[str, str], list[Fault]] = {}
    for fault in faults:
        name = fault.file.rpartition("#")[2]
        by_cell.setdefault((name, fault.column or "A1"), []).append(fault)
    for (name, place), alike in by_cell.items():
        if name not in book.sheetnames:
            continue
        cell = _writable(book[name], place)
        said = "\n\n".join(f"{one.must}; found {one.found}. {one.fix}" for one in alike)
        cell.comment = Comment(plain_text(said[:2000]), AUTHOR, width=360, height=180)
        is_error = any(one.severity == "error" for one in alike)
        cell.fill = PatternFill("solid", fgColor=RED if is_error else AMBER)
    with atomic_path(path) as temporary:
        book.save(temporary)


def _clear(sheet: Any) -> int:
    """Take marks of an earlier check away; return how many there were."""
    from openpyxl.styles import PatternFill

    n = 0
    if too_big(sheet):
        return n
    for row in sheet.iter_rows():
        for cell in row:
            if getattr(cell, "comment", None) is not None and cell.comment.author == AUTHOR:
                cell.comment = None
                cell.fill = PatternFill()
                n += 1
    return n


def _writable(sheet: Any, place: str) -> Any:
    """A cell, or of merged cells the first, which alone can hold a comment."""
    for merged in sheet.merged_cells.ranges:
        if place in merged:
            return sheet.cell(merged.min_row, merged.min_col)
    return sheet[place]
