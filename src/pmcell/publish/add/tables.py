"""Tables of a release with cohorts added: grown, counted again, or the files that there were."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from pmcell.gaps.groups import donor_groups
from pmcell.io.atomic import write_text
from pmcell.io.coded_tables import plain_frame
from pmcell.io.tables import read_table, write_table
from pmcell.publish.add.previous import Previous
from pmcell.publish.add.rows import add_rows
from pmcell.publish.atlas import Atlas
from pmcell.publish.content.sources import rows_of
from pmcell.publish.content.tables import dictionary
from pmcell.publish.disclosure.policy import Policy
from pmcell.publish.disclosure.redact import redact
from pmcell.publish.facts import Facts
from pmcell.publish.file_facts import file_facts
from pmcell.publish.placed import link_file
from pmcell.schema import DONOR_GROUPS, TABLES, Table

if TYPE_CHECKING:
    import pandas as pd

KEPT = frozenset({"clusters", "cohort_counts", "consensus", "donor_distances"})
"""Tables over all donors whose rows no cohort has by itself; others are made of files that only
steps over all cohorts leave, of which an addition has none."""
SHARED = frozenset({"genes", "terms"})
"""Tables that may have a row of an added cohort already: it stays as it was."""
JOBS = ("intake", "qc")
"""Steps of an added cohort that ran."""


def grow_tables(
    facts: Facts, added: Facts, atlases: Mapping[str, Atlas], previous: Previous, folder: Path
) -> list[str]:
    """Write the tables of `previous` with the rows of the added cohorts into `folder`.

    Parameters
    ----------
    facts
        What the release is about: earlier cohorts and added ones.
    added
        The added cohorts alone, with their staged results.
    atlases
        Their placed cells, by cohort.
    previous
        The earlier release.
    folder
        Folder of the tables.

    Returns
    -------
    list of str
        Names of the files that are those of `previous`.
    """
    folder.mkdir(parents=True)
    linked = []
    for table in TABLES:
        name = f"{table.name}.parquet"
        source, target = previous.table(table.name), folder / name
        about = file_facts(facts, f"tables/{name}")
        if table.name == DONOR_GROUPS.name:
            continue
        rows = _rows(table, added, atlases, source)
        if rows is None:
            link_file(source, target)
            linked.append(f"tables/{name}")
        else:
            add_rows(source, rows, table, target, about=about)
    about = file_facts(facts, f"tables/{DONOR_GROUPS.name}.parquet")
    write_table(folder / f"{DONOR_GROUPS.name}.parquet", _groups(folder), DONOR_GROUPS, about=about)
    write_text(folder / "README.md", dictionary())
    return linked


def _rows(
    table: Table, added: Facts, atlases: Mapping[str, Atlas], source: Path
) -> pd.DataFrame | None:
    """The rows that the added cohorts have in a table; None without any."""
    import pandas as pd

    if table.name in KEPT:
        return None
    parts = []
    for cohort in added.cohorts:
        # Each cohort has an atlas of its own; tables that need none are read for each alike.
        own = replace(added, cohorts=(cohort,))
        atlas = atlases[cohort.cohort_id]
        found = rows_of(table, own, atlas)
        policy = Policy(own, atlas)
        chunks = [found] if isinstance(found, pd.DataFrame) else list(found)
        frames = [item if isinstance(item, pd.DataFrame) else plain_frame(item) for item in chunks]
        parts += [redact(table, frame, policy) for frame in frames]
    rows = pd.concat([part for part in parts if len(part)] or parts[:1], ignore_index=True)
    rows = rows.drop_duplicates(list(table.key), ignore_index=True)
    if table.name in ADAPTED:
        rows = ADAPTED[table.name](rows)
    if table.name in SHARED:
        (key,) = table.key
        rows = rows[~rows[key].isin(read_table(source, [key])[key])]
    return rows if len(rows) else None


def _cells(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.assign(cluster=None)


def _runtime(rows: pd.DataFrame) -> pd.DataFrame:
    return rows[rows["cohort_id"].notna() & rows["rule"].isin(JOBS)]


ADAPTED: Mapping[str, Callable[[pd.DataFrame], pd.DataFrame]] = {
    "cells": _cells,
    "runtime": _runtime,
}
"""What else an addition makes of the rows of a table."""


def _groups(folder: Path) -> pd.DataFrame:
    """Groups of all donors: who is in the release is counted, not found."""
    names = ("cohorts", "donors", "visits", "samples")
    return donor_groups(*(read_table(folder / f"{name}.parquet") for name in names))
