"""Groups of donors that are compared, and a linear design that can tell them apart, or why none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pmcell.schema.text import as_text, text_array
from pmcell.strata.statistics import covariates as adjustment

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

Pair = tuple[int, tuple[int, ...]]
"""A level and the levels that it is compared with."""


@dataclass(frozen=True)
class Group:
    """Donors with a level each: their names, level codes, batches and covariates.

    `covariates` (donors × columns) is NaN where a donor's value is unknown, `names`
    has the covariate of each column, and `notes` says what is not adjusted for.
    """

    donors: NDArray[np.object_]
    level: Ints
    batch: NDArray[np.object_]
    covariates: Floats
    names: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def complete(self) -> Bools:
        """Donors who have every covariate."""
        return np.asarray(np.isfinite(self.covariates).all(axis=1), np.bool_)

    def of(self, chosen: Bools) -> Group:
        """The chosen donors, of whom those with every covariate."""
        kept = chosen & self.complete
        return replace(
            self,
            donors=self.donors[kept],
            level=self.level[kept],
            batch=self.batch[kept],
            covariates=self.covariates[kept],
        )


@dataclass(frozen=True)
class Design:
    """Columns by which the groups are compared: one row of `contrasts` a pair."""

    matrix: Floats
    contrasts: Floats
    pairs: tuple[Pair, ...]
    formula: str


def group_of(table: pd.DataFrame, level: Ints, covariates: Sequence[str]) -> Group:
    """The donors of `table`, a row each, with their levels, batches and covariates.

    A covariate that is the same for all, known for fewer than 5 or different for nearly
    each of them is noted and not used. UsageError for one that is no column.
    """
    found = adjustment.design(table, tuple(covariates))
    unknown = int((~found.known).sum())
    few = f"{unknown} donors without {' or '.join(found.used)} left out"
    return Group(
        as_text(table["donor_id"]).to_numpy(object),
        np.asarray(level, np.int64),
        as_text(table["batch_id"]).to_numpy(object),
        found.columns,
        found.names,
        tuple([*found.notes, few] if unknown else found.notes),
    )


def design_of(group: Group, n_levels: int) -> Design | str:
    """The design ~ batch + covariates + level of these donors, or why it cannot tell.

    Levels with fewer than 3 donors are left out by the caller. With two levels
    the second is compared with the first; with more, each with the mean of the others.
    The formula ends with what is not adjusted for, and why.
    """
    present = [level for level in range(n_levels) if (group.level == level).any()]
    if len(present) < 2:
        return "fewer than two groups have donors"
    levels = [(group.level == level).astype(float) for level in present[1:]]
    batches = np.unique(text_array(group.batch))
    kept = _independent([(group.batch == name).astype(float) for name in batches], [])
    if not _tells(kept, levels):
        return (
            "the groups cannot be told from batch: too few batches hold donors of several groups. "
            "Compare groups that share batches"
        )
    n_batches = len(kept)
    used: list[str] = []
    for name, column in zip(group.names, group.covariates.T, strict=True):
        before = len(kept)
        kept = _independent([column], kept)
        used += [name] * (len(kept) - before)
    if not _tells(kept, levels):
        return (
            f"the groups cannot be told from {', '.join(dict.fromkeys(used))}: its values go with "
            "the groups. Leave it out of the covariates"
        )
    matrix = np.column_stack([*kept, *levels])
    if len(matrix) - matrix.shape[1] < 2:
        return f"{len(matrix)} donors are too few for {matrix.shape[1]} coefficients"
    pairs, rows = [], []
    for index, level in enumerate(present):
        if n_levels == 2 and index == 0:
            continue
        others = [other for other in range(len(present)) if other != index]
        weights = np.zeros(len(present))
        weights[index], weights[others] = 1.0, -1.0 / len(others)
        rows.append(np.concatenate([np.zeros(len(kept)), weights[1:]]))
        pairs.append((level, tuple(present[other] for other in others)))
    terms = ["batch_id"] if n_batches > 1 else []
    formula = "~ " + " + ".join([*terms, *dict.fromkeys(used), "level"])
    lost = [name for name in dict.fromkeys(group.names) if name not in used]
    told = [f"not adjusted for {name}: it follows from the batch or the others" for name in lost]
    return Design(matrix, np.array(rows), tuple(pairs), "; ".join([formula, *group.notes, *told]))


def _independent(columns: list[Floats], kept: list[Floats]) -> list[Floats]:
    """`kept` and those of `columns` that do not follow from what is kept."""
    out = list(kept)
    for column in columns:
        if np.linalg.matrix_rank(np.column_stack([*out, column])) > len(out):
            out.append(column)
    return out


def _tells(kept: list[Floats], levels: list[Floats]) -> bool:
    """Whether the levels do not follow from the columns that are kept."""
    whole = np.column_stack([*kept, *levels])
    return bool(np.linalg.matrix_rank(whole) == whole.shape[1])
