"""The commands `pmcell profile` and `pmcell strata`, as the workflow calls them."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import pytest

from pmcell import schema
from pmcell.io.atomic import read_json, sha256_file
from pmcell.io.h5ad import read_h5ad
from pmcell.io.tables import conform, read_table
from strata_inputs import profile, strata, write_atlas

if TYPE_CHECKING:
    from anndata import AnnData


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, cells: AnnData) -> Path:
    """A folder in which both commands have run, to read only."""
    folder = write_atlas(tmp_path_factory.mktemp("strata"), cells, last_type="unknown")
    assert profile(folder) == 0
    profiles = sha256_file(folder / "profiles.h5ad")
    assert strata(folder) == 0
    assert sha256_file(folder / "profiles.h5ad") == profiles
    return folder


@pytest.fixture
def profiled(tmp_path: Path, finished: Path) -> Path:
    """A folder of one's own in which the profiles are made."""
    for name in ("profiles.h5ad", "config.yaml"):
        shutil.copy(finished / name, tmp_path / name)
    return tmp_path


@pytest.fixture
def atlas(tmp_path: Path, finished: Path) -> Path:
    """A folder of one's own with what the steps before leave."""
    sums = ("aggregate.npz", "samples.parquet")
    for name in ("embedding.h5ad", "clusters.parquet", "cell-types.parquet", "config.yaml", *sums):
        shutil.copy(finished / name, tmp_path / name)
    return tmp_path


def test_the_two_commands_write_what_the_release_needs(finished: Path) -> None:
    for table in (
        schema.COMPOSITION,
        schema.STRATA,
        schema.ASSIGNMENTS,
        schema.ASSOCIATIONS,
        schema.DRIVERS,
    ):
        frame = read_table(finished / f"{table.name}.parquet")
        assert len(conform(frame, table)) > 0, table.name
    facts = read_json(finished / "strata.json")
    assert facts["decision"] == "strata"
    assert facts["intended_use"] == "research use only"
    assert "unknown" in facts["cell_types"]["in_composition_only"]
    assert len(facts["existence"]["null_statistics"]) == 19
    assert any("unknown type" in warning for warning in facts["warnings"])
    donors = read_h5ad(finished / "donors.h5ad")
    assert {"distance", "distance_state", "distance_composition"} <= set(donors.obsp)


def with_clinical(folder: Path, keys: str) -> Path:
    """A clinical table of every visit, and a configuration that declares it."""
    visits = read_h5ad(folder / "profiles.h5ad").obs[["donor_id", "visit"]].astype(str)
    donor = visits["donor_id"].str[1:].astype(int)
    late = visits["visit"].eq("T1")
    table = visits.assign(score=donor % 7 + 0.1 * (donor % 3) * late, age=40 + donor % 11)
    table = table.assign(days=5.0 + donor, died=1)
    table.to_csv(folder / "clinical.tsv", sep="\t", index=False)
    config = (folder / "config.yaml").read_text(encoding="utf-8").rstrip().rstrip("}")
    text = f"{config}, clinical: {folder / 'clinical.tsv'}, {keys}}}\n"
    (folder / "config.yaml").write_text(text, encoding="utf-8")
    return folder / "clinical.tsv"


def test_declared_outcomes_are_compared_and_no_value_of_them_is_written(profiled: Path) -> None:
    keys = "outcomes: [score], survival: {time: days, event: died}, covariates: [age]"
    with_clinical(profiled, f"{keys}, adjust_for: [age]")
    assert strata(profiled) == 0
    table = read_table(profiled / "outcomes.parquet")
    assert set(table["model"]) == {"mixed model", "Cox regression", "log-rank test"}
    assert (table["refused"] == "").all()
    assert set(table["adjusted_for"]) >= {"age;visit_day", "age"}
    assert len(read_table(profiled / "survival.parquet")) > 0
    assert read_json(profiled / "strata.json")["adjusted"]["ari"] > 0.5
    tested = read_table(profiled / "associations.parquet")["covariate"]
    assert "score" in set(tested)
    assert "died" not in set(tested)
    assert not {"score", "age", "days", "died"} & set(read_h5ad(profiled / "donors.h5ad").obs)


@pytest.mark.parametrize(
    ("keys", "change", "message"),
    [
        ("outcomes: [scor]", "", "'scor', 'sex' are not"),
        ("survival: {time: days}", "", "strata.survival: must have event"),
        ("outcomes: score", "", "strata.outcomes: must be a list of texts"),
        ("leave_out: [region]", "", "strata.leave_out: must be a text; found ['region']"),
        ("outcomes: [score], covariates: []", "D0001", "1 ids are not: D9999"),
    ],
)
def test_a_wrong_declaration_of_outcomes_is_a_sentence(
    profiled: Path, capsys: pytest.CaptureFixture[str], keys: str, change: str, message: str
) -> None:
    clinical = with_clinical(profiled, keys)
    if change:
        text = clinical.read_text(encoding="utf-8").replace(change, "D9999")
        clinical.write_text(text, encoding="utf-8")
    assert strata(profiled) in (2, 3)
    assert message in capsys.readouterr().err
    assert not (profiled / "strata.json").exists()


def test_running_again_gives_the_same_bytes(
    profiled: Path, finished: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert strata(profiled) == 0
    k = read_json(finished / "strata.json")["existence"]["k"]
    assert f"{k} strata of 40 donors" in capsys.readouterr().out
    for name in ("strata.json", "assignments.parquet", "drivers.parquet", "associations.parquet"):
        assert sha256_file(profiled / name) == sha256_file(finished / name), name


def test_cells_without_a_cluster_stop_the_profile(
    atlas: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clusters = pd.read_parquet(atlas / "clusters.parquet")
    clusters.iloc[5:].to_parquet(atlas / "clusters.parquet")
    assert profile(atlas) == 3
    assert "5 have none" in capsys.readouterr().err
    assert not (atlas / "profiles.h5ad").exists()


def test_a_cluster_without_a_type_stops_the_profile(
    atlas: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    types = pd.read_parquet(atlas / "cell-types.parquet")
    types.iloc[1:].to_parquet(atlas / "cell-types.parquet")
    assert profile(atlas) == 3
    assert "the first of cluster '0' with label 'unknown'" in capsys.readouterr().err


def test_an_unknown_key_of_the_configuration_is_named(
    profiled: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (profiled / "config.yaml").write_text("strata: {n_boots: 3}\n", encoding="utf-8")
    assert strata(profiled) == 2
    assert "Did you mean 'n_bootstraps'?" in capsys.readouterr().err


def test_a_damaged_profile_file_is_a_sentence_and_not_a_traceback(
    profiled: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (profiled / "profiles.h5ad").write_bytes(b"not hdf5")
    assert strata(profiled) == 3
    assert "Remove it and run again" in capsys.readouterr().err
    assert not (profiled / "strata.json").exists()
