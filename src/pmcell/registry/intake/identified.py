"""Identify the cells that stay of a submission: barcode, sample, donor; and all that is wrong.

What `pmcell check` names and what intake refuses is found here, once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from pmcell.errors import DataError, Fault, FaultsError
from pmcell.io.submitted.submission import Submission
from pmcell.registry.cohorts.gathered import gather
from pmcell.registry.cohorts.keys import COHORT_FILE, DONORS_FILE, SAMPLES_FILE
from pmcell.registry.cohorts.not_people import is_missing, not_people
from pmcell.registry.cohorts.registration import Registration
from pmcell.registry.cohorts.same_number import SameNumbers
from pmcell.registry.intake.cells import (
    exclude_line,
    label_cells,
    sample_names,
    source_cell_types,
    texts_of,
    unseen_labels,
)
from pmcell.registry.intake.left_out import LeftOut, leave_out
from pmcell.registry.sheets.dates import TEXT, find_date
from pmcell.registry.terms.species import is_other_species, is_species_column
from pmcell.schema import UNKNOWN
from pmcell.schema.text import text_array
from pmcell.spelling import without_unseen

if TYPE_CHECKING:
    import pandas as pd

OTHER_SPECIES = "cells of another species"
SPOT_COLUMNS = frozenset({"in_tissue", "array_row", "array_col"})
PRIMARY = "is_primary_data"
"""Column of files in the CELLxGENE schema: False for cells that are copies of another data set."""


@dataclass(frozen=True)
class Cells:
    """The cells that stay, in submitted order, and the faults that do not stop the cohort.

    `n_submitted` counts cells with those that were left out, of those who may be used.
    """

    barcodes: np.ndarray
    samples: np.ndarray
    cell_types: np.ndarray
    left_out: LeftOut
    n_submitted: int
    warnings: tuple[Fault, ...]


@dataclass(frozen=True)
class Others:
    """Samples and donors of the tables who may not be used: see `permitted.py`."""

    samples: frozenset[str]
    donors: frozenset[str]


def identify_cells(
    submission: Submission, registration: Registration, others: Others | None = None
) -> Cells:
    """The identity of all cells that stay; `FaultsError` with everything that is wrong.

    Cells of the `others` are in no number and no sentence, as if they were not in the file.
    """
    among = None if others is None else ~_of_others(submission, registration, others)
    if among is not None and not among.any():
        raise DataError(
            f"{registration.cohort_id}: at least one donor with cells must have consented to the "
            "use; none has. See: pmcell consent show",
            reason="consent",
        )
    left_out = leave_out(submission, registration.exclude, among)
    faults = list(left_out.faults)
    nobody = np.zeros(0, dtype=object)
    barcodes = samples = cell_types = nobody
    keep = left_out.keep
    try:
        barcodes, samples = label_cells(
            submission,
            registration.columns,
            [sample.sample_id for sample in registration.samples],
            renames=registration.sample_names,
            keep=keep,
        )
        faults += _donors(registration, submission, keep, samples)
    except FaultsError as error:
        faults += error.faults
    except DataError as error:
        faults.append(_of_error(error, submission.path.name))
    try:
        cell_types = source_cell_types(submission, registration.columns.get("cell_type"))[keep]
    except DataError as error:
        faults.append(_of_error(error, submission.path.name))
    faults += _unseen(registration, submission)
    faults += _dates(registration, submission.path.name, barcodes, cell_types)
    faults += _copies(submission, keep)
    faults += _other_species(submission, keep)
    faults += _spots(submission)
    faults = gather(faults)
    if any(fault.severity == "error" for fault in faults):
        raise FaultsError([fault for fault in faults if fault.severity == "error"])
    n_submitted = submission.n_cells if among is None else int(among.sum())
    return Cells(barcodes, samples, cell_types, left_out, n_submitted, tuple(faults))


def _of_others(submission: Submission, registration: Registration, others: Others) -> np.ndarray:
    """Which cells are of a sample of others, or of no sample that is known and of such a donor."""
    columns = registration.columns
    samples = text_array(sample_names(submission, columns, registration.sample_names))
    is_others = np.isin(samples, text_array(sorted(others.samples)))
    if column := columns.get("donor_id"):
        file = submission.path.name
        donors = text_array(texts_of(submission.obs, column, key="columns.donor_id", file=file))
        known = text_array([item.sample_id for item in registration.samples])
        is_named = np.isin(donors, text_array(sorted(others.donors)))
        is_others |= is_named & ~np.isin(samples, known)
    return np.asarray(is_others, bool)


def _donors(
    registration: Registration, submission: Submission, keep: np.ndarray, samples: np.ndarray
) -> Iterator[Fault]:
    """Cells whose donor, as the file says, is not the one registered for their sample."""
    column = registration.columns.get("donor_id")
    if not column:
        return
    file = submission.path.name
    donors = texts_of(submission.obs, column, key="columns.donor_id", file=file)[keep]
    registered = {sample.sample_id: sample.donor_id for sample in registration.samples}
    labels = not_people(donors.tolist())
    same = SameNumbers(registered.values())
    n_missing: Counter[str] = Counter()
    for (sample_id, label), n in Counter(
        zip(samples.tolist(), donors.tolist(), strict=True)
    ).items():
        name = label.strip()
        if registered.get(sample_id) in (name, None):
            continue
        if is_missing(name):
            n_missing[name] += n
            continue
        must = "each sample must be of the donor that the file says"
        found = f"sample {sample_id!r} is of {registered[sample_id]!r}, but {label!r} for {n} cells"
        fix = "Correct samples.tsv, or columns.donor_id in cohort.yaml."
        if label in labels:
            found += f" ({labels[label]})"
            fix = f"Leave them out: {exclude_line(column, [label], labels[label])}."
        elif same.find(name) == registered[sample_id]:
            must = "each donor must be written as in the file"
            fix = f"Write {name} in {DONORS_FILE} and {SAMPLES_FILE}: the same number, changed."
        yield Fault(SAMPLES_FILE, must, found, fix, column="donor_id", reason="donor_mismatch")
    if n_missing:
        n = sum(n_missing.values())
        line = exclude_line(column, sorted(n_missing), "no donor")
        must = "each cell should have a donor"
        found = (
            f"{n} of {len(samples)} cells have none in column {column!r}; they are taken as their "
            "sample's donor's"
        )
        fix = f"Where that is not known, leave them out: {line}."
        yield Fault(
            file, must, found, fix, column="donor_id", severity="warning", reason="no_donor"
        )


def _dates(
    registration: Registration, file: str, barcodes: np.ndarray, cell_types: np.ndarray
) -> Iterator[Fault]:
    """Dates in what is published beside the tables: cell types, and barcodes of open cohorts."""
    for label in dict.fromkeys(cell_types.tolist()):
        if label != UNKNOWN and find_date(label, TEXT):
            must = "a cell type must not hold a date, which identifies people"
            fix = "Name another column in columns.cell_type, or rename the type in the file."
            yield Fault(
                file, must, repr(label[:60]), fix, column="columns.cell_type", reason="date"
            )
    if registration.access != "open":
        return
    n, example = 0, ""
    for barcode in barcodes.tolist():
        # Few barcodes have a year at all: look closer only at those.
        if ("19" in barcode or "20" in barcode) and find_date(barcode, TEXT):
            n, example = n + 1, example or barcode
    if n:
        must = "a barcode must not hold a date, which identifies people: open cohorts publish it"
        fix = (
            "Name another column in columns.barcode, or rename the cells where the file came from."
        )
        found = f"{n} do, such as {example!r}"
        yield Fault(file, must, found, fix, column="columns.barcode", reason="date")


def _unseen(registration: Registration, submission: Submission) -> Iterator[Fault]:
    """Labels with signs that nobody sees: they would part what looks the same, or turn the text."""
    for key in ("sample_id", "donor_id", "cell_type"):
        column = registration.columns.get(key) or ""
        if found := unseen_labels(submission.obs, column):
            yield Fault(
                submission.path.name,
                "a label should hold no line end, control or invisible character",
                f"{found[0][:60]!a}"
                + (f" and {len(found) - 1} others" if len(found) > 1 else "")
                + f" in column {column!r}, read as {without_unseen(found[0]).strip()[:60]!r}",
                "Nothing has to be done where that is what was meant.",
                column=f"columns.{key}",
                severity="warning",
                reason="unseen",
            )


def _copies(submission: Submission, keep: np.ndarray) -> Iterator[Fault]:
    """Cells that the file itself marks as copies of another data set's."""
    if PRIMARY not in submission.obs.columns:
        return
    texts = texts_of(submission.obs, PRIMARY, key=PRIMARY, file=submission.path.name)[keep]
    n = sum(text.strip().lower() in ("false", "0") for text in texts.tolist())
    if n:
        marks = sorted({t for t in texts.tolist() if t.strip().lower() in ("false", "0")})
        line = exclude_line(PRIMARY, marks, "copies of another data set")
        must = "cells should be the first of their kind, not copies of another data set's"
        found = f"{n} of {len(texts)} cells are marked as copies ({PRIMARY} False)"
        fix = f"Leave them out, unless the other data set is not in the study: {line}."
        yield Fault(
            submission.path.name,
            must,
            found,
            fix,
            column=PRIMARY,
            severity="warning",
            reason="copies",
        )


