"""A clean build is one of the same study: it knows the releases that were published before."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from mixed_study import N_GENES, leave_out, make_study
from pmcell.cli.person import _clean_build
from pmcell.errors import DataError
from pmcell.io.tables import read_table
from pmcell.publish import write_release

CONFIG = {"release": {"date": "2026-01-31", "validators": "none"}, "markers": {"top": N_GENES}}


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A study that published a release, and another after twenty of a closed cohort had left."""
    results = make_study(tmp_path).results
    write_release(results, results / "release", config=CONFIG)
    before = read_table(results / "release" / "tables" / "cohort_counts.parquet")
    shutil.rmtree(results / "release")
    leave_out(results, *(f"closed:D{number}" for number in range(1, 21)))

    def rebuild(study: SimpleNamespace, cores: int | None, *, folder: Path | None = None) -> None:
        place = (folder or study.folder) / "results"
        if folder is not None:
            shutil.copytree(results, place, ignore=shutil.ignore_patterns("release"))
        write_release(place, place / "release", config=CONFIG)

    monkeypatch.setattr(_clean_build, "rebuild", rebuild)
    config = results.parent / "config" / "config.yaml"
    (config.parent / "cohorts").mkdir(parents=True, exist_ok=True)
    config.write_text("{}\n")
    settings = SimpleNamespace(study=SimpleNamespace(matrix_paths={}))
    found = SimpleNamespace(
        folder=results.parent,
        results=results,
        cohorts_dir=config.parent / "cohorts",
        config=config,
        settings=settings,
        before=before,
    )
    rebuild(found, None)
    return found


def test_it_counts_what_the_rebuilt_release_counts(study, monkeypatch) -> None:
    after = read_table(study.results / "release" / "tables" / "cohort_counts.parquet")
    # Pairs and cell types would tell of those who left: they are left out for the first release.
    assert set(after["grouping"]) < set(study.before["grouping"])
    register = (study.folder / "disclosure_register.jsonl").read_bytes()
    proof = _clean_build.prove(study, None, skip=False)
    assert proof["release_content_sha256"]
    assert "are equal to those of a clean build; release" in proof["said"]
    assert (study.folder / "disclosure_register.jsonl").read_bytes() == register
    monkeypatch.setattr(_clean_build, "_copy_register", lambda *folders: None)
    with pytest.raises(DataError, match="these differ: release"):
        _clean_build.prove(study, None, skip=False)


def test_it_lies_beside_a_study_whose_matrices_lie_outside(study, monkeypatch) -> None:
    study.settings.study.matrix_paths = {"alpha": ["../alpha.h5ad"]}
    places, built = [], _clean_build.rebuild

    def rebuild(study: SimpleNamespace, cores: int | None, *, folder: Path) -> None:
        places.append(folder)
        built(study, cores, folder=folder)

    monkeypatch.setattr(_clean_build, "rebuild", rebuild)
    assert "are equal" in _clean_build.prove(study, None, skip=False)["said"]
    [clean] = places
    assert clean.parent == study.folder.resolve().parent
    assert not clean.exists()
