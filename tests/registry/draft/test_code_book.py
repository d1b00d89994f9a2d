"""A code book's words stand for the codes of a file and of the tables beside it."""

from __future__ import annotations

import openpyxl
import pytest

from pmcell.errors import DataError, FaultsError, UsageError
from pmcell.registry.draft.code_book import read_code_book
from pmcell.registry.draft.decisions import open_decisions
from pmcell.registry.draft.register import register_file
from steward_files import write_steward_file

LINES = "Zmienna;Wartość;Znaczenie\nsex;1;mężczyzna\n;2;kobieta\ncell_type;odd kind;NK cell\n"


def rows_of(path):
    names, *rows = (line.split("\t") for line in path.read_text().splitlines())
    return [dict(zip(names, row, strict=True)) for row in rows]


def registered(tmp_path, text, *, encoding="utf-8", **more):
    book = tmp_path / "codes.csv"
    book.write_bytes(text.encode(encoding))
    path = write_steward_file(tmp_path / "in.h5ad", **more)
    return register_file(path, "c", tmp_path / "cohorts", tables={"code-book": book})


def test_codes_are_read_by_their_meaning_and_the_file_s_own_labels_stay(tmp_path):
    made = registered(tmp_path, LINES, encoding="cp1250")
    sexes = {row["sex_ontology_term_id"] for row in rows_of(made.folder / "donors.tsv")}
    assert sexes == {"PATO:0000383", "PATO:0000384"}
    text = (made.folder / "cohort.yaml").read_text()
    assert "    odd kind: CL:0000623" in text
    assert any(
        "'sex' is read by the code book: 1 = mężczyzna, 2 = kobieta" in x for x in made.notes
    )
    still = {one.key for one in open_decisions(made.folder)}
    assert not {key for key in still if key.startswith(("sex", "cell_type"))}


def test_without_it_the_same_file_asks(tmp_path):
    path = write_steward_file(tmp_path / "in.h5ad")
    made = register_file(path, "c", tmp_path / "cohorts")
    still = {one.key for one in open_decisions(made.folder)}
    assert {"sex[1]", "sex[2]", "cell_type[odd kind]"} <= still


def test_redcap_s_choices_and_the_codes_that_a_spreadsheet_made_numbers_of(tmp_path):
    text = (
        'Variable / Field Name,"Choices, Calculations, OR Slider Labels"\n'
        'sex,"1, Male | 2, Female"\nage,"99, unknown"\nnot_there,"1, a | 2, b"\n'
    )
    ages = ["1.0", "2.0"] * 30
    made = registered(tmp_path, text, sex=ages, age=["64", "99"] * 30)
    donors = {row["donor_id"]: row for row in rows_of(made.folder / "donors.tsv")}
    assert donors["d1"]["sex_ontology_term_id"] == "PATO:0000384"
    assert (donors["d1"]["age_group"], donors["d2"]["age_group"]) == ("60-69", "")


def test_bands_of_ages_are_no_years_and_ids_keep_their_numbers(tmp_path):
    text = "column,value,meaning\nage,1,40-49\nage,2,50-59\ndonor_id,1,somebody\n"
    who = ["1", "2"] * 30
    made = registered(tmp_path, text, age=who, donor_id=who, sample_id=who)
    donors = rows_of(made.folder / "donors.tsv")
    assert {(row["donor_id"], row["age_group"]) for row in donors} == {
        ("1", "40-49"),
        ("2", "50-59"),
    }


def test_ethnicity_is_not_guessed_from_what_a_code_book_calls_it(tmp_path):
    text = "column,value,meaning\nethnicity,1,White\n"
    made = registered(tmp_path, text, ethnicity=["1"] * 60)
    assert "ethnicity[White]" in {one.key for one in open_decisions(made.folder)}


def test_a_sheet_of_a_workbook_is_found_by_its_names(tmp_path):
    book = openpyxl.Workbook()
    book.active.append(["patient", "smoker"])
    book.active.append(["P1", "1"])
    codes = book.create_sheet("Codes")
    for row in (["column", "value", "meaning"], ["smoker", 1, "yes"], [None, 0, "no"]):
        codes.append(row)
    book.save(tmp_path / "p.xlsx")
    assert read_code_book(tmp_path / "p.xlsx") == {"smoker": {"1": "yes", "0": "no"}}


@pytest.mark.parametrize(
    ("text", "error", "said"),
    [
        ("sex,1\nmale,2\n", DataError, "column, value and meaning"),
        ("column,value,meaning\nsex,1,male\nsex,01,female\n", FaultsError, "one meaning"),
        ("column,value,meaning\ngender2,1,male\n", UsageError, "it names gender2"),
    ],
)
def test_what_is_no_code_book_of_the_file_is_named(tmp_path, text, error, said):
    with pytest.raises(error, match=said):
        registered(tmp_path, text)
