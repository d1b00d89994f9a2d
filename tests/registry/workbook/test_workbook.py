"""A registration as a workbook: cells are answered in words, and a clean one is written."""

from __future__ import annotations

import datetime
import re
import shutil
import zipfile

import openpyxl
import pytest

from pmcell.cli import main
from pmcell.errors import DataError, UsageError
from pmcell.registry.cohorts.cohort import load_registration
from pmcell.registry.workbook.check import check_workbook
from pmcell.registry.workbook.register import register_workbook
from repository import ROOT
from steward_files import write_steward_file

ANSWERS = {
    "title": "A title",
    "steward.name": "Ada",
    "license": "CC-BY-4.0",
    "region": "North Holland",
    "access": "open",
    "data_use": "GRU",
    "programme": "none",
    "defaults.assay_ontology_term_id": "10x 3' v3",
    "defaults.suspension_type": "cell",
}
MEANS = {"1": "male", "2": "PATO:0000383 female", "odd kind": "unknown"}


@pytest.fixture
def study(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_steward_file(tmp_path / "in.h5ad", visit=["T0"] * 60)
    (tmp_path / "config/programmes").mkdir(parents=True)
    register_workbook("in.h5ad", "c1", "config/cohorts", tmp_path / "w.xlsx")
    return tmp_path


def edit(study, change, *, fill=True):
    """Fill the workbook in as a steward does, make one change more, save it, check it."""
    path = study / "w.xlsx"
    book = openpyxl.load_workbook(path)
    if fill:
        for row in book["cohort"].iter_rows(min_row=2):
            if row[0].value in ANSWERS:
                row[1].value = ANSWERS[row[0].value]
        for row in book["values"].iter_rows(min_row=2):
            row[3].value = MEANS.get(row[1].value, row[3].value)
    change(book)
    book.save(path)
    return check_workbook(path, study / "config/cohorts")


def nothing(book):
    pass


def test_a_workbook_is_written_in_place_of_the_folder(study):
    book = openpyxl.load_workbook(study / "w.xlsx")
    names = [
        "read me",
        "cohort",
        "values",
        "columns",
        "donors",
        "samples",
        "visits",
        "measurements",
    ]
    assert book.sheetnames == names
    assert not (study / "config/cohorts").exists()
    assert [row[1].value for row in book["values"].iter_rows(min_row=2)] == [
        "B cell",
        "odd kind",
        "1",
        "2",
    ]
    assert [row[0].value for row in book["columns"].iter_rows(min_row=2)] == ["score"]
    lists = [rule.formula1 for rule in book["cohort"].data_validations.dataValidation]
    assert any("open,registered,controlled" in rule for rule in lists)


def test_columns_of_clinical_values_stand_with_their_code(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    bmi = [str(21 + k % 4) for k in range(60)]
    write_steward_file(tmp_path / "in.h5ad", **{"BMI": bmi, "HbA1c (g/L)": bmi})
    shutil.copytree(ROOT / "config" / "programmes", tmp_path / "config" / "programmes")
    register_workbook("in.h5ad", "c1", "config/cohorts", tmp_path / "w.xlsx")
    rows = openpyxl.load_workbook(tmp_path / "w.xlsx")["columns"].iter_rows(min_row=2)
    told = {row[0].value: tuple(cell.value for cell in row[2:6]) for row in rows}
    assert told["BMI"] == ("21 | 22 | 23 | 24", "leave out", "39156-5", "kg/m2")
    assert not any(told["HbA1c (g/L)"][2:]), "a unit that nobody keeps it in has no code"


def test_each_open_line_is_one_fault_and_its_cell_is_marked(study):
    found = edit(study, nothing, fill=False)
    assert found.folder is None
    places = {fault.file.partition("#")[2] + "!" + str(fault.column) for fault in found.errors}
    assert {"values!D3", "values!D4", "values!D5"} <= places
    assert len(places) == len(found.errors) == 11
    cell = openpyxl.load_workbook(study / "w.xlsx")["values"]["D4"]
    assert "must be decided" in cell.comment.text
    assert cell.fill.fgColor.rgb.endswith("F6B7B0")


def test_a_clean_workbook_becomes_the_registration_and_loses_its_marks(study):
    edit(study, nothing, fill=False)
    found = edit(study, nothing)
    assert found.errors == []
    registration = load_registration(found.folder)
    assert registration.region == "NL32"
    assert registration.data_use == ("DUO:0000042",)
    assert [donor.sex_ontology_term_id for donor in registration.donors] == [
        "PATO:0000384",
        "PATO:0000383",
    ] * 2
    assert registration.cell_types == {"B cell": "CL:0000236", "odd kind": "unknown"}
    assert registration.donors[0].extra == {}
    book = openpyxl.load_workbook(study / "w.xlsx")
    left = [c for row in book["values"].iter_rows() for c in row if c.comment]
    assert left == []


def test_a_changed_workbook_writes_its_folder_anew_but_no_other_is_lost(study):
    edit(study, nothing)

    def rename(book):
        book["cohort"]["B4"].value = "Another title"

    assert load_registration(edit(study, rename).folder).title == "Another title"
    by_hand = study / "config/cohorts/c1/cohort.yaml"
    by_hand.write_text("# mine\n" + by_hand.read_text())
    with pytest.raises(UsageError, match="was not, and would be lost"):
        edit(study, nothing)
    assert by_hand.read_text().startswith("# mine")


def test_visits_and_measurements_reach_their_files(study):
    def change(book):
        book["visits"]["C2"].value = 0
        book["visits"]["D2"].value = "baseline"
        row = next(book["columns"].iter_rows(min_row=2))
        for cell, value in zip(row[3:], ("measurement", "4548-4", "%"), strict=True):
            cell.value = value

    folder = edit(study, change).folder
    assert load_registration(folder).samples[0].condition == "baseline"
    lines = (folder / "measurements.tsv").read_text().splitlines()
    assert lines[0].split("\t")[:6] == ["donor_id", "visit", "day", "loinc", "value", "unit"]
    assert lines[1].split("\t")[:6] == ["d1", "T0", "0", "4548-4", "7", "%"]
    assert "score" not in (folder / "donors.tsv").read_text()


def test_what_controlled_access_needs_is_asked_for_by_its_cell(study):
    found = edit(study, put("cohort", "B20", "controlled"))
    keys = {row[0].coordinate.replace("A", "B"): row[0].value for row in cells_of(study)}
    asked = {keys[fault.column] for fault in found.errors}
    assert asked >= {"hdab.email", "description", "contact.email", "keywords", "provenance"}
    assert found.folder is None


def cells_of(study):
    return list(openpyxl.load_workbook(study / "w.xlsx")["cohort"].iter_rows(min_row=2))


def put(sheet, cell, value):
    def change(book):
        book[sheet][cell].value = value

    return change


def merge(book):
    book["donors"].merge_cells("B3:B4")


def hide_row(book):
    book["donors"].row_dimensions[3].hidden = True


def hide_column(book):
    book["donors"].column_dimensions["B"].hidden = True


def hide_sheet(book):
    book["samples"].sheet_state = "hidden"


def second_header(book):
    sheet = book["samples"]
    sheet.insert_rows(2)
    for at, cell in enumerate(sheet[1], 1):
        sheet.cell(2, at).value = cell.value


@pytest.mark.parametrize(
    ("change", "place", "must", "found"),
    [
        (put("donors", "B3", "=1+1"), "donors!B3", "not a formula", "'=1\\+1'"),
        (
            put("donors", "F3", datetime.datetime(2026, 10, 19)),
            "donors!F3",
            "must not be a date",
            "19 Oct",
        ),
        (put("donors", "F3", 43930), "donors!F3", "never be a date", "as spreadsheets store it"),
        (put("donors", "B3", "femail"), "donors!B3", "must be one of PATO", "femail"),
        (put("donors", "A3", "two words"), "donors!A3", "1 to 64 letters", "two words"),
        (put("donors", "A3", "d1"), "donors!A3", "one row only", "also in row"),
        (put("donors", "H1", "donor_id"), "donors!H1", "stand once", "donor_id"),
        (put("donors", "J3", "loose"), "donors!J3", "below a column's name", "loose"),
        (put("samples", "B2", "nobody"), "samples!B2", "donor of donors.tsv", "nobody"),
        (put("visits", "B2", "T9"), "visits!B2", "one of a sample", "T9"),
        (put("columns", "D2", "measurement"), "columns!E2", "LOINC code", "''"),
        (put("cohort", "B2", "2"), "cohort!B2", "must be 1", "'2'"),
        (put("cohort", "B3", "no id!"), "cohort!B3", "1 to 64 letters", "no id!"),
        (put("cohort", "B20", "opne"), "cohort!B20", "one of open", "opne"),
        (merge, "donors!B3", "must not be merged", "B3:B4"),
        (hide_row, "donors!A3", "row must be visible", "hidden"),
        (hide_column, "donors!B1", "column must be visible", "hidden"),
        (hide_sheet, "samples!A1", "sheet must be visible", "hidden"),
        (second_header, "samples!A2", "one row of column names", "a second one"),
    ],
)
def test_what_spreadsheets_do_gets_an_answer_by_its_cell(study, change, place, must, found):
    check = edit(study, change)
    assert check.folder is None
    by_place = {f"{fault.file.partition('#')[2]}!{fault.column}": fault for fault in check.errors}
    assert place in by_place
    fault = by_place[place]
    assert must in fault.must
    assert re.search(found, fault.found)
    assert fault.fix


@pytest.mark.parametrize(
    ("change", "donor"),
    [
        (put("donors", "B2", "NA"), ("d1", "unknown")),
        (put("donors", "B2", "  female "), ("d1", "PATO:0000383")),
        (put("donors", "A2", " d1\xa0"), ("d1", "PATO:0000384")),
    ],
)
def test_spaces_and_na_are_read_as_meant(study, change, donor):
    first = load_registration(edit(study, change).folder).donors[0]
    assert (first.donor_id, first.sex_ontology_term_id) == donor


def test_numbers_that_excel_typed_are_the_text_that_was_meant(study):
    def change(book):
        for sheet, column in (("donors", 1), ("samples", 2), ("visits", 1)):
            for row in book[sheet].iter_rows(min_row=2):
                if row[column - 1].value:
                    row[column - 1].value = float(str(row[column - 1].value)[1:])

    registration = load_registration(edit(study, change).folder)
    assert [donor.donor_id for donor in registration.donors] == ["1", "2", "3", "4"]


def test_text_of_the_file_never_becomes_a_formula(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    kinds = ["=HYPERLINK(1)", "B cell"] * 30
    write_steward_file(tmp_path / "in.h5ad", cell_type=kinds)
    register_workbook("in.h5ad", "c1", "config/cohorts", tmp_path / "w.xlsx")
    book = openpyxl.load_workbook(tmp_path / "w.xlsx")
    cells = [cell for sheet in book for row in sheet.iter_rows() for cell in row]
    assert any(cell.value == "=HYPERLINK(1)" for cell in cells)
    with zipfile.ZipFile(tmp_path / "w.xlsx") as packed:
        sheets = [name for name in packed.namelist() if name.startswith("xl/worksheets/")]
        assert all(b"<f>" not in packed.read(name) for name in sheets)


def test_workbooks_with_macros_and_other_files_are_refused(study):
    macro = study / "w.xlsm"
    macro.write_bytes((study / "w.xlsx").read_bytes())
    with pytest.raises(UsageError, match="may hold macros"):
        check_workbook(macro, study)
    with zipfile.ZipFile(study / "w.xlsx", "a") as packed:
        packed.writestr("xl/vbaProject.bin", b"x")
    with pytest.raises(UsageError, match="must hold no macros"):
        check_workbook(study / "w.xlsx", study)
    text = study / "text.xlsx"
    text.write_text("donor_id\n")
    with pytest.raises(DataError, match="must be an Excel workbook"):
        check_workbook(text, study)
    openpyxl.Workbook().save(study / "other.xlsx")
    with pytest.raises(UsageError, match="must have the sheets"):
        check_workbook(study / "other.xlsx", study)


def test_a_workbook_that_is_there_is_not_written_over(study):
    with pytest.raises(UsageError, match="must name a new file"):
        register_workbook("in.h5ad", "c2", "config/cohorts", study / "w.xlsx")


def test_the_command_exits_by_the_faults(study, capsys):
    assert main(["check", "--workbook", "w.xlsx"]) == 1
    assert "Marked in w.xlsx" in capsys.readouterr().out
    edit(study, nothing)
    assert main(["check", "--workbook", "w.xlsx"]) == 0
    assert "Next: pmcell check c1" in capsys.readouterr().out
