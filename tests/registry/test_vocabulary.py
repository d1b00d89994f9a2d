"""Region codes are judged by form and country."""

from __future__ import annotations

import pytest

from pmcell.registry.vocabulary import region_problem
from pmcell.spelling import did_you_mean, nearest


@pytest.mark.parametrize(
    "code", ["NL2", "BE2", "ITH5", "NL", "EL30", "US-MD", "AU-TAS", "CH01", "US"]
)
def test_a_region_code_is_accepted(code):
    assert region_problem(code) == ""


@pytest.mark.parametrize(
    ("code", "problem"),
    [
        ("NL-GE", "give the NUTS code"),
        ("GR30", "Greece is EL"),
        ("XX-12", "not an ISO 3166-1"),
        ("USA", "has no NUTS regions"),
        ("Utrecht", "neither NUTS"),
        ("nl2", "neither NUTS"),
        ("ZZ", "not a country code"),
    ],
)
def test_a_wrong_region_code_is_explained(code, problem):
    assert problem in region_problem(code)


def test_the_nearest_choice_is_offered_in_its_own_spelling():
    assert nearest("cc-by-4", ["CC-BY-4.0", "MIT"]) == "CC-BY-4.0"
    assert did_you_mean("opne", ["open", "controlled"]) == "Did you mean 'open'?"
    assert did_you_mean("zzz", ["open"]) == ""
