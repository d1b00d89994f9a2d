"""Where the rows of a published table come from: a step's file, or a function of this package."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from pmcell.io.coded_tables import read_coded_chunks
from pmcell.io.tables import empty_table, join_tables, read_table
from pmcell.publish.atlas import Atlas
from pmcell.publish.facts import Facts
from pmcell.schema import DIFFERENTIAL_EXPRESSION, PSEUDOBULK, Table

if TYPE_CHECKING:
    from pathlib import Path
    from typing import TypeAlias

    import pandas as pd
    import pyarrow as pa

    Rows: TypeAlias = pd.DataFrame | Iterator[pd.DataFrame] | Iterator[pa.Table]

PER_COHORT = "cohorts/*/"
FOLDERS = (PER_COHORT, "atlas/", "strata/")
"""Folders of the results in which steps leave the rows of published tables."""


def rows_of(table: Table, facts: Facts, atlas: Atlas) -> Rows:
    """Return the rows of a table before redaction: whole, or in chunks where they are many.

    Chunks of the tables that `is_coded` names are Arrow tables with text as codes.

    A study that was made without the step has an empty table. Of files of single cohorts
    those of published cohorts are read. Raises ValueError for an unknown source.
    """
    require_source(table)
    if ":" in table.source:
        return _function(table)(facts, atlas)
    if table.source.startswith(PER_COHORT):
        name = table.source.removeprefix(PER_COHORT)
        return join_tables((read_table(item.folder / name) for item in facts.published), table)
    return _step_rows(facts.results / table.source, table)


def is_coded(table: Table) -> bool:
    """Whether a table has so many rows that its text stays codes from its source to its file."""
    return table.name in (PSEUDOBULK.name, DIFFERENTIAL_EXPRESSION.name)


def require_source(table: Table) -> None:
    """Raise ValueError unless the source of the table exists."""
    if ":" in table.source:
        _function(table)
    elif not (table.source.startswith(FOLDERS) and table.source.endswith(".parquet")):
        raise ValueError(
            f"the source of table {table.name!r} must be a Parquet file in one of "
            f"{', '.join(FOLDERS)} or a function as 'module:function'; got {table.source!r}"
        )


def _function(table: Table) -> Callable[[Facts, Atlas], Rows]:
    module, _, name = table.source.partition(":")
    try:
        found = getattr(importlib.import_module(f"pmcell.publish.{module}"), name)
    except (ModuleNotFoundError, AttributeError) as error:
        raise ValueError(
            f"the source of table {table.name!r} must be a function of pmcell.publish; "
            f"there is no {table.source!r} ({error})"
        ) from error
    return found  # type: ignore[no-any-return]


def _step_rows(path: Path, table: Table) -> Rows:
    if not path.is_file():
        return empty_table(table)
    return read_coded_chunks(path, table) if is_coded(table) else read_table(path)[table.columns]
