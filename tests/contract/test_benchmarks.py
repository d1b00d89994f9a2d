"""Benchmarks run by hand, now and then: what they use of pmcell must not have moved meanwhile."""

from __future__ import annotations

import ast
import importlib

import pytest

from repository import ROOT

FOLDER = ROOT / "tests" / "benchmarks"
PROGRAMS = sorted(path.relative_to(FOLDER).as_posix() for path in FOLDER.rglob("*.py"))


def missing_names(source: str) -> list[str]:
    """Names that a program imports from pmcell and that are not there."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            wanted = [(alias.name, "") for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            wanted = [(node.module, alias.name) for alias in node.names]
        else:
            continue
        for module, name in wanted:
            if module.split(".")[0] == "pmcell" and not is_there(module, name):
                found.append(f"line {node.lineno}: {module} {name}".rstrip())
    return found


def is_there(module: str, name: str) -> bool:
    try:
        loaded = importlib.import_module(module)
        if name and not hasattr(loaded, name):
            importlib.import_module(f"{module}.{name}")
    except ModuleNotFoundError as error:
        # Of pmcell itself: a package that only a benchmark needs may be absent.
        return not str(error.name).startswith("pmcell")
    return True


@pytest.mark.parametrize("program", PROGRAMS)
def test_what_a_benchmark_imports_of_pmcell_is_there(program: str) -> None:
    assert missing_names((FOLDER / program).read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    ("source", "missing"),
    [
        (
            "from pmcell.mapping.head import fit_head, fit_foot",
            ["line 1: pmcell.mapping.head fit_foot"],
        ),
        ("import pmcell.nowhere", ["line 1: pmcell.nowhere"]),
        ("def late():\n    from pmcell.nowhere import x", ["line 2: pmcell.nowhere x"]),
        ("import pmcell as pm\nfrom pmcell import mapping\nfrom numpy import nothing", []),
    ],
)
def test_a_name_that_is_gone_is_found(source: str, missing: list[str]) -> None:
    assert missing_names(source) == missing


@pytest.mark.parametrize("name", ["person", "strata"])
def test_the_lock_of_a_benchmark_holds_what_it_asks_for(name: str) -> None:
    for asked in sorted((FOLDER / name).glob("requirements*.in")):
        locked = asked.with_suffix(".txt").read_text(encoding="utf-8").splitlines()
        lines = asked.read_text(encoding="utf-8").splitlines()
        wanted = {line for line in lines if line and not line.startswith("#")}
        assert wanted
        assert wanted <= set(locked)
