"""`pmcell map`: files in, three files out, refusals that say why."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from jsonschema import Draft202012Validator

from made_reference import (
    new_donors,
    people,
    reference,
    write_manifest,
    write_reference_release,
)
from pmcell.cli import main
from pmcell.cli.person.map import answer_of
from pmcell.cli.run._workflow import environment
from pmcell.io.atomic import read_json, sha256_file, write_json
from pmcell.schema.mapped import Mapped, StratumAnswer


@pytest.fixture(scope="module")
def release(tmp_path_factory):
    return write_reference_release(tmp_path_factory.mktemp("map") / "release", reference())


@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    path = tmp_path_factory.mktemp("samples") / "people.h5ad"
    people(new_donors()).write_h5ad(path)
    return path


def run(*arguments):
    return main(["map", *map(str, arguments)])


@pytest.fixture(scope="module")
def written(release, sample, tmp_path_factory):
    out = tmp_path_factory.mktemp("out") / "mapped"
    assert run(sample, "--release", release, "--out", out) == 0
    return out


def test_the_document_is_of_its_form_and_names_every_person(written):
    document = Mapped.from_json(read_json(written / "mapped.json"))
    assert [visit.donor_id for visit in document.visits] == new_donors()
    assert document.files[0].name == "people.h5ad"
    assert document.intended_use == "research use only"


def test_the_document_is_valid_under_the_schema_that_is_published(written):
    path = Path(__file__).parents[2] / "config" / "schemas" / "mapped.schema.json"
    check = Draft202012Validator(read_json(path))
    document = read_json(written / "mapped.json")
    assert not list(check.iter_errors(document))
    document["visits"][0]["labels"].pop("n_leaf")
    assert any("n_leaf" in fault.message for fault in check.iter_errors(document))


def test_the_tables_hold_every_cell(written):
    cells = pd.read_parquet(written / "cells.parquet")
    assert len(cells) == people(new_donors()).n_obs
    composition = pd.read_parquet(written / "composition.parquet")
    assert set(composition["donor_id"]) == set(new_donors())


def test_what_is_written_is_its_owners_alone(written):
    for path in written.iterdir():
        assert path.stat().st_mode & 0o077 == 0


def test_nothing_of_a_donor_of_the_reference_can_be_read_from_it(written):
    text = (written / "mapped.json").read_text(encoding="utf-8")
    donors = set(reference().donors.donors.obs["donor_id"])
    assert not [name for name in donors if name in text]


def test_files_of_any_split_give_the_same_tables(release, sample, written, tmp_path):
    whole = people(new_donors())
    parts = []
    for number in range(2):
        parts.append(tmp_path / f"part{number}.h5ad")
        whole[np.arange(whole.n_obs) % 2 == number].copy().write_h5ad(parts[-1])
    out = tmp_path / "out"
    assert run(*parts, "--release", release, "--out", out) == 0
    for name in ("cells.parquet", "composition.parquet"):
        assert sha256_file(out / name) == sha256_file(written / name)
    assert read_json(out / "mapped.json")["visits"] == read_json(written / "mapped.json")["visits"]


def refused(capsys, code, *arguments):
    assert run(*arguments) == code
    return " ".join(capsys.readouterr().err.split())


def test_log_values_are_refused_and_nothing_is_written(release, tmp_path, capsys):
    own = people(new_donors()[:1])
    own.X = np.log1p(own.X.toarray() / 3)
    own.write_h5ad(tmp_path / "log.h5ad")
    told = refused(
        capsys, 3, tmp_path / "log.h5ad", "--release", release, "--out", tmp_path / "out"
    )
    assert "must hold raw counts" in told
    assert not (tmp_path / "out").exists()


def test_samples_that_no_column_gives_to_people_are_taken_as_one_persons_and_it_is_said(
    release, tmp_path, capsys
):
    own = people(new_donors()[:2])
    n_samples = own.obs["sample_id"].nunique()
    own.obs = own.obs[["sample_id"]]
    own.write_h5ad(tmp_path / "own.h5ad")
    assert run(tmp_path / "own.h5ad", "--release", release, "--out", tmp_path / "out") == 0
    said = f"{n_samples} samples (sample_id) were taken as one person's"
    assert said in " ".join(capsys.readouterr().out.split())
    document = Mapped.from_json(read_json(tmp_path / "out" / "mapped.json"))
    assert document.files[0].notes[0].startswith(said)
    assert "--donor COLUMN" in document.files[0].notes[0]


def test_another_species_is_refused(release, tmp_path, capsys):
    own = people(new_donors()[:1])
    own.var_names = [f"ENSMUSG{number:011d}" for number in range(own.n_vars)]
    own.var = own.var[[]]
    own.write_h5ad(tmp_path / "mouse.h5ad")
    told = refused(
        capsys, 3, tmp_path / "mouse.h5ad", "--release", release, "--out", tmp_path / "out"
    )
    assert "genes must be human" in told
    assert "mouse" in told


def test_a_column_that_is_not_there_is_named_with_the_nearest(release, sample, tmp_path, capsys):
    told = refused(
        capsys,
        2,
        *(sample, "--release", release, "--out", tmp_path / "out", "--donor", "donor_ids"),
    )
    assert "'donor_ids'" in told
    assert "donor_id" in told


def test_a_file_that_is_not_there_is_named(release, tmp_path, capsys):
    told = refused(
        capsys, 2, tmp_path / "none.h5ad", "--release", release, "--out", tmp_path / "out"
    )
    assert "none.h5ad" in told


def test_a_reference_that_was_changed_is_refused(sample, tmp_path, capsys):
    folder = write_reference_release(tmp_path / "release", reference())
    with (folder / "reference" / "labels.npz").open("ab") as stream:
        stream.write(b"x")
    told = refused(capsys, 3, sample, "--release", folder, "--out", tmp_path / "out")
    assert "labels.npz must be the file that manifest.json names; it is another" in told


def test_a_release_with_withheld_cohorts_says_that_it_has_no_reference(sample, tmp_path, capsys):
    folder = tmp_path / "release"
    write_json(folder / "reference" / "reference.json", {"withheld_because_of": ["hidden"]})
    write_manifest(folder)
    told = refused(capsys, 2, sample, "--release", folder, "--out", tmp_path / "out")
    assert "cohorts without open access took part in it (hidden)" in told


def test_a_release_that_cannot_map_says_why(sample, tmp_path, capsys):
    folder = tmp_path / "release"
    why = "the release has several tissues; a reference is of one"
    write_json(folder / "reference" / "reference.json", {"cannot_map": why})
    write_manifest(folder)
    told = refused(capsys, 2, sample, "--release", folder, "--out", tmp_path / "out")
    assert why in told


def test_an_older_release_is_told_to_be_written_again(sample, tmp_path, capsys):
    folder = tmp_path / "release"
    write_json(folder / "reference" / "reference.json", {})
    write_manifest(folder)
    told = refused(capsys, 2, sample, "--release", folder, "--out", tmp_path / "out")
    assert "Write the release again" in told


def test_json_goes_to_the_output(release, sample, tmp_path, capsys):
    assert run(sample, "--release", release, "--out", tmp_path / "out", "--json") == 0
    assert json.loads(capsys.readouterr().out) == read_json(tmp_path / "out" / "mapped.json")


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Two files of a person each, and one of log values."""
    folder = tmp_path_factory.mktemp("many")
    for name, donor in zip("ab", new_donors(), strict=False):
        people([donor]).write_h5ad(folder / f"{name}.h5ad")
    logged = people(new_donors()[:1])
    logged.X = np.log1p(logged.X.toarray() if hasattr(logged.X, "toarray") else logged.X)
    logged.write_h5ad(folder / "logged.h5ad")
    return [folder / f"{name}.h5ad" for name in ("a", "b", "logged")]


