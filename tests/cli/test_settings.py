"""Settings on the command line: as options, in files, and before a run."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest

import pmcell as pm
from pmcell.bundle import EMBEDDED_COHORTS
from pmcell.cli import main
from pmcell.cli._settings import add_settings, given_configuration, given_settings, step_settings
from pmcell.cli.init import make_study
from pmcell.cli.run._study import open_study
from pmcell.io.h5ad import write_h5ad
from pmcell.io.stamps import read_stamp
from pmcell.io.tables import read_table
from pmcell.settings.atlas import MarkersSettings
from pmcell.settings.cohort import QcSettings
from pmcell.settings.donors import ProfileSettings, StrataSettings
from pmcell.settings.release import ReleaseSettings
from pmcell.steps import OLD_NAMES

WRONG = "cluster: {resolutoin: 2}\ncohorts: [liu_b1, liu_b9]\n"


def arguments(model, *words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--config", type=Path)
    add_settings(parser, model)
    return parser.parse_args(words)


@pytest.fixture(scope="module")
def atlas(tmp_path_factory) -> Path:
    """A graph and an embedding of few cells."""
    folder = tmp_path_factory.mktemp("atlas")
    cells = pm.simulate.simulate_latent(n_donors=6, cells_per_donor=60, seed=1)
    pm.tl.neighbors(cells)
    graph = anndata.AnnData(obs=pd.DataFrame(index=cells.obs_names))
    graph.obsp["connectivities"] = cells.obsp["connectivities"]
    write_h5ad(folder / "graph.h5ad", graph)
    points = anndata.AnnData(obs=pd.DataFrame(index=cells.obs_names))
    points.obsm["X_integrated"] = cells.obsm["X_integrated"]
    write_h5ad(folder / "embedding.h5ad", points)
    return folder


def umap(atlas: Path, out: Path, *options: str) -> np.ndarray:
    """The map that `pmcell umap` makes."""
    files = ["--graph", str(atlas / "graph.h5ad"), "--embedding", str(atlas / "embedding.h5ad")]
    assert main(["umap", *files, "--out", str(out), *options]) == 0
    return read_table(out)[["umap_1", "umap_2"]].to_numpy()


def test_a_seed_of_the_configuration_reaches_the_step_and_an_option_beats_it(atlas, tmp_path):
    config = tmp_path / "config.yaml"
    config.write_text("umap: {seed: 3}\n")
    out = tmp_path / "umap.parquet"
    by_default = umap(atlas, out)
    assert read_stamp(out)["seed"] == 0
    by_file = umap(atlas, out, "--config", str(config))
    assert read_stamp(out)["seed"] == 3
    assert (by_file != by_default).any()
    np.testing.assert_array_equal(umap(atlas, out, "--seed", "3"), by_file)
    both = umap(atlas, out, "--config", str(config), "--seed", "0")
    np.testing.assert_array_equal(both, by_default)
    assert read_stamp(out)["seed"] == 0


def test_the_least_distance_on_the_map_is_a_setting_that_the_stamp_names(atlas, tmp_path):
    out = tmp_path / "umap.parquet"
    by_default = umap(atlas, out)
    near = umap(atlas, out, "--min-dist", "0.01")
    assert (near != by_default).any()
    assert read_stamp(out)["parameters"] == {"min_dist": 0.01, "spread": 1.0}


def test_the_penalty_of_harmony_is_a_setting():
    cells = pm.simulate.simulate_latent(n_donors=6, cells_per_donor=60, n_batches=2, seed=1)
    cells.obsm["X_pca"] = cells.obsm["X_integrated"]
    found = {}
    for theta in (0.0, 2.0, 6.0):
        pm.tl.integrate(cells, theta=theta)
        found[theta] = cells.obsm["X_integrated"].copy()
    pm.tl.integrate(cells)
    np.testing.assert_array_equal(cells.obsm["X_integrated"], found[2.0])
    assert (found[0.0] != found[2.0]).any()
    assert (found[6.0] != found[2.0]).any()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda cells: pm.tl.integrate(cells, theta=-1), "theta must be at least 0, got -1"),
        (lambda cells: pm.tl.umap(cells, min_dist=2), "min_dist must be from 0 to spread"),
        (lambda cells: pm.tl.umap(cells, spread=50), "spread from 0.5 to 5; got 0.5 and 50"),
    ],
)
def test_the_library_refuses_what_the_settings_refuse(call, message):
    cells = pm.simulate.simulate_latent(n_donors=4, cells_per_donor=30, seed=1)
    cells.obsm["X_pca"] = cells.obsm["X_integrated"]
    pm.tl.neighbors(cells)
    with pytest.raises(
        pm.publish.UsageError if hasattr(pm.publish, "UsageError") else Exception, match=message
    ):
        call(cells)


def test_options_of_each_kind_are_read():
    found = step_settings(
        arguments(QcSettings, "--n-mads", "4", "--no-score-doublets", "--min-genes", "200"),
        QcSettings,
    )
    assert (found.n_mads, found.score_doublets, found.min_genes) == (4.0, False, 200)
    found = step_settings(arguments(MarkersSettings, "--method", "wilcoxon"), MarkersSettings)
    assert found.method == "wilcoxon"
    words = ("--covariates", "age", "bmi", "--survival", "{time: t, event: e}", "--channels", "all")
    strata = step_settings(arguments(StrataSettings, *words), StrataSettings)
    assert strata.covariates == ("age", "bmi")
    assert strata.survival == {"time": "t", "event": "e"}
    assert strata.channels == "all"
    words = ("--channels", "state", "composition", "--covariates")
    strata = step_settings(arguments(StrataSettings, *words), StrataSettings)
    assert strata.channels == ("state", "composition")
    assert strata.covariates == ()
    words = ("--min-cells-donor", "50", "--min-cells-type", "auto")
    profile = step_settings(arguments(ProfileSettings, *words), ProfileSettings)
    assert (profile.min_cells_donor, profile.min_cells_type) == (50, "auto")
    words = ("--version", "1.10", "--authors", "[{name: A B}, C D]", "--min-donors", "20")
    release = step_settings(arguments(ReleaseSettings, *words), ReleaseSettings)
    assert release.version == "1.10"
    assert [person["name"] for person in release.authors] == ["A B", "C D"]
    assert release.min_donors == 20


def test_options_of_a_release_stand_in_its_section_of_what_is_published(tmp_path):
    config = tmp_path / "config.yaml"
    config.write_text("release: {title: T, version: 1.10}\nqc: {n_mads: 3}\n")
    args = arguments(ReleaseSettings, "--config", str(config), "--title", "Better")
    assert given_settings(args, ReleaseSettings) == {"title": "Better"}
    assert given_configuration(args, ReleaseSettings) == {
        "release": {"title": "Better", "version": "1.10"},
        "qc": {"n_mads": 3},
    }


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--resolution", "high"], "--resolution: must be a number above 0"),
        (["--resolution", "nan"], "--resolution: must be a number above 0"),
        (["--resolution", "0"], "--resolution: must be a number above 0"),
        (["--seed", "-1"], "--seed: must be a whole number from 0; found -1"),
        (["--seed", "1.5"], "--seed: must be a whole number from 0; found 1.5"),
        (["--objective", "modularty"], "Did you mean 'modularity'?"),
    ],
)
def test_a_wrong_option_is_refused_before_any_file_is_read(tmp_path, capsys, words, said):
    files = ["--graph", "none.h5ad", "--out", str(tmp_path / "clusters.parquet")]
    assert main(["cluster", *files, *words]) == 2
    assert said in capsys.readouterr().err


@pytest.fixture
def study(tmp_path: Path) -> Path:
    folder = tmp_path / "study"
    make_study(folder, cohorts=EMBEDDED_COHORTS[:1])
    (folder / "config" / "config.yaml").write_text(WRONG)
    return folder


@pytest.mark.parametrize("command", [["run"], ["run", "-n"], ["estimate"]])
def test_nothing_starts_with_a_wrong_configuration(study, capsys, command):
    assert main([*command, "--directory", str(study)]) == 2
    said = capsys.readouterr().err
    assert "line 1, cluster.resolutoin: must be a key of cluster" in said
    assert "Did you mean 'resolution'?" in said
    assert "line 2, cohorts[1]: must name folders" in said
    assert "Did you mean 'liu_b1'?" in said
    assert not (study / "results").exists()


@pytest.mark.parametrize("old", OLD_NAMES)
def test_a_section_under_its_old_name_is_read_with_a_note(study, capsys, old):
    (study / "config" / "config.yaml").write_text(f"{old}: {{}}\numap: {{}}\n")
    open_study(study, None)
    said = capsys.readouterr().err.strip().splitlines()
    assert len(said) == 1
    assert f"the section {old!r} is now {OLD_NAMES[old]!r}" in said[0]


def test_check_names_the_faults_of_the_configuration_and_those_of_the_cohorts(
    study, capsys, monkeypatch
):
    monkeypatch.chdir(study)
    (study / "config" / "cohorts" / "liu_b1" / "donors.tsv").unlink()
    assert main(["check", "--tables-only", "--json"]) == 1
    first, second = json.loads(capsys.readouterr().out)
    assert first["cohort_id"] == "config/config.yaml"
    assert [fault["column"] for fault in first["faults"]] == ["cluster.resolutoin", "cohorts[1]"]
    assert [fault["row"] for fault in first["faults"]] == [1, 2]
    assert second["cohort_id"] == "liu_b1"
    assert second["faults"]
    (study / "config" / "config.yaml").write_text("cluster: {resolution: 2}\n")
    assert main(["check", "--tables-only", "--json"]) == 1
    (only,) = json.loads(capsys.readouterr().out)
    assert only["cohort_id"] == "liu_b1"


@pytest.mark.parametrize("command", ["release", "seal"])
def test_publishing_reads_the_whole_configuration_first(study, capsys, command):
    config = str(study / "config" / "config.yaml")
    out = study / "out"
    assert main([command, "--results", str(study), "--out", str(out), "--config", config]) == 2
    assert "line 1, cluster.resolutoin" in capsys.readouterr().err
    assert not out.exists()
