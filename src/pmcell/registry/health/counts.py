"""One pass over the counts of a file: empty droplets, copies, sexes that are not as stated."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from pmcell.errors import DataError, Fault
from pmcell.io.submitted.readers import iter_counts
from pmcell.io.submitted.submission import Submission
from pmcell.registry.draft.columns import Columns, is_empty, text
from pmcell.registry.intake.cells_check import MAX_STORED
from pmcell.registry.intake.copies import Fingerprints
from pmcell.registry.intake.counts import empty_droplets
from pmcell.registry.terms.genes import map_genes
from pmcell.registry.terms.rules import term_of
from pmcell.schema.text import as_text
from pmcell.settings.cohort import IntakeSettings

MIN_COUNTS = 10
"""Counts of a gene of one sex, without any of the other's, from which a sex is told."""
X_GENE = ("XIST",)
Y_GENES = ("RPS4Y1", "DDX3Y", "KDM5D", "EIF1AY", "UTY", "USP9Y", "ZFY")
FEMALE, MALE = "PATO:0000383", "PATO:0000384"


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
    sexes = _Sexes(submission, columns, names)
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
        totals[start : start + block.shape[0]] = np.asarray(block.sum(axis=1)).ravel()
        prints.add(block)
        sexes.add(start, block)
    empty = empty_droplets(totals, file, IntakeSettings().max_share_empty)
    if empty is not None:
        yield empty
    n, pair = prints.copies()
    if pair is not None:
        must = "no two cells should have the same counts of every gene"
        found = f"{n} cells are copies; cell {pair[1] + 1} is cell {pair[0] + 1}"
        fix = "Leave the copies out where the file came from."
        yield Fault(file, must, found, fix, severity="warning", reason="copies")
    yield from sexes.faults(file)


class _Sexes:
    """Counts of XIST and of genes of the Y chromosome, by donor, beside the sex that is stated."""

    def __init__(self, submission: Submission, columns: Columns, names: list[str]) -> None:
        obs, roles = submission.obs, columns.roles
        self._donors: list[str] = []
        self._is_told = "donor_id" in roles and bool(
            "sex" in roles or "sex_ontology_term_id" in columns.terms
        )
        symbols = list(map_genes(names).symbol)
        self._x = np.flatnonzero([symbol in X_GENE for symbol in symbols])
        self._y = np.flatnonzero([symbol in Y_GENES for symbol in symbols])
        self._is_told &= bool(len(self._x) and len(self._y))
        if not self._is_told:
            return
        donors = text(obs, roles["donor_id"])
        self._donors, self._at = _codes(donors)
        self._column = (
            "sex_ontology_term_id" if "sex_ontology_term_id" in columns.terms else roles["sex"]
        )
        stated = text(obs, self._column)
        self._stated: dict[str, set[str]] = {}
        for donor, sex in set(zip(donors.tolist(), stated.tolist(), strict=True)):
            term = sex if ":" in sex else term_of(sex, "sex_ontology_term_id")
            if term:
                self._stated.setdefault(donor, set()).add(term)
        self._sums = np.zeros((2, len(self._donors)), dtype=np.float64)

    def add(self, start: int, block: Any) -> None:
        """Take in a block of cells."""
        if not self._is_told:
            return
        at = self._at[start : start + block.shape[0]]
        for row, genes in enumerate((self._x, self._y)):
            per_cell = np.asarray(block[:, genes].sum(axis=1)).ravel()
            self._sums[row] += np.bincount(at, weights=per_cell, minlength=len(self._donors))

    def faults(self, file: str) -> Iterator[Fault]:
        """A warning for each donor whose genes say another sex than is stated."""
        if not self._is_told:
            return
        for donor, n_x, n_y in zip(self._donors, *self._sums, strict=True):
            stated = self._stated.get(donor, set())
            if is_empty(donor) or len(stated) != 1:
                continue
            sex = next(iter(stated))
            seen = ""
            if sex == FEMALE and n_y >= MIN_COUNTS and n_x == 0:
                seen = f"stated female, {n_y:.0f} counts of genes of Y, none of XIST"
            if sex == MALE and n_x >= MIN_COUNTS and n_y == 0:
                seen = f"stated male, {n_x:.0f} counts of XIST, none of genes of Y"
            if seen:
                must = "the sex should be the one that the genes show"
                fix = "Look whether samples were exchanged, or the sex was mistyped."
                yield Fault(
                    file,
                    must,
                    f"{donor!r} {seen}",
                    fix,
                    column=f"obs {self._column}",
                    severity="warning",
                    reason="sex",
                )


def _codes(values: np.ndarray) -> tuple[list[str], np.ndarray]:
    import pandas as pd

    codes, names = pd.factorize(values)
    return [str(name) for name in names], codes