def test_of_many_files_one_that_is_refused_stops_no_other(release, files, tmp_path, capsys):
    out = tmp_path / "out"
    assert run(*files, "--release", release, "--out", out, "--each") == 0
    assert "2 of 3 files mapped" in capsys.readouterr().out
    for name, donor in zip("ab", new_donors(), strict=False):
        document = Mapped.from_json(read_json(out / name / "mapped.json"))
        assert [visit.donor_id for visit in document.visits] == [donor]
        assert read_json(out / name / "outcome.json")["status"] == "mapped"
    refused = read_json(out / "logged" / "outcome.json")
    assert (refused["file"], refused["status"], refused["reason"]) == (
        "logged.h5ad",
        "refused",
        "not_counts",
    )
    assert "must hold raw counts" in refused["message"]
    assert not (out / "logged" / "mapped.json").exists()
    assert (out / "logged" / "outcome.json").stat().st_mode & 0o077 == 0


def test_a_file_alone_is_mapped_as_among_many(release, files, tmp_path):
    assert run(files[0], "--release", release, "--out", tmp_path / "one") == 0
    assert run(*files[:2], "--release", release, "--out", tmp_path / "each", "--each") == 0
    for name in ("mapped.json", "cells.parquet", "composition.parquet"):
        assert sha256_file(tmp_path / "one" / name) == sha256_file(tmp_path / "each" / "a" / name)


def test_a_refusal_leaves_nothing_of_an_earlier_mapping(release, files, tmp_path):
    folder = tmp_path / "out" / "a"
    assert run(files[0], "--release", release, "--out", folder) == 0
    taken = tmp_path / "a.h5ad"
    taken.write_bytes(files[2].read_bytes())
    assert run(taken, "--release", release, "--out", tmp_path / "out", "--each") == 3
    assert [path.name for path in folder.iterdir()] == ["outcome.json"]


