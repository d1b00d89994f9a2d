"""All tables of a release, gathered from the modules that spell them."""

from __future__ import annotations

from collections.abc import Iterator
from types import ModuleType

from pmcell.schema import (
    added,
    cells,
    counts,
    explanation,
    followup,
    measurements,
    pairs,
    people,
    strata,
    vocabulary,
)
from pmcell.schema.model import Table

MODULES = (
    people,
    measurements,
    cells,
    strata,
    pairs,
    added,
    followup,
    explanation,
    counts,
    vocabulary,
)
"""In reading order; tables that no release holds stand in `steps`."""


def gathered(*modules: ModuleType) -> Iterator[Table]:
    """Yield the tables of some modules, in the order in which they are spelled.

    Raises
    ------
    ValueError
        Where a table has no source and class of disclosure, or a name twice.
    """
    names = set()
    for module in modules:
        for item in vars(module).values():
            if not isinstance(item, Table):
                continue
            if item.disclosure is None:
                raise ValueError(
                    f"table {item.name!r} of {module.__name__} must have a source and a class of "
                    "disclosure; a table that no release holds belongs in pmcell.schema.steps"
                )
            if item.name in names:
                raise ValueError(f"table {item.name!r} must be spelled once, it is there twice")
            names.add(item.name)
            yield item


TABLES = tuple(gathered(*MODULES))
"""All tables of a release, in reading order."""


def table(name: str) -> Table:
    """Return the table called `name`; KeyError with the known names if there is none."""
    for item in TABLES:
        if item.name == name:
            return item
    raise KeyError(f"no table {name!r}; there are {', '.join(item.name for item in TABLES)}")
