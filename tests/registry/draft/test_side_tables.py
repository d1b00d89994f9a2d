"""Tables that people keep beside a matrix are read as they are, and joined by their ids."""

from __future__ import annotations

import openpyxl
import pytest

from pmcell.errors import DataError, FaultsError
from pmcell.registry.draft.register import register_file
from pmcell.registry.draft.side_tables import read_table_of_people
from steward_files import write_steward_file

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


def test_a_formula_in_an_excel_sheet_is_refused_by_its_cell(tmp_path):
    path = write_excel(tmp_path / "people.xlsx")
    book = openpyxl.load_workbook(path)
    book.active["B3"].value = "=A1"
    book.save(path)
    with pytest.raises(FaultsError, match=r"'B3'.*not a formula"):
        read_table_of_people(path)


@pytest.fixture
def study(tmp_path, monkeypatch, in_process):
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


def test_ids_that_lost_their_zeros_still_match(tmp_path, monkeypatch, in_process):
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
    ],
)
def test_a_table_that_cannot_be_joined_says_why_and_nothing_is_drafted(study, text, message):
    (study / "people.csv").write_text(text)
    with pytest.raises(DataError, match=message):
        register(study, "people.csv")
    assert not (study / "config").exists()
