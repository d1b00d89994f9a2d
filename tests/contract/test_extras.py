"""`pip install pmcell` brings what the library imports; its extras bring the rest."""

from __future__ import annotations

import ast
import importlib.metadata
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from pmcell.cli import NEEDED, main
from repository import ROOT, SOURCE

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
LIBRARY = ("core", "pp", "tl", "pl", "strata", "simulate", "schema", "release")
"""What runs without an extra, beside `io` but for its cryptography, and the terms of ontologies."""
OF_VALIDATORS = SOURCE / "publish" / "validators" / "drivers"
"""Programs that run in environments of their own."""
BROUGHT = {
    "PIL": "matplotlib",
    "google": "phenopackets",
    "lark": "ucumvert",
    "markupsafe": "jinja2",
    "pint": "ucumvert",
    "typing_extensions": "pydantic",
}
"""Packages that are imported and come with another one; matplotlib needs Pillow, and so on."""


def packages(extra: str = "") -> set[str]:
    """Names of the packages that an install with an extra brings, one extra in another too."""
    texts = PROJECT["optional-dependencies"][extra] if extra else PROJECT["dependencies"]
    found: set[str] = set() if not extra else packages()
    for requirement in map(Requirement, texts):
        if requirement.name == PROJECT["name"]:
            found |= set().union(*map(packages, requirement.extras))
        else:
            found.add(requirement.name)
    return found


def imported(path: Path) -> Iterator[str]:
    """Top-level packages that a module imports when it runs, at its head or inside a function."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    unseen = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if id(node) in unseen:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]


def needed(paths: Iterator[Path]) -> dict[str, str]:
    """Distribution of each foreign package that the modules import → a module that does."""
    distributions = importlib.metadata.packages_distributions()
    found: dict[str, str] = {}
    for path in paths:
        for name in imported(path):
            if name in sys.stdlib_module_names or name == PROJECT["name"]:
                continue
            name = BROUGHT.get(name, name)
            for distribution in distributions.get(name, [name]):
                found.setdefault(
                    re.sub(r"[-_.]+", "-", distribution).lower(), str(path.relative_to(SOURCE))
                )
    return found


def library_modules() -> Iterator[Path]:
    for part in LIBRARY:
        yield from (SOURCE / part).rglob("*.py")
    yield from (path for path in (SOURCE / "io").rglob("*.py") if path.parent.name != "crypt")
    yield SOURCE / "registry" / "terms" / "ontology.py"


def all_modules() -> Iterator[Path]:
    return (path for path in SOURCE.rglob("*.py") if not path.is_relative_to(OF_VALIDATORS))


def test_the_library_imports_what_a_plain_install_brings() -> None:
    found = needed(library_modules())
    assert {name: module for name, module in found.items() if name not in packages()} == {}
    assert {"numpy", "anndata", "numba", "pyarrow"} <= found.keys()


def test_a_plain_install_brings_nothing_that_only_commands_import() -> None:
    assert packages() - needed(library_modules()).keys() <= {"pyyaml"}


def test_everything_that_is_imported_comes_with_an_extra() -> None:
    found = needed(all_modules())
    # Slurm's plugin is asked for its version; packaging comes with matplotlib and Snakemake.
    known = packages("all") | set(PROJECT["optional-dependencies"]) | {"packaging"}
    assert {name: module for name, module in found.items() if name not in known} == {}


def test_commands_ask_for_packages_of_their_extra() -> None:
    assert set(NEEDED) <= packages("publish") - packages()


def test_parts_of_the_library_import_without_the_packages_of_commands() -> None:
    absent = sorted(packages("all") - packages() - {"scikit-learn"})
    code = (
        "import sys\n"
        f"for name in {absent!r}: sys.modules[name] = None\n"
        "import pmcell as pm\n"
        "pm.pp, pm.tl, pm.pl, pm.strata, pm.simulate, pm.io, pm.open_release, pm.open_counts\n"
        "import pmcell.tl.annotate\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_command_without_its_packages_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import importlib.util

    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *more: None if name == "rich" else found(name)
    )
    assert main(["check"]) == 2
    said = capsys.readouterr().err
    assert "rich is not installed. Run: python -m pip install 'pmcell[publish]'" in said
    assert main(["run", "-n"]) == 2
    assert "pmcell[workflow]" in capsys.readouterr().err


def completed(line: str) -> list[str]:
    """What argcomplete offers for a line."""
    pytest.importorskip("argcomplete")
    code = (
        "import os, io, argcomplete\n"
        "from pmcell.cli import GROUPS, module_of\n"
        "from pmcell.cli._complete import parser_for\n"
        "commands = dict(row for _, group in GROUPS for row in group)\n"
        "out = io.StringIO()\n"
        "def leave(code): print(out.getvalue(), flush=True); os._exit(code)\n"
        "parser = parser_for(os.environ['COMP_LINE'], commands, module_of)\n"
        "argcomplete.autocomplete(parser, exit_method=leave, output_stream=out)\n"
    )
    told = {
        "_ARGCOMPLETE": "1",
        "COMP_LINE": line,
        "COMP_POINT": str(len(line)),
        "_ARGCOMPLETE_IFS": " ",
    }
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **told}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_commands_and_their_options_complete() -> None:
    assert completed("pmcell val") == ["validate"]
    assert "--only" in completed("pmcell validate --on")
