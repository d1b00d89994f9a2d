"""The changes that docs/add.md shows can be made, work, and touch as few files as they say."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from numba.core.caching import _CacheLocator

from pmcell.core.compiler import CACHE_FOLDER
from repository import ROOT, fenced_blocks

PAGE = ROOT / "docs" / "add.md"
RECIPES = ROOT / "docs" / "recipes"

STEPS = "tests/contract/test_steps.py"
SETTINGS = "tests/contract/test_configuration.py"


@dataclass(frozen=True)
class Recipe:
    """How many files a change touches, and what shows that it is whole.

    Attributes
    ----------
    n_files
        Files written by hand; what the commands of the page make is not among them.
    own
        The test that the change itself brings.
    rules
        Tests of the house that find what it leaves out.
    """

    n_files: int
    own: str = ""
    rules: tuple[str, ...] = ()


MADE_FROM_CODE = f"{SETTINGS}::test_readme_and_schema_are_those_that_the_settings_make"
CHANGES = {
    # Function, command, row, rule, test.
    "step": Recipe(
        5,
        "tests/pp/test_ribosomal.py",
        (
            f"{STEPS}::test_every_step_is_a_rule_with_a_job_for_each_cohort_or_one",
            f"{STEPS}::test_a_rule_reads_writes_and_logs_what_the_table_says[ribosomal]",
            f"{STEPS}::test_a_rule_gives_the_command_the_files_of_the_table[ribosomal]",
            f"{STEPS}::test_the_file_for_the_snakefile_is_that_of_the_table",
            f"{SETTINGS}::test_every_model_is_that_of_a_step_or_of_the_study",
            MADE_FROM_CODE,
        ),
    ),
    # Table, writer, test.
    "table": Recipe(
        3,
        "tests/publish/test_release.py::test_batches_add_up_to_the_donors_cells",
        (
            "tests/publish/test_release.py::test_a_release_verifies_and_holds_every_table",
            "tests/contract/test_field_names.py",
        ),
    ),
    # The setting.
    "option": Recipe(
        1,
        rules=(
            f"{SETTINGS}::test_the_library_has_the_defaults_of_the_settings",
            f"{SETTINGS}::test_every_setting_of_a_step_is_an_option_of_its_command",
            MADE_FROM_CODE,
        ),
    ),
    # The key, its test.
    "cohort_field": Recipe(
        2,
        "tests/publish/metadata/dcat/test_catalogue.py"
        "::test_the_acronym_of_a_cohort_is_its_alternative_title",
        (
            "tests/registry/test_schemas.py",
            "tests/registry/cohorts/test_catalogue.py"
            "::test_every_code_has_a_meaning_and_every_key_can_be_given",
        ),
    ),
    # The row, the driver, its requirement, its name among the settings, its broken twin.
    "validator": Recipe(
        5,
        "tests/publish/test_validate.py::test_arrow_finds_a_text_that_is_none",
        (
            "tests/publish/test_validate.py::test_every_lock_pins_its_validator_and_names_no_index",
            f"{SETTINGS}::test_channels_and_validators_of_the_settings_are_those_of_the_code",
            MADE_FROM_CODE,
        ),
    ),
}

pytestmark = [
    pytest.mark.once,
    pytest.mark.skipif(
        not (ROOT / ".git").exists() or shutil.which("git") is None,
        reason="the files of the repository are known to git alone",
    ),
]


@dataclass(frozen=True)
class Checkout:
    """A copy of the repository in which anything may be changed."""

    folder: Path

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command in the copy, with its package and this environment's programs."""
        programs = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        variables = {"PATH": programs, "PYTHONPATH": str(self.folder / "src")}
        variables["NUMBA_CACHE_DIR"] = str(kernels_of(self.folder))
        # git must not find the repository that the copy may lie in.
        variables["GIT_CEILING_DIRECTORIES"] = str(self.folder.parent)
        return subprocess.run(
            command,
            cwd=self.folder,
            env={**os.environ, **variables},
            capture_output=True,
            text=True,
            check=False,
        )

    def must(self, *command: str) -> str:
        """Run a command that must succeed; return what it printed."""
        done = self.run(*command)
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def test(self, *tests: str) -> str:
        """Run some of its tests."""
        return self.must(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests)


@pytest.fixture
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """A copy of the files that git knows, as they are here.

    It lies in the same place for every test, and what was compiled here or there stays: files that
    a change does not touch keep their time, by which numba and Python know their own.
    """
    listed = subprocess.run(
        ["git", "-C", str(ROOT), "ls-files", "-z"], capture_output=True, text=True, check=True
    )
    folder = tmp_path_factory.getbasetemp() / "checkout"
    for path in [path for path in folder.rglob("*") if "__pycache__" not in path.parts]:
        if not path.is_dir() or path.is_symlink():
            path.unlink()
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    if not kernels_of(folder).exists():
        copy_compiled(folder)
    return Checkout(folder)


