"""The verdict on strata: one contract for who writes, reads and redacts strata.json."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

import pmcell as pm
from made_release import make_frames, make_strata
from pmcell.errors import DataError, FaultsError
from pmcell.io.verdict import read_verdict, write_verdict
from pmcell.registry.cohorts.json_schema import data_schemas
from pmcell.schema.documents import facts_of
from pmcell.schema.verdict import MEANING, Existence, Verdict, keys_that_tell

MINIMAL = {"decision": "continuum", "why": "as clear"}


@pytest.fixture(scope="module")
def written() -> dict[str, object]:
    """What the strata step says of a few donors."""
    cells = pm.simulate.simulate_latent(n_donors=24, cells_per_donor=120, n_types=3, seed=2)
    donors = pm.strata.profile(cells)
    pm.strata.distances(donors, channels="all")
    pm.strata.cluster(donors, n_bootstraps=3)
    pm.strata.existence(donors, n_null=19)
    pm.strata.generalise(donors)
    pm.strata.associate(donors, n_permutations=99)
    pm.strata.adjusted_strata(donors, adjust_for=("batch_id",))
    return pm.strata.summary(donors)


def test_what_the_step_writes_is_read_back_bit_for_bit(
    written: dict[str, object], tmp_path: Path
) -> None:
    for value in (written, make_strata(make_frames(**SMALL), published=True), MINIMAL):
        write_verdict(tmp_path / "strata.json", Verdict.from_json(value))
        assert json.loads((tmp_path / "strata.json").read_text()) == value
        before = (tmp_path / "strata.json").read_bytes()
        write_verdict(tmp_path / "strata.json", read_verdict(tmp_path / "strata.json"))
        assert (tmp_path / "strata.json").read_bytes() == before


SMALL = {"n_cells": 300, "n_donors": 12, "published": True, "seed": 1}


def test_the_shipped_json_schema_accepts_what_the_code_accepts_and_no_more(
    written: dict[str, object],
) -> None:
    check = Draft202012Validator(data_schemas()["strata"])
    assert not list(check.iter_errors(written))
    assert not list(check.iter_errors(MINIMAL))
    for broken in (
        {"why": ""},
        {**MINIMAL, "reason": "x"},
        {**MINIMAL, "n_donors": "many"},
        {**MINIMAL, "existence": {"p_value": 0.1}},
    ):
        assert list(check.iter_errors(broken))
        with pytest.raises(FaultsError, match=r"strata\.json"):
            Verdict.from_json(broken)


def test_null_is_a_number_that_does_not_exist_and_absent_is_not_told() -> None:
    told = Verdict.from_json({**MINIMAL, "existence": {"p": None}})
    assert told.existence is not None
    assert math.isnan(told.existence.p or 0.0)
    assert told.existence.statistic is None
    assert told.as_json()["existence"] == {"p": None}
    assert Verdict("strata", "", existence=Existence()).as_json()["existence"] == {}


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"why": ""}, r"'decision': must be there; found no such key"),
        ({**MINIMAL, "exsitence": {}}, r"the key 'exsitence'\. Did you mean 'existence'\?"),
        ({**MINIMAL, "existence": {"p": "small"}}, r"'existence\.p': must be a number or null"),
        ({**MINIMAL, "n_donors": True}, r"'n_donors': must be an integer; found True"),
        ({**MINIMAL, "n_donors": 1.5}, r"'n_donors': must be an integer; found 1\.5"),
        ({**MINIMAL, "n_donors": None}, r"'n_donors': must be an integer; found None"),
        ({**MINIMAL, "warnings": "one"}, r"'warnings': must be an array; found 'one'"),
        ({**MINIMAL, "warnings": [1]}, r"'warnings\[0\]': must be a string; found 1"),
        ({**MINIMAL, "channels": {"a": 1}}, r"'channels\.a': must be an object; found 1"),
        ([], "must be an object"),
    ],
)
def test_a_fault_names_its_key_what_must_hold_and_what_was_found(
    value: object, message: str
) -> None:
    with pytest.raises(FaultsError, match=message):
        Verdict.from_json(value)


def test_all_faults_of_a_file_are_told_at_once(tmp_path: Path) -> None:
    path = tmp_path / "strata.json"
    path.write_text(json.dumps({"why": 3, "existence": {"k": "x", "pp": 1}}))
    with pytest.raises(FaultsError, match="4 faults") as caught:
        read_verdict(path)
    assert {fault.file for fault in caught.value.faults} == {str(path)}
    path.write_text("half a fi")
    with pytest.raises(DataError, match=r"strata\.json must be JSON"):
        read_verdict(path)


def test_every_key_has_a_sentence_and_a_class() -> None:
    facts = list(facts_of(Verdict))
    assert len({path for path, _, _ in facts}) == len(facts) > 80
    for path, prose, tells in facts:
        assert prose.endswith("."), path
        assert tells in MEANING, path
    assert keys_that_tell("donors") == {"n_donors"}
    assert "stability" in keys_that_tell("counts")
