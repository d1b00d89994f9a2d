"""`pmcell init` and the folder that `pmcell demo` makes."""

from __future__ import annotations

from pathlib import Path

import pytest

from pmcell.bundle import EMBEDDED_COHORTS, bundle_folder
from pmcell.cli import main


def test_new_study_has_configuration_profiles_and_no_cohorts(tmp_path: Path) -> None:
    assert main(["init", str(tmp_path / "study")]) == 0
    assert (tmp_path / "study" / "config" / "config.yaml").is_file()
    assert (tmp_path / "study" / "profiles" / "default" / "config.yaml").is_file()
    assert list((tmp_path / "study" / "config" / "cohorts").iterdir()) == []


def test_study_with_the_demo_holds_equal_copies_of_the_cohorts(tmp_path: Path) -> None:
    assert main(["init", str(tmp_path / "study"), "--with-demo"]) == 0
    copies = tmp_path / "study" / "config" / "cohorts"
    assert sorted(path.name for path in copies.iterdir()) == sorted(EMBEDDED_COHORTS)
    for original in (bundle_folder() / "config" / "cohorts" / EMBEDDED_COHORTS[0]).iterdir():
        assert (copies / EMBEDDED_COHORTS[0] / original.name).read_bytes() == original.read_bytes()


def test_existing_study_is_left_as_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["init", str(tmp_path)]) == 0
    config = tmp_path / "config" / "config.yaml"
    config.write_text("cohorts: [mine]\n", encoding="utf-8")
    assert main(["init", str(tmp_path), "--with-demo"]) == 2
    assert "is a study folder already" in capsys.readouterr().err
    assert config.read_text(encoding="utf-8") == "cohorts: [mine]\n"
    assert list((tmp_path / "config" / "cohorts").iterdir()) == []


def test_file_in_the_way_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "study").write_text("", encoding="utf-8")
    assert main(["init", str(tmp_path / "study")]) == 2
    assert "study is a file" in capsys.readouterr().err


def test_demo_refuses_less_than_one_thread(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["demo", "--out", str(tmp_path / "demo"), "--threads", "0"]) == 2
    assert "--threads must be at least 1" in capsys.readouterr().err
    assert not (tmp_path / "demo").exists()
