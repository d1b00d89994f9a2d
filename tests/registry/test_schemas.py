"""The schemas in config/schemas are those that the code makes; the programmes are sound."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from pmcell.errors import FaultsError
from pmcell.registry.cohorts.json_schema import data_schemas
from pmcell.registry.cohorts.programmes import load_programmes, programme_of
from pmcell.registry.terms.rules import check_term
from pmcell.settings.json_schema import config_schema

CONFIG = Path(__file__).parents[2] / "config"


SCHEMAS = {**data_schemas(), "config": config_schema()}


@pytest.mark.parametrize("name", sorted(SCHEMAS))
def test_the_checked_in_schema_is_the_one_the_code_makes(name):
    schema = SCHEMAS[name]
    Draft202012Validator.check_schema(schema)
    path = CONFIG / "schemas" / f"{name}.schema.json"
    assert json.loads(path.read_text()) == schema, "run: python scripts/export_schemas.py"


def test_every_programme_names_terms_a_donor_may_have():
    programmes = load_programmes(CONFIG / "programmes")
    assert "type2_diabetes" in [programme.programme_id for programme in programmes]
    for programme in programmes:
        assert programme.title
        assert programme.description
        for term in programme.diseases:
            assert check_term(term, "disease_ontology_term_id", file=programme.programme_id) is None


@pytest.mark.parametrize(
    ("diseases", "programme"),
    [
        ({"MONDO:0005148", "PATO:0000461"}, "type2_diabetes"),
        ({"MONDO:0100096"}, "covid19"),
        ({"PATO:0000461"}, "healthy"),
        ({"MONDO:0005252"}, "cardiovascular"),
        (set(), None),
    ],
)
def test_diseases_tell_the_programme(diseases, programme):
    assert programme_of(diseases, load_programmes(CONFIG / "programmes")) == programme


def test_a_programme_without_terms_is_named(tmp_path):
    (tmp_path / "x.yaml").write_text("id: y\n")
    with pytest.raises(FaultsError, match=r"x\.yaml, line 1: must have disease_ontology_term_ids"):
        load_programmes(tmp_path)
