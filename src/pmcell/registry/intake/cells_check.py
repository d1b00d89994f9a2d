"""Compare the cells of a submitted file with the tables of its registration."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np

from pmcell.errors import Fault
from pmcell.io.submitted.readers import iter_counts
from pmcell.io.submitted.submission import Submission
from pmcell.registry.cohorts.keys import COHORT_FILE, SAMPLES_FILE
from pmcell.registry.cohorts.registration import Registration
from pmcell.registry.intake.copies import Fingerprints
from pmcell.registry.intake.counts import empty_droplets
from pmcell.registry.intake.identified import identify_cells
from pmcell.registry.terms.rules import terms_near
from pmcell.schema import UNKNOWN
from pmcell.schema.text import as_text
from pmcell.settings.cohort import IntakeSettings
from pmcell.spelling import did_you_mean

MAX_STORED = 20_000_000
"""Stored counts up to which a check reads them all: a second or two."""
MAX_HINTS = 20
"""Cell types for which the nearest terms are looked for: it takes long among many."""


def check_cells(
    registration: Registration, submission: Submission, metrics: dict[str, Any]
) -> Iterator[Fault]:
    """Faults of the cells that stay: samples, donors, cell types, how many there are."""
    cells = identify_cells(submission, registration)
    yield from cells.warnings
    n_cells = Counter(cells.samples.tolist())
    metrics["n_samples"] = len(n_cells)
    if cells.left_out.n_left_out:
        metrics["n_cells_left_out"] = cells.left_out.n_left_out
        metrics["left_out"] = cells.left_out.counts()
    for sample in registration.samples:
        if not n_cells[sample.sample_id]:
            must = "a sample should have cells in the submitted file"
            fix = "Remove the row, or correct columns.sample_id in cohort.yaml."
            found = f"no cell of {sample.sample_id!r}"
            yield Fault(SAMPLES_FILE, must, found, fix, column="sample_id", severity="warning")
    min_cells = IntakeSettings().min_cells
    if len(cells.samples) < min_cells:
        must = f"a cohort must have at least {min_cells} cells (intake.min_cells)"
        fix = "Check that this is the whole file."
        found = f"{len(cells.samples)} cells"
        yield Fault(submission.path.name, must, found, fix, reason="too_few_cells")
    yield from _cell_types(registration, cells.cell_types, metrics)
    yield from _counts(registration, submission, cells.left_out.keep, metrics)


def _counts(
    registration: Registration,
    submission: Submission,
    keep: np.ndarray,
    metrics: dict[str, Any],
) -> Iterator[Fault]:
    """Cells with the very counts of another, and barcodes without a cell.

    Of larger files intake tells, which reads them all.
    """
    layer = registration.matrix.counts
    if layer not in submission.layers:
        return
    summary = submission.summary_of(layer)
    if summary.n_stored > MAX_STORED or summary.looks_like != "counts":
        return
    prints = Fingerprints(as_text(submission.var_of(layer).index).tolist())
    totals = np.zeros(submission.n_cells)
    for start, block in iter_counts(submission, layer):
        block.sum_duplicates()
        place = slice(start, start + block.shape[0])
        totals[place] = np.asarray(block.sum(axis=1)).ravel()
        prints.add(block[keep[place]])
    empty = empty_droplets(totals[keep], submission.path.name, IntakeSettings().max_share_empty)
    if empty is not None:
        yield empty
    metrics["sketch"] = prints.sketch()
    n, pair = prints.copies()
    if pair is not None:
        rows = np.flatnonzero(keep) + 1
        must = "no two cells should have the same counts of every gene"
        found = f"{n} cells are copies; row {rows[pair[1]]} is row {rows[pair[0]]}"
        fix = "Leave the copies out where the file came from, or with exclude in cohort.yaml."
        yield Fault(submission.path.name, must, found, fix, severity="warning", reason="copies")


def _cell_types(
    registration: Registration, labels: np.ndarray, metrics: dict[str, Any]
) -> Iterator[Fault]:
    if not registration.columns.get("cell_type"):
        return
    found = Counter(labels.tolist())
    metrics["n_cell_types"] = len(found)
    unused = [label for label in registration.cell_types if label not in found]
    for number, label in enumerate(unused):
        must = "a cell type of the mapping should occur in the file"
        near = did_you_mean(label, found) if number < MAX_HINTS else ""
        where = f"values.cell_type.{label}"
        fix = near or "Remove the line."
        yield Fault(COHORT_FILE, must, repr(label), fix, column=where, severity="warning")
    mapped = {*registration.cell_types, UNKNOWN}
    without = [label for label in found if label not in mapped]
    for number, label in enumerate(without):
        must = "a cell type of the file should have a Cell Ontology term"
        near = (
            f" Nearest: {'; '.join(terms_near(label, 'cell_type'))}." if number < MAX_HINTS else ""
        )
        fix = f"Add it to values.cell_type.{near}"
        seen = f"{label!r} of {found[label]} cells, without one"
        where = "values.cell_type"
        yield Fault(COHORT_FILE, must, seen, fix, column=where, severity="warning")
