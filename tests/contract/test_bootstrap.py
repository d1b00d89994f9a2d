"""The scripts set up their own environment, notice a broken one, and say what they need."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from repository import ROOT


@pytest.fixture(scope="module")
def bootstrap() -> ModuleType:
    spec = importlib.util.spec_from_file_location("bootstrap", ROOT / "scripts" / "bootstrap.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def finished(tmp_path: Path, bootstrap: ModuleType) -> Path:
    """A folder that looks like a finished set-up for running, not for testing."""
    folder = tmp_path / "env"
    (folder / "bin").mkdir(parents=True)
    for name in ("python", "pmcell", "snakemake"):
        (folder / "bin" / name).touch()
    stamp = json.dumps(bootstrap.wanted_stamp(folder, "run"))
    (folder / "pmcell-stamp.json").write_text(stamp, encoding="utf-8")
    return folder


def test_finished_environment_is_left_alone(bootstrap: ModuleType, finished: Path) -> None:
    assert bootstrap.is_ready(finished, "run")


def test_environment_for_running_does_not_serve_the_tests(
    bootstrap: ModuleType, finished: Path
) -> None:
    assert not bootstrap.is_ready(finished, "test")


def test_environment_for_testing_serves_running(bootstrap: ModuleType, finished: Path) -> None:
    stamp = json.dumps(bootstrap.wanted_stamp(finished, "test"))
    (finished / "pmcell-stamp.json").write_text(stamp, encoding="utf-8")
    assert bootstrap.is_ready(finished, "run")


@pytest.mark.parametrize("lost", ["pmcell-stamp.json", "bin/pmcell", "bin/snakemake"])
def test_half_made_environment_is_noticed(bootstrap: ModuleType, finished: Path, lost: str) -> None:
    (finished / lost).unlink()
    assert not bootstrap.is_ready(finished, "run")


def test_moved_environment_is_noticed(bootstrap: ModuleType, finished: Path) -> None:
    moved = finished.rename(finished.with_name("moved"))
    assert not bootstrap.is_ready(moved, "run")


def test_environment_of_another_version_is_noticed(
    bootstrap: ModuleType, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    another = tmp_path / "version.py"
    another.write_text('__version__ = "99"\n', encoding="utf-8")
    pyproject, _ = bootstrap.METADATA
    monkeypatch.setattr(bootstrap, "METADATA", [pyproject, another])
    assert not bootstrap.is_ready(finished, "run")


def test_foreign_folder_is_never_removed(bootstrap: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work", encoding="utf-8")
    with pytest.raises(bootstrap.SetUpError, match="name another folder in PMCELL_ENV_DIR"):
        bootstrap.make_environment(tmp_path)
    assert (tmp_path / "thesis.txt").exists()


def test_environment_variables_of_pip_win_over_its_files(bootstrap: ModuleType) -> None:
    listed = ":env:.index-url='https://a.example'\nglobal.index-url='https://b.example'\n"
    assert bootstrap.from_package("uv").translate_pip_config(listed) == {
        "UV_DEFAULT_INDEX": "https://a.example"
    }


def test_locked_uv_is_found_with_all_its_hashes(bootstrap: ModuleType, monkeypatch) -> None:
    asked: list[str] = []

    def pretend(command: list[str]) -> bool:
        asked.append(Path(command[-1]).read_text(encoding="utf-8"))
        return True

    monkeypatch.setattr(bootstrap, "run", pretend)
    assert bootstrap.install_uv(["pip"], bootstrap.LOCKS["run"][0])
    lines = asked[0].splitlines()
    assert lines[0].startswith("uv==")
    assert len(lines) > 10
    assert all(line.strip().startswith("--hash=sha256:") for line in lines[1:])


def test_command_finds_its_environment_first_and_no_foreign_packages(
    finished: Path, tmp_path: Path
) -> None:
    program = finished / "bin" / "show"
    program.write_text('#!/bin/sh\necho "$PYTHONPATH|$PYTHONNOUSERSITE|$1"\n', encoding="utf-8")
    program.chmod(0o755)
    environment = {**os.environ, "PMCELL_ENV_DIR": str(finished), "PYTHONPATH": "/foreign"}
    script = [sys.executable, "-I", str(ROOT / "scripts" / "bootstrap.py"), "show", "a b"]
    done = subprocess.run(script, env=environment, capture_output=True, text=True, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "|1|a b\n"), done.stderr


def test_python_that_is_too_old_is_named(tmp_path: Path) -> None:
    old = tmp_path / "python3"
    old.write_text(
        '#!/bin/sh\n[ "$1" = --version ] && echo Python 3.8.1 && exit\nexit 1\n', encoding="utf-8"
    )
    old.chmod(0o755)
    environment = {"PATH": "/usr/bin:/bin", "PMCELL_PYTHON": str(old)}
    script = ["/bin/sh", str(ROOT / "scripts" / "with-env"), "pmcell"]
    done = subprocess.run(script, env=environment, capture_output=True, text=True)
    assert done.returncode == 2
    assert "Python 3.8.1" in done.stderr
    assert "PMCELL_PYTHON=" in done.stderr
