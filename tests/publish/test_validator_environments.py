"""Environments of validators are made with what installer there is, or the fix is named."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from pmcell.errors import DataError
from pmcell.publish.validators import environments
from pmcell.publish.validators.table import find


@pytest.fixture
def commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The commands of a set-up of one validator, none of which is run; no uv, no pip on PATH."""
    run: list[list[str]] = []

    def record(command: list[str], settings: dict[str, str]) -> str:
        run.append(command)
        if "venv" in command:
            Path(command[command.index("venv") + 1]).mkdir(parents=True)
        return ""

    monkeypatch.setenv("PMCELL_VALIDATORS_DIR", str(tmp_path / "validators"))
    monkeypatch.setattr(environments, "_run", record)
    monkeypatch.setattr(environments, "_uv", lambda: None)
    monkeypatch.setattr(environments, "uv_settings", lambda pip: {})
    return run


def test_pip_of_this_environment_fills_the_new_one(commands, monkeypatch) -> None:
    monkeypatch.setattr(environments, "_pip", lambda: ["own-pip"])
    environments.set_up([find("cffconvert")])
    make, install = commands
    assert "--without-pip" in make
    assert install[:2] == ["own-pip", "--python"]
    assert "--require-hashes" in install


def test_without_any_pip_the_new_environment_brings_its_own(commands, monkeypatch) -> None:
    monkeypatch.setattr(environments, "_pip", lambda: [])
    environments.set_up([find("cffconvert")])
    make, install = commands
    assert "--without-pip" not in make
    assert install[0] == str(environments.environment(find("cffconvert")) / "bin" / "python")
    assert "--require-hashes" in install


def test_pip_of_the_underlying_python_serves_an_environment_without_one(monkeypatch) -> None:
    def run(command: list[str], settings: dict[str, str]) -> str:
        return "No module named pip" if command[0] == sys.executable else ""

    monkeypatch.setattr(sys, "_base_executable", "/usr/bin/python-base")
    monkeypatch.setattr(environments, "_run", run)
    assert environments._pip() == ["/usr/bin/python-base", "-I", "-m", "pip"]


def test_set_up_without_pip_and_uv_names_the_fix(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("PMCELL_VALIDATORS_DIR", str(tmp_path))
    monkeypatch.setattr(environments, "_run", lambda command, settings: "no ensurepip here")
    monkeypatch.setattr(environments, "_uv", lambda: None)
    monkeypatch.setattr(environments, "_pip", lambda: [])
    with pytest.raises(DataError, match=r"no ensurepip here.*install uv or pip beside pmcell"):
        environments.set_up([find("cffconvert")])
