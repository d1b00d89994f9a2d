"""Hooks, forms and metadata of the project say what the rest of the repository says."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from order import FIRST, ONCE
from repository import ROOT

PREFIX = "scripts/with-env --test "
TEMPLATES = ROOT / ".github/ISSUE_TEMPLATE"
FORMS = sorted(path for path in TEMPLATES.glob("*.yml") if path.name != "config.yml")


def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def citation() -> dict[str, Any]:
    return yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))


def hooks() -> dict[str, dict[str, Any]]:
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    assert [item["repo"] for item in config["repos"]] == ["local"]
    return {hook["id"]: hook for item in config["repos"] for hook in item["hooks"]}


def test_hooks_run_the_tools_of_the_environment_and_download_nothing() -> None:
    for hook in hooks().values():
        assert hook["language"] == "system"
        assert hook["entry"].startswith(PREFIX)
        assert "additional_dependencies" not in hook


def test_hooks_run_every_tool_that_the_lint_part_of_ci_runs() -> None:
    body = re.search(r"^lint\(\) \{\n(.*?)^\}", (ROOT / ".ci/run").read_text("utf-8"), re.M | re.S)
    assert body
    tools = {line.split()[2] for line in body[1].splitlines() if PREFIX in line}
    # Snakemake's own linter plans the whole study: too slow for a commit.
    tools -= {"snakemake"}
    assert {hook["entry"].removeprefix(PREFIX).split()[0] for hook in hooks().values()} == tools


@pytest.mark.parametrize(
    ("path", "is_taken"),
    [
        ("Snakefile", True),
        ("workflow/Snakefile", True),
        ("workflow/rules/atlas.smk", True),
        ("workflow/README.md", False),
        ("src/pmcell/steps.py", False),
    ],
)
def test_the_hook_of_snakefmt_takes_the_files_of_the_workflow(path: str, is_taken: bool) -> None:
    assert (ROOT / path).is_file()
    assert bool(re.search(hooks()["snakefmt"]["files"], path)) == is_taken


@pytest.mark.parametrize("path", FORMS, ids=lambda path: path.stem)
def test_a_form_asks_under_unique_ids_and_labels(path: Path) -> None:
    form = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert form["name"]
    assert form["description"]
    fields = [item for item in form["body"] if item["type"] != "markdown"]
    for part in ("id", "label"):
        found = [item.get(part) or item["attributes"].get(part) for item in fields]
        assert all(found)
        assert len(set(found)) == len(found)
    assert any(item.get("validations", {}).get("required") for item in fields)


def test_the_form_for_cohorts_offers_every_format_that_is_read() -> None:
    from pmcell.registry.cohorts.keys import FORMATS

    form = yaml.safe_load((TEMPLATES / "refused_cohort.yml").read_text(encoding="utf-8"))
    (item,) = [item for item in form["body"] if item.get("id") == "format"]
    offered = {name for option in item["attributes"]["options"] for name in option.split(" or ")}
    assert offered - {"another"} == set(FORMATS)


def test_citation_and_package_metadata_say_the_same() -> None:
    assert [item["name"] for item in citation()["authors"]] == [
        item["name"] for item in project()["authors"]
    ]
    assert citation()["keywords"] == project()["keywords"]
    assert citation()["license"] == project()["license"]
    assert citation()["title"].partition(": ")[0] == project()["name"]


def test_classifiers_name_the_pythons_that_ci_tries() -> None:
    named = re.findall(r"Python :: (3\.\d+)", "\n".join(project()["classifiers"]))
    (tried,) = re.findall(r"^VERSIONS=\((.*)\)$", (ROOT / ".ci/run").read_text("utf-8"), re.M)
    assert named == tried.split()


def test_what_begins_and_what_runs_once_is_there() -> None:
    assert [name for name in (*FIRST, *ONCE) if not (ROOT / name).exists()] == []


def test_changelog_describes_every_version_up_to_that_of_the_package() -> None:
    from packaging.version import Version

    import pmcell

    headings = re.findall(r"^## \[(.+?)\]", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.M)
    assert headings[0] == "Unreleased"
    released = [Version(item) for item in headings[1:]]
    assert released == sorted(released, reverse=True)
    # What is under way is a version after the last that was released.
    version = Version(pmcell.__version__)
    assert version == released[0] or (version.is_devrelease and version > released[0])


def test_a_list_of_the_changelog_begins_under_one_heading_a_kind() -> None:
    kinds: list[str] = []
    for line in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8").splitlines():
        if line.startswith("## "):
            kinds = []
        elif line.startswith("### "):
            assert line[4:] in ("Added", "Changed", "Deprecated", "Removed", "Fixed", "Security")
            assert line[4:] not in kinds, f"{line[4:]} stands twice in one version"
            kinds.append(line[4:])
