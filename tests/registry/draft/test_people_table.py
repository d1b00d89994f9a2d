"""Tables of people are read as the program at hand saved them, or refused by what is wrong."""

from __future__ import annotations

import gzip
import json

import openpyxl
import pytest

from pmcell.errors import DataError, FaultsError
from pmcell.registry.draft.people_table import read_table_of_people

PLAIN = "donor,sex,age\nP01,F,45\nP02,M,52\n"
ROWS = [
    {"donor": "P01", "sex": "F", "age": "45"},
    {"donor": "P02", "sex": "M", "age": "52"},
]


def read(tmp_path, content, name="people.csv"):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_table_of_people(path)


@pytest.mark.parametrize(
    "text",
    [
        PLAIN,
        PLAIN.replace("\n", "\r"),
        PLAIN.replace("\n", "\r\n", 1).replace("\nP02", "\rP02"),
        PLAIN.rstrip("\n"),
        "sep=,\r\n" + PLAIN,
        "sep=;\n" + PLAIN.replace(",", ";"),
        "# made by hand\n\n# on Monday\n" + PLAIN,
        PLAIN.replace("\n", ",,,\n") + ",,,,,\n,,,,,\n",
        PLAIN.replace("P01", '="P01"'),
        PLAIN.replace("donor", "donor\xa0").replace("P01", "P01 "),
        '"donor",sex,age\n"P01",F,"45"\nP02,M,52\n',
    ],
)
def test_forms_of_spreadsheets_give_the_same_rows(tmp_path, text):
    assert read(tmp_path, text) == ROWS


def test_a_column_without_a_name_before_all_others_holds_row_names(tmp_path):
    rows = read(tmp_path, ",donor,sex\n1,P01,F\n2,P02,M\n")
    assert rows[1] == {"row names": "2", "donor": "P02", "sex": "M"}


def test_a_cell_in_quotes_may_hold_lines_and_separators(tmp_path):
    rows = read(tmp_path, 'donor,note,sex\nP01,"a\nb, c",F\nP02,,M\n')
    assert [row["note"] for row in rows] == ["a b, c", ""]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (gzip.compress(PLAIN.encode()), "packed by gzip. Unpack it: gunzip -k people.csv"),
        (b"PK\x03\x04rest", "name it .xlsx: mv people.csv people.xlsx"),
        (json.dumps(ROWS), "found JSON"),
        ("<html><table></table></html>", "found HTML or XML"),
        ('donor,note,sex\nP01,x,F\nP02,"open,M\nP03,y,F\n', "row 3: a cell that starts with a quo"),
        ("donor,sex\nP01,F\nP02,M,52\n", "row 3: a row must have 2 cells"),
        # A decimal comma without quotes must not move the columns.
        ("donor,bmi\nP01,21,5\nP02,30,1\n", "a row must have 2 cells"),
        ("donor,,sex\nP01,x,F\n", "a column without a name"),
        ("donor,sex\n", "found 1 lines"),
        ("", "found 0 lines"),
    ],
)
def test_what_is_no_table_is_named_with_its_fix(tmp_path, content, message):
    with pytest.raises((DataError, FaultsError), match=message):
        read(tmp_path, content)


def test_a_workbook_without_rows_names_the_sheet_that_comes_nearest(tmp_path):
    book = openpyxl.Workbook()
    book.active.append(["notes"])
    book.create_sheet("people").append(["donor", "sex"])
    book.save(tmp_path / "people.xlsx")
    with pytest.raises(
        DataError, match=r"#people: a sheet must hold the table.*found 2 names and 0 rows"
    ):
        read_table_of_people(tmp_path / "people.xlsx")


DONORS = [["Patient", "Sex", "BMI"], ["P01", "F", "21,5"], ["P02", "M", "30,1"]]
SAMPLES = [["Sample", "Patient"], ["S1", "P01"], ["S2", "P01"], ["S3", "P02"]]
REMARK = [["* at inclusion"]]
EMPTY: list[list[str]] = [[]]


def is_donor(cell: str) -> bool:
    return cell in {"P01", "P02"}


def is_sample(cell: str) -> bool:
    return cell in {"S1", "S2", "S3"}


def write_book(path, rows, merged=()):
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(row)
    for cells in merged:
        book.active.merge_cells(cells)
    book.save(path)
    return path


