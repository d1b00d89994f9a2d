"""`pmcell release` and `pmcell verify` as a person calls them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pmcell.cli import main
from results_folder import make_results


@pytest.fixture
def results(tmp_path: Path) -> Path:
    return make_results(tmp_path)


def release(results: Path, *more: str) -> int:
    return main(
        [
            "release",
            "--results",
            str(results),
            "--out",
            str(results / "release"),
            "--no-report",
            *more,
        ]
    )


def test_release_then_verify_and_the_fault_is_named(
    results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = [part for name in ("alpha", "alpha-2", "closed") for part in ("--cohort", name)]
    assert release(results, *names) == 0
    out = capsys.readouterr().out
    assert "2 cohorts, verified" in out
    assert "Not published, because access is not open: closed." in out
    manifest = json.loads((results / "release" / "manifest.json").read_text())
    assert sorted(manifest["cohorts"]) == ["alpha", "alpha-2", "closed"]
    assert main(["verify", str(results / "release")]) == 0
    assert "is intact" in capsys.readouterr().out
    (results / "release" / "README.md").write_text("changed")
    capsys.readouterr()
    assert main(["verify", str(results / "release")]) == 3
    error = capsys.readouterr().err
    assert "1 fault:" in error
    assert "README.md: must have" in error
    assert main(["verify", str(results / "release"), "--json"]) == 3
    told = json.loads(capsys.readouterr().out)
    assert told["ok"] is False
    assert told["faults"][0]["file"] == "README.md"


def test_parameters_of_the_run_are_recorded(results: Path, tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(
        "cohorts_dir: /somewhere\nqc: {n_mads: 4}\nrelease: {title: Mine, version: 2}\n"
    )
    assert release(results, "--config", str(config)) == 0
    text = (results / "release" / "manifest.json").read_text()
    assert json.loads(text)["parameters"] == {"qc": {"n_mads": 4}}
    assert "somewhere" not in text
    assert (results / "release" / "README.md").read_text().startswith("# Mine\n")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("release: {titel: x}", "Did you mean 'title'"),
        ("release: [", "must be valid YAML"),
        ("- 1", "must hold keys and values"),
        ("release: x", "line 1, release: must hold keys and values"),
    ],
)
def test_a_wrong_configuration_is_refused(
    results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, message: str
) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(text)
    assert release(results, "--config", str(config)) == 2
    assert message in capsys.readouterr().err
    assert not (results / "release").exists()


def test_results_that_are_not_there_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert release(tmp_path) == 3
    assert "cohorts.json must exist before a release is written" in capsys.readouterr().err


def test_verify_of_no_folder_is_the_users_mistake(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["verify", str(tmp_path / "nothing")]) == 2
    assert "must be a folder" in capsys.readouterr().err
