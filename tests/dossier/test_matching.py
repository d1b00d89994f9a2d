"""Who a person is compared with."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd
import pytest

from dossier.made_people import FEMALE, MALE, NORMAL
from pmcell.dossier.matching import Likeness, age_band, choose_group, first_visits

PERSON = Likeness("a:me", "UBERON:0000178", "cell", "30-39 years", FEMALE)


def people(n_women: int, n_men: int, **other: str) -> pd.DataFrame:
    rows = [
        {
            "donor_id": f"a:{n}", "visit": "T0", "cohort_id": "a", "organ": "UBERON:0000178",
            "suspension_type": "cell", "age": "30-39 years", "disease_ontology_term_id": NORMAL,
            "sex_ontology_term_id": FEMALE if n < n_women else MALE,
        } | other
        for n in range(n_women + n_men)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def used(group) -> dict[str, bool]:
    return {step.what: step.used for step in group.steps}


def test_age_and_sex_are_matched_where_enough_people_are_left() -> None:
    rows, group = choose_group(people(12, 5), PERSON, least=10)
    assert len(rows) == group.n == 12
    assert all(used(group).values())
    assert group.in_words == "people of female sex of age 30-39 years without a known disease"


def test_sex_is_given_up_and_said_when_too_few_would_be_left() -> None:
    rows, group = choose_group(people(9, 5), PERSON, least=10)
    assert len(rows) == group.n == 14
    assert used(group) == {
        "tissue": True, "suspension": True, "condition": True, "age": True, "sex": False,
    }  # fmt: skip
    (sex,) = [step for step in group.steps if step.what == "sex"]
    assert sex.why == "fewer than 10 people would be left"
    assert sex.n == 14, "of the group that was too small not even its size is told"


def test_unknown_age_and_sex_are_not_matched() -> None:
    person = replace(PERSON, age="unknown", sex="unknown")
    rows, group = choose_group(people(6, 6, age="unknown"), person, least=10)
    assert len(rows) == 12
    assert not used(group)["age"]
    assert not used(group)["sex"]
    assert group.in_words == "people without a known disease"


def test_nobody_is_compared_with_a_person_of_unknown_tissue() -> None:
    rows, group = choose_group(people(30, 0), replace(PERSON, tissue="unknown"), least=10)
    assert len(rows) == group.n == 0
    assert group.cohorts == ()


@pytest.mark.parametrize(
    "other",
    [
        {"organ": "UBERON:0002048"},
        {"suspension_type": "nucleus"},
        {"disease_ontology_term_id": "MONDO:0100096"},
        {"disease_ontology_term_id": "unknown"},
    ],
)
def test_other_tissues_nuclei_and_diseases_are_never_compared_with(other) -> None:
    rows, _ = choose_group(people(30, 0, **other), PERSON, least=10)
    assert rows.empty


def test_the_person_is_not_in_the_group() -> None:
    rows, group = choose_group(people(12, 0), replace(PERSON, donor_id="a:3"), least=10)
    assert group.n == 11
    assert "a:3" not in set(rows["donor_id"])


def test_cohorts_of_a_group_that_is_too_small_are_not_named() -> None:
    assert choose_group(people(9, 0), PERSON, least=10)[1].cohorts == ()
    assert choose_group(people(10, 0), PERSON, least=10)[1].cohorts == ("a",)


def test_everyone_counts_once_at_the_first_day() -> None:
    donors = pd.DataFrame(
        {
            "donor_id": ["a:1", "a:2"], "cohort_id": "a", "sex_ontology_term_id": FEMALE,
            "development_stage_ontology_term_id": "unknown", "age_group": "30-39",
            "disease_ontology_term_id": NORMAL,
        }
    )  # fmt: skip
    visits = pd.DataFrame(
        {
            "donor_id": ["a:1", "a:1", "a:2", "a:2"], "visit": ["late", "early", "one", "two"],
            "cohort_id": "a", "visit_day": [9.0, 0.0, float("nan"), float("nan")],
        }
    )  # fmt: skip
    samples = pd.DataFrame(
        {
            "donor_id": ["a:1", "a:1", "a:2"], "visit": ["late", "early", "one"],
            "tissue_ontology_term_id": ["UBERON:0000178", "UBERON:0013756", None],
            "suspension_type": "cell",
        }
    )  # fmt: skip
    rows = first_visits(donors, visits, samples).set_index("donor_id")
    assert rows["visit"].to_dict() == {"a:1": "early", "a:2": "one"}
    assert rows["organ"].to_dict() == {"a:1": "UBERON:0000178", "a:2": "unknown"}
    assert rows["age"].to_dict() == {"a:1": "30-39 years", "a:2": "30-39 years"}


@pytest.mark.parametrize(
    ("stage", "group", "band"),
    [
        ("HsapDv:0000107", "unknown", "10-19 years"),
        ("HsapDv:0000230", ">60", "100-109 years"),
        ("HsapDv:0000258", "<60", "<60"),
        ("unknown", "30-39", "30-39 years"),
        ("unknown", "unknown", "unknown"),
    ],
)
def test_an_age_band_is_the_decade_or_the_cohorts_own_words(stage, group, band) -> None:
    assert age_band(stage, group) == band
