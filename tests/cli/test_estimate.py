"""The model of resources: what it predicts, how it is fitted, and what the command says."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import yaml

from pmcell.bundle import EMBEDDED_COHORTS
from pmcell.cli import main
from pmcell.cli._resources import Model, Record, as_yaml, compare, refit
from pmcell.cli.init import make_study


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("study")
    make_study(folder, cohorts=EMBEDDED_COHORTS[:2])
    return folder


def test_the_model_has_every_rule_of_the_workflow_and_no_other():
    folder = Path(__file__).resolve().parents[2] / "workflow" / "rules"
    text = "".join(path.read_text() for path in folder.glob("*.smk"))
    rules = {line[5:-1] for line in text.splitlines() if line.startswith("rule ")}
    model = Model()
    assert set(model.rules) == rules
    for rule in rules:
        assert text.count(f'mem_mb("{rule}")') == 1
        assert text.count(f'minutes("{rule}")') == 1


def test_a_request_grows_with_the_size_and_doubles_with_each_attempt():
    model = Model()
    ask = model.formula.request
    for rule in model.rules:
        small, large = (0.01, 5.0), (1.0, 2000.0)
        first = [ask(model.values, rule, "memory_mb", size) for size in (small, large)]
        assert 0 < first[0] <= first[1]
        again = ask(model.values, rule, "memory_mb", large, attempt=2)
        assert abs(again - 2 * first[1]) <= 2


def test_a_file_of_unknown_size_is_taken_to_be_larger_than_its_header_says():
    model = Model()
    entry = {"n_cells": 4120, "n_stored": 1_395_172, "n_bytes": 1_673_607}
    known = model.formula.size_of(entry, entry["n_bytes"], model.values["unsized"])
    assert known == (0.00412, 1.395172)
    changed = model.formula.size_of(entry, entry["n_bytes"] + 1, model.values["unsized"])
    unread = model.formula.size_of(None, entry["n_bytes"], model.values["unsized"])
    assert changed == pytest.approx(unread, rel=1e-5)
    assert all(np.greater_equal(unread, np.multiply(known, 0.99)))


def test_refit_finds_the_coefficients_that_made_the_records():
    rng = np.random.default_rng(0)
    truth = (300.0, 2000.0, 10.0)
    sizes = [(cells, cells * rng.uniform(300, 3000)) for cells in rng.uniform(0.001, 1, 60)]
    records = [
        Record("mark_cells", "c", size, truth[0] + truth[1] * size[0] + truth[2] * size[1], 5.0)
        for size in sizes
    ]
    fitted = refit(Model(), records)
    assert fitted["rules"]["mark_cells"]["memory_mb"] == pytest.approx(truth, rel=1e-3)
    assert fitted["memory_margin"] == 1.15
    said = compare(Model(), fitted, records)
    assert said["covered"] == 1.0
    assert said["highest"] == pytest.approx(1.15, rel=1e-3)
    # Rules without a record keep what they had, and the file can be read again.
    assert fitted["rules"]["find_basis"] == Model().rules["find_basis"]
    assert yaml.safe_load(as_yaml(fitted, "# a comment\n")) == json.loads(json.dumps(fitted))


def test_records_of_one_size_scale_the_model_and_keep_its_shape():
    before = np.array(Model().rules["mark_cells"]["memory_mb"], dtype=float)
    size = (0.1, 100.0)
    peak = 2 * float(before @ np.array([1.0, *size]))
    fitted = refit(Model(), [Record("mark_cells", "c", size, peak, 5.0)] * 3)
    assert fitted["rules"]["mark_cells"]["memory_mb"] == pytest.approx(2 * before, rel=1e-3)


def test_the_margin_covers_nineteen_of_twenty_peaks():
    rng = np.random.default_rng(1)
    peaks = 400 * np.exp(rng.normal(0, 0.15, 200))
    records = [Record("find_basis", "", (0.01, 5.0), float(peak), 2.0) for peak in peaks]
    fitted = refit(Model(), records)
    assert compare(Model(), fitted, records)["covered"] >= 0.95


def test_estimate_says_what_a_run_needs_and_keeps_the_sizes(study, capsys):
    assert main(["estimate", "--directory", str(study), "--json"]) == 0
    value = json.loads(capsys.readouterr().out)
    assert value["n_cohorts"] == 2
    sizes = json.loads((study / "results" / "sizes.json").read_text())
    assert value["n_cells"] == sum(item["n_cells"] for item in sizes.values())
    assert value["rules"]["intake_cohort"]["jobs"] == 2
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


def test_refit_without_finished_runs_is_refused(study, capsys):
    assert main(["estimate", "--refit", str(study)]) == 2
    assert "--refit needs finished runs" in capsys.readouterr().err
