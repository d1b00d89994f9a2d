"""Leave cells out at registration: by the values of a column, with a reason, counted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from pmcell.errors import DataError, Fault
from pmcell.io.submitted.submission import Submission
from pmcell.registry.cohorts.keys import COHORT_FILE
from pmcell.registry.cohorts.registration import Exclusion
from pmcell.registry.intake.cells import texts_of
from pmcell.schema.text import as_text
from pmcell.spelling import did_you_mean


@dataclass(frozen=True)
class LeftOut:
    """Which cells stay, and how many each exclusion takes; a cell counts for the first of them."""

    keep: np.ndarray
    n_cells: tuple[int, ...] = ()
    exclusions: tuple[Exclusion, ...] = ()
    faults: tuple[Fault, ...] = field(default=())

    @property
    def n_left_out(self) -> int:
        """Cells left out by all exclusions together."""
        return sum(self.n_cells)

    def counts(self) -> list[dict[str, object]]:
        """Reason and number of cells of each exclusion, as JSON values."""
        return [
            {"reason": item.reason, "n_cells": n}
            for item, n in zip(self.exclusions, self.n_cells, strict=True)
        ]


def leave_out(
    submission: Submission, exclusions: Sequence[Exclusion], among: np.ndarray | None = None
) -> LeftOut:
    """The cells that `exclude` of cohort.yaml takes out; an empty value is a missing one.

    A value that no cell of the file has is a fault: misspelt, it would leave nobody out. Cells that
    are not `among` those who may be used stay in no count, whatever takes them out.
    """
    keep = np.ones(submission.n_cells, dtype=bool) if among is None else among.copy()
    n_among = int(keep.sum())
    counts, faults = [], []
    for number, item in enumerate(exclusions):
        where = f"exclude[{number}]"
        try:
            values = _values(submission, item.column, f"{where}.column")
        except DataError as error:
            must, _, rest = str(error).partition("; ")
            found, _, fix = rest.partition(". ")
            must = must.removeprefix(f"{submission.path.name}: ").removeprefix(f"{where}.column ")
            found = found.removeprefix("found ")
            faults.append(
                Fault(COHORT_FILE, must, found, fix, column=f"{where}.column", reason=error.reason)
            )
            counts.append(0)
            continue
        given = {_plain(value) for value in item.values}
        names, codes = np.unique(as_text(values, missing=""), return_inverse=True)
        taken = np.array([name in given for name in names], dtype=bool)[codes]
        absent = sorted(given - set(names.tolist()))
        for value in absent:
            must = "a value to leave out must occur in its column"
            near = did_you_mean(value, names[:500].tolist()) if value else ""
            fix = f"{near} Else remove it.".strip()
            faults.append(
                Fault(
                    COHORT_FILE,
                    must,
                    f"{value!r} is in no cell of {item.column!r}"
                    if value
                    else f"every cell has a value in {item.column!r}",
                    fix,
                    column=f"{where}.values",
                    reason="exclude",
                )
            )
        counts.append(int((taken & keep).sum()))
        keep &= ~taken
    if n_among and not keep.any():
        must = "must leave cells in"
        found = f"all {n_among} cells are left out"
        fix = "Remove an exclusion, or do not register the file."
        faults.append(Fault(COHORT_FILE, must, found, fix, column="exclude", reason="exclude"))
    # What took nobody who is here, was written for somebody who is not.
    used = [at for at, n in enumerate(counts) if n or among is None]
    return LeftOut(
        keep,
        tuple(counts[at] for at in used),
        tuple(exclusions[at] for at in used),
        tuple(faults),
    )


def _values(submission: Submission, column: str, key: str) -> np.ndarray:
    texts = texts_of(submission.obs, column, key=key, file=submission.path.name)
    return np.array([_plain(text) for text in texts], dtype=object)


def _plain(value: str) -> str:
    """A value as it is compared: YAML and tables write true and false in their own ways."""
    plain = value.strip()
    return plain.lower() if plain.lower() in ("true", "false") else plain
