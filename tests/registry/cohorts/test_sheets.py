"""Registration tables are read as spreadsheets and R write them, or the way out is said."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from cohorts_on_disk import write_cohort
from pmcell.registry.cohorts.cohort import find_faults, load_registration
from pmcell.registry.cohorts.identities import names_of_people

HEADER = "sample_id\tdonor_id\tvisit\tvisit_day\tbatch_id\tcondition\n"


@pytest.fixture
def folder(tmp_path):
    return write_cohort(tmp_path / "cohorts" / "c1")


def errors(folder):
    return [fault for fault in find_faults(folder) if fault.severity == "error"]


def edit(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def samples(folder, *rows, end="\n"):
    """Write samples.tsv with a row for each sample s1, s2, … of donor d1, and one of d2."""
    text = HEADER + "".join(f"{row}\n" for row in rows)
    (folder / "samples.tsv").write_text(text.replace("\n", end), newline="")
    return errors(folder)


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        ('"severe, ICU"', "severe, ICU"),
        ('"said ""no"""', 'said "no"'),
        ('"two\nlines"', "two lines"),
        (' "padded" ', "padded"),
        ('5" tube', '5" tube'),
        ('""', "unknown"),
        ('"a\tb"', "a b"),
    ],
)
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_quotes_are_taken_off_as_readers_of_csv_do(folder, cell, value, end):
    assert not samples(folder, f"s1\td1\tT0\t0\tb1\t{cell}", "s2\td2\tT0\t0\tb1\tx", end=end)
    assert [sample.condition for sample in load_registration(folder).samples] == [value, "x"]


def test_a_table_with_every_cell_in_quotes_is_read(folder):
    text = (folder / "donors.tsv").read_text()
    quoted = "\n".join(
        "\t".join(f'"{cell}"' for cell in line.split("\t")) for line in text.splitlines()
    )
    (folder / "donors.tsv").write_text(quoted)
    assert [donor.donor_id for donor in load_registration(folder).donors] == ["d1", "d2"]


def test_a_quote_without_an_end_is_named_with_its_row(folder):
    (fault,) = samples(folder, 's1\td1\tT0\t0\tb1\t"severe', "s2\td2\tT0\t0\tb1\tx")
    assert (fault.row, fault.reason) == (2, "quotes")


def test_quotes_within_quotes_are_named(folder):
    (fault,) = samples(folder, 's1\td1\tT0\t0\tb1\t"""severe"""', "s2\td2\tT0\t0\tb1\tx")
    assert "must not stand in quotes" in fault.must


def test_a_row_behind_a_cell_of_two_lines_keeps_its_line(folder):
    (fault,) = samples(folder, 's1\td1\tT0\t0\tb1\t"two\nlines"', "s2\td2\tT0\tx\tb1\ty")
    assert fault.row == 4


@pytest.mark.parametrize(
    "sign", ["\u2028", "\u2029", "\x85", "\x0b", "\x0c", "\x1c", "\x1d", "\x1e", "\r"]
)
def test_rows_end_at_line_feeds_only(folder, sign):
    edit(folder / "donors.tsv", "disease_ontology_term_id\n", "disease_ontology_term_id\tnote\n")
    edit(folder / "donors.tsv", "MONDO:0005148\n", f"MONDO:0005148\tfirst{sign}PHANTOM\n")
    (fault,) = errors(folder)
    assert (fault.reason, fault.row) == ("unseen", 2)


@pytest.mark.parametrize("number", ["9" * 400, "43930", "20200402", "-40000", "2020-04-02"])
def test_a_visit_day_is_a_number_of_days(folder, number):
    edit(folder / "samples.tsv", "\t30\t", f"\t{number}\t")
    (fault,) = errors(folder)
    assert (fault.column, fault.reason) == ("visit_day", "date")


@pytest.mark.parametrize("number", ["0", "-3", "2020", "10000", "0.5", "1e3".replace("e3", "000")])
def test_days_and_years_of_follow_up_are_days(folder, number):
    edit(folder / "samples.tsv", "\t30\t", f"\t{number}\t")
    assert load_registration(folder).samples[1].visit_day == float(number)


def test_a_decimal_comma_is_named_with_the_number_to_write(folder):
    edit(folder / "samples.tsv", "\t30\t", "\t0,5\t")
    (fault,) = errors(folder)
    assert fault.fix == "Write 0.5."