def species_columns(obs: pd.DataFrame) -> Iterator[tuple[str, list[str]]]:
    """Columns that name other species than the human, with those labels."""
    for column in map(str, obs.columns):
        if is_species_column(column):
            texts = texts_of(obs, column, key=column, file="obs")
            labels = sorted({text.strip() for text in texts.tolist() if is_other_species(text)})
            if labels:
                yield column, labels


def _other_species(submission: Submission, keep: np.ndarray) -> Iterator[Fault]:
    """Cells of which the file says that they are not human, however their genes are named."""
    for column, labels in species_columns(submission.obs[keep]):
        texts = texts_of(submission.obs, column, key=column, file=submission.path.name)[keep]
        n = int(np.isin([text.strip() for text in texts.tolist()], labels).sum())
        fix = "Submit a human cohort, or correct the column."
        if n < len(texts):
            fix = f"Leave them out: {exclude_line(column, labels, OTHER_SPECIES)}."
        yield Fault(
            submission.path.name,
            "cells must be human (NCBITaxon:9606)",
            f"{n} of {len(texts)} are {', '.join(map(repr, labels[:4]))}",
            fix,
            column=f"obs {column}",
            reason="species",
        )


def _spots(submission: Submission) -> Iterator[Fault]:
    """A warning where rows are places of a tissue, each with the counts of several cells."""
    if {str(column) for column in submission.obs.columns} >= SPOT_COLUMNS:
        yield Fault(
            submission.path.name,
            "rows should be single cells",
            f"columns of Visium ({', '.join(sorted(SPOT_COLUMNS))}): rows are spots of a tissue",
            "Submit single cells; of spots neither doublets nor types of cells are what they are "
            "called.",
            column="obs",
            severity="warning",
            reason="spots",
        )


def _of_error(error: DataError, file: str) -> Fault:
    """A reader's sentence as a fault, of cohort.yaml where that is what to correct."""
    fault = error.fault(file)
    return replace(fault, file=COHORT_FILE) if "cohort.yaml" in fault.fix else fault
