"""Tables that people keep beside a matrix are read as they are, and joined by their ids."""

from __future__ import annotations

import shutil

import openpyxl
import pytest
import scipy.sparse as sp

from cohorts_on_disk import barcodes, cell_counts, gene_names
from pmcell.errors import DataError, Fault, FaultsError, UsageError
from pmcell.registry.cohorts.cohort import read_matrix
from pmcell.registry.cohorts.measurements import COLUMN_NAMES, read_measurements
from pmcell.registry.cohorts.programmes import load_programmes
from pmcell.registry.cohorts.sheets import Row
from pmcell.registry.draft.measured_codes import coded
from pmcell.registry.draft.measured_columns import Measured, split_measured
from pmcell.registry.draft.people_table import read_table_of_people, rows_above_names
from pmcell.registry.draft.register import register_file
from pmcell.registry.intake.cell_table import open_matrix
from pmcell.registry.intake.check import check_cohorts
from repository import ROOT
from steward_files import steward_obs, write_steward_file
from submissions import write_h5ad, write_mtx

ROWS = [
    ["Spender", "Gender", "Ort"],
    ["d1", "male", "Köln"],
    ["d2", "female", "Łódź"],
    ["d3", "male", "Köln"],
    ["d4", "female", "a;b"],
]


def text_of(separator: str) -> str:
    return "\r\n".join(
        separator.join(f'"{cell}"' if separator in cell else cell for cell in row) for row in ROWS
    )


