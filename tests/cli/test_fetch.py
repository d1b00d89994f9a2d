"""`pmcell fetch`: what a run needs is told, taken once, and missed with a way out."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import pmcell.warm
from pmcell.cli import fetch, main
from pmcell.publish.validators import environments


@pytest.fixture
def nothing_set_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No validator is there, and no package index is reached; kernels take no time."""
    monkeypatch.setenv("PMCELL_VALIDATORS_DIR", str(tmp_path / "validators"))
    monkeypatch.setattr(environments, "uv_settings", lambda pip: {})
    monkeypatch.setattr(environments, "_make", lambda item, settings: "no route to the index")
    monkeypatch.setattr(pmcell.warm, "warm_up", lambda: None)
    monkeypatch.setattr(
        fetch, "_kernels", lambda: fetch.Item("kernels", True, str(tmp_path), "7 compiled")
    )


def items(capsys: pytest.CaptureFixture[str]) -> dict[str, dict[str, object]]:
    return {item["name"]: item for item in json.loads(capsys.readouterr().out)}


def test_a_list_names_what_is_there_and_takes_nothing(nothing_set_up, tmp_path, capsys):
    assert main(["fetch", "--list", "--json", "--validators", "pyshacl"]) == 1
    found = items(capsys)
    assert found["packages"]["is_ready"]
    assert found["cohorts of the demo"]["is_ready"]
    missing = found["validator pyshacl"]
    assert not missing["is_ready"]
    assert missing["detail"] == "pmcell validate --set-up pyshacl"
    assert not (tmp_path / "validators").exists()


def test_without_a_package_index_all_else_is_taken_and_the_way_out_is_told(nothing_set_up, capsys):
    assert main(["fetch", "--validators", "pyshacl"]) == 1
    out, err = capsys.readouterr()
    assert "ready    kernels" in out
    assert "missing  validator pyshacl" in out
    assert "pyshacl: no route to the index" in err
    assert "pmcell fetch --validators none" in err
    assert main(["fetch", "--validators", "none"]) == 0


def test_what_is_there_is_not_made_again(nothing_set_up, monkeypatch, capsys):
    monkeypatch.setattr(environments, "is_ready", lambda item: True)
    assert main(["fetch", "--json"]) == 0
    assert all(item["is_ready"] for item in items(capsys).values())


def test_a_requirement_that_is_missing_or_old_is_named(monkeypatch):
    import importlib.metadata

    wanted = ["numpy>=999", "no-such-package>=1", "scipy>=1", 'other; extra == "test"']
    monkeypatch.setattr(importlib.metadata, "requires", lambda name: wanted)
    old, absent = fetch.missing_packages()
    assert old.startswith("numpy ")
    assert "needed: >=999" in old
    assert absent == "no-such-package"


def test_names_of_validators_are_checked(capsys):
    assert main(["fetch", "--list", "--validators", "pyshacll"]) == 2
    assert "pyshacl" in capsys.readouterr().err
    assert main(["fetch", "--list", "--validators", "all", "pyshacl"]) == 2
    assert "'all' or 'none' alone" in capsys.readouterr().err