@pytest.mark.parametrize(
    ("column", "old", "new"),
    [
        ("visit", "\tT1\t", "\t43930\t"),
        ("visit", "\tT1\t", "\tApr 2020\t"),
        ("batch_id", "\tb2\t", "\tc1.2020-04-02\t"),
        ("batch_id", "\tb2\t", "\t2020-W14\t"),
        ("condition", "\thealthy", "\thealthy since 2 April 2020"),
    ],
)
def test_a_date_in_any_label_that_is_published_is_named(folder, column, old, new):
    edit(folder / "samples.tsv", old, new)
    (fault,) = errors(folder)
    assert (fault.column, fault.reason) == (column, "date")


def test_an_age_group_that_a_spreadsheet_made_a_date_is_named(folder):
    edit(
        folder / "donors.tsv", "disease_ontology_term_id\n", "disease_ontology_term_id\tage_group\n"
    )
    edit(folder / "donors.tsv", "MONDO:0005148\n", "MONDO:0005148\tOct-19\n")
    (fault,) = errors(folder)
    assert "spreadsheets turn 10-19 into Oct-19" in fault.fix


def test_dates_in_ids_are_faults_where_ids_are_published(folder):
    edit(folder / "samples.tsv", "s3\t", "S_20200402\t")
    (fault,) = errors(folder)
    assert (fault.column, fault.reason) == ("sample_id", "date")
    edit(folder / "cohort.yaml", "access: open", "access: registered")
    assert not [fault for fault in errors(folder) if fault.reason == "date"]


@pytest.mark.parametrize(
    ("in_donors", "in_samples", "file", "first"),
    [
        ("1", "001", "donors.tsv", "001"),
        ("001", "1", "samples.tsv", "001"),
        ("7", "7.0", "samples.tsv", "7"),
        ("1.2E+04", "12000", "donors.tsv", "12000"),
    ],
)
def test_lost_zeros_are_named_where_they_were_lost(folder, in_donors, in_samples, file, first):
    edit(folder / "donors.tsv", "d2\t", f"{in_donors}\t")
    edit(folder / "samples.tsv", "\td2\t", f"\t{in_samples}\t")
    faults = [fault for fault in errors(folder) if fault.reason == "lost_zeros"]
    assert [fault.file for fault in faults] == [file]
    assert f"Write {first} here" in faults[0].fix
    assert not [fault for fault in errors(folder) if fault.reason == "reference"]


def test_ids_that_differ_in_zeros_stay_different_people(folder):
    edit(folder / "donors.tsv", "d1\t", "1\t")
    edit(folder / "donors.tsv", "d2\t", "01\t")
    edit(folder / "samples.tsv", "\td1\t", "\t1\t")
    edit(folder / "samples.tsv", "\td2\t", "\t01\t")
    assert not errors(folder)


@pytest.mark.parametrize(
    "label", ["doublet", "Unassigned", "Negative", "multiplet", "d1_d3", "nan"]
)
def test_a_label_that_is_no_person_is_no_donor(folder, label):
    edit(folder / "donors.tsv", "d2\t", f"{label}\t")
    edit(folder / "samples.tsv", "\td2\t", f"\t{label}\t")
    with (folder / "donors.tsv").open("a") as file:
        file.write("d3\tunknown\tunknown\n")
    faults = [fault for fault in errors(folder) if fault.column == "donor_id"]
    assert [fault.reason for fault in faults] == ["no_person"]
    assert "exclude" in faults[0].fix


@pytest.mark.parametrize(
    ("write", "seen"),
    [
        (lambda path, text: path.write_bytes(text.encode("utf-16")), "UTF-16"),
        (lambda path, text: path.write_bytes(text.encode("utf-16-be")), "UTF-16BE"),
        (lambda path, text: path.write_bytes(text.replace("d2", "é2").encode("cp1252")), "0xe9"),
        (lambda path, text: path.write_text(text.replace("\t", ";")), "semicolons"),
        (lambda path, text: path.write_text(text.replace("\t", ",")), "commas"),
        (lambda path, text: path.write_bytes(text.replace("\n", "\r").encode()), "CR alone"),
    ],
)
def test_the_command_that_mends_a_table_mends_it(folder, write, seen):
    path = folder / "donors.tsv"
    text = path.read_text()
    write(path, text)
    (fault,) = [fault for fault in errors(folder) if fault.file == "donors.tsv"]
    assert seen in fault.found
    command = fault.fix.partition("folder: ")[2]
    bash = shutil.which("bash")
    subprocess.run([bash, "-c", command], cwd=folder, check=True)
    assert path.read_text() in (text, text.replace("d2", "é2"))


