"""Recipes for conda, containers and the workflow catalog agree with the lock and with the files.

No engine is asked for: what a recipe copies and installs is done in a folder instead.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from repository import ROOT

ENVS = ROOT / "envs"
CONDA_NAMES = {"matplotlib-base": "matplotlib", "snakemake-minimal": "snakemake"}


def conda_packages() -> set[str]:
    listed = yaml.safe_load((ENVS / "pmcell.yaml").read_text(encoding="utf-8"))["dependencies"]
    plain = [item.split("=")[0] for item in listed if isinstance(item, str)]
    (pip,) = (item["pip"] for item in listed if isinstance(item, dict))
    return {CONDA_NAMES.get(name, name) for name in plain} | {item.split("==")[0] for item in pip}


def needed_by_the_workflow() -> dict[str, SpecifierSet]:
    """Name and range of each package that a run of the workflow needs."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    listed = map(Requirement, [*project["dependencies"], *extras["publish"], *extras["workflow"]])
    return {canonicalize_name(item.name): item.specifier for item in listed if not item.extras}


def test_conda_environment_has_every_package_that_pmcell_needs():
    needed = needed_by_the_workflow().keys()
    assert {"numpy", "rdflib", "snakemake"} <= needed
    assert needed <= {canonicalize_name(name) for name in conda_packages()}


def test_conda_recipe_has_the_ranges_of_pyproject():
    from pmcell.version import __version__

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    recipe = yaml.safe_load((ENVS / "recipe" / "meta.yaml").read_text(encoding="utf-8"))
    assert recipe["package"] == {"name": project["name"], "version": __version__}
    pairs = [item.partition(" ")[::2] for item in recipe["requirements"]["run"]]
    found = {CONDA_NAMES.get(name, name): SpecifierSet(ranges) for name, ranges in pairs}
    assert found.pop("python") == SpecifierSet(project["requires-python"])
    assert found == needed_by_the_workflow()


def test_the_container_does_not_run_as_root():
    text = (ENVS / "Containerfile").read_text(encoding="utf-8")
    before, _, after = text.partition("ENTRYPOINT")
    users = re.findall(r"^USER (\S+)", before, re.MULTILINE)
    assert users[-1:] == ["1000"]
    assert after


def test_conda_environment_pins_pip_packages_as_the_lock_does():
    lock = (ENVS / "requirements.txt").read_text(encoding="utf-8")
    listed = yaml.safe_load((ENVS / "pmcell.yaml").read_text(encoding="utf-8"))["dependencies"]
    (pip,) = (item["pip"] for item in listed if isinstance(item, dict))
    for pin in pip:
        assert re.search(rf"^{re.escape(pin)}[ ;]", lock, re.MULTILINE), pin


def test_post_deploy_script_says_what_it_needs():
    script = ENVS / "pmcell.post-deploy.sh"
    environment = {key: value for key, value in os.environ.items() if key != "PMCELL_SOURCE"}
    done = subprocess.run(
        ["sh", script], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "PMCELL_SOURCE must name a checkout or a wheel" in done.stderr


def copied_by_containerfile() -> list[str]:
    text = (ENVS / "Containerfile").read_text(encoding="utf-8")
    lines = re.findall(r"^COPY (.+)$", text, flags=re.MULTILINE)
    return [source for line in lines for source in line.split()[:-1]]


def copied_by_definition() -> list[str]:
    text = (ENVS / "pmcell.def").read_text(encoding="utf-8")
    files = text.split("%files\n")[1].split("\n\n")[0]
    return [line.split()[0] for line in files.splitlines()]


@pytest.mark.parametrize("copied", [copied_by_containerfile(), copied_by_definition()])
def test_what_a_container_recipe_copies_is_enough_to_build_pmcell(copied, tmp_path):
    for name in copied:
        source, target = ROOT / name, tmp_path / name
        if source.is_dir():
            shutil.copytree(
                source, target, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__")
            )
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, target)
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel"],
        cwd=tmp_path,
        check=True,
        capture_output=True,
    )
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    for name in ("cli/__init__.py", "_bundle/workflow/Snakefile", "_bundle/config/config.yaml"):
        assert f"pmcell/{name}" in names
    for path in (ROOT / "workflow").rglob("*.smk"):
        assert f"pmcell/_bundle/{path.relative_to(ROOT).as_posix()}" in names
    assert "pmcell/_bundle/workflow/resources.yaml" in names
    # Type checkers read the annotations of an installed package only where this file is (PEP 561).
    assert {"pmcell/py.typed", "snakemake_report_plugin_wrroc/py.typed"} <= names


@pytest.mark.parametrize("recipe", ["Containerfile", "pmcell.def"])
def test_container_recipes_install_from_the_lock_with_hashes(recipe):
    text = (ENVS / recipe).read_text(encoding="utf-8")
    assert "pip install --require-hashes -r envs/requirements.txt" in text
    (version,) = re.findall(r"python:(\d\.\d+)-slim", text)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert SpecifierSet(project["requires-python"]).contains(version)


def test_catalog_finds_what_it_asks_for():
    usage = yaml.safe_load((ROOT / ".snakemake-workflow-catalog.yml").read_text())["usage"]
    assert usage["software-stack-deployment"]["conda"] is True
    assert usage["report"] is True
    for name in ("workflow/Snakefile", "config/README.md", "config/config.yaml"):
        assert (ROOT / name).is_file()
    used = {
        Path(match)
        for path in (ROOT / "workflow" / "rules").glob("*.smk")
        for match in re.findall(r'conda:\s+"([^"]+)"', path.read_text(encoding="utf-8"))
    }
    assert used == {Path("../../envs/pmcell.yaml")}
