"""Readings of FHIR R4 and phone files: every value once, every fault with its place."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path

import pytest

from observations import bundle, data_point, observation, quantity
from pmcell.registry.measurements.files import read_files


def read(tmp_path: Path, content: object, name: str = "a.json"):
    path = tmp_path / name
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return read_files([path])


def test_one_observation_a_bundle_a_list_and_lines_say_the_same(tmp_path):
    one = observation()
    forms = [one, bundle(one), [one], json.dumps(one) + "\n" + json.dumps(one), bundle(bundle(one))]
    for form in forms:
        found = read(tmp_path, form)
        assert not found.faults
        assert {(item.loinc, item.value, item.unit) for item in found.readings} == {
            ("39156-5", 31.2, "kg/m2")
        }


@pytest.mark.parametrize("kind", ["fhir", "phone"])
def test_an_entry_that_is_there_twice_by_its_id_is_read_once(tmp_path, kind):
    if kind == "fhir":
        one, other = observation(id="a"), observation(id="a", meta={"versionId": "2"})
    else:
        one, other = data_point(), data_point()
        one["header"]["id"] = other["header"]["id"] = "a"
    found = read(tmp_path, [one, other])
    assert len(found.readings) == 1
    assert not found.faults
    assert found.left_out == {"an entry that is there already, by its id": 1}


def test_two_versions_of_an_entry_are_a_fault_and_other_peoples_are_not(tmp_path):
    final, amended = observation(id="a"), observation(id="a", value=30.0, status="amended")
    found = read(tmp_path, bundle(final, amended))
    assert [fault.column for fault in found.faults] == ["entry[1].resource.id"]
    assert "must be there in one version" in found.faults[0].must
    away = observation(id="a", status="entered-in-error")
    assert len(read(tmp_path, bundle(away, amended)).readings) == 1
    assert not read(tmp_path, bundle(final, observation(id="a", subject="Patient/2"))).faults


def test_components_are_values_of_their_own(tmp_path):
    parts = [
        {"code": observation(code)["code"], "valueQuantity": quantity(value, "mm[Hg]")}
        for code, value in (("8480-6", 130), ("8462-4", 80))
    ]
    panel = observation("85354-9", component=parts)
    del panel["valueQuantity"]
    found = read(tmp_path, panel)
    assert [(item.loinc, item.value) for item in found.readings] == [
        ("8480-6", 130),
        ("8462-4", 80),
    ]
    assert found.readings[1].path == "component[1].valueQuantity"


@pytest.mark.parametrize(
    ("more", "source"),
    [
        ({"device": {"reference": "Device/1"}}, "device"),
        ({"performer": [{"reference": "Patient/1"}]}, "person"),
        ({"performer": [{"reference": "https://a.org/fhir/Organization/1"}]}, "clinic"),
        ({"category": [{"coding": [{"code": "laboratory"}]}]}, "clinic"),
        ({}, "unknown"),
    ],
)
def test_who_made_a_value_is_taken_from_the_resource_or_unknown(tmp_path, more, source):
    assert read(tmp_path, observation(**more)).readings[0].source == source


def test_what_is_no_result_is_counted_not_read(tmp_path):
    absent = observation(dataAbsentReason={"text": "not done"})
    del absent["valueQuantity"]
    entries = [observation(status="entered-in-error"), absent, {"resourceType": "Patient"}]
    found = read(tmp_path, bundle(*entries))
    assert not found.readings
    assert not found.faults
    assert sum(found.left_out.values()) == 3


BAD = {
    "status": observation(status="finale"),
    "effectiveDateTime": observation(when="2024-03"),
    "code.coding": observation("39156-6"),
    "valueQuantity.code": observation(unit="kg/sqm"),
    "valueQuantity.value": observation(value="31"),
    "valueQuantity.comparator": observation(valueQuantity=quantity(1, "kg/m2", comparator="about")),
}


def test_all_faults_of_a_file_are_named_at_once_with_their_path(tmp_path):
    found = read(tmp_path, bundle(*BAD.values()))
    places = [str(fault.column).split("resource.")[1] for fault in found.faults]
    assert places == list(BAD)


def test_a_printed_unit_without_a_code_is_not_guessed_from(tmp_path):
    found = read(tmp_path, observation(valueQuantity={"value": 5.4, "unit": "mmol/L"}))
    assert "a printed unit is not guessed from" in found.faults[0].fix


def test_a_data_point_of_a_phone_is_a_reading_of_its_own_clock(tmp_path):
    (reading,) = read(tmp_path, data_point()).readings
    assert (reading.loinc, reading.value, reading.unit) == ("2339-0", 95, "mg/dL")
    assert (reading.source, reading.subject) == ("device", "joe")
    assert reading.when == datetime(2024, 3, 2, 7, 30)


def test_a_schema_or_unit_that_has_no_code_here_is_a_fault(tmp_path):
    points = [
        data_point("blood-glucos"),
        data_point(body={"blood_glucose": {"value": 95, "unit": "mg/dl"}}),
    ]
    fixes = [fault.fix for fault in read(tmp_path, points).faults]
    assert fixes == ["Did you mean 'blood-glucose'?", "Did you mean 'mg/dL'?"]


@pytest.mark.parametrize(
    "text",
    [
        "{",
        '{"a": NaN}',
        '{"a": 1e999}',
        '{"a": 1, "a": 2}',
        "[" * 100_000,
        "\ud800".encode("utf-8", "surrogatepass").decode("latin-1"),
        "",
        "[1]",
        '"text"',
    ],
)
def test_what_is_no_json_of_ours_is_a_fault_not_a_crash(tmp_path, text):
    found = read(tmp_path, text)
    assert not found.readings
    assert found.faults


def test_a_line_that_is_cut_short_is_named_by_its_number(tmp_path):
    line = json.dumps(observation())
    found = read(tmp_path, f"{line}\n{line[:40]}\n{line}\n", "a.ndjson")
    assert len(found.readings) == 2
    assert [fault.row for fault in found.faults] == [2]