def test_a_spreadsheet_file_under_the_name_of_a_table_is_named(folder):
    (folder / "donors.tsv").write_bytes(b"PK\x03\x04 and more")
    (fault,) = [fault for fault in errors(folder) if fault.file == "donors.tsv"]
    assert "spreadsheet" in fault.found


def test_a_table_of_too_many_columns_is_one_fault(folder):
    edit(
        folder / "donors.tsv",
        "disease_ontology_term_id\n",
        "disease_ontology_term_id\t" + "\t".join(f"x{k}" for k in range(20_000)) + "\n",
    )
    faults = [fault for fault in errors(folder) if fault.file == "donors.tsv"]
    assert [fault.reason for fault in faults] == ["too_big"]


def test_equal_faults_of_many_rows_are_one_with_their_number(folder):
    rows = [f"x{k}\td1\tv{k}\t0\t2020-04-02\ta" for k in range(400)]
    faults = samples(folder, *rows, "s3\td2\tT0\t0\tb1\tx")
    assert [fault.found for fault in faults] == [
        "'2020-04-02': a date in 400 rows (2, 3, 4, 5, 6, …)"
    ]


def test_different_faults_of_a_kind_are_cut_and_counted(folder):
    rows = [f"x{k}\td1\t2020-04-{k % 28 + 1:02}\t\tb1\ta" for k in range(28)]
    faults = samples(folder, *rows, "s3\td2\tT0\t0\tb1\tx")
    assert len(faults) == 21
    assert faults[-1].found.startswith("8 more like these")


TWO = ("s1\td1\tT0\t0\tb1\tx", "s2\td2\tT0\t0\tb1\tx")


def test_columns_without_a_name_and_a_value_are_passed_over(folder):
    text = HEADER + "".join(f"{row}\n" for row in TWO)
    (folder / "samples.tsv").write_text(text.replace("\n", "\t\t\n"))
    assert not errors(folder)


@pytest.mark.parametrize("above", ["sep=\t\n", "# ours\n", "Study 7\nof 2020\n"])
def test_lines_above_the_header_are_counted_and_to_be_removed(folder, above):
    path = folder / "donors.tsv"
    path.write_text(above + path.read_text())
    (fault,) = [fault for fault in errors(folder) if fault.file == "donors.tsv"]
    n = above.count("\n")
    assert fault.fix == f"Remove the {'line' if n == 1 else f'{n} lines'} above them."
    subprocess.run(["sed", "-i", f"1,{n}d", path], check=True)
    assert not errors(folder)


@pytest.mark.parametrize("written", ["d1\u200b", "d\xad1", "\uff441"])
def test_an_id_with_a_sign_that_is_not_seen_is_one_fault_with_the_id_to_write(folder, written):
    edit(folder / "donors.tsv", "\nd1\t", f"\n{written}\t")
    (fault,) = [fault for fault in errors(folder) if fault.reason in ("bad_id", "reference")]
    assert fault.fix.startswith("Write d1: ")
    edit(folder / "donors.tsv", written, "d1")
    assert not errors(folder)


def test_an_id_is_never_to_be_written_as_one_that_is_none(folder):
    edit(folder / "donors.tsv", "\nd1\t", "\nd 1\t")
    (fault,) = [fault for fault in errors(folder) if fault.reason == "reference"]
    assert fault.fix == "Rename 'd 1' there to it."


def test_people_whose_ids_differ_in_their_spelling_only_are_warned_of(folder):
    edit(folder / "donors.tsv", "\nd2\t", "\nD-01\t")
    edit(folder / "samples.tsv", "\td2\t", "\tD-01\t")
    (fault,) = [fault for fault in find_faults(folder) if fault.reason == "alike"]
    assert (fault.severity, fault.row, fault.column) == ("warning", 3, "donor_id")
    assert "'d1', 'D-01' differ in their spelling only" in fault.found


@pytest.mark.parametrize(
    ("one", "other", "is_warned"),
    [
        ("Control", "control", True),
        ("week 4", "Week_4", True),
        ("severe", "sev\u200bere", True),
        ("naïve", "naive", True),
        ("CD4+", "CD4-", False),
        ("stage 1", "stage 10", False),
        ("-1", "1", False),
    ],
)
@pytest.mark.parametrize("column", ["visit", "batch_id", "condition"])
def test_labels_of_groups_that_differ_in_their_spelling_only_are_warned_of(
    folder, one, other, is_warned, column
):
    rows = [
        {"visit": "T", "batch_id": "b", "condition": "c", column: name} for name in (one, other)
    ]
    samples(
        folder,
        *(
            f"s{k}\td{k}\t{row['visit']}\t0\t{row['batch_id']}\t{row['condition']}"
            for k, row in enumerate(rows, 1)
        ),
    )
    found = [fault for fault in find_faults(folder) if fault.reason == "alike"]
    assert [(fault.column, fault.row) for fault in found] == [(column, 3)] * is_warned


