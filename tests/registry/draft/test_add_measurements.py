"""Values of clinics and phones reach measurements.tsv of a cohort, and no date does."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

from cohorts_on_disk import write_cohort
from observations import bundle, data_point, observation
from pmcell.bundle import bundle_folder
from pmcell.cli import main
from pmcell.errors import FaultsError, UsageError
from pmcell.registry.cohorts.cohort import read_registration
from pmcell.registry.draft.measurements import add_measurements

PEOPLE = (
    "subject\tdonor_id\tfirst_visit\n"
    "Patient/1\td1\t2024-03-01\nPatient/2\td2\t2024-04-01\njoe\td1\t2024-03-01\n"
)
GOOD = bundle(
    observation("4548-4", 7.1, "%", when="2024-03-01T08:00:00+01:00"),
    observation("59261-8", 50, "mmol/mol", when="2024-03-31"),
    observation(subject="Patient/2", when="2024-04-01"),
)


@pytest.fixture
def cohort(tmp_path: Path) -> Path:
    folder = write_cohort(tmp_path / "config" / "cohorts" / "c1")
    shutil.copytree(bundle_folder() / "config" / "programmes", tmp_path / "config" / "programmes")
    file = folder / "cohort.yaml"
    file.write_text(file.read_text().replace("programme: t2d", "programme: type2_diabetes"))
    (tmp_path / "people.tsv").write_text(PEOPLE)
    return folder


def write(cohort: Path, content: object) -> Path:
    path = cohort.parents[2] / "export.json"
    path.write_text(json.dumps(content))
    return path


def add(cohort: Path, content: object, **options):
    people = cohort.parents[2] / "people.tsv"
    return add_measurements([write(cohort, content)], cohort, people=people, **options)


def test_values_are_counted_from_the_first_visit_and_labelled_by_visit(cohort):
    added = add(cohort, GOOD)
    assert added.by_quantity == {"body_mass_index": 1, "hba1c": 2}
    registration, _ = read_registration(cohort)
    found = {(item.donor_id, item.visit, item.day) for item in registration.measurements}
    assert found == {("d1", "T0", 0.3333), ("d1", "T1", 30.0), ("d2", "unknown", 0.0)}


def test_no_date_is_in_the_cohorts_folder_afterwards(cohort):
    add(cohort, [*GOOD["entry"][0].values(), data_point()])
    everything = "".join(path.read_text() for path in cohort.iterdir())
    assert not re.search(r"2024", everything)


def test_the_ngsp_scale_becomes_the_ifcc_scale_by_its_own_line(cohort):
    add(cohort, GOOD)
    registration, _ = read_registration(cohort)
    first = next(item for item in registration.measurements if item.loinc == "4548-4")
    assert (first.variable, first.unit) == ("hba1c", "mmol/mol")
    assert first.value == pytest.approx(10.93 * 7.1 - 23.5)
    assert (first.submitted_value, first.submitted_unit) == (7.1, "%")


def test_the_same_export_twice_adds_nothing(cohort):
    add(cohort, GOOD)
    before = (cohort / "measurements.tsv").read_bytes()
    again = add(cohort, GOOD)
    assert (again.n_added, again.n_known) == (0, 3)
    assert (cohort / "measurements.tsv").read_bytes() == before


def test_two_equal_values_of_a_moment_are_two(cohort):
    twice = [observation(), observation()]
    assert add(cohort, twice).n_added == 2
    assert add(cohort, twice).n_added == 0


def test_with_one_fault_nothing_is_written_and_all_are_named(cohort):
    bad = bundle(
        *(entry["resource"] for entry in GOOD["entry"]),
        observation(value=3100),
        observation(subject="Patient/11"),
        observation("62238-1", 80, "mL/min"),
    )
    with pytest.raises(FaultsError, match="3 faults") as error:
        add(cohort, bad)
    told = str(error.value)
    assert "body_mass_index must be from 8 to 100 kg/m2" in told
    assert "Did you mean 'Patient/1'?" in told
    assert "annotations" in told
    assert not (cohort / "measurements.tsv").exists()


def test_dates_of_people_may_not_lie_in_the_cohorts_folder(cohort):
    inside = cohort / "people.tsv"
    inside.write_text(PEOPLE)
    with pytest.raises(UsageError, match="outside the cohort's folder"):
        add_measurements([write(cohort, GOOD)], cohort, people=inside)


def test_the_command_tells_what_it_did_and_fails_with_3(cohort, capsys, monkeypatch):
    monkeypatch.chdir(cohort.parents[2])
    call = ["measurements", "export.json", "--cohort", str(cohort), "--people", "people.tsv"]
    write(cohort, GOOD)
    assert main(call) == 0
    assert "3 values added" in capsys.readouterr().out
    write(cohort, observation(unit="kg"))
    assert main(call) == 3
    assert "must be a unit that can become kg/m2" in capsys.readouterr().err
