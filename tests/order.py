"""Which tests begin, and which are the same on any Python."""

from __future__ import annotations

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


def arrange(items: list[pytest.Item]) -> None:
    """Begin with FIRST; mark what lies below ONCE."""
    for item in items:
        if item.nodeid.startswith(ONCE):
            item.add_marker("once")
    items.sort(key=_rank)


def _rank(item: pytest.Item) -> int:
    file = item.nodeid.partition("::")[0]
    return FIRST.index(file) if file in FIRST else len(FIRST)