def kernels_of(folder: Path) -> Path:
    """Where numba keeps what it compiles for a copy."""
    return folder.with_name("kernels")


def copy_compiled(folder: Path) -> None:
    """Give a copy the bytecode and the kernels of this checkout, which nothing needs to make anew.

    numba names the cache of a source after its folder, so the kernels get the names of the copy.
    """
    kernels_of(folder).mkdir(mode=0o700)
    unfinished = shutil.ignore_patterns("*.tmp.*", "*.pyc.*")
    for source in {path.parent for path in (ROOT / "src").rglob("*.py")}:
        target = folder / source.relative_to(ROOT)
        if (source / "__pycache__").is_dir():
            shutil.copytree(source / "__pycache__", target / "__pycache__", ignore=unfinished)
        mine, its = (
            _CacheLocator.get_suitable_cache_subpath(str(f / "x.py")) for f in (source, target)
        )
        if CACHE_FOLDER is not None and (CACHE_FOLDER / mine).is_dir():
            shutil.copytree(CACHE_FOLDER / mine, kernels_of(folder) / its, ignore=unfinished)


def make_from_code(checkout: Checkout) -> None:
    """What the page says to do after a change."""
    (commands,) = [text for text in fenced_blocks(PAGE.read_text("utf-8")) if "python -m" in text]
    checkout.must("sh", "-e", "-c", commands)


def lock_pyarrow(checkout: Checkout) -> None:
    """What scripts/lock.py would write; the version is the one that pmcell runs with."""
    locked = (ROOT / "envs" / "requirements.txt").read_text(encoding="utf-8")
    (block,) = re.findall(r"^pyarrow==.*\n(?: {4}.*\n)+", locked, flags=re.MULTILINE)
    (checkout.folder / "envs" / "validators" / "pyarrow.txt").write_text(block, encoding="utf-8")


def look_for_neighbours_elsewhere(checkout: Checkout) -> None:
    """The new option of the command decides in which embedding neighbours are sought."""
    code = """
import numpy as np, pandas as pd
from anndata import AnnData
from pathlib import Path
from pmcell.cli import main
from pmcell.io.h5ad import read_h5ad, write_h5ad

points = np.random.default_rng(1).normal(size=(2, 30, 3)).astype("f4")
cells = AnnData(
    obs=pd.DataFrame(index=[f"c{row}" for row in range(30)]),
    obsm={"X_pca": points[0], "X_integrated": points[1]},
)
write_h5ad(Path("embedding.h5ad"), cells)
files = ["--embedding", "embedding.h5ad", "--out", "graph.h5ad"]
for options in ([], ["--basis", "X_pca"]):
    assert main(["neighbors", *files, *options]) == 0
    graph = read_h5ad("graph.h5ad")
    print(graph.uns["neighbors"]["params"]["use_rep"], graph.obsp["distances"].sum())
"""
    said = checkout.must(sys.executable, "-c", code)
    found = dict(re.findall(r"^(X_\w+) (\S+)$", said, flags=re.MULTILINE))
    assert list(found) == ["X_integrated", "X_pca"]
    assert found["X_integrated"] != found["X_pca"]


AFTER: dict[str, Sequence[Callable[[Checkout], None]]] = {
    "option": [look_for_neighbours_elsewhere],
    "validator": [lock_pyarrow],
}
"""What else is done with a change, once it is made."""


def test_every_recipe_is_shown_once_and_tried() -> None:
    shown = re.findall(r"^<!-- recipe: (\w+) -->$", PAGE.read_text("utf-8"), flags=re.MULTILINE)
    assert sorted(shown) == sorted(path.stem for path in RECIPES.iterdir()) == sorted(CHANGES)


@pytest.mark.slow
@pytest.mark.parametrize("name", CHANGES)
def test_a_recipe_applies_works_and_touches_as_few_files_as_it_may(
    name: str, checkout: Checkout
) -> None:
    recipe, diff = CHANGES[name], str(RECIPES / f"{name}.diff")
    checkout.must("git", "apply", "--check", "--whitespace=error-all", diff)
    checkout.must("git", "apply", diff)
    touched = checkout.must("git", "apply", "--numstat", diff).splitlines()
    assert len(touched) == recipe.n_files, touched
    make_from_code(checkout)
    for act in AFTER.get(name, []):
        act(checkout)
    checkout.test(*filter(None, [recipe.own]), *recipe.rules)


@pytest.mark.slow
def test_a_step_without_its_rule_is_found(checkout: Checkout) -> None:
    diff = str(RECIPES / "step.diff")
    checkout.must("git", "apply", "--exclude=workflow/*", diff)
    make_from_code(checkout)
    done = checkout.run(sys.executable, "-m", "pytest", "-q", *CHANGES["step"].rules[:1])
    assert done.returncode != 0
    assert "ribosomal" in done.stdout
