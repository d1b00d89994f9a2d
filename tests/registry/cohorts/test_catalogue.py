"""What a catalogue's record must say is asked for by access, with its meaning, all at once."""

from __future__ import annotations

import csv
import os
import re
from pathlib import Path

import pytest
import yaml

from cohorts_on_disk import write_cohort
from pmcell.registry.cohorts.catalogue import NO_BODY, catalogue_facts, missing_metadata
from pmcell.registry.cohorts.catalogue_keys import CATALOGUE_KEYS
from pmcell.registry.cohorts.cohort import find_faults, load_registration
from pmcell.registry.cohorts.cohort_file import meaning
from pmcell.registry.intake.check import check_cohort
from pmcell.registry.intake.facts import facts_at_least
from pmcell.registry.terms.health_terms import LABELS
from pmcell.registry.terms.vocabulary import DUO, DUO_CODES

WHOLE = """\
description: Blood of people.
contact: {name: Desk, email: desk@example.org}
hdab: {name: Body, url: 'https://example.org/hdab'}
custodian: {name: Holder, email: holder@example.org}
keywords: [blood]
provenance: Venous blood.
health_categories: [HPML, RQSH]
health_themes: [LIFECOURSE_HEALTH]
population_coverage: Adults of one city.
minimum_typical_age: 30
maximum_typical_age: 88
temporal_coverage: {start: 2019, end: 2020-11}
retention_period: {start: 2024-01-01, end: 2035-12-31}
legal_basis_terms: [eu-gdpr:A9-2-j]
purpose_terms: [eu-ehds:HealthcareScientificResearch]
personal_data: [pd:AgeRange]
languages: [ENG]
"""
NEEDED = {
    "open": [],
    "registered": ["hdab.name", "hdab.email", "description"],
    "controlled": [
        "hdab.name",
        "hdab.email",
        "description",
        "contact.email",
        "keywords",
        "provenance",
    ],
}


def cohort(tmp_path, access, text=""):
    folder = write_cohort(tmp_path / "cohorts" / "c1", access=access)
    with (folder / "cohort.yaml").open("a") as stream:
        stream.write(text)
    return folder


def missing(folder, severity="error"):
    check = check_cohort(folder, with_matrix=False)
    return [fault for fault in check.faults if fault.severity == severity]


@pytest.mark.parametrize("access", NEEDED)
def test_each_access_asks_for_its_list_at_once(tmp_path, access):
    found = missing(cohort(tmp_path, access))
    assert [fault.column for fault in found] == NEEDED[access]
    assert all("It is: " in fault.fix and access in fault.must for fault in found)


@pytest.mark.parametrize("access", NEEDED)
def test_a_whole_registration_lacks_nothing(tmp_path, access):
    folder = cohort(tmp_path, access, WHOLE)
    assert missing(folder) == []
    assert [f.column for f in missing(folder, "warning") if f.reason == "catalogue"] == []


def test_a_cohort_without_metadata_can_still_be_analysed(tmp_path):
    folder = cohort(tmp_path, "controlled")
    assert load_registration(folder).catalogue == {}
    assert all(fault.severity == "warning" for fault in find_faults(folder))


@pytest.mark.parametrize(("name", "is_asked"), [(NO_BODY, False), ("A body", True)])
def test_where_no_body_decides_nobody_asks_how_it_is_reached(tmp_path, name, is_asked):
    folder = cohort(tmp_path, "open", f"hdab: {{name: '{name}'}}\n")
    columns = [fault.column for fault in missing(folder, "warning")]
    assert ("hdab.email" in columns) == is_asked


def test_what_is_missing_is_named_beside_all_other_faults(tmp_path):
    folder = cohort(tmp_path, "controlled", "minimum_typical_age: old\n")
    path = folder / "cohort.yaml"
    path.write_text(path.read_text().replace("region: NL32", "region: NL-UT"))
    columns = {fault.column for fault in missing(folder)}
    assert {"region", "minimum_typical_age", "hdab.name", "provenance"} <= columns


