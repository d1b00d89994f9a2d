"""Snakemake alone refuses a wrong configuration, by the shipped schema, when it parses."""

from __future__ import annotations

import subprocess
import sys
import types
from pathlib import Path

import pytest

from pmcell.bundle import EMBEDDED_COHORTS, bundle_folder, snakefile
from pmcell.cli.init import make_study
from pmcell.settings import json_schema
from pmcell.settings.json_schema import config_schema
from pmcell.settings.load import SettingsError, load_settings

SCHEMA = config_schema()
CHECK = types.ModuleType("check_config")
exec((bundle_folder() / "workflow" / "scripts" / "check_config.py").read_text(), CHECK.__dict__)

RIGHT = [
    "",
    "cluster: {resolution: 2}",
    "qc: {seed: }",
    "qc:",
    "release: {authors: Ada, version: 1.10, date: 2026-01-31, publisher: {}}",
    "release: {authors: [Ada, {given_name: B, family_name: C}], rai: {dataBiases: few}}",
    "release: {validators: none, keywords: [a, b], contact: {email: a@b.c}}",
    "release: {tolerate_validators: {pyshacl: known}}",
    "strata: {channels: [state], survival: {time: a, event: b}, clinical: c.tsv, n_null: 19}",
    "seal: {recipients: {a: a.pub}, cohorts: {x: [a]}}",
    "cohorts: [a, b-1]",
]
WRONG = [
    "cluster: {resolutoin: 2}",
    "cluster: {resolution: high}",
    "cluster: {resolution: 0}",
    "cluster: {resolution: '2'}",
    "cluster: {resolution: 1e-3}",
    "cluster: {seed: true}",
    "umap: {spread: 9}",
    "verify: {x: 1}",
    "gene_stats: {x: 1}",
    "qc: [1]",
    "neighbors: {weights: no}",
    "strata: {channels: [stat]}",
    "strata: {survival: {time: a}}",
    "strata: {covariates: age}",
    "strata: {covariates: [age, age]}",
    "differential_expression: {contrasts: []}",
    "cohorts: [../x]",
    "cohorts: [2024]",
    "release: {authors: [{nam: x}]}",
    "release: {doi: abc}",
    "release: {rai: {dataBias: x}}",
    "release: {publisher: {url: 'https://a.b'}}",
    "release: {min_donors: 2}",
    "release: {tolerate_validators: {pyshackle: x}}",
]


def by_the_schema(text: str) -> list[str]:
    import yaml

    return CHECK.faults(CHECK.plain(yaml.safe_load(text) or {}, SCHEMA), SCHEMA)


def by_the_models(folder: Path, text: str) -> bool:
    (folder / "config.yaml").write_text(text + "\n")
    try:
        load_settings(folder / "config.yaml")
    except SettingsError:
        return False
    return True


@pytest.mark.parametrize("text", RIGHT)
def test_the_schema_and_the_models_accept_the_same(tmp_path, text):
    assert by_the_models(tmp_path, text)
    assert by_the_schema(text) == []


@pytest.mark.parametrize("text", WRONG)
def test_the_schema_and_the_models_refuse_the_same(tmp_path, text):
    assert not by_the_models(tmp_path, text)
    (fault,) = by_the_schema(text)
    assert text.split(":")[0] in fault
    assert len(fault) < 1000


def test_only_what_differs_from_the_default_is_a_parameter_of_a_rule():
    section = {"resolution": 1.0, "seed": 3, "objective": "modularity"}
    assert CHECK.changed(section, SCHEMA["properties"]["cluster"]) == {"seed": 3}
    section = {"covariates": ["age", "sex"], "channels": "all"}
    assert CHECK.changed(section, SCHEMA["properties"]["strata"]) == {"channels": "all"}


def test_a_section_by_an_old_name_is_taken_for_the_present_one(monkeypatch):
    monkeypatch.setattr(json_schema, "ALIASES", {"leiden": "cluster"})
    schema = config_schema()
    values = CHECK.plain({"leiden": {"resolution": 2}}, schema)
    assert values == {"cluster": {"resolution": 2}}
    assert CHECK.faults(values, schema) == []


def dry_run(study: Path, *arguments: str) -> tuple[int, str]:
    command = [sys.executable, "-m", "snakemake", "--dry-run", "--snakefile", str(snakefile())]
    done = subprocess.run([*command, *arguments], cwd=study, capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A study, in a Python that cannot import pmcell."""
    package = tmp_path / "blocked" / "pmcell"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("raise ImportError('the Snakefile imported pmcell')\n")
    monkeypatch.setenv("PYTHONPATH", str(package.parent))
    folder = tmp_path / "study"
    make_study(folder, cohorts=EMBEDDED_COHORTS[:1])
    return folder


def test_snakemake_alone_names_all_faults(study):
    text = "cluster: {resolutoin: 2}\nverify: {x: 1}\nqc: {seed: -1}\n"
    (study / "config" / "config.yaml").write_text(text)
    code, said = dry_run(study)
    assert code == 1
    assert "cluster has no key 'resolutoin'; it has resolution" in said
    assert "the configuration has no key 'verify'" in said
    assert "qc.seed must be in its range" in said


def test_snakemake_alone_names_a_cohort_that_is_not_there(study):
    (study / "config" / "config.yaml").write_text("cohorts: [liu_b1, liu_b9]\n")
    code, said = dry_run(study)
    assert code == 1
    assert "cohorts must name folders in config/cohorts; there is no liu_b9" in said


def test_settings_that_would_not_reach_the_steps_are_refused(study):
    code, said = dry_run(study, "--config", "cluster={resolution: 2}")
    assert code == 1
    assert "section cluster must stand, as it is, in config/config.yaml" in said
    code, said = dry_run(study, "--config", "cohorts=[liu_b1]")
    assert code == 0, said


def test_settings_are_parameters_of_their_rule(study):
    (study / "config" / "config.yaml").write_text("cluster: {resolution: 2, seed: 0}\n")
    code, said = dry_run(study, "--printshellcmds", "results/atlas/clusters.parquet")
    assert code == 0, said
    assert "--config config/config.yaml" in said