@pytest.mark.parametrize("separator", [";", ",", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_any_separator_and_encoding_gives_the_same_rows(tmp_path, separator, encoding):
    text = text_of(separator)
    if encoding == "cp1252":
        text = text.replace("Łódź", "Lodz")
    path = tmp_path / "people.csv"
    path.write_bytes(text.encode(encoding))
    rows = read_table_of_people(path)
    assert [row["Spender"] for row in rows] == ["d1", "d2", "d3", "d4"]
    assert rows[0]["Ort"] == "Köln"
    assert rows[3]["Ort"] == "a;b"


def write_excel(path):
    book = openpyxl.Workbook()
    for row in ROWS:
        book.active.append(row)
    book.save(path)
    return path


def test_an_excel_sheet_is_read_as_text(tmp_path):
    rows = read_table_of_people(write_excel(tmp_path / "people.xlsx"))
    assert rows[1] == {"Spender": "d2", "Gender": "female", "Ort": "Łódź"}


def test_polish_letters_of_windows_are_told_from_western_ones(tmp_path):
    path = tmp_path / "people.csv"
    path.write_bytes("pacjent;płeć\nP1;mężczyzna\nP2;kobieta\n".encode("cp1250"))
    assert read_table_of_people(path)[0] == {"pacjent": "P1", "płeć": "mężczyzna"}
    path.write_bytes("Patient;Größe (m²);Zellen/mm³\nP1;1,8;7³\n".encode("cp1252"))
    assert list(read_table_of_people(path)[0]) == ["Patient", "Größe (m²)", "Zellen/mm³"]


@pytest.mark.filterwarnings("error::pandas.errors.PerformanceWarning")
def test_a_table_of_many_columns_is_joined_at_once(tmp_path):
    names = [f"c{k}" for k in range(300)]
    rows = [f"d{donor}," + ",".join(f"{donor}.{k}" for k in range(300)) for donor in range(1, 5)]
    table = tmp_path / "people.csv"
    table.write_text("\n".join([",".join(["donor_id", *names]), *rows]))
    file, cohorts = write_steward_file(tmp_path / "in.h5ad"), tmp_path / "cohorts"
    folder = register_file(file, "c1", cohorts, keep=["c299"], tables={"donors": table}).folder
    rows = [line.split("\t") for line in (folder / "donors.tsv").read_text().splitlines()]
    assert [row[rows[0].index("c299")] for row in rows[1:]] == [f"{k}.299" for k in range(1, 5)]


@pytest.mark.parametrize("with_notes", [False, True])
def test_the_sheet_with_the_ids_is_read_below_titles_and_groups_of_columns(tmp_path, with_notes):
    book = openpyxl.Workbook()
    if with_notes:
        book.active.title = "Notas"
        book.active["A1"] = "Base de datos"
        book.active["B3"] = "d1"
        book.create_sheet("Donantes")
    sheet = book.worksheets[-1]
    sheet.append(["Donantes del hospital"])
    sheet.append(["", "Demografía", ""])
    sheet.merge_cells("B2:C2")
    for row in ROWS:
        sheet.append(row)
    path = tmp_path / "people.xlsx"
    book.save(path)
    rows = read_table_of_people(path, {"d1", "d2", "d3", "d4"}.__contains__)
    assert [row["Spender"] for row in rows] == ["d1", "d2", "d3", "d4"]


def test_a_title_above_the_names_of_a_text_table_is_left_out(tmp_path):
    path = tmp_path / "people.csv"
    path.write_text("Patienten der Station\nSpender;Ort\nd1;Bonn\n", encoding="utf-8")
    assert read_table_of_people(path) == [{"Spender": "d1", "Ort": "Bonn"}]


@pytest.mark.parametrize(
    "rows",
    [
        [["id", "", "sex"], ["d1", "7", "male"]],
        [["id", "id", ""], ["d1", "d2", "male"]],
        [["Labs", ""], ["d1", "male"], ["d2", "female"]],
    ],
)
def test_a_row_of_values_is_never_taken_for_the_names(rows):
    assert rows_above_names(rows, {"d1", "d2"}.__contains__) == 0


def test_a_formula_in_an_excel_sheet_is_refused_by_its_cell(tmp_path):
    path = write_excel(tmp_path / "people.xlsx")
    book = openpyxl.load_workbook(path)
    book.active["B3"].value = "=A1"
    book.save(path)
    with pytest.raises(FaultsError, match=r"'B3'.*not a formula"):
        read_table_of_people(path)


@pytest.fixture
def study(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_steward_file(tmp_path / "in.h5ad", sex=[""] * 60)
    return tmp_path


def register(study, table, **more):
    tables = {"donors": study / table}
    return register_file("in.h5ad", "c1", "config/cohorts", tables=tables, **more)


def test_a_table_of_donors_fills_their_rows(study):
    (study / "people.csv").write_bytes(text_of(";").replace("Łódź", "x").encode("cp1252"))
    folder = register(study, "people.csv", keep=["Ort"]).folder
    rows = [line.split("\t") for line in (folder / "donors.tsv").read_text().splitlines()]
    assert rows[0][1] == "sex_ontology_term_id"
    assert [row[1] for row in rows[1:]] == ["PATO:0000384", "PATO:0000383"] * 2
    assert [row[-1] for row in rows[1:]] == ["Köln", "x", "Köln", "a;b"]


def test_what_a_table_does_not_say_stays_as_the_file_says_it(study):
    sexes = ["female", "female", "male", "male"] * 15
    write_steward_file(study / "in.h5ad", sex=sexes)
    (study / "people.csv").write_text("donor,sex\nd1,\nd2,male\nd3,male\n")
    folder = register(study, "people.csv").folder
    rows = [line.split("\t") for line in (folder / "donors.tsv").read_text().splitlines()]
    assert {row[0]: row[1] for row in rows[1:]} == {
        "d1": "PATO:0000383",
        "d2": "PATO:0000384",
        "d3": "PATO:0000384",
        "d4": "PATO:0000384",
    }


@pytest.mark.parametrize(("told", "is_said"), [("male", True), ("Female", False), ("", False)])
def test_a_table_that_contradicts_the_file_is_believed_and_it_is_said(study, told, is_said):
    write_steward_file(study / "in.h5ad", sex=["female"] * 60)
    (study / "people.csv").write_text(f"donor,sex\nd1,{told}\nd2,female\nd3,female\nd4,female\n")
    notes = register(study, "people.csv").notes
    assert any("'sex' says otherwise than the file" in note for note in notes) is is_said


def test_a_table_whose_names_of_columns_are_exchanged_is_refused(study):
    lines = ["donor_id,sample_id", "s0,d1", "s1,d2", "s2,d3", "s3,d4"]
    (study / "people.csv").write_text("\n".join(lines))
    with pytest.raises(DataError, match=r"column 'sample_id' must hold the samples.*Exchange"):
        register_file("in.h5ad", "c1", "config/cohorts", tables={"samples": study / "people.csv"})


def test_a_struck_out_row_of_a_workbook_is_refused_by_its_cell(tmp_path):
    path = write_excel(tmp_path / "people.xlsx")
    book = openpyxl.load_workbook(path)
    book.active["A3"].font = openpyxl.styles.Font(strike=True)
    book.save(path)
    with pytest.raises(FaultsError, match=r"A3.*struck out"):
        read_table_of_people(path)


def test_a_table_within_one_column_of_a_workbook_is_to_be_cut(tmp_path):
    book = openpyxl.Workbook()
    for row in ROWS:
        book.active.append([",".join(row)])
    book.save(tmp_path / "people.xlsx")
    with pytest.raises(DataError, match="Text to Columns"):
        read_table_of_people(tmp_path / "people.xlsx")


def test_donors_whom_only_a_table_of_samples_names_are_no_column_of_the_file(study):
    obs = {"Rohr": steward_obs()["sample_id"]}
    write_h5ad(
        study / "in.h5ad", sp.csr_matrix(cell_counts()), barcodes(), genes=gene_names(), obs=obs
    )
    rows = [f"s{k};d{k + 1}" for k in range(4)]
    (study / "tubes.csv").write_text("\n".join(["Rohr;patient", *rows]))
    tables = {"samples": study / "tubes.csv"}
    with pytest.raises(DataError, match="values of column 'Rohr' of the file: add --sample Rohr"):
        register_file("in.h5ad", "c1", "config/cohorts", tables=tables)
    given = {"sample_id": "Rohr"}
    folder = register_file("in.h5ad", "c1", "config/cohorts", tables=tables, given=given).folder
    assert "donor_id:" not in (folder / "cohort.yaml").read_text()
    faults = check_cohorts([folder])[0].errors
    assert "donor_id" not in " ".join(map(str, faults))


CLINIC = "Kürzel;HbA1c (%);Größe\nd1;5,4;1,70\nd2;<4;1,81\nd3;;1,66\nd4;7.25;1,59\n"
HBA1C = Measured("HbA1c (%)", "4548-4", "%")


def test_clinical_columns_go_to_the_measurements_and_not_to_the_donors(study):
    (study / "people.csv").write_bytes(CLINIC.encode("latin-1"))
    folder = register(study, "people.csv", measured=[HBA1C], keep=["Größe"]).folder
    rows = [
        dict(zip(COLUMN_NAMES, line.split("\t"), strict=True))
        for line in (folder / "measurements.tsv").read_text().splitlines()[1:]
    ]
    assert [(row["donor_id"], row["comparator"], row["value"]) for row in rows] == [
        ("d1", "", "5.4"),
        ("d2", "<", "4"),
        ("d4", "", "7.25"),
    ]
    assert {(row["loinc"], row["unit"]) for row in rows} == {("4548-4", "%")}
    donors = (folder / "donors.tsv").read_text()
    assert "HbA1c" not in donors
    assert "Größe" in donors
    faults: list[Fault] = []
    donor_rows = [Row(0, {"donor_id": name}) for name in ("d1", "d2", "d3", "d4")]
    read = read_measurements(folder, donor_rows, None, faults)
    assert faults == []
    assert [item.value for item in read] == [5.4, 4.0, 7.25]


def test_columns_whose_code_is_known_are_offered_and_a_draft_takes_them_later(study):
    (study / "people.csv").write_bytes(CLINIC.encode("latin-1"))
    shutil.copytree(ROOT / "config" / "programmes", study / "config" / "programmes")
    first = register(study, "people.csv")
    assert first.seen["measurable"] == ["HbA1c (%)=4548-4 %"]
    (first.folder / "counts.h5ad").write_bytes(b"\xff")
    measured = [split_measured(one) for one in first.seen["measurable"]]
    again = register(study, "people.csv", measured=measured, is_again=True)
    assert len((again.folder / "measurements.tsv").read_text().splitlines()) == 4
    assert again.seen["measurable"] == []
    cohort = again.folder / "cohort.yaml"
    cohort.write_text(cohort.read_text().replace("access: TODO", "access: open"))
    before = {path.name: path.read_bytes() for path in again.folder.iterdir()}
    with pytest.raises(UsageError, match="in which nothing was decided yet"):
        register(study, "people.csv", keep=["Größe"], is_again=True)
    assert {path.name: path.read_bytes() for path in again.folder.iterdir()} == before


@pytest.mark.parametrize(
    ("column", "code"),
    [
        ("BMI", "39156-5 kg/m2"),
        ("IMC (kg/m²)", "39156-5 kg/m2"),
        ("hba1c_mmol_mol", "59261-8 mmol/mol"),
        ("Kreatinin [µmol/l]", "14682-9 umol/L"),
        ("creatinine_mg_dl", "2160-0 mg/dL"),
        ("eGFR (mL/min/1.73 m²)", "62238-1 mL/min/{1.73_m2}"),
        ("CRP (mg/dL)", ""),
        ("CRP", ""),
        ("Hb", ""),
        ("steps", ""),
    ],
)
def test_a_code_is_offered_only_where_name_and_unit_tell_it(column, code):
    programmes = load_programmes(ROOT / "config" / "programmes")
    found = coded(column, programmes)
    assert ("" if found is None else f"{found.loinc} {found.unit}") == code


def test_a_measurement_that_is_no_number_is_named_and_nothing_is_drafted(study):
    (study / "people.csv").write_bytes(CLINIC.replace("7.25", "hoch").encode("latin-1"))
    with pytest.raises(
        FaultsError, match=r"row 5, column 'HbA1c \(%\)': .* number.* found 'hoch' of d4"
    ):
        register(study, "people.csv", measured=[HBA1C])
    assert not (study / "config").exists()


@pytest.mark.parametrize("argument", ["HbA1c", "HbA1c=4548-4", "=4548-4 %", "HbA1c=HbA1c %"])
def test_a_measure_without_code_or_unit_says_how_to_write_it(argument):
    with pytest.raises(UsageError, match="COLUMN=LOINC UNIT, such as"):
        split_measured(argument)


def test_ids_that_lost_their_zeros_still_match(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ids = [f"00{k % 4 + 1}" for k in range(60)]
    write_steward_file(tmp_path / "in.h5ad", donor_id=ids, sample_id=ids, sex=[""] * 60)
    (tmp_path / "people.csv").write_text("id,Gender\n1,male\n2,female\n3,male\n4,female\n")
    folder = register(tmp_path, "people.csv").folder
    assert "003\tPATO:0000384" in (folder / "donors.tsv").read_text()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("id;sex\nx1;male\nx2;female\n", "must name those of the file"),
        ("id;sex\nd1;male\nd2;female\nd3;male\nd3;female\n", "'d3' has several that differ"),
        ("id;id\nd1;male\n", "'id' twice"),
        ("id\nd1\n", "two columns or more"),
        ("", "found 0 lines"),
        ("id;sex\nd1;male;7\n", "a row must have 2 cells"),
        (";d1;d2;d3;d4\nsex;male;female;male;female\n", "They stand in its first line: turn it"),
    ],
)
def test_a_table_that_cannot_be_joined_says_why_and_nothing_is_drafted(study, text, message):
    (study / "people.csv").write_text(text)
    with pytest.raises(DataError, match=message):
        register(study, "people.csv")
    assert not (study / "config").exists()


def test_ids_that_only_one_side_has_are_named(study):
    (study / "people.csv").write_text("id;sex\nd1;male\nd2;female\nd7;male\nTotal;\n")
    notes = register(study, "people.csv").notes
    assert "people.csv: 'Total', 'd7': not used, for they are no donors of the file" in notes
    assert any(note.startswith("people.csv: 'd3', 'd4': donors of the file") for note in notes)


@pytest.mark.parametrize("form", ["{}\u200b", "\ufeff{}", "{}\u00ad", "'{}", '="{}"'])
def test_an_id_is_found_without_the_signs_that_nobody_typed(study, form):
    rows = [f"{form.format(f'd{k}')};{'male' if k % 2 else 'female'}" for k in range(1, 5)]
    (study / "people.csv").write_text("\n".join(["id;sex", *rows]))
    folder = register(study, "people.csv").folder
    sexes = [line.split("\t")[1] for line in (folder / "donors.tsv").read_text().splitlines()]
    assert sexes[1:] == ["PATO:0000384", "PATO:0000383"] * 2


def lane(study, **more):
    """A 10x folder without any metadata, and the table of its cells that another program wrote."""
    names = barcodes()
    write_mtx(study / "lane", cell_counts(), names, packed=True, genes=gene_names())
    lines = ["Zelle;Spender;Probe"]
    lines += [f"{one[:-2]};P{k % 2};L{k % 2}" for k, one in enumerate(names)][: more.get("n", 60)]
    (study / "cells.csv").write_bytes("\r\n".join(lines).encode("cp1252"))
    given = {"donor_id": "Spender", "sample_id": "Probe"}
    tables = {"cells": study / "cells.csv"}
    return register_file("lane", "c1", "config/cohorts", given=given, tables=tables)


def test_a_table_of_cells_tells_the_donors_of_a_lane_at_intake_too(study):
    folder = lane(study).folder
    rows = (folder / "samples.tsv").read_text().splitlines()
    assert [row.split("\t")[:2] for row in rows[1:]] == [["L0", "P0"], ["L1", "P1"]]
    assert "cells: cells.tsv" in (folder / "cohort.yaml").read_text()
    assert (folder / "cells.tsv").read_text().splitlines()[0] == "barcode\tSpender\tProbe"
    matrix = read_matrix(folder)
    obs = open_matrix(matrix).obs
    assert obs["Probe"].tolist() == [f"L{k % 2}" for k in range(60)]
    (folder / "cells.tsv").unlink()
    with pytest.raises(DataError, match="table of cells must exist"):
        open_matrix(matrix)


def test_cells_that_the_table_does_not_name_are_left_out_and_counted(study):
    registered = lane(study, n=50)
    assert any("10 of 60 cells are left out" in note for note in registered.notes)


def test_the_table_of_another_lane_is_refused(study):
    with pytest.raises(DataError, match="at least 50% of the file's 60 cells"):
        lane(study, n=20)
    assert not (study / "config").exists()


BY_VISIT = [
    "record_id,redcap_event_name,Gender,Smoker,hba1c",
    "d1,baseline_arm_1,male,yes,5.1",
    "d1,month_6_arm_1,,,5.6",
    "d2,baseline_arm_1,female,no,6.0",
    "d2,month_6_arm_1,,no,",
    "d3,baseline_arm_1,male,no,",
    "d4,baseline_arm_1,female,yes,",
]


def test_a_table_with_a_row_for_each_visit_gives_what_a_donor_has_one_value_of(study):
    (study / "people.csv").write_text("\n".join(BY_VISIT))
    found = register(study, "people.csv", keep=["Smoker"])
    rows = [line.split("\t") for line in (found.folder / "donors.tsv").read_text().splitlines()]
    assert [row[1] for row in rows[1:]] == ["PATO:0000384", "PATO:0000383"] * 2
    assert [row[-1] for row in rows] == ["Smoker", "yes", "no", "no", "yes"]
    assert any(note.startswith("redcap_event_name, hba1c: donors have") for note in found.notes)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("d1,month_12_arm_1,female,,5.6", "a donor must have one sex"),
        ("d1,baseline_arm_1,male,no,5.1", "must have one row for each; 'd1'"),
    ],
)
def test_rows_of_one_visit_that_differ_and_two_sexes_are_refused(study, line, message):
    (study / "people.csv").write_text("\n".join([*BY_VISIT, line]))
    with pytest.raises(DataError, match=message):
        register(study, "people.csv")


