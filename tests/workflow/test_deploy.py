"""The workflow as others deploy workflows: as a module, by snakedeploy, with Snakemake alone."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from pmcell.bundle import EMBEDDED_COHORTS, snakefile
from pmcell.cli.init import make_study
from repository import ROOT

MODULE = """\
configfile: "config/config.yaml"


module pmcell:
    snakefile:
        "{snakefile}"
    config:
        config


use rule * from pmcell as pmcell_*


rule everything:
    input:
        rules.pmcell_all.input,
    default_target: True
"""


@pytest.fixture
def study(tmp_path: Path) -> Path:
    folder = tmp_path / "study"
    make_study(folder, cohorts=EMBEDDED_COHORTS[:2])
    return folder


@pytest.fixture
def without_pmcell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Python in which `import pmcell` fails, as where only Snakemake is installed."""
    package = tmp_path / "blocked" / "pmcell"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("raise ImportError('the Snakefile imported pmcell')\n")
    monkeypatch.setenv("PYTHONPATH", str(package.parent))


def dry_run(folder: Path, *arguments: str) -> str:
    """What `snakemake --dry-run` says in a folder."""
    done = subprocess.run(
        [sys.executable, "-m", "snakemake", "--dry-run", "--nocolor", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    said = done.stdout + done.stderr
    assert done.returncode == 0, said[-3000:]
    return said


def test_the_snakefile_is_read_without_pmcell(study, without_pmcell):
    said = dry_run(study, "--snakefile", str(snakefile()))
    assert re.search(r"\nrelease +1\n", said)
    with pytest.raises(subprocess.CalledProcessError):
        subprocess.run([sys.executable, "-c", "import pmcell"], check=True, capture_output=True)


def test_another_workflow_uses_it_as_a_module(study, without_pmcell):
    (study / "workflow").mkdir()
    (study / "workflow" / "Snakefile").write_text(MODULE.format(snakefile=snakefile()))
    said = dry_run(study)
    assert re.search(r"pmcell_intake +2\n", said)
    assert re.search(r"pmcell_release +1\n", said)
    assert "--config config/config.yaml" in said


def test_snakedeploy_deploys_it_into_an_empty_folder(tmp_path, without_pmcell):
    program = shutil.which("snakedeploy", path=os.path.dirname(sys.executable))
    assert program, "snakedeploy is part of the test environment"
    # What lies in the repository now, committed or not.
    names = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "workflow", "config", "LICENSE"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    source = tmp_path / "pmcell"
    for name in names:
        if (ROOT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, source / name)
    git = ("git", "-c", "user.name=t", "-c", "user.email=t@example.org")
    for command in (["init", "-q", "-b", "main"], ["add", "-A"], ["commit", "-q", "-m", "x"]):
        subprocess.run([*git, *command], cwd=source, check=True)
    target = tmp_path / "deployed"
    subprocess.run(
        [program, "deploy-workflow", str(source), str(target), "--branch", "main"],
        check=True,
        capture_output=True,
    )
    # For a repository on disk snakedeploy writes the path inside it, not where it lies.
    deployed = target / "workflow" / "Snakefile"
    text = deployed.read_text()
    assert '"workflow/Snakefile"' in text
    deployed.write_text(
        text.replace('"workflow/Snakefile"', f'"{source / "workflow" / "Snakefile"}"')
    )
    assert re.search(r"\nrelease +1\n", dry_run(target))


def test_a_step_across_a_thousand_cohorts_with_long_names_can_be_called(tmp_path, monkeypatch):
    from snakemake.shell import shell

    monkeypatch.chdir(tmp_path)
    names = [f"{number:064d}" for number in range(1000)]
    # As the rules write it: more than the 128 KB that a system takes as one argument of `bash -c`.
    words = " ".join(f"--cohort {name} results/cohorts/{name}" for name in names)
    with pytest.raises(OSError, match="Argument list too long"):
        subprocess.run(["bash", "-c", f"true {words}"], check=True)
    show = f"{sys.executable} -c 'import sys; print(len(sys.argv) - 1, sys.argv[-1])'"
    said = shell(f"{show} {words}", read=True)
    assert said.split() == ["3000", f"results/cohorts/{names[-1]}"]


def test_documented_profiles_are_valid_and_keep_what_a_run_needs():
    text = (ROOT / "config" / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```yaml\n# profiles/(\S+)/config.yaml\n(.*?)```", text, re.DOTALL)
    assert [name for name, _ in blocks] == ["lsf", "kubernetes", "aws-batch", "googlebatch"]
    shipped = (ROOT / "workflow" / "profiles").glob("*/config.yaml")
    profiles = {name: yaml.safe_load(block) for name, block in blocks}
    profiles |= {path.parent.name: yaml.safe_load(path.read_text()) for path in shipped}
    known = known_options()
    for name, profile in profiles.items():
        assert profile.get("executor", "default") == name
        assert profile["keep-going"] is profile["rerun-incomplete"] is True
        assert profile["printshellcmds"] is True
        assert "keep-incomplete" not in profile
        own = {key for key in profile if not key.startswith(f"{name}-")}
        assert own <= known, own - known


def known_options() -> set[str]:
    """The options of Snakemake itself, as a profile spells them."""
    command = [sys.executable, "-m", "snakemake", "--help"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return set(re.findall(r"--([a-z][a-z0-9-]+)", said))
