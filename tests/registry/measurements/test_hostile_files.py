"""Files of clinics and phones that are endless or hostile: bounded, and never a traceback."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from observations import bundle, observation, quantity
from pmcell.errors import MAX_SHOWN, FaultsError
from pmcell.registry.measurements import fhir, reading, units
from pmcell.registry.measurements.files import read_files


def read(tmp_path: Path, content: object):
    path = tmp_path / "a.json"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        path.write_text(content if isinstance(content, str) else json.dumps(content))
    return read_files([path])


def nested(depth: int) -> str:
    head = '{"resourceType": "Bundle", "entry": [{"resource": '
    return head * depth + json.dumps(observation()) + "}]}" * depth


@pytest.mark.parametrize("depth", [fhir.MAX_BUNDLES + 1, 200, 3000, 100_000])
def test_bundles_within_bundles_end_in_a_fault(tmp_path, depth):
    (fault,) = read(tmp_path, nested(depth)).faults
    assert "at most 10 others" in fault.must or "must be JSON" in fault.must
    assert fault.fix


def test_as_many_bundles_as_are_allowed_are_read(tmp_path):
    found = read(tmp_path, nested(fhir.MAX_BUNDLES))
    assert len(found.readings) == 1
    assert not found.faults


@pytest.mark.parametrize("entry", [{}, observation(status="fnal"), {"resource": []}, 7, None])
def test_a_bundle_of_faults_is_not_read_to_its_end(tmp_path, entry):
    made = {"resourceType": "Bundle", "entry": [{"resource": entry}] * 20_000}
    found = read(tmp_path, made)
    assert len(found.faults) == reading.MAX_FAULTS + 2
    assert found.faults[-1].must == "must have at most 500 faults"


def test_the_second_file_has_its_own_number_of_faults(tmp_path):
    paths = [tmp_path / name for name in ("a.json", "b.json")]
    for path in paths:
        path.write_text(json.dumps([{}] * 400))
    found = read_files(paths)
    assert len(found.faults) == 800


def test_endless_units_are_not_all_parsed(tmp_path, monkeypatch):
    asked = []
    own = units.unit_problem
    monkeypatch.setattr(units, "unit_problem", lambda unit: asked.append(unit) or own(unit))
    made = [observation(valueQuantity=quantity(1, f"{at}.mL")) for at in range(1, 700)]
    found = read(tmp_path, bundle(*made))
    assert len(asked) == units.MAX_UNITS
    assert "more than 500 different units" in found.faults[0].found
    assert len(found.readings) == units.MAX_UNITS


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("NaN", "NaN"),
        ("-Infinity", "Infinity"),
        ("1e999", "beyond all numbers"),
        ("1" + "0" * 400, "finite number"),
        ("1" + "0" * 5000, "must be JSON"),
        ('"7.1"', "finite number"),
        ("true", "finite number"),
        ("null", "finite number"),
        ("[7]", "finite number"),
    ],
)
def test_what_is_no_number_is_a_fault(tmp_path, value, said):
    text = json.dumps(observation(valueQuantity=quantity(123456, "kg/m2")))
    found = read(tmp_path, text.replace("123456", value))
    assert not found.readings
    assert said in f"{found.faults[0].must} {found.faults[0].found}"


@pytest.mark.parametrize(
    "moment",
    ["0000-01-01", "2024-02-30", "2024-13-01T00:00", "20240331", "2024-03-31T25:00", 20240331, []],
)
def test_what_is_no_moment_is_a_fault(tmp_path, moment):
    (fault,) = read(tmp_path, observation(effectiveDateTime=moment)).faults
    assert "day or time" in fault.must


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (json.dumps(observation()).encode("utf-16"), "UTF-8"),
        (b"\xef\xbb\xbf" + json.dumps(observation()).encode(), ""),
        (b"\x1f\x8b" + bytes(50), "UTF-8"),
        (b"", "JSON"),
        (bytes(100), "JSON"),
        (b'{"resourceType": "Observation", "resourceType": "Bundle"}', "twice"),
        (b"[" * 200_000, "JSON"),
        (b'{"a":' * 200_000, "JSON"),
    ],
)
def test_encodings_and_broken_json_are_named(tmp_path, content, said):
    found = read(tmp_path, content)
    if not said:
        assert len(found.readings) == 1
        return
    assert said in f"{found.faults[0].must} {found.faults[0].found}"


@pytest.mark.parametrize("line_end", ["\u2028", "\x85"])
def test_lines_end_at_line_feeds_only(tmp_path, line_end):
    note = observation(note=[{"text": f"first{line_end}second"}])
    text = "\n".join(json.dumps(note, ensure_ascii=False) for _ in range(3))
    assert len(read(tmp_path, text).readings) == 3


@pytest.mark.parametrize(
    "node",
    [
        {"resourceType": "Observation", "status": {}},
        observation(code=[]),
        observation(code={"coding": [None, 7, {"system": "http://loinc.org", "code": {}}]}),
        observation(subject=[]),
        observation(component={"a": 1}),
        observation(performer=[None, {"reference": 7}], device=[]),
        observation(valueQuantity=[]),
        observation(valueQuantity={"value": 1, "system": "http://unitsofmeasure.org", "code": 7}),
        {"header": [], "body": 7},
        {"header": {"schema_id": []}, "body": {}},
    ],
)
def test_wrong_types_are_faults_or_left_out_but_never_a_crash(tmp_path, node):
    found = read(tmp_path, node)
    assert found.faults or found.left_out or found.readings


def test_a_message_lists_as_many_faults_as_can_be_read():
    faults = [reading.Place("a", str(at)).fault("must", "found", "fix") for at in range(900)]
    error = FaultsError(faults)
    assert len(error.faults) == 900
    assert str(error).startswith("900 faults")
    assert str(error).count("\n") == MAX_SHOWN + 1
    assert "and 400 more" in str(error)
