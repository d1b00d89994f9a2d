"""The model of resources: what it predicts, how it is fitted, and what the command says."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml

from pmcell.bundle import EMBEDDED_COHORTS
from pmcell.cli import main
from pmcell.cli.init import make_study
from pmcell.cli.run._resources import Model, Record, as_yaml, compare, read_records, refit
from pmcell.cli.run._study import open_study
from pmcell.cli.run.estimate import study_sizes
from pmcell.steps import BY_NAME


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("study")
    make_study(folder, cohorts=EMBEDDED_COHORTS[:2])
    return folder


def test_a_request_grows_with_the_size_and_doubles_with_each_attempt():
    model = Model()
    ask = model.formula.request
    for rule in model.steps:
        small, large = (0.01, 5.0, 1.0, 0.1, 0.01), (1.0, 2000.0, 20.0, 8.0, 0.04)
        first = [ask(model.values, rule, "memory_mb", size) for size in (small, large)]
        assert 0 < first[0] <= first[1]
        again = ask(model.values, rule, "memory_mb", large, attempt=2)
        assert abs(again - 2 * first[1]) <= 2


def test_a_file_of_unknown_size_is_taken_to_be_larger_than_its_header_says():
    model = Model()
    entry = {"n_cells": 4120, "n_stored": 1_395_172, "n_bytes": 1_673_607}
    entry |= {"n_genes": 20_000, "n_samples": 4, "n_largest": 2060}
    known = model.formula.size_of(entry, entry["n_bytes"], model.values["unsized"])
    assert known == (0.00412, 1.395172, 1.395172 / 2, 0.08, 0.02)
    changed = model.formula.size_of(entry, entry["n_bytes"] + 1, model.values["unsized"])
    unread = model.formula.size_of(None, entry["n_bytes"], model.values["unsized"])
    assert changed == pytest.approx(unread, rel=1e-5)
    assert all(np.greater_equal(unread, np.multiply(known, 0.99)))


def test_refit_finds_the_coefficients_that_made_the_records():
    rng = np.random.default_rng(0)
    truth = np.array([300.0, 2000.0, 0.0, 40.0])
    sizes = [
        (cells, cells * rng.uniform(300, 3000), cells * rng.uniform(30, 300), 0.1, 0.02)
        for cells in rng.uniform(0.001, 1, 60)
    ]
    records = [Record("qc", "c", size, float(truth @ (1.0, *size[:3])), 5.0) for size in sizes]
    fitted = refit(Model(), records)
    assert fitted["rules"]["qc"]["memory_mb"] == pytest.approx(truth, rel=0.05)
    assert fitted["memory_margin"] == 1.15
    said = compare(Model(), fitted, records)
    assert said["covered"] == 1.0
    assert 1.15 <= said["highest"] < 2
    # Steps without a record keep what they had, and the file can be read again.
    assert fitted["rules"]["pca"] == Model().steps["pca"]
    assert yaml.safe_load(as_yaml(fitted, "# a comment\n")) == json.loads(json.dumps(fitted))


def test_records_of_one_size_scale_the_model_and_keep_its_shape():
    before = np.array(Model().steps["qc"]["memory_mb"], dtype=float)
    size = (0.1, 100.0, 10.0, 0.2, 0.02)
    peak = 2 * float(before @ np.array([1.0, *size])[: before.size])
    fitted = refit(Model(), [Record("qc", "c", size, peak, 5.0)] * 3)
    assert fitted["rules"]["qc"]["memory_mb"] == pytest.approx(2 * before, rel=1e-3)


def test_the_margin_covers_nineteen_of_twenty_peaks():
    rng = np.random.default_rng(1)
    peaks = 400 * np.exp(rng.normal(0, 0.15, 200))
    records = [Record("pca", "", (0.01, 5.0, 1.0, 0.2, 0.02), float(peak), 2.0) for peak in peaks]
    fitted = refit(Model(), records)
    assert compare(Model(), fitted, records)["covered"] >= 0.95


def test_estimate_says_what_a_run_needs_and_keeps_the_sizes(study, capsys):
    assert main(["estimate", "--directory", str(study), "--json"]) == 0
    value = json.loads(capsys.readouterr().out)
    assert value["n_cohorts"] == 2
    sizes = json.loads((study / "results" / "sizes.json").read_text())
    assert value["n_cells"] == sum(item["n_cells"] for item in sizes.values())
    assert (sizes["liu_b1"]["n_samples"], sizes["liu_b1"]["n_largest"]) == (18, 250)
    assert value["rules"]["intake"]["jobs"] == 2
    assert value["peak_memory_mb"] == max(row["memory_mb"] for row in value["rules"].values())
    assert value["core_hours"] > 0
    assert main(["estimate", "--directory", str(study)]) == 0
    assert "core-hours" in capsys.readouterr().out


def test_a_header_that_cannot_be_read_is_named(study, capsys):
    folder = study / "config" / "cohorts" / "cut"
    (study / "config" / "cohorts" / "liu_b1").rename(folder)
    matrix = folder / yaml.safe_load((folder / "cohort.yaml").read_text())["matrix"]["path"]
    matrix.write_bytes(matrix.read_bytes()[:1000])
    assert main(["estimate", "--directory", str(study)]) == 0
    assert "cut: its header cannot be read" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--cores", "0"], "--cores must be at least 1"),
        (["--out", "x.yaml"], "--out goes with --refit"),
        (["--directory", "nowhere"], "a study folder must hold config/config.yaml"),
    ],
)
def test_wrong_calls_are_refused(arguments, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["estimate", *arguments]) == 2
    assert message in capsys.readouterr().err


def test_a_folder_within_a_study_is_answered_with_the_study(study, capsys):
    (study / "results" / "deep").mkdir(parents=True, exist_ok=True)
    assert main(["estimate", "--directory", str(study / "results" / "deep")]) == 2
    assert f"The study is {study.resolve()}: cd " in capsys.readouterr().err


def test_refit_without_finished_runs_is_refused(study, capsys):
    assert main(["estimate", "--refit", str(study)]) == 2
    assert "need finished runs" in capsys.readouterr().err


@pytest.fixture(scope="module")
def sized(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of one cohort whose size is known."""
    folder = tmp_path_factory.mktemp("sized")
    make_study(folder, cohorts=EMBEDDED_COHORTS[:1])
    study_sizes(open_study(folder, None))
    return folder


