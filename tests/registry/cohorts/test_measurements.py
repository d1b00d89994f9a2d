"""measurements.tsv and hours_to_processing: every fault with file, row, column and value."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from cohorts_on_disk import write_cohort
from pmcell.bundle import bundle_folder
from pmcell.registry.cohorts.cohort import find_faults, load_registration

HEADER = "donor_id\tvisit\tday\tloinc\tvalue\tunit\tsource\tcomparator\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    found = write_cohort(tmp_path / "config" / "cohorts" / "c1")
    shutil.copytree(bundle_folder() / "config" / "programmes", tmp_path / "config" / "programmes")
    name_programme(found, "type2_diabetes")
    return found


def name_programme(folder: Path, name: str) -> None:
    file = folder / "cohort.yaml"
    lines = file.read_text().splitlines()
    file.write_text(
        "\n".join(f"programme: {name}" if line.startswith("programme:") else line for line in lines)
        + "\n"
    )


def write(folder: Path, *rows: str) -> None:
    text = "".join(row.replace("|", "\t") + "\n" for row in rows)
    (folder / "measurements.tsv").write_text(HEADER + text)


BAD_ROWS = {
    ("donor_id", "'d9'"): "d9|T0|0|59261-8|50|mmol/mol|clinic|",
    ("day", "neither"): "d1|||59261-8|50|mmol/mol|clinic|",
    ("day", "'2024-03-01': a date"): "d1||2024-03-01|59261-8|50|mmol/mol|clinic|",
    ("loinc", "'59261-7'"): "d1|T0|0|59261-7|50|mmol/mol|clinic|",
    ("value", "'5,4'"): "d1|T0|0|59261-8|5,4|mmol/mol|clinic|",
    ("value", "nan"): "d1|T0|0|59261-8|nan|mmol/mol|clinic|",
    ("unit", "'mmol/mole'"): "d1|T0|0|59261-8|50|mmol/mole|clinic|",
    ("unit", "ratios of different things"): "d1|T0|0|59261-8|5|%|clinic|",
    ("value", "500 mmol/mol"): "d1|T0|0|59261-8|500|mmol/mol|clinic|",
    ("source", "'nurse'"): "d1|T0|0|59261-8|50|mmol/mol|nurse|",
    ("comparator", "'about'"): "d1|T0|0|59261-8|50|mmol/mol|clinic|about",
}


def test_every_fault_of_the_table_is_named_at_once(folder):
    write(folder, *BAD_ROWS.values())
    faults = [fault for fault in find_faults(folder) if fault.severity == "error"]
    for row, (column, shown) in enumerate(BAD_ROWS, start=2):
        own = [fault for fault in faults if fault.row == row]
        assert any(fault.column == column and shown in fault.found for fault in own), (row, own)
        assert all(fault.file == "measurements.tsv" and fault.fix for fault in own)


def test_values_come_in_the_programmes_unit(folder):
    write(folder, "d1|T0|0|2339-0|95|mg/dL|device|", "d1|T0|0|15074-8|5.3|mmol/L||<")
    first, second = load_registration(folder).measurements
    assert first.variable == second.variable == "glucose_blood"
    assert (first.value, first.unit) == (pytest.approx(5.2732, abs=1e-3), "mmol/L")
    assert (second.comparator, second.source) == ("<", "unknown")


def test_a_code_that_no_programme_declares_keeps_one_unit(folder):
    name_programme(folder, "none")
    write(folder, "d1|T0|0|2345-7|95|mg/dL||", "d1|T0|0|2345-7|5.3|mmol/L||")
    (fault,) = [fault for fault in find_faults(folder) if fault.severity == "error"]
    assert (fault.row, fault.column) == (3, "unit")
    write(folder, "d1|T0|0|2345-7|95|mg/dL||")
    (value,) = load_registration(folder).measurements
    assert (value.variable, value.unit) == ("", "mg/dL")


@pytest.mark.parametrize("text", ["-1", "2024-03-01", "400", "two", "1e3"])
def test_hours_to_processing_are_hours(folder, text):
    table = folder / "samples.tsv"
    head, *rows = table.read_text().splitlines()
    rows = [f"{row}\t{text if at == 1 else ''}" for at, row in enumerate(rows)]
    table.write_text("\n".join([f"{head}\thours_to_processing", *rows]) + "\n")
    (fault,) = [fault for fault in find_faults(folder) if fault.severity == "error"]
    assert (fault.file, fault.row, fault.column) == ("samples.tsv", 3, "hours_to_processing")


def test_hours_that_nobody_noted_stay_unknown(folder):
    assert [s.hours_to_processing for s in load_registration(folder).samples] == [None] * 3


def test_a_cohort_of_no_programme_is_sound(folder):
    name_programme(folder, "none")
    assert not [fault for fault in find_faults(folder) if fault.severity == "error"]


def test_a_cohort_is_held_against_its_programme(folder):
    name_programme(folder, "kidney")
    told = {fault.column: fault for fault in find_faults(folder)}
    assert "chronic kidney disease" not in told["disease_ontology_term_id"].fix
    assert "MONDO:0005148" in told["disease_ontology_term_id"].found
    assert told["egfr"].reason == "minimal_data_set"
    assert "2 of 2 donors" in told["egfr"].found
    assert {fault.severity for fault in told.values()} == {"warning"}
