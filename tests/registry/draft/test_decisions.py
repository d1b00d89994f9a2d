"""What a draft leaves open is decided by value, and answers are kept."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from pmcell.errors import FaultsError, UsageError
from pmcell.registry.draft.answers import (
    apply_answers,
    match_answers,
    normalise_answer,
    split_answer,
)
from pmcell.registry.draft.decisions import open_decisions
from pmcell.registry.draft.register import register_file
from steward_files import write_steward_file

PROGRAMMES = Path(__file__).parents[3] / "config/programmes"
KNOWN = {
    "title": "A title",
    "steward.name": "Ada",
    "license": "CC-BY-4.0",
    "region": "NL32",
    "access": "open",
    "data_use": "GRU",
    "defaults.assay_ontology_term_id": "10x 3' v3",
    "defaults.suspension_type": "cell",
    "sex[1]": "male",
    "sex[2]": "female",
    "cell_type[odd kind]": "unknown",
    "programme": "none",
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_steward_file(tmp_path / "in.h5ad")
    (tmp_path / "config/programmes").mkdir(parents=True)
    return register_file("in.h5ad", "c1", "config/cohorts").folder


def answer(folder, given):
    return apply_answers(folder, match_answers(open_decisions(folder), given))


def test_a_value_of_many_rows_is_one_decision(folder):
    found = {one.key: one for one in open_decisions(folder)}
    assert found["sex[1]"].seen == "2 donors"
    assert set(found) == set(KNOWN) | {"hdab.name"}


def test_answers_reach_every_row_and_nothing_is_left_open(folder):
    assert answer(folder, KNOWN) == []
    rows = [line.split("\t") for line in (folder / "donors.tsv").read_text().splitlines()]
    sexes = {row[0]: row[1] for row in rows[1:]}
    assert sexes["d1"] == sexes["d3"] == "PATO:0000384"
    assert sexes["d2"] == "PATO:0000383"
    text = (folder / "cohort.yaml").read_text()
    assert "odd kind: unknown" in text
    assert "data_use: [DUO:0000042]" in text
    assert "assay_ontology_term_id: EFO:0009922   # 10x 3' v3" in text


def test_open_access_answers_who_decides_on_access(folder):
    still = {one.key for one in answer(folder, {"access": "open"})}
    assert "hdab.name" not in still
    assert "None: the data are open" in (folder / "cohort.yaml").read_text()


def test_controlled_access_asks_for_what_its_catalogue_needs_and_unknown_is_no_answer(folder):
    still = {one.key: one for one in answer(folder, {"access": "controlled"})}
    assert "hdab.name" in still
    needed = {"hdab.email", "description", "contact.email", "keywords", "provenance"}
    assert needed <= set(still)
    assert not any(still[key].may_be_unknown for key in needed)
    given = {"hdab.email": "a@b.nl", "keywords": "blood, PBMC", "description": "What it is"}
    assert not set(given) & {one.key for one in answer(folder, given)}
    assert "keywords: [blood, PBMC]" in (folder / "cohort.yaml").read_text()


def test_answers_are_kept_and_may_be_given_anew(folder):
    answer(folder, {"region": "NL32"})
    assert "region" not in {one.key for one in answer(folder, {"title": "A title"})}
    answer(folder, {"region": "Oost-Nederland"})
    text = (folder / "cohort.yaml").read_text()
    assert "\nregion: NL2\n" in text
    assert "\ntitle: A title\n" in text


def test_one_wrong_answer_writes_none_and_all_are_named(folder):
    before = (folder / "cohort.yaml").read_text()
    with pytest.raises(
        FaultsError, match=r"2 faults[\s\S]*access[\s\S]*Did you mean 'open'"
    ) as error:
        answer(folder, {"title": "good", "access": "opne", "sex[1]": "mail"})
    assert {fault.column for fault in error.value.faults} == {"access", "sex[1]"}
    assert (folder / "cohort.yaml").read_text() == before


def test_a_key_that_is_not_open_is_refused_with_the_nearest(folder):
    with pytest.raises(FaultsError, match=r"Did you mean 'sex\["):
        match_answers(open_decisions(folder), {"sex[3]": "male"})


def test_a_key_may_hold_the_sign_of_the_answer():
    assert split_answer("cell_type[a=b]=B cell") == ("cell_type[a=b]", "B cell")
    with pytest.raises(UsageError, match="KEY=ANSWER"):
        split_answer("access")


@pytest.mark.parametrize(
    ("given", "owners"),
    [("each", ["s0", "s1"]), ("p9", ["p9", "p9"]), ("s0=a, s1=b", ["a", "b"])],
)
def test_who_the_samples_are_of_is_one_question(tmp_path, monkeypatch, given, owners):
    monkeypatch.chdir(tmp_path)
    write_steward_file(tmp_path / "in.h5ad", donor_id=[""] * 60, sample_id=["s0", "s1"] * 30)
    folder = register_file("in.h5ad", "c1", "config/cohorts").folder
    assert "donor_id" in {one.key for one in open_decisions(folder)}
    still = answer(folder, {"donor_id": given})
    assert "donor_id" not in {one.key for one in still}
    samples = (folder / "samples.tsv").read_text().splitlines()[1:]
    assert [row.split("\t")[1] for row in samples] == owners
    donors = (folder / "donors.tsv").read_text().splitlines()[1:]
    assert sorted(row.split("\t")[0] for row in donors) == sorted(set(owners))


def test_pooled_samples_become_one_a_donor_and_the_pool_their_batch(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pools = [f"pool{k % 4 // 2}" for k in range(60)]
    write_steward_file(tmp_path / "in.h5ad", sample_id=pools)
    registered = register_file("in.h5ad", "c1", "config/cohorts")
    assert any("several donors" in note for note in registered.notes)
    rows = (registered.folder / "samples.tsv").read_text().splitlines()
    assert [row.split("\t")[0] for row in rows[1:]] == ["d1", "d2", "d3", "d4"]
    assert "c1.pool0" in rows[1]


def test_a_column_that_a_person_names_is_taken_and_a_missing_one_is_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_steward_file(tmp_path / "in.h5ad", who=["x", "y"] * 30)
    given = {"donor_id": "who", "sample_id": "who"}
    seen = register_file("in.h5ad", "c1", "config/cohorts", given=given).seen
    assert seen["donors"] == ["x", "y"]
    with pytest.raises(UsageError, match=r"--donor must name a column.*Did you mean 'who'"):
        register_file("in.h5ad", "c2", "config/cohorts", given={"donor_id": "whoo"})


def test_a_column_that_is_the_same_for_all_is_listed_and_kept_of_nobody(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_steward_file(tmp_path / "in.h5ad", Aufbereitung=["Zellen"] * 60)
    seen = register_file("in.h5ad", "c1", "config/cohorts").seen
    assert "Aufbereitung (the same for all: Zellen)" in seen["unused"]
    assert seen["keepable"] == ["score"]


@pytest.mark.parametrize(
    ("diseases", "is_asked"), [(["healthy"], False), (["healthy", "a word of ours"], True)]
)
def test_controls_alone_do_not_make_a_programme_where_a_disease_is_open(
    tmp_path, monkeypatch, diseases, is_asked
):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(PROGRAMMES, tmp_path / "config/programmes")
    write_steward_file(tmp_path / "in.h5ad", disease=diseases * (60 // len(diseases)))
    folder = register_file("in.h5ad", "c1", "config/cohorts").folder
    assert ("programme" in {one.key for one in open_decisions(folder)}) == is_asked


def test_programmes_and_uses_are_offered_and_taken_as_they_are_shown(folder):
    (folder.parent.parent / "programmes/gout.yaml").write_text("id: gout\n", encoding="utf-8")
    by_key = {one.key: one for one in open_decisions(folder)}
    assert by_key["programme"].choices == ("gout", "none")
    uses = by_key["data_use"].choices
    assert normalise_answer(by_key["data_use"], uses[-1]) == "DUO:0000042"


def test_unused_columns_are_named_and_kept_when_asked(folder, tmp_path):
    registered = register_file("in.h5ad", "c2", "config/cohorts", keep=["score"])
    assert (registered.folder / "donors.tsv").read_text().splitlines()[1].endswith("\t7")
    seen = register_file("in.h5ad", "c3", "config/cohorts").seen
    assert seen["keepable"] == ["score"]
    with pytest.raises(UsageError, match=r"Did you mean 'score'"):
        register_file("in.h5ad", "c4", "config/cohorts", keep=["scor"])