def test_files_of_one_name_are_refused_before_any_is_read(release, files, tmp_path, capsys):
    other = tmp_path / "elsewhere" / "a.h5ad"
    out = tmp_path / "out"
    assert run(files[0], other, "--release", release, "--out", out, "--each") == 2
    assert "every file must have a name of its own" in capsys.readouterr().err
    assert not out.exists()


@pytest.mark.slow
def test_the_workflow_makes_each_file_a_job_and_repeats_none(release, files, tmp_path):
    snakefile = Path(__file__).parents[2] / "workflow" / "map.smk"
    listed = json.dumps([str(path) for path in files])
    given = [f"release={release}", f"out={tmp_path / 'out'}", f"files={listed}"]
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(snakefile), "--cores", "1"]
    command += ["--directory", str(tmp_path), "--config", *given]
    first = subprocess.run(command, capture_output=True, text=True, env=environment(), check=False)
    assert first.returncode == 0, first.stderr
    told = pd.read_csv(tmp_path / "out" / "outcomes.tsv", sep="\t", keep_default_na=False)
    assert list(told["file"]) == ["logged.h5ad", "a.h5ad", "b.h5ad"]
    assert list(told["status"]) == ["refused", "mapped", "mapped"]
    assert "must hold raw counts" in told["message"][0]
    (tmp_path / "out" / "b" / "outcome.json").unlink()
    again = subprocess.run(command, capture_output=True, text=True, env=environment(), check=False)
    assert again.returncode == 0, again.stderr
    assert "rule map_file" in again.stderr
    assert "b.log" in again.stderr
    assert "logs/a.log" not in again.stderr


def test_people_whom_an_unnamed_column_tells_apart_are_not_taken_as_one(release, tmp_path, capsys):
    own = people(new_donors())
    own.obs = own.obs.rename(columns={"donor_id": "patient"})
    own.write_h5ad(tmp_path / "people.h5ad")
    call = [tmp_path / "people.h5ad", "--release", release, "--out", tmp_path / "out"]
    told = refused(capsys, 2, *call)
    assert f"column 'patient' looks like one, with {len(new_donors())} of them" in told
    assert not (tmp_path / "out").exists()
    assert run(*call, "--donor", "patient") == 0


@pytest.mark.parametrize(
    ("column", "value", "reason"),
    [
        ("donor_id", "doublet", "must name a person for each cell; 'doublet' is none"),
        ("tissue", "kidney", "must be of the reference's tissue, blood"),
        ("tissue_type", "cell culture", "must be of tissue"),
        ("organism", "Mus musculus", "must be human"),
    ],
)
def test_samples_are_refused_for_what_they_say_to_be(
    release, tmp_path, capsys, column, value, reason
):
    own = people(new_donors()[:1])
    own.obs[column] = value
    own.write_h5ad(tmp_path / "sample.h5ad")
    call = [tmp_path / "sample.h5ad", "--release", release, "--out", tmp_path / "out"]
    assert run(*call) in (2, 3)
    assert reason in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("tissue", "PBMC"),
        ("tissue", "blood"),
        ("organism", "Homo sapiens"),
        ("tissue_type", "tissue"),
    ],
)
def test_what_says_nothing_against_the_reference_stops_nobody(release, tmp_path, column, value):
    own = people(new_donors()[:1])
    own.obs[column] = value
    own.write_h5ad(tmp_path / "sample.h5ad")
    assert run(tmp_path / "sample.h5ad", "--release", release, "--out", tmp_path / "out") == 0


@pytest.mark.parametrize(
    ("visit", "place", "said"),
    [
        (
            "T1",
            {"status": "assigned", "stratum": "S1", "conformal_set": ("S1",)},
            "P1 at T1: most like stratum S1; every other stratum is ruled out.",
        ),
        (
            "unknown",
            {"status": "assigned", "stratum": "S1", "conformal_set": ("S1", "S2")},
            "P1: most like stratum S1; S2 cannot be ruled out.",
        ),
        (
            "unknown",
            {"status": "assigned", "stratum": "S1", "conformal_set": None},
            "P1: most like stratum S1; which others could be is not known.",
        ),
        (
            "unknown",
            {"status": "cannot be placed", "why": "30% of the cells could be labelled"},
            "P1: cannot be placed: 30% of the cells could be labelled.",
        ),
        ("unknown", {"status": "novel"}, "P1: novel."),
    ],
)
def test_the_answer_is_a_sentence(visit, place, said):
    told = StratumAnswer(**{"why": "", "stratum": None, "conformal_set": None} | place)
    assert answer_of(SimpleNamespace(donor_id="P1", visit=visit, stratum=told)) == said