def test_rows_that_are_the_same_are_to_be_removed_and_others_to_be_renamed(folder):
    fixes = {}
    for name, row in {"same": TWO[1], "other": TWO[1].replace("T0", "T1")}.items():
        (fault,) = samples(folder, *TWO, row)
        fixes[name] = fault.fix
    assert fixes == {
        "same": "Remove one of the rows: they are the same.",
        "other": "Give each row its own id.",
    }


def test_a_minus_sign_of_another_font_is_named_with_the_number_to_write(folder):
    (fault,) = samples(folder, TWO[0].replace("\t0\t", "\t\u22123\t"), TWO[1])
    assert fault.fix == "Write -3."


@pytest.mark.parametrize(
    ("column", "written", "fix"),
    [
        ("sex_ontology_term_id", "weiblich", "Nearest: PATO:0000383 female."),
        ("sex_ontology_term_id", "male", "Nearest: PATO:0000384 male."),
        ("disease_ontology_term_id", "MONDO_0005148", "Write MONDO:0005148."),
        ("disease_ontology_term_id", "mondo:0005148", "Write MONDO:0005148."),
        ("disease_ontology_term_id", "MONDO:5148", "Write MONDO:0005148."),
        (
            "disease_ontology_term_id",
            "MONDO:0005300, MONDO:0005148",
            "Write MONDO:0005148 || MONDO:0005300.",
        ),
        (
            "disease_ontology_term_id",
            "http://purl.obolibrary.org/obo/MONDO_0005148",
            "Write MONDO:0005148.",
        ),
    ],
)
def test_a_term_written_otherwise_is_answered_with_its_id(folder, column, written, fix):
    (folder / "donors.tsv").write_text(f"donor_id\t{column}\nd1\t{written}\nd2\tunknown\n")
    assert [fault.fix for fault in errors(folder) if fault.column == column] == [fix]


def test_a_column_of_words_where_terms_are_read_is_warned_of(folder):
    edit(folder / "donors.tsv", "sex_ontology_term_id", "Sex")
    (fault,) = [fault for fault in find_faults(folder) if fault.column == "Sex"]
    assert fault.severity == "warning"
    assert "a column sex_ontology_term_id" in fault.fix
    assert not errors(folder)


def test_a_table_whose_rows_are_all_faulty_is_not_called_empty(folder):
    faults = samples(folder, f"{TWO[0]}\tmore", f"{TWO[1]}\tmore")
    assert {fault.must for fault in faults} == {"a row must have 6 cells"}


def test_a_table_that_is_not_there_is_told_from_one_of_another_kind_or_name(folder):
    table = folder / "donors.tsv"
    kept = table.read_bytes()
    table.unlink()
    (missing,) = (fault for fault in errors(folder) if fault.reason == "file_missing")
    assert "the columns donor_id" in missing.fix
    (folder / "Donors.TSV").write_bytes(kept)
    (named,) = (fault for fault in errors(folder) if fault.reason == "file_missing")
    assert named.found == "'Donors.TSV'"
    subprocess.run(["sh", "-c", named.fix.partition(": ")[2]], cwd=folder, check=True)
    assert errors(folder) == []
    table.unlink()
    table.mkdir()
    (other,) = (fault for fault in errors(folder) if fault.reason == "file_missing")
    assert "a folder, device or pipe" in other.found


def test_an_optional_table_under_another_name_is_not_passed_over(folder):
    (folder / "Measurements.tsv").write_text("donor_id\n")
    assert [fault.fix for fault in errors(folder)] == [
        "Rename it: mv Measurements.tsv measurements.tsv"
    ]


@pytest.mark.parametrize(
    ("ids", "is_told"),
    [
        (["Max_Mustermann", "Erika_Muster", "John_Smith", "Ana_Garc_a"], True),
        (["Healthy_Control", "Healthy_Donor", "Healthy_Other"], False),
        (["P01", "P02", "Max_Mustermann"], False),
        (["A-01", "B_Ctrl", "Liu_2"], False),
    ],
)
def test_ids_that_are_names_of_people_are_told_before_they_are_published(ids, is_told):
    faults = names_of_people(ids, "donors.tsv", "donor_id")
    assert [fault.reason for fault in faults] == ["names_of_people"] * is_told
