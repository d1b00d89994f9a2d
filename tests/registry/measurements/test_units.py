"""UCUM units: what is one, and what must not become another although a converter would do it."""

import pytest

from pmcell.registry.measurements.loinc import check_digit, loinc_problem
from pmcell.registry.measurements.units import UnitError, convert, line_between, unit_problem


@pytest.mark.parametrize(
    ("value", "unit", "target", "molar_mass", "wanted"),
    [
        (126, "mg/dL", "mmol/L", 180.156, 6.99394),
        (1.0, "mg/dL", "umol/L", 113.12, 88.4017),
        (120, "mm[Hg]", "kPa", None, 15.9987),
        (98.6, "[degF]", "Cel", None, 37.0),
        (4.2, "10*9/L", "10*3/uL", None, 4.2),
        (3.4, "mg/mmol", "mg/g", 113.12, 30.0566),
        (7.5, "{score}", "{score}", None, 7.5),
    ],
)
def test_values_become_those_of_the_other_unit(value, unit, target, molar_mass, wanted):
    found = convert(value, unit=unit, target=target, molar_mass=molar_mass)
    assert found == pytest.approx(wanted, rel=1e-5)


@pytest.mark.parametrize(
    ("unit", "target", "why"),
    [
        ("mmol/mol", "%", "ratios of different things"),
        ("mg/g", "%", "ratios of different things"),
        ("mL/min", "mL/min/{1.73_m2}", "annotations"),
        ("{score}", "1", "annotations"),
        ("mg/dL", "mmol/L", "molar mass"),
        ("[iU]/L", "U/L", "other kinds"),
        ("K/uL", "10*9/L", "other kinds"),
        ("mmHg", "kPa", "no UCUM unit"),
    ],
)
def test_what_is_not_the_same_to_a_clinician_is_refused(unit, target, why):
    with pytest.raises(UnitError, match=why):
        line_between(unit, target, None)


@pytest.mark.parametrize("unit", ["", "mmHg", "bpm", "mg / dL", "°C", "mg/", "(" * 50, "a" * 100])
def test_a_text_that_is_no_unit_is_told(unit):
    assert unit_problem(unit)


def test_check_digits_are_those_of_published_codes():
    codes = ["2160-0", "4548-4", "718-7", "8867-4", "33762-6", "85354-9", "100856-4", "3141-9"]
    assert [loinc_problem(code) for code in codes] == [""] * len(codes)


def test_one_wrong_digit_is_found_by_the_check_digit():
    for code in ("59261-8", "8480-6"):
        number, digit = code.split("-")
        for place in range(len(number)):
            for other in set("0123456789") - {number[place]}:
                wrong = number[:place] + other + number[place + 1 :]
                assert check_digit(wrong) != int(digit), wrong
