"""Which tests begin, which are the same on any Python, and which `scripts/test` leaves to CI."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

FIRST = (
    "tests/workflow/test_slurm.py",
    "tests/workflow/test_workflow.py",
    "tests/contract/test_recipes.py",
)
"""Slurm mostly waits, so others run beside it; a long module that began last would end alone."""

ONCE = (
    "tests/contract/test_banned_calls.py",
    "tests/contract/test_field_names.py",
    "tests/contract/test_layers.py",
    "tests/core/",
    "tests/gaps/",
    "tests/pl/",
    "tests/pp/",
    "tests/report/",
    "tests/strata/association/",
    "tests/strata/discovery/",
    "tests/strata/explanation/",
    "tests/strata/followup/",
    "tests/strata/profiles/",
    "tests/strata/statistics/",
    "tests/tl/",
)
"""Numbers, text of the repository, pages: one lock gives every Python the same numpy, scipy, numba
and pandas, and tests/workflow holds the results of every step on each Python against those in
tests/golden. What reads and writes files, commands and the workflow are tried on each."""


LEFT_OUT = ("slow", "slurm", "browser", "r")
"""Marks of tests that run with `--all`, as on the first Python of `.ci/run`, or where their file is
named."""


def left_out(items: Iterable[pytest.Item], named: Iterable[str]) -> set[pytest.Item]:
    """Tests that take long, or need a program that few have, of files that nobody named."""
    files = {str(name).partition("::")[0] for name in named if ".py" in str(name)}
    return {
        item
        for item in items
        if any(item.get_closest_marker(mark) for mark in LEFT_OUT)
        and not any(str(item.path).endswith(file) for file in files)
    }


def arrange(items: list[pytest.Item]) -> None:
    """Begin with FIRST; mark what lies below ONCE."""
    for item in items:
        if item.nodeid.startswith(ONCE):
            item.add_marker("once")
    items.sort(key=_rank)


def _rank(item: pytest.Item) -> int:
    file = item.nodeid.partition("::")[0]
    return FIRST.index(file) if file in FIRST else len(FIRST)
