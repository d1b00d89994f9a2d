"""Groups of donors that are compared, and a linear design that can tell them apart, or why none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pmcell.schema.text import as_text
from pmcell.spelling import plural
from pmcell.strata.statistics import covariates as adjustment
from pmcell.strata.statistics.correlation import block_correlation
from pmcell.strata.statistics.moderated import Blocks, within_blocks
from pmcell.strata.statistics.pairing import MIN_DONORS, Pairing, pairing_of

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

Pair = tuple[int, tuple[int, ...]]
"""A level and the levels that it is compared with."""


@dataclass(frozen=True)
class Group:
    """Visits of donors with a level each: names of rows and donors, codes, batches, covariates.

    `batches` (rows × batches) is the share that each batch has in a row, and `batch` their names.
    `covariates` (rows × columns) is NaN where a value is unknown, `names`
    has the covariate of each column, and `notes` says what is not adjusted for.
    """

    rows: NDArray[np.object_]
    donors: NDArray[np.object_]
    level: Ints
    batch: NDArray[np.object_]
    batches: Floats
    covariates: Floats
    names: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def complete(self) -> Bools:
        """Rows that have every covariate."""
        return np.asarray(np.isfinite(self.covariates).all(axis=1), np.bool_)

    def of(self, chosen: Bools) -> Group:
        """The chosen rows, of which those with every covariate."""
        kept = chosen & self.complete
        return replace(
            self,
            rows=self.rows[kept],
            donors=self.donors[kept],
            level=self.level[kept],
            batch=self.batch[kept],
            batches=self.batches[kept],
            covariates=self.covariates[kept],
        )


@dataclass(frozen=True)
class Design:
    """Columns by which the groups are compared: one row of `contrasts` a pair.

    `blocks` are the donors, where some have several levels.
    """

    matrix: Floats
    contrasts: Floats
    pairs: tuple[Pair, ...]
    formula: str
    blocks: Blocks | None = None


def group_of(table: pd.DataFrame, level: Ints, covariates: Sequence[str]) -> Group:
    """The visits of `table`, a row each, with their levels, batches and covariates.

    A covariate that is the same for all, known for fewer than 5 or different for nearly
    each of them is noted and not used. UsageError for one that is no column.
    """
    found = adjustment.design(table, tuple(covariates))
    donors = as_text(table["donor_id"]).to_numpy(object)
    unknown = len(set(donors[~found.known]))
    few = f"{plural(unknown, 'donor')} without {' or '.join(found.used)} left out"
    batch = as_text(table["batch_id"]).to_numpy(object)
    names = sorted(set(batch))
    return Group(
        as_text(table.index.to_series()).to_numpy(object),
        donors,
        np.asarray(level, np.int64),
        batch,
        (batch[:, None] == np.array(names, object)[None, :]).astype(np.float64),
        found.columns,
        found.names,
        tuple([*found.notes, few] if unknown else found.notes),
    )


def units_of(group: Group, counts: Floats) -> tuple[Group, Floats]:
    """One row for each donor and level: its visits' counts added up, the rest as their mean.

    Visits of one donor with one level are no independent witnesses of a difference between levels.
    The batch of a donor whose visits lie in several is the mixture of these, by counts.
    """
    key = list(zip(group.donors, group.level.tolist(), strict=True))
    place = {pair: number for number, pair in enumerate(dict.fromkeys(key))}
    if len(place) == len(key):
        return group, counts
    code = np.array([place[pair] for pair in key], np.int64)
    member = (np.arange(len(place))[:, None] == code[None, :]).astype(np.float64)
    size = np.maximum(np.nansum(counts, axis=1), 1.0)
    share = member * size / (member @ size)[:, None]
    first = member.argmax(axis=1)
    batch = ["+".join(sorted(set(group.batch[code == unit]))) for unit in range(len(place))]
    units = replace(
        group,
        rows=group.rows[first],
        donors=group.donors[first],
        level=group.level[first],
        batch=np.array(batch, object),
        batches=share @ group.batches,
        covariates=share @ group.covariates,
    )
    return units, member @ counts


def compared_units(
    units: Group, is_added_up: bool, n_levels: int, levels: Sequence[str]
) -> tuple[NDArray[np.bool_], Pairing] | str:
    """Units of the levels that have enough donors, as they are compared; or why there are none."""
    left = np.ones(units.level.size, bool)
    while True:
        pairing = pairing_of(units.donors[left], is_added_up=is_added_up)
        taken = left.copy()
        taken[left] = pairing.used
        size = np.bincount(units.level[taken], minlength=n_levels)
        small = np.flatnonzero(size < MIN_DONORS)
        if n_levels - small.size < 2:
            few = ", ".join(f"{levels[level]} {size[level]}" for level in small.tolist())
            return _too_few(units, few)
        gone = np.isin(units.level, small) & left
        if not gone.any():
            return taken, replace(pairing, used=np.ones(int(taken.sum()), bool))
        left &= ~gone


def _too_few(units: Group, few: str) -> str:
    what = "enough cells of the type" + (" and every covariate" if units.names else "")
    n_paired = units.donors.size - len(set(units.donors))
    pairs = f", or {MIN_DONORS} donors in several groups, where {n_paired} are" if n_paired else ""
    return f"too few donors have {what} ({few}); {MIN_DONORS} a side are needed{pairs}"


def design_of(group: Group, n_levels: int, pairing: Pairing | None = None) -> Design | str:
    """The design ~ donor or batch + covariates + level of these units, or why it cannot tell.

    Levels with fewer than 3 donors are left out by the caller. With two levels
    the second is compared with the first; with more, each with the mean of the others.
    Paired donors have a level of their own each, which takes the place of what is the same at all
    of a donor's visits. The formula ends with what is not adjusted for, and why.
    """
    present = [level for level in range(n_levels) if (group.level == level).any()]
    if len(present) < 2:
        return "fewer than two groups have donors"
    blocks = pairing.blocks(group.donors) if pairing else None
    is_paired = blocks is not None and blocks.correlation is None

    def seen(column: Floats) -> Floats:
        """The column as the model sees it: within donors where these are paired."""
        if not is_paired or blocks is None:
            return column
        inside = within_blocks(column[:, None], blocks.code)[:, 0]
        return np.where(np.abs(inside) < 1e-9, 0.0, inside)

    levels = [seen((group.level == level).astype(float)) for level in present[1:]]
    if not _tells([], levels):
        return _NOT_JOINED
    kept = _independent([seen(column) for column in group.batches.T], [])
    if not _tells(kept, levels):
        return _NOT_FROM_BATCH if not is_paired else _NOT_FROM_VISIT_BATCH
    n_batches = len(kept)
    used: list[str] = []
    for name, column in zip(group.names, group.covariates.T, strict=True):
        before = len(kept)
        kept = _independent([seen(column)], kept)
        used += [name] * (len(kept) - before)
    if not _tells(kept, levels):
        return (
            f"the groups cannot be told from {', '.join(dict.fromkeys(used))}: its values go with "
            "the groups. Leave it out of the covariates"
        )
    matrix = np.column_stack([*kept, *levels])
    n_coefficients = matrix.shape[1] + (blocks.n_levels if blocks else 0)
    if len(matrix) - n_coefficients < 2:
        what = "samples of paired donors" if is_paired else "donors"
        return (
            f"{len(matrix)} {what} are too few for {n_coefficients} coefficients; "
            f"{n_coefficients + 2} would suffice"
        )
    pairs, rows = [], []
    for index, level in enumerate(present):
        if n_levels == 2 and index == 0:
            continue
        others = [other for other in range(len(present)) if other != index]
        weights = np.zeros(len(present))
        weights[index], weights[others] = 1.0, -1.0 / len(others)
        rows.append(np.concatenate([np.zeros(len(kept)), weights[1:]]))
        pairs.append((level, tuple(present[other] for other in others)))
    terms = ["donor_id"] if is_paired else []
    terms += ["batch_id"] if n_batches > (0 if is_paired else 1) else []
    formula = "~ " + " + ".join([*terms, *dict.fromkeys(used), "level"])
    lost = [name for name in dict.fromkeys(group.names) if name not in used]
    where = "the donor, the batch" if is_paired else "the batch"
    told = [f"not adjusted for {name}: it follows from {where} or the others" for name in lost]
    notes = [*(pairing.notes if pairing else ()), *group.notes, *told]
    return Design(matrix, np.array(rows), tuple(pairs), "; ".join([formula, *notes]), blocks)


def with_correlation(design: Design, y: Floats, weights: Floats) -> Design:
    """The design with the correlation that the data show within donors."""
    assert design.blocks is not None
    code = design.blocks.code
    found = block_correlation(y, design.matrix, weights, code)
    formula, *notes = design.formula.split("; ")
    said = "; ".join([f"{formula} + (1 | donor_id)", f"correlation within donors {found:.2f}"])
    return replace(design, formula="; ".join([said, *notes]), blocks=Blocks(code, found))


_NOT_FROM_BATCH = (
    "the groups cannot be told from batch: too few batches hold donors of several groups. "
    "Compare groups that share batches: one batch with 3 donors of each would suffice"
)
_NOT_JOINED = (
    "the groups fall into sets that no donor joins: donors who are compared with themselves have "
    "groups of one set only. Name alike what is alike, or run the cohorts of each set alone"
)
_NOT_FROM_VISIT_BATCH = (
    "the groups cannot be told from batch: the samples of each donor lie in another batch for "
    "each group. 3 donors whose samples of all groups share a batch would suffice"
)


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
