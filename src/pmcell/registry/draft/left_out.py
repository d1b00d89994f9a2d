"""Propose which cells a registration leaves out: copies, doublets, cells of nobody."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from pmcell.io.submitted.submission import Submission
from pmcell.registry.cohorts.not_people import is_missing, not_people
from pmcell.registry.cohorts.registration import Exclusion
from pmcell.registry.draft.columns import Columns, text
from pmcell.registry.intake.cells import exclude_line
from pmcell.registry.intake.identified import OTHER_SPECIES, PRIMARY, species_columns
from pmcell.schema.text import as_text

if TYPE_CHECKING:
    import pandas as pd

COPIES = "copies of another data set"
_ONE_DONOR = frozenset({"singlet", "singlets", "sng"})
_CALLERS = re.compile(r"doublet|scrublet|scdbl|solo|cxds|bcds|hybrid|df.?classif", re.IGNORECASE)
"""Names of columns in which callers of doublets, not of donors, write: QC judges these cells."""


@dataclass
class Proposed:
    """Exclusions, the cells that each takes, and what else a person should know."""

    exclusions: list[Exclusion] = field(default_factory=list)
    n_cells: list[int] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def status_columns(obs: pd.DataFrame) -> list[str]:
    """Columns that say of each cell whether it is of one donor (singlet) or not."""
    found = []
    for column in obs.columns:
        if obs[column].nunique() > 12 or _CALLERS.search(str(column)):
            continue
        labels = {label.strip() for label in text(obs, str(column)).tolist()}
        named = {label for label in labels if not is_missing(label)}
        one = {label for label in named if label.casefold() in _ONE_DONOR}
        if one and named - one and len(not_people(named)) == len(named):
            found.append(str(column))
    return found


def propose_exclusions(
    submission: Submission, columns: Columns, status: list[str]
) -> tuple[Proposed, np.ndarray]:
    """What to leave out of a file, and which of its cells stay."""
    proposed = Proposed()
    keep = np.ones(submission.n_cells, dtype=bool)
    obs = submission.obs
    for column, reasons, missing in _labels(obs, columns, status):
        values = np.array([label.strip() for label in text(obs, column).tolist()], dtype=object)
        if missing:
            reasons = {**reasons, **dict.fromkeys(_missing(values, keep), missing)}
        for reason in dict.fromkeys(reasons.values()):
            labels = [label for label, why in reasons.items() if why == reason]
            taken = np.isin(as_text(values, missing=""), labels) & keep
            n = int(taken.sum())
            if not n:
                continue
            if taken.sum() == keep.sum():
                proposed.notes.append(
                    f"all {n} cells that are left would be left out by column {column!r} "
                    f"({reason}): decide, and write {exclude_line(column, labels, reason)}"
                )
                continue
            keep &= ~taken
            proposed.exclusions.append(Exclusion(column, tuple(labels), reason))
            proposed.n_cells.append(n)
            shown = ", ".join(repr(label) if label else "no value" for label in labels[:6])
            more = ", …" if len(labels) > 6 else ""
            proposed.notes.append(
                f"{n} of {submission.n_cells} cells are left out ({reason}): {shown}{more} in "
                f"column {column!r}; check exclude in cohort.yaml"
            )
    proposed.notes += _without_donor(obs, columns, keep)
    return proposed, keep


def _labels(
    obs: pd.DataFrame, columns: Columns, status: list[str]
) -> Iterator[tuple[str, Mapping[str, str], str]]:
    """Columns, their labels to leave out with the reason, and the reason of missing ones."""
    if PRIMARY in obs.columns:
        marks = {label.strip() for label in text(obs, PRIMARY).tolist()}
        yield PRIMARY, {m: COPIES for m in sorted(marks) if m.lower() in ("false", "0")}, ""
    for column, labels in species_columns(obs):
        yield column, dict.fromkeys(labels, OTHER_SPECIES), ""
    for column in status:
        yield column, _no_person(obs, column, _ONE_DONOR), ""
    donor, sample = columns.roles.get("donor_id"), columns.roles.get("sample_id")
    if donor:
        yield donor, _no_person(obs, donor), "" if sample else "no donor"
    if sample:
        yield sample, _no_person(obs, sample), "no sample"


def _no_person(obs: pd.DataFrame, column: str, but: frozenset[str] = frozenset()) -> dict[str, str]:
    labels = {label.strip() for label in text(obs, column).tolist()}
    found = not_people(label for label in labels if not is_missing(label))
    return {label: why for label, why in found.items() if label.casefold() not in but}


def _missing(values: np.ndarray, keep: np.ndarray) -> list[str]:
    return sorted({label for label in values[keep].tolist() if is_missing(label)})


def _without_donor(obs: pd.DataFrame, columns: Columns, keep: np.ndarray) -> Iterator[str]:
    """Cells without a donor whose sample is known: they stay, and the person is told."""
    donor = columns.roles.get("donor_id")
    if donor is None or "sample_id" not in columns.roles:
        return
    counted = Counter(label.strip() for label in text(obs, donor)[keep].tolist())
    missing = {label: n for label, n in counted.items() if is_missing(label)}
    if missing:
        line = exclude_line(donor, sorted(missing), "no donor")
        yield (
            f"{sum(missing.values())} of {int(keep.sum())} cells have no donor in column "
            f"{donor!r}: they are taken as their sample's donor's. Where that is not known: {line}"
        )
