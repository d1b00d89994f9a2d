"""Every public function of the library has the same shape and explains itself."""

from __future__ import annotations

import doctest
import importlib
import inspect
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

STEPS = ("pp", "tl", "strata")
# What a step may be handed first: cells, or the donors made from them.
FIRST = {"adata", "donors"}
MAX_DOCTEST_LINES = 6


def public_functions() -> Iterator[Any]:
    for part in STEPS:
        module = importlib.import_module(f"pmcell.{part}")
        for name in module.__all__:
            function = getattr(module, name)
            if inspect.isfunction(function):
                yield pytest.param(function, id=f"{part}.{name}")


FUNCTIONS = list(public_functions())


@pytest.mark.parametrize("function", FUNCTIONS)
def test_step_takes_data_first_and_options_by_keyword(function: Callable[..., Any]) -> None:
    first, *options = inspect.signature(function).parameters.values()
    assert first.name in FIRST
    assert all(option.kind is option.KEYWORD_ONLY for option in options)


@pytest.mark.parametrize("function", FUNCTIONS)
def test_step_has_types_in_its_signature(function: Callable[..., Any]) -> None:
    signature = inspect.signature(function)
    untyped = [p.name for p in signature.parameters.values() if p.annotation is p.empty]
    assert not untyped
    assert signature.return_annotation is not signature.empty


@pytest.mark.parametrize("function", FUNCTIONS)
def test_step_is_documented_with_a_short_example(function: Callable[..., Any]) -> None:
    text = inspect.getdoc(function) or ""
    assert text.splitlines()[0].endswith("."), "the first line must be a sentence"
    examples = doctest.DocTestParser().get_examples(text)
    assert examples, "one example that runs must stand in the docstring"
    n_lines = sum(len(example.source.splitlines()) for example in examples)
    assert n_lines <= MAX_DOCTEST_LINES, f"the example must have at most {MAX_DOCTEST_LINES} lines"


@pytest.mark.parametrize("part", [*STEPS, "pl"])
def test_all_names_exist_and_are_sorted(part: str) -> None:
    module = importlib.import_module(f"pmcell.{part}")
    assert list(module.__all__) == sorted(module.__all__)
    assert all(hasattr(module, name) for name in module.__all__)


@pytest.mark.parametrize("statement", ["import pmcell", "import pmcell.cli"])
def test_import_brings_in_nothing_heavy(statement: str) -> None:
    heavy = "snakemake", "scanpy", "matplotlib", "anndata", "pandas", "numba", "pyarrow"
    code = f"{statement}, sys; print(*(n for n in {heavy} if n in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