def made_run(study: Path, folder: Path, factor: float) -> Path:
    """A copy of a study with benchmark records of `factor` times what the shipped model expects."""
    shutil.copytree(study, folder)
    model, sizes, _ = study_sizes(open_study(folder, None))
    for step, cohort, size in model.jobs(sizes):
        path = folder / "results" / "benchmarks" / f"{BY_NAME[step].job(cohort)}.tsv"
        path.parent.mkdir(parents=True, exist_ok=True)
        values = {**model.values, "validators": False}
        peak = factor * model.formula.predict(values, step, "memory_mb", size)
        path.write_text(f"s\tmax_rss\n5.0\t{peak}\n")
    return folder


def test_a_model_is_judged_by_runs_that_it_has_not_seen(sized, tmp_path, capsys):
    fits = made_run(sized, tmp_path / "fits", 1.0)
    larger = made_run(sized, tmp_path / "larger", 1.8)
    assert main(["estimate", "--judge", str(fits), "--json"]) == 0
    value = json.loads(capsys.readouterr().out)["shipped"]
    assert value["covered"] == 1.0
    assert value["median"] == pytest.approx(Model().values["memory_margin"])
    # Twice the memory is more than the shipped model promises, and what the refitted one learns.
    assert main(["estimate", "--judge", str(larger)]) == 1
    assert "peak covered in 0.0%" in capsys.readouterr().out
    assert main(["estimate", "--refit", str(larger), "--judge", str(larger), "--json"]) == 0
    value = json.loads(capsys.readouterr().out)
    assert value["shipped"]["covered"] == 0.0
    assert value["fitted"]["covered"] == 1.0
    assert main(["estimate", "--refit", str(fits), "--judge", str(larger)]) == 1


def test_what_validators_take_is_asked_for_unless_a_study_leaves_them_out(sized, tmp_path):
    model, size = Model(), (0.01, 5.0, 1.0, 0.2, 0.02)
    ask = model.formula.request
    values = [
        model.formula.for_study(model.values, {"release": {"validators": named}}, [size])
        for named in (["light"], ["none"], "none")
    ]
    with_them, *without = (ask(item, "release", "memory_mb", size) for item in values)
    assert with_them > without[0] == without[1]
    # A run with validators is compared with what is promised for one.
    folder = made_run(sized, tmp_path / "run", 1.0)
    path = folder / "results" / "release" / "validation" / "summary.json"
    path.parent.mkdir(parents=True)
    for status, expected in (("not_run", False), ("pass", True)):
        path.write_text(json.dumps({"validators": [{"name": "pyshacl", "status": status}]}))
        _, sizes, _ = study_sizes(open_study(folder, None))
        records = read_records(model, folder / "results", sizes)
        assert {item.step for item in records if item.validators} == (
            {"release"} if expected else set()
        )


def test_a_peak_that_snakemake_missed_is_taken_from_the_log_of_the_step(sized, tmp_path):
    folder = made_run(sized, tmp_path / "run", 1.0)
    model, sizes, _ = study_sizes(open_study(folder, None))
    before = {item.step: item.memory_mb for item in read_records(model, folder / "results", sizes)}
    logs = folder / "results" / "logs"
    logs.mkdir(exist_ok=True)
    (logs / "umap.log").write_text("# done in 3.1 s, peak memory 99999 MB\n", encoding="utf-8")
    (logs / "cluster.log").write_text("# done in 0.1 s, peak memory 1 MB\n", encoding="utf-8")
    after = {item.step: item.memory_mb for item in read_records(model, folder / "results", sizes)}
    assert after["umap"] == pytest.approx(99999e6 / 2**20)
    assert {**after, "umap": 0} == {**before, "umap": 0}


def test_who_may_not_write_in_the_study_may_ask_all_the_same(study, capsys):
    """A file in the place of results/ stands for a disk that is read-only."""
    shutil.rmtree(study / "results", ignore_errors=True)
    (study / "results").write_text("x")
    assert main(["estimate", "--directory", str(study), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["n_cells"] > 0
