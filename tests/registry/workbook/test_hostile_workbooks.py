"""Workbooks that are damaged, endless or hostile: a sentence, in seconds, and never a traceback."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path

import openpyxl
import pytest

from pmcell.cli import main
from pmcell.consent.sheets import read_consent_table
from pmcell.errors import DataError, FaultsError, PmcellError
from pmcell.registry.sheets import excel
from pmcell.registry.sheets.excel import Sheet, open_book, read_sheet_of
from pmcell.registry.workbook.check import check_workbook
from pmcell.registry.workbook.register import register_workbook
from steward_files import write_steward_file

SHEET = "xl/worksheets/sheet2.xml"
NOW = "2026-01-01T00:00:00.000000+00:00"


@pytest.fixture
def book(tmp_path, monkeypatch) -> Path:
    """A workbook as `register --workbook` writes it."""
    monkeypatch.chdir(tmp_path)
    write_steward_file(tmp_path / "in.h5ad", visit=["T0"] * 60)
    (tmp_path / "config/programmes").mkdir(parents=True)
    register_workbook("in.h5ad", "c1", "config/cohorts", tmp_path / "w.xlsx")
    return tmp_path / "w.xlsx"


def rewrite(path: Path, name: str, change) -> Path:
    """Change one part of a workbook, byte by byte; `name` None changes all."""
    with zipfile.ZipFile(path) as packed:
        parts = {item: packed.read(item) for item in packed.namelist()}
    parts[name] = change(parts.get(name, b""))
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        for item, content in parts.items():
            if content is not None:
                packed.writestr(item, content)
    return path


def after(tag: bytes, more: bytes):
    return lambda text: text.replace(tag, more + tag, 1)


LAUGHS = (
    b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "aaaaaaaaaaaaaaaaaaaa">'
    + b"".join(b'<!ENTITY %c "%s">' % (98 + at, b"&%c;" % (97 + at) * 20) for at in range(8))
    + b"]><sst>&i;</sst>"
)
OUTSIDE = (
    b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/hostname">]><sst>&a;</sst>'
)

BROKEN = {
    "entities within entities": ("xl/sharedStrings.xml", lambda text: LAUGHS),
    "an entity outside": ("xl/workbook.xml", lambda text: OUTSIDE),
    "no sheet at all": (SHEET, lambda text: None),
    "a sheet that is cut": (SHEET, lambda text: text[: len(text) // 2]),
    "a sheet of noise": (SHEET, lambda text: bytes(range(256)) * 40),
    "a sheet of another form": (SHEET, lambda text: b"<a><b/></a>"),
    "no list of sheets": ("xl/workbook.xml", lambda text: None),
    "styles of noise": ("xl/styles.xml", lambda text: b"<styleSheet><fonts count='x'>"),
    "a row of a word": (SHEET, lambda text: re.sub(rb'<row r="3"', b'<row r="three"', text)),
    "a cell nowhere": (SHEET, lambda text: re.sub(rb'r="A3"', b'r="3A"', text)),
    "text beyond the list": (
        SHEET,
        after(b"</sheetData>", b'<row r="99"><c r="A99" t="s"><v>999999</v></c></row>'),
    ),
    "a list of nothing": ("[Content_Types].xml", lambda text: b""),
}


def answer(book) -> str:
    """What is said of a workbook that is not taken: the error, or its faults."""
    try:
        check = check_workbook(book, book.parent / "config/cohorts")
    except PmcellError as error:
        return str(error)
    return "" if check.folder else str(check.errors[0])


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_part_is_a_sentence_with_a_fix(book, name):
    rewrite(book, *BROKEN[name])
    said = answer(book)
    assert "w.xlsx" in said
    assert re.search(r"(Save|save) it|Write one|Delete|Type|Write", said)
    assert not (book.parent / "config/cohorts").exists()


ENDLESS = {
    "cells merged over all rows": (
        after(b"</worksheet>", b'<mergeCells><mergeCell ref="A1:XFD1048576"/></mergeCells>'),
        "must not be merged",
    ),
    "a million rows with nothing": (
        after(b"</sheetData>", b'<row r="7" s="1"/>' * 1_000_001),
        "Delete the empty rows",
    ),
    "cells without end": (
        after(b"</sheetData>", b'<row r="9"><c r="A9"><v>1</v></c></row>' * 200_001),
        "Delete the empty rows",
    ),
}


@pytest.mark.parametrize("name", ENDLESS)
def test_an_endless_sheet_is_refused_before_it_is_read(book, name, monkeypatch):
    change, said = ENDLESS[name]
    monkeypatch.setattr(excel, "MAX_TAGS", 1_000_000)
    rewrite(book, SHEET, change)
    monkeypatch.setattr(openpyxl, "load_workbook", lambda *_, **__: pytest.fail("it was read"))
    with pytest.raises(DataError, match=said):
        open_book(book)


@pytest.mark.parametrize(
    "merged",
    [
        b"<mergeCell ref='A1:XFD1048576'/>",
        b'<x:mergeCell n="1"\n ref = "A1:XFD1048576"></x:mergeCell>',
        b'<mergeCell ref="&#65;1:XFD1048576"/>',
        b"<mergeCell/>",
    ],
)
def test_merged_cells_are_found_however_they_are_written(book, merged):
    rewrite(book, SHEET, after(b"</worksheet>", b"<mergeCells>" + merged + b"</mergeCells>"))
    with pytest.raises(DataError, match="cells must not be merged"):
        open_book(book)


@pytest.mark.parametrize("encoding", ["utf-16", "cp037"])
def test_parts_in_other_encodings_are_not_read(book, encoding):
    def change(text):
        return text.decode().replace("UTF-8", encoding).encode(encoding)

    rewrite(book, "docProps/core.xml", change)
    with pytest.raises(DataError, match="plain XML in UTF-8"):
        open_book(book)


def test_one_cell_far_away_is_a_fault_of_its_sheet_and_no_hour(book):
    opened = openpyxl.load_workbook(book)
    opened["donors"]["XFD1048576"] = "x"
    opened["read me"]["XFD1048576"] = "x"
    opened.save(book)
    check = check_workbook(book, book.parent / "config/cohorts")
    (fault,) = [fault for fault in check.errors if fault.reason == "too_big"]
    assert fault.file == "w.xlsx#donors"
    assert "1,048,576 rows" in fault.found


def test_a_zip_bomb_is_refused_by_what_it_declares(book):
    rewrite(book, "xl/media/image1.png", lambda text: bytes(excel.MAX_UNPACKED))
    with pytest.raises(DataError, match="bytes unpacked"):
        open_book(book)


def test_a_zip_that_lies_about_its_size_is_refused(book):
    rewrite(book, "xl/extra.xml", lambda text: b"<" * 100_000)
    content = book.read_bytes()
    size = (100_000).to_bytes(4, "little")
    assert content.count(size) == 2
    book.write_bytes(content.replace(size, (10).to_bytes(4, "little")))
    with pytest.raises(DataError, match="none that can be read"):
        open_book(book)


def test_a_password_and_excel_97_are_named(tmp_path):
    path = tmp_path / "w.xlsx"
    path.write_bytes(b"\xd0\xcf\x11\xe0" + bytes(2000))
    with pytest.raises(DataError, match=r"Excel 97, or has a password.*without a password"):
        open_book(path)


@pytest.mark.parametrize("ending", [".xls", ".xlsb", ".ods", ".xlsm"])
def test_other_spreadsheets_are_refused_by_name(tmp_path, capsys, ending):
    path = tmp_path / f"w{ending}"
    path.write_bytes(b"x")
    assert main(["check", "--workbook", str(path)]) == 2
    assert f"{ending} is refused" in capsys.readouterr().err


def test_links_to_other_workbooks_are_formulas_and_are_not_followed(book):
    opened = openpyxl.load_workbook(book)
    opened["donors"]["B3"] = "=[1]Sheet1!A1"
    opened["donors"]["B4"] = "=cmd|'/C calc'!A0"
    opened.save(book)
    faults = check_workbook(book, book.parent / "config/cohorts").errors
    assert {"B3", "B4"} <= {fault.column for fault in faults if fault.reason == "formula"}


def test_what_is_found_of_a_cell_can_be_written_back_whatever_it_holds(book):
    opened = openpyxl.load_workbook(book)
    opened["donors"]["A1"] = "_x0001_ nor _x0008_ name"
    opened.save(book)
    rewrite(book, SHEET, lambda text: text)
    assert check_workbook(book, book.parent / "config/cohorts").errors
    assert check_workbook(book, book.parent / "config/cohorts").errors


def test_hidden_columns_are_found_in_groups_too():
    made = openpyxl.Workbook()
    sheet = made.active
    sheet.append(["key", "one", "two", "three"])
    sheet.append(["a", "b", "c", "d"])
    sheet.column_dimensions.group("B", "D", hidden=True)
    faults = []
    found = read_sheet_of(sheet, "w.xlsx", faults)
    assert isinstance(found, Sheet)
    assert [fault.column for fault in faults] == ["B1", "C1", "D1"]


CONSENT = ["donor_id", "act", "effective_from", "policy", "purposes"]


def consent(path: Path, change) -> Path:
    made = openpyxl.Workbook()
    sheet = made.active
    sheet.append(CONSENT)
    for at in range(3):
        sheet.append([f"d{at}", "give", "2024-01-01", "p", "GRU"])
    change(sheet)
    made.save(path)
    return path


def hide_row(sheet):
    sheet.row_dimensions[3].hidden = True


def hide_column(sheet):
    sheet.column_dimensions["E"].hidden = True


def merge(sheet):
    sheet.merge_cells("A2:A3")


def far_away(sheet):
    sheet["A900000"] = "d9"


def an_error(sheet):
    sheet["E2"] = "#REF!"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (hide_row, "row 3: a row must be visible"),
        (hide_column, "column 'E': a column must be visible"),
        (merge, "cells must not be merged"),
        (far_away, "900,000 rows.*Save it as CSV"),
        (an_error, "must be a value, no formula; found '#REF!'"),
    ],
)
def test_a_consent_that_nobody_sees_is_a_fault(tmp_path, change, said):
    path = consent(tmp_path / "c.xlsx", change)
    with pytest.raises(FaultsError, match=said):
        read_consent_table(path, recorded_at=NOW)


def test_a_plain_sheet_of_consent_is_read(tmp_path):
    entries, rows = read_consent_table(
        consent(tmp_path / "c.xlsx", lambda sheet: None), recorded_at=NOW
    )
    assert [entry.subject for entry in entries] == ["d0", "d1", "d2"]
    assert rows == [2, 3, 4]
