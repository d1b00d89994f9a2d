"""What lies in the repository works on other machines than the one it was written on."""

from __future__ import annotations

import re
import tomllib

import pytest
import yaml
from packaging.markers import Marker
from packaging.requirements import Requirement

from repository import ROOT, fenced_blocks, text_files

LOCKS = {name: ROOT / "envs" / f"{name}.txt" for name in ("requirements", "requirements-test")}
LOCKS |= {f"validators/{path.stem}": path for path in (ROOT / "envs/validators").glob("*.txt")}
# The index has one archive of each: their source.
SINGLE_ARCHIVE = {"connection-pool", "docopt", "jsonpath-rw"}
PYTHONS = ("3.11", "3.12", "3.13")
# Written in pieces, so that this page does not find itself.
PARENTS = "|".join(["root", "home", "work", "Users", "opt/wheels"])
MACHINE_PATHS = re.compile(rf"(?<![\w.:/-])/(?:{PARENTS})/\w")


def pins(name: str) -> dict[str, list[tuple[str, Marker | None]]]:
    """Package → its pinned versions with their markers."""
    found: dict[str, list[tuple[str, Marker | None]]] = {}
    for line in LOCKS[name].read_text(encoding="utf-8").splitlines():
        if line.startswith((" ", "#")):
            continue
        requirement = Requirement(line.rstrip(" \\"))
        version = str(requirement.specifier).removeprefix("==")
        found.setdefault(requirement.name, []).append((version, requirement.marker))
    return found


def pinned(name: str, python: str) -> dict[str, str]:
    """Package → version on Linux with the given Python."""
    environment = {"python_version": python, "python_full_version": f"{python}.9"}
    environment |= {"sys_platform": "linux", "platform_machine": "x86_64"}
    return {
        package: version
        for package, versions in pins(name).items()
        for version, marker in versions
        if marker is None or marker.evaluate(environment)
    }


def test_no_file_names_a_folder_of_somebodys_machine() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()[:100]}"
        for path in text_files()
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
        if MACHINE_PATHS.search(line)
    ]
    assert not found, "\n".join(found)


def test_no_text_names_a_donor_of_the_embedded_cohorts() -> None:
    """A withdrawal finds its donor nowhere in the checkout: the README's example once named one."""
    folders = [path.parent for path in (ROOT / "config" / "cohorts").glob("*/donors.tsv")]
    ids = {
        line.partition("\t")[0]
        for folder in folders
        for line in (folder / "donors.tsv").read_text(encoding="utf-8").splitlines()[1:]
    }
    assert len(ids) > 40
    named = re.compile(rf"(?<![A-Za-z0-9])({'|'.join(map(re.escape, sorted(ids)))})(?![A-Za-z0-9])")
    found = {
        f"{path.relative_to(ROOT)}: {match[0]}"
        for path in text_files()
        if path.parent not in folders
        for match in named.finditer(path.read_text(encoding="utf-8"))
    }
    assert found == set()


@pytest.mark.parametrize("name", LOCKS)
def test_lock_names_no_index_and_hashes_every_archive(name: str) -> None:
    text = LOCKS[name].read_text(encoding="utf-8")
    assert not re.search(r"https?:|--index|--find-links|--extra|@ ", text)
    blocks = re.findall(r"^\S.*\\\n((?:    --hash=sha256:[0-9a-f]{64}.*\n)+)", text, re.MULTILINE)
    assert len(blocks) == sum(len(versions) for versions in pins(name).values()) > 0


@pytest.mark.parametrize("name", LOCKS)
def test_every_python_gets_the_same_version_of_a_package(name: str) -> None:
    found = {package: {version for version, _ in listed} for package, listed in pins(name).items()}
    several = {package: versions for package, versions in found.items() if len(versions) > 1}
    assert not several, "hold them back in envs/constraints.txt and run scripts/lock.py"


def test_lock_has_the_hashes_of_all_archives_of_a_version() -> None:
    hashes: dict[str, set[frozenset[str]]] = {}
    for path in LOCKS.values():
        blocks = re.findall(
            r"^(\S+==\S+).*\n((?:    .*\n)+)", path.read_text("utf-8"), re.MULTILINE
        )
        for pin, text in blocks:
            hashes.setdefault(pin, set()).add(frozenset(re.findall(r"sha256:(\w+)", text)))
    assert [pin for pin, found in hashes.items() if len(found) > 1] == []
    single = {pin.partition("==")[0] for pin, found in hashes.items() if len(min(found)) == 1}
    assert single <= SINGLE_ARCHIVE, "one platform's wheel is locked alone; run scripts/lock.py"


@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize("extra", [None, "slurm", "test"])
def test_lock_satisfies_pyproject(extra: str | None, python: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = project["optional-dependencies"][extra] if extra else project["dependencies"]
    have = pinned("requirements", python)
    if extra == "test":
        have |= pinned("requirements-test", python)
    for text in wanted:
        requirement = Requirement(text)
        if requirement.marker and not requirement.marker.evaluate({"python_version": python}):
            continue
        assert requirement.name in have, f"{text} is not locked; run scripts/lock.py"
        assert requirement.specifier.contains(have[requirement.name]), (
            f"{text} must hold, but {have[requirement.name]} is locked; run scripts/lock.py"
        )


@pytest.mark.parametrize("python", PYTHONS)
def test_test_lock_repeats_nothing_of_the_runtime_lock(python: str) -> None:
    assert not pinned("requirements", python).keys() & pinned("requirements-test", python).keys()


def test_conda_environment_has_the_versions_of_the_lock() -> None:
    environment = yaml.safe_load((ROOT / "envs" / "pmcell.yaml").read_text(encoding="utf-8"))
    listed = [item for item in environment["dependencies"] if isinstance(item, str)]
    versions = dict(item.split("=") for item in listed if "=" in item)
    locked = pinned("requirements", versions.pop("python"))
    # conda-forge's names where they differ from the Python package index's.
    names = {"matplotlib-base": "matplotlib", "snakemake-minimal": "snakemake"}
    assert versions == {name: locked[names.get(name, name)] for name in versions}


def test_readme_begins_with_the_run_command_and_the_test_command() -> None:
    run, test, *_ = fenced_blocks((ROOT / "README.md").read_text(encoding="utf-8"))
    assert (run, test) == ("scripts/demo\n", "scripts/test\n")


@pytest.mark.slow
def test_library_example_of_the_readme_runs(capsys: pytest.CaptureFixture[str]) -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    exec(compile(example, "README.md", "exec"), {})
    assert capsys.readouterr().out.startswith("strata ")


@pytest.mark.parametrize("name", ["demo", "test", "pmcell", "with-env"])
def test_scripts_of_the_readme_can_be_executed(name: str) -> None:
    path = ROOT / "scripts" / name
    assert path.stat().st_mode & 0o111 == 0o111
    assert path.read_text(encoding="utf-8").startswith("#!/bin/sh\n")


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md"])
def test_links_of_the_pages_lead_somewhere(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    targets = re.findall(r"\]\((?!https?:|mailto:|#)([^)#]+)", text)
    assert [target for target in targets if not (ROOT / target).exists()] == []


def test_citation_gives_the_version_of_the_package() -> None:
    import pmcell

    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == pmcell.__version__
    assert citation["license"] == "Apache-2.0"


def test_changelog_begins_with_what_is_not_released_yet() -> None:
    headings = re.findall(r"^## (.+)$", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.M)
    assert headings[0] == "[Unreleased]"
