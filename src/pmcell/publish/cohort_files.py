"""Each cohort's part of a release: written once by its own job, then linked into every release.

`cells.json` beside the files is the record of that job: which plan they were written by, and the
digests of their content (of their bytes the stamps have one: HDF5 may lay out equal content in
other bytes), so that a release neither writes nor digests them again. A cohort that is not
published has empty files: nothing of it is prepared for a release.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

from pmcell.core.counts.kept import KeptRows
from pmcell.io.atomic import read_json, write_json, write_text
from pmcell.io.counts.open import open_counts
from pmcell.io.stamps import is_made_of_present, read_stamp
from pmcell.publish.atlas import Atlas, load_atlas
from pmcell.publish.content.cells import write_cells
from pmcell.publish.content.expression import NONE, AddRows, expression_writer
from pmcell.publish.disclosure.atlas import shown_atlas
from pmcell.publish.facts import Cohort, Facts
from pmcell.publish.manifest import Sources, sources_of
from pmcell.publish.placed import place_file
from pmcell.publish.plan import plan_of
from pmcell.publish.profiles.cellxgene import Twins
from pmcell.release.manifest import Entries

CELLS, EXPRESSION, RECORD = "cells.h5ad", "expression.parquet", "cells.json"


def released_names(cohort_id: str) -> dict[str, str]:
    """Where a cohort's files lie in a release, by their names in its results."""
    return {CELLS: f"cells/{cohort_id}.h5ad", EXPRESSION: f"expression/{cohort_id}.parquet"}


def prepare_cohort(facts: Facts, cohort: Cohort, folder: Path) -> int:
    """Write a cohort's files and their record into `folder`; the number of its cells."""
    paths = [folder / CELLS, folder / EXPRESSION]
    for path in paths:
        write_text(path, "")
    n_cells, twins = 0, 0
    files: dict[Path, str] = {}
    if cohort.published:
        atlas = shown_atlas(facts, load_atlas(facts.results, cohort_id=cohort.cohort_id))
        n_cells = len(atlas.cells)
        files, twins = write_counts(facts, atlas, cohort, *paths)
    record = {
        "plan": _plan_digest(facts),
        "files": {path.name: digest for path, digest in files.items()},
        "n_twins": twins,
        "sources": sources_of(cohort),
    }
    write_json(folder / RECORD, record)
    return n_cells


def write_counts(
    facts: Facts, atlas: Atlas, cohort: Cohort, cells: Path, expression: Path
) -> tuple[dict[Path, str], int]:
    """Write the files of a cohort that hold its counts, from one pass over them.

    Returns the digest of each file's content, and how many cells have the counts of an earlier one.
    """
    known: dict[Path, str] = {}
    counts = open_counts(cohort.folder / "intake.h5ad")
    twins = Twins(counts.n_genes)
    takers: list[AddRows] = []

    def also(rows: KeptRows) -> None:
        twins.add(rows.indptr, rows.indices, rows.data)
        for take in takers:
            take(rows)

    with ExitStack() as stack:
        if facts.options.expression != NONE:
            told = partial(known.__setitem__, expression)
            writer = expression_writer(facts, cohort, counts, expression, told=told)
            takers.append(stack.enter_context(writer))
        known[cells] = write_cells(facts, atlas, cohort, cells, also=also)
    return known, twins.n


def read_record(facts: Facts, cohort: Cohort) -> Mapping[str, Any]:
    """The record of a cohort's files; nothing where they are of another plan or other inputs."""
    paths = [cohort.folder / name for name in (RECORD, CELLS, EXPRESSION)]
    if not all(path.is_file() and is_made_of_present(path, facts.results) for path in paths):
        return {}
    record: Mapping[str, Any] = read_json(paths[0])
    return record if record["plan"] == _plan_digest(facts) and "n_twins" in record else {}


def recorded_sources(record: Mapping[str, Any], cohort: Cohort) -> Sources:
    """Digests of what a cohort's files were made of: as recorded, else taken now."""
    return record["sources"] if record else sources_of(cohort)


def link_cohort(cohort: Cohort, record: Mapping[str, Any], folder: Path) -> Entries:
    """Put a cohort's files into the release `folder` and return their digests by their names."""
    entries: Entries = {}
    for name, content in record["files"].items():
        placed = released_names(cohort.cohort_id)[name]
        place_file(cohort.folder / name, folder / placed)
        stamp = read_stamp(cohort.folder / name) or {}
        known = {key: stamp[key] for key in ("size", "sha256")}
        entries[placed] = {**known, "content_sha256": content}
    return entries


def _plan_digest(facts: Facts) -> str:
    return hashlib.sha256(json.dumps(plan_of(facts), sort_keys=True).encode()).hexdigest()
