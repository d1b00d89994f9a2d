"""One pass over the counts of a file: empty droplets, copies, sexes that are not as stated."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np

from pmcell.errors import DataError, Fault
from pmcell.io.submitted.readers import iter_counts
from pmcell.io.submitted.submission import Submission
from pmcell.registry.draft.columns import Columns, is_empty, text
from pmcell.registry.duplicates.sex import FEMALE, MALE
from pmcell.registry.duplicates.two_people import SEX_PAIR, PairCounts, gene_sums
from pmcell.registry.intake.cells_check import MAX_STORED
from pmcell.registry.intake.copies import Fingerprints
from pmcell.registry.intake.counts import empty_droplets
from pmcell.registry.terms.genes import map_genes
from pmcell.registry.terms.rules import term_of
from pmcell.schema.text import as_text
from pmcell.settings.cohort import IntakeSettings

MIN_COUNTS = 10
"""Counts of a gene of one sex, without any of the other's, from which a sex is told."""


def counted_faults(
    submission: Submission,
    layer: str,
    gene_column: str,
    columns: Columns,
    metrics: dict[str, Any],
    *,
    is_deep: bool,
) -> Iterator[Fault]:
    """Faults that need all counts; of files with more than `MAX_STORED` only where `is_deep`.

    `metrics["counts_read"]` says whether they were read.
    """
    summary = submission.summary_of(layer)
    metrics["counts_read"] = is_deep or summary.n_stored <= MAX_STORED
    if not metrics["counts_read"]:
        return
    var = submission.var_of(layer)
    names = as_text(var.index if gene_column == "index" else var[gene_column]).tolist()
    prints = Fingerprints(as_text(var.index).tolist())
    ids = np.array([name or "" for name in map_genes(names).gene_id])
    pairs = PairCounts(ids, submission.n_cells)
    totals = np.zeros(submission.n_cells)
    file = submission.path.name
    for start, block in iter_counts(submission, layer):
        if block.data.size and not np.array_equal(block.data, np.floor(block.data)):
            raise DataError(
                f"{file}: raw counts in {layer} must be whole numbers; some are not. Ask the "
                "source for the counts.",
                reason="not_counts",
            )
        block.sum_duplicates()
        rows = slice(start, start + block.shape[0])
        totals[rows] = np.asarray(block.sum(axis=1)).ravel()
        prints.add(block)
        pairs.add(rows, partial(gene_sums, block))
    empty = empty_droplets(totals, file, IntakeSettings().max_share_empty)
    if empty is not None:
        yield empty
    n, pair = prints.copies()
    if pair is not None:
        must = "no two cells should have the same counts of every gene"
        found = f"{n} cells are copies; cell {pair[1] + 1} is cell {pair[0] + 1}"
        fix = "Leave the copies out where the file came from."
        yield Fault(file, must, found, fix, severity="warning", reason="copies")
    yield from _other_sexes(pairs, submission, columns)
    yield from _two_people(pairs, submission, columns)


def _other_sexes(pairs: PairCounts, submission: Submission, columns: Columns) -> Iterator[Fault]:
    """A warning for each donor whose genes say another sex than is stated."""
    obs, roles, term_column = submission.obs, columns.roles, "sex_ontology_term_id"
    column = term_column if term_column in columns.terms else roles.get("sex", "")
    of_y, of_x = pairs.counts(SEX_PAIR)
    if "donor_id" not in roles or not column or of_y is None or of_x is None:
        return
    of_cell = text(obs, roles["donor_id"])
    donors, at = _codes(of_cell)
    stated: dict[str, set[str]] = {}
    for donor, sex in set(zip(of_cell.tolist(), text(obs, column).tolist(), strict=True)):
        term = sex if ":" in sex else term_of(sex, term_column)
        if term:
            stated.setdefault(donor, set()).add(term)
    sums = [np.bincount(at, weights=own, minlength=len(donors)) for own in (of_y, of_x)]
    for donor, n_y, n_x in zip(donors, *sums, strict=True):
        sexes, seen = stated.get(donor, set()), ""
        if is_empty(donor):
            continue
        if sexes == {FEMALE} and n_y >= MIN_COUNTS and n_x == 0:
            seen = f"stated female, {n_y:.0f} counts of genes of Y, none of XIST"
        if sexes == {MALE} and n_x >= MIN_COUNTS and n_y == 0:
            seen = f"stated male, {n_x:.0f} counts of XIST, none of genes of Y"
        if seen:
            yield Fault(
                submission.path.name,
                "the sex should be the one that the genes show",
                f"{donor!r} {seen}",
                "Look whether samples were exchanged, or the sex was mistyped.",
                column=f"obs {column}",
                severity="warning",
                reason="sex",
            )


def _two_people(pairs: PairCounts, submission: Submission, columns: Columns) -> Iterator[Fault]:
    """A warning for each donor, or sample where no column names donors, with cells of two."""
    column = columns.roles.get("donor_id") or columns.roles.get("sample_id")
    whole = np.full(submission.n_cells, "all cells", object)
    names, at = _codes(text(submission.obs, column) if column else whole)
    for number, name in enumerate(names):
        found = None if is_empty(name) else pairs.two_people(at == number)
        if found is not None:
            yield Fault(
                submission.path.name,
                "cells of one donor should be of one person",
                f"{name!r}: {found.sentence}",
                "Look whether samples were pooled, exchanged or mislabelled; name a column that "
                "tells people apart.",
                column=f"obs {column}" if column else "",
                severity="warning",
                reason="two_people",
            )


def _codes(values: np.ndarray) -> tuple[list[str], np.ndarray]:
    import pandas as pd

    codes, names = pd.factorize(values)
    return [str(name) for name in names], codes
