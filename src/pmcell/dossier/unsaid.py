"""What the reader must know of the numbers, and what could not be said and why: a sentence each."""

from __future__ import annotations

from collections.abc import Iterator

from pmcell.dossier.model import REFERENCE_INTERVAL, Dossier
from pmcell.dossier.ranges import MIN_NINE_OF_TEN, MIN_REFERENCE
from pmcell.report.parts import listed
from pmcell.schema import UNKNOWN

FEW_CELLS = 1_000
"""Cells below which counting makes rare types uncertain by more than themselves."""


def notes(dossier: Dossier) -> tuple[str, ...]:
    """What bears on every number."""
    return tuple(_notes(dossier))


def unsaid(dossier: Dossier) -> tuple[str, ...]:
    """What could not be said."""
    return tuple(_unsaid(dossier))


def people_text(n: int, least: int) -> str:
    """A number of people, not exactly where they are few.

    >>> people_text(3, 10), people_text(12, 10)
    ('fewer than 10 people', '12 people')
    """
    return f"{n:,} people" if n >= least else f"fewer than {least} people"


def _notes(dossier: Dossier) -> Iterator[str]:
    yield from dossier.doubts
    total = dossier.shares[0].n_cells_visit if dossier.shares else dossier.visit.n_cells
    yield (
        f"Shares are of the {total:,} cells that were sequenced and passed quality control, not of "
        "all cells in the body or in a volume of blood. How a sample is prepared changes them."
    )
    if 0 < total < FEW_CELLS:
        yield (
            f"{total:,} cells are few: a type with a true share of 1 % shows anything from "
            f"{_counted(total, 0.025)} to {_counted(total, 0.975)} cells by chance."
        )
    judged = [item.repeats for item in dossier.changes if item.repeats and item.repeats.is_judged]
    for source, n in sorted({(item.source, item.n_donors or 0) for item in judged}):
        yield f"The noise of repeats that changes are held against: {source}, {n:,} people."
    cohorts = dossier.group.cohorts
    if cohorts and dossier.person.cohort_id not in cohorts:
        yield (
            "Everyone compared with is of other cohorts than this person, so what differs may be "
            "the laboratory and not the person."
        )


def _counted(total: int, p: float) -> int:
    from scipy.stats import binom

    return int(binom.ppf(p, total, 0.01))


def _unsaid(dossier: Dossier) -> Iterator[str]:
    group, n_least = dossier.group, dossier.group.least
    for step in group.steps:
        if not step.used:
            yield f"The group is not matched by {step.what}: {step.why}."
    if group.n < n_least:
        yield (
            f"Nothing is said of where this person stands: {people_text(group.n, n_least)} can be "
            f"compared with, {n_least} are needed."
        )
    elif group.n < MIN_NINE_OF_TEN:
        yield (
            f"What 9 of 10 people have is not said: {group.n} people can be compared with, "
            f"{MIN_NINE_OF_TEN} are needed."
        )
    if not any(item.group.kind == REFERENCE_INTERVAL for item in dossier.shares):
        yield (
            f"There is no reference interval: it needs {MIN_REFERENCE} people in the partition "
            f"(CLSI EP28-A3c); there are {people_text(group.n, n_least)}."
        )
    unlooked = [item.cell_type for item in dossier.shares if item.n_cells is None]
    if unlooked:
        yield f"Not looked for in this person: {listed(unlooked)}."
    if not dossier.states:
        yield "The state of the cells is not compared: the release holds no profile of this person."
    elif missing := [item.cell_type for item in dossier.states if item.distance is None]:
        yield f"Too few cells, or too few people, to compare the state of: {listed(missing)}."
    if dossier.place.why_not:
        yield f"No stratum is given: {dossier.place.why_not}."
    if not dossier.previous_visit:
        yield "Nothing is said of change: no visit before this one is known here."
    elif not any(item.repeats and item.repeats.is_judged for item in dossier.changes):
        yield (
            "Change is held against counting cells only. How much the same person varies from day "
            "to day is not known here: there are no repeats of people without a cause of change."
        )
    if not dossier.measurements:
        yield "There are no other measurements of this person in the release."
    if dossier.visit.day is None:
        yield "Days between visits are not known."
    if dossier.person.disease_term == UNKNOWN:
        yield "Whether this person has a disease is not known here."