def unnamed_donors(tmp_path, values):
    """A file in which no name of a column tells the donors."""
    path = write_steward_file(tmp_path / "in.h5ad", kto=[values[k % 4] for k in range(60)])
    table = tmp_path / "osoby.csv"
    table.write_bytes(
        ("Numer;Płeć\r\n" + "\r\n".join(f"{one};kobieta" for one in values)).encode("cp1250")
    )
    return path, table


def without_donors(path):
    import anndata

    cells = anndata.read_h5ad(path)
    del cells.obs["donor_id"]
    cells.write_h5ad(path)


def test_a_table_of_donors_tells_the_column_that_has_its_ids(tmp_path):
    path, table = unnamed_donors(tmp_path, ["K-1", "K-2", "K-3", "K-4"])
    without_donors(path)
    made = register_file(path, "c", tmp_path / "cohorts", tables={"donors": table})
    assert made.seen["columns"]["donor_id"] == "kto"
    assert made.seen["donors"] == ["K-1", "K-2", "K-3", "K-4"]
    assert any("column 'kto' has the ids of osoby.csv" in note for note in made.notes)


@pytest.mark.parametrize("values", [["1", "2", "3", "4"], ["1", "2", "x", "y"]])
def test_bare_numbers_tell_no_column_of_donors(tmp_path, values):
    path, table = unnamed_donors(tmp_path, values)
    without_donors(path)
    with pytest.raises(UsageError, match="--donors needs a column of the file"):
        register_file(path, "c", tmp_path / "cohorts", tables={"donors": table})


def test_a_sheet_joins_the_matrices_of_a_folder_by_a_part_of_their_names(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for number, name in enumerate(("GSM1_P1", "GSM2_P2")):
        folder = tmp_path / "geo" / name
        folder.parent.mkdir(exist_ok=True)
        names = [f"{number}{one}" for one in barcodes()]
        write_mtx(folder, cell_counts(number), names, packed=True, genes=gene_names())
    sheet = tmp_path / "samples.txt"
    sheet.write_text("accession\tsubject\tgender\nGSM1\ta\tF\nGSM2\tb\tM\n")
    done = register_file("geo", "c1", "config/cohorts", tables={"samples": sheet})
    assert done.seen["n_samples"] == 2
    assert sorted(done.seen["donors"]) == ["a", "b"]
    assert any("2 matrices were found" in note for note in done.notes)
    assert not any("not used" in note for note in done.notes)
    samples = (done.folder / "samples.tsv").read_text()
    assert "GSM1_P1" in samples
    submission = open_matrix(read_matrix(done.folder))
    assert submission.n_cells == 2 * len(barcodes())