def test_unknown_is_not_an_answer_to_what_must_be_given(tmp_path):
    folder = cohort(tmp_path, "controlled", WHOLE.replace("[blood]", "[unknown]"))
    (fault,) = missing(folder)
    assert (fault.column, fault.found) == ("keywords", "['unknown']")
    assert fault.row is not None


@pytest.mark.parametrize(
    ("old", "new", "column", "said"),
    [
        ("[HPML, RQSH]", "[RQHS]", "health_categories[0]", "RQSH (research cohorts"),
        ("[LIFECOURSE_HEALTH]", "LIFECOURSE_HEALTH", "health_themes", "must be a list"),
        ("[eu-gdpr:A9-2-j]", "[Art. 9]", "legal_basis_terms[0]", "eu-gdpr:A9-2-j (Art 9(2-j)"),
        ("desk@example.org", "desk", "contact.email", "Address of the contact point"),
        ("start: 2019", "start: last spring", "temporal_coverage.start", "year, month or day"),
        ("[ENG]", "[English]", "languages[0]", "EU Vocabularies"),
        ("age: 30", "age: 90", "minimum_typical_age", "must not be above maximum"),
        ("end: 2035-12-31", "end: 2023", "retention_period.start", "must not be after"),
        ("name: Body, ", "", "hdab.name", "must be given beside hdab.url"),
    ],
)
def test_a_wrong_value_is_a_fault_that_tells_the_right_ones(tmp_path, old, new, column, said):
    assert old in WHOLE
    folder = cohort(tmp_path, "open", WHOLE.replace(old, new))
    (fault,) = [fault for fault in find_faults(folder) if fault.severity == "error"]
    assert fault.column == column
    assert said in str(fault)


def test_facts_hold_only_what_was_supplied_and_intake_knows_the_same(tmp_path):
    text = "keywords: [blood, unknown]\nhdab: {name: unknown}\nlanguages: [unknown]\n"
    folder = cohort(tmp_path, "open", text)
    registration = load_registration(folder)
    assert registration.catalogue == {"keywords": ["blood"]}
    assert facts_at_least(folder)["catalogue"] == registration.facts()["catalogue"]


def test_facts_ask_for_the_same_as_the_file_they_were_made_from(tmp_path):
    folder = cohort(tmp_path, "controlled", "keywords: [blood]\n")
    facts = load_registration(folder).facts()
    asked = missing_metadata({**facts, **facts["catalogue"]}, meaning)
    errors = [fault.column for fault in asked if fault.severity == "error"]
    assert errors == [fault.column for fault in missing(folder)]


def test_every_code_has_a_meaning_and_every_key_can_be_given():
    whole = yaml.safe_load(WHOLE)
    assert set(catalogue_facts(whole)) <= {key.path.split(".")[0] for key in CATALOGUE_KEYS}
    for key in CATALOGUE_KEYS:
        if key.choices:
            assert tuple(LABELS[key.path]) == key.choices
        assert meaning(key.path).startswith(key.prose)


VOCABULARIES = Path(os.environ.get("PMCELL_VOCABULARIES", "vocabularies"))


@pytest.mark.skipif(
    not VOCABULARIES.is_dir(), reason="PMCELL_VOCABULARIES names no folder with duo.csv and dpv-2.3"
)
def test_our_tables_of_terms_say_what_their_sources_say():
    rows = csv.DictReader((VOCABULARIES / "duo.csv").read_text().splitlines())
    duo = {row["id"]: row for row in rows}
    assert {term: duo[term]["label"] for term in DUO} == DUO
    assert {duo[term]["shorthand"]: term for term in DUO} == DUO_CODES
    text = "\n\n".join(
        path.read_text() for path in sorted((VOCABULARIES / "dpv-2.3").glob("*.ttl"))
    )
    blocks = {block.split(" a ")[0]: block for block in text.split("\n\n")}
    for key in ("legal_basis_terms", "purpose_terms", "personal_data"):
        for code, label in LABELS[key].items():
            assert re.search(rf'prefLabel "{re.escape(label)}"@en', blocks[code]), code
