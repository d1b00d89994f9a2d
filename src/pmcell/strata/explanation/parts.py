"""One cell type of a group of donors made ready for tests: genes, log counts, weights, design."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pmcell.core.donors.association import benjamini_hochberg
from pmcell.schema.text import is_among
from pmcell.strata.explanation.contrasts import Comparison
from pmcell.strata.explanation.groups import (
    Design,
    Group,
    Pair,
    compared_units,
    design_of,
    units_of,
    with_correlation,
)
from pmcell.strata.statistics.filtering import filtered_q, limit_reached
from pmcell.strata.statistics.moderated import (
    library_sizes,
    log_cpm,
    moderated_tests,
    precision_weights,
)
from pmcell.strata.statistics.pairing import CORRELATED

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float64]

MIN_GENES = 10
"""Genes that a cell type needs to be tested: variances are shared between genes."""


@dataclass(frozen=True)
class Part:
    """One cell type of a group of donors, ready to be tested.

    `group` has a row for each donor and level, `everyone` those left out as well. `counts` (rows ×
    genes) with each row's `total` over all measured genes; `reached` the limit of counts that each
    gene reaches; `y` their log2 counts per million with `weights`; `genes` their ids; `n_low` and
    `n_absent` genes are left out for few counts or because a donor's cohort did not measure them.
    """

    group: Group
    everyone: Group
    genes: NDArray[np.object_]
    counts: Floats
    total: Floats
    reached: Floats
    y: Floats
    weights: Floats
    design: Design
    n_low: int
    n_absent: int


def parts_of(compared: Comparison, counts: pd.DataFrame) -> tuple[Part | str, list[Part | None]]:
    """A type's donors ready to be tested, or why not; and the same for the two split parts."""
    assert compared.everyone is not None
    n_levels = len(compared.levels)
    whole = prepare(compared.everyone, counts, n_levels, compared.levels)
    if isinstance(whole, str):
        return whole, [None, None]
    found: list[Part | None] = []
    for group in (compared.discovery, compared.held_out):
        part = "" if group is None else prepare(group, counts, n_levels, compared.levels)
        found.append(None if isinstance(part, str) else part)
    return whole, found


def prepare(group: Group, counts: pd.DataFrame, n_levels: int, levels: Sequence[str]) -> Part | str:
    """The donors that have counts, genes with enough of them, and the design; or why not."""
    visits = group.of(is_among(group.rows, counts.index))
    everyone, values = units_of(visits, counts.loc[visits.rows].to_numpy(float))
    is_added_up = everyone.rows.size < visits.rows.size
    found = compared_units(everyone, is_added_up, n_levels, levels)
    if isinstance(found, str):
        return found
    used, pairing = found
    own, values = everyone.of(used), values[used]
    design = design_of(own, n_levels, pairing)
    if isinstance(design, str):
        return design
    measured = ~np.isnan(values).any(axis=0)
    total = np.nansum(values, axis=1)
    size = np.bincount(own.level, minlength=n_levels)
    least = int(size[size > 0].min())
    reached = np.zeros(measured.size)
    reached[measured] = limit_reached(values[:, measured], total, least)
    enough = reached > 0
    if enough.sum() < MIN_GENES:
        return (
            f"{int(enough.sum())} genes have enough counts in {least} donors; "
            f"{MIN_GENES} are needed"
        )
    kept = values[:, enough]
    library = library_sizes(kept, total)
    y = log_cpm(kept, library)
    weights = precision_weights(y, library, design.matrix, design.blocks)
    if pairing.kind == CORRELATED:
        design = with_correlation(design, y, weights)
    return Part(
        own,
        everyone,
        counts.columns.to_numpy(object)[enough],
        kept,
        total,
        reached[enough],
        y,
        weights,
        design,
        int((measured & ~enough).sum()),
        int((~measured).sum()),
    )


def by_pair(part: Part | None, alpha: float = 0.05, y: Floats | None = None) -> dict[Pair, Any]:
    """Tests of every pair of a part: names, effect, p and q.

    Of the genes, or of other values `y` of the rows, all of which count in q then.
    """
    if part is None:
        return {}
    weights = part.weights if y is None else None
    values = part.y if y is None else y
    design = part.design
    tests = moderated_tests(values, design.matrix, design.contrasts, weights, design.blocks)
    return {
        pair: {
            "names": part.genes,
            "effect": test.effect,
            "p": test.p,
            "q": filtered_q(test.p, part.reached, alpha)
            if y is None
            else benjamini_hochberg(test.p),
            "test": test,
        }
        for pair, test in zip(part.design.pairs, tests, strict=True)
    }