@pytest.mark.parametrize(
    "rows",
    [
        DONORS + EMPTY + SAMPLES + EMPTY + REMARK,
        SAMPLES + EMPTY + EMPTY + DONORS + EMPTY + REMARK,
        [["Cohort of 2024"], [], *DONORS, [], ["Samples"], *SAMPLES, [], *REMARK],
    ],
)
@pytest.mark.parametrize("kind", ["xlsx", "csv"])
def test_of_two_tables_on_a_sheet_the_one_with_the_ids_is_read(tmp_path, rows, kind):
    path = tmp_path / f"people.{kind}"
    if kind == "xlsx":
        write_book(path, rows)
    else:
        path.write_text("".join(";".join(row) + "\n" for row in rows))
    donors = [row for row in read_table_of_people(path, is_donor) if row["Patient"] != REMARK[0][0]]
    assert donors == [dict(zip(DONORS[0], row, strict=True)) for row in DONORS[1:]]
    samples = read_table_of_people(path, is_sample)
    assert [row["Sample"] for row in samples][:3] == ["S1", "S2", "S3"]
    assert "BMI" not in samples[0]


@pytest.mark.parametrize(
    "below",
    [
        [["P02", "M", "30,1"]],
        # Somebody whom the file does not have, in words alone: no names.
        [["P77", "x", "unknown"], ["P02", "M", "30,1"]],
    ],
)
def test_an_empty_row_within_a_table_does_not_end_it(tmp_path, below):
    path = write_book(tmp_path / "people.xlsx", [*DONORS[:2], [], *below])
    rows = read_table_of_people(path, is_donor)
    assert [row["Patient"] for row in rows] == ["P01", *(row[0] for row in below)]


def test_an_empty_row_within_a_code_book_does_not_end_it(tmp_path):
    rows = read(tmp_path, "column,value,meaning\nsex,1,male\n\nsmoker,y,smokes\nsmoker,n,never\n")
    assert [row["value"] for row in rows] == ["1", "y", "n"]


def test_names_merged_over_two_rows_of_names_are_read(tmp_path):
    rows = [
        ["Cohort of 2024", None, None],
        ["Patient", "Measured", None],
        [None, "Sex", "BMI"],
        *DONORS[1:],
    ]
    path = write_book(tmp_path / "people.xlsx", rows, ["A1:C1", "A2:A3", "B2:C2"])
    found = read_table_of_people(path, is_donor)
    assert found == [dict(zip(DONORS[0], row, strict=True)) for row in DONORS[1:]]


def test_merged_cells_below_the_names_are_refused_by_their_place(tmp_path):
    path = write_book(tmp_path / "people.xlsx", [*DONORS, [None, "M", "31"]], ["A3:A4"])
    with pytest.raises(FaultsError, match=r"A3.*must not be merged"):
        read_table_of_people(path, is_donor)


@pytest.mark.parametrize(
    ("page", "names", "values"),
    [
        ("cp1252", "Spender;Geschlecht;Alter", "männlich weiblich"),
        ("mac-roman", "Spender;Geschlecht;Alter", "männlich weiblich"),
        ("cp1250", "Pacjent;Płeć;Wiek", "mężczyzna kobieta"),
        ("cp1250", "Pacient;Pohlaví;Věk", "muž žena"),
        ("cp1253", "Ασθενής;Φύλο;Ηλικία", "Άνδρας Γυναίκα"),
        ("cp1251", "Пациент;Пол;Възраст", "мъж жена"),
        ("cp1254", "Hasta;Cinsiyet;Yaş", "Erkek Kadın"),
        ("utf-8", "Пациент;Пол;Възраст", "мъж жена"),
        ("utf-16", "Ασθενής;Φύλο;Ηλικία", "Άνδρας Γυναίκα"),
    ],
)
def test_tables_in_the_code_pages_of_europe_are_read(tmp_path, page, names, values):
    male, female = values.split()
    rows = read(tmp_path, f"{names};ID\n1;{male};45;P01\n2;{female};52;P02\n".encode(page))
    assert rows[0] == dict(zip([*names.split(";"), "ID"], ["1", male, "45", "P01"], strict=True))


def test_a_table_that_was_encoded_twice_is_read(tmp_path):
    twice = "Spender;Größe\nP01;groß\n".encode().decode("cp1252").encode()
    assert read(tmp_path, twice) == [{"Spender": "P01", "Größe": "groß"}]
    # What is right once is left as it is.
    assert read(tmp_path, "Spender;Ã\nP01;Ä\n") == [{"Spender": "P01", "Ã": "Ä"}]


def test_an_alphabet_of_which_no_word_is_known_is_no_latin_one(tmp_path):
    with pytest.raises(DataError, match=r"in UTF-8 where it is in another alphabet.*CSV UTF-8"):
        read(tmp_path, "ID;Σχόλιο\nP01;καλό\n".encode("cp1253"))
