"""One cell type of a group of donors made ready for tests: genes, log counts, weights, design."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pmcell.core.donors.association import benjamini_hochberg
from pmcell.strata.explanation.contrasts import MIN_DONORS, Comparison
from pmcell.strata.explanation.groups import Group, Pair, design_of
from pmcell.strata.statistics.moderated import (
    library_sizes,
    log_cpm,
    moderated_tests,
    precision_weights,
)

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float64]

MIN_COUNT = 10
MIN_GENES = 10
"""Genes that a cell type needs to be tested: variances are shared between genes."""


@dataclass(frozen=True)
class Part:
    """One cell type of a group of donors, ready to be tested.

    `y` (donors × genes) log2 counts per million with `weights`; `genes` their
    ids; `n_low` and `n_absent` genes are left out for few counts or because a
    donor's cohort did not measure them.
    """

    group: Group
    genes: NDArray[np.object_]
    y: Floats
    weights: Floats
    design: Any
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
    own = group.of(np.isin(group.donors, counts.index.to_numpy()))
    size = np.bincount(own.level, minlength=n_levels)
    small = np.flatnonzero(size < MIN_DONORS)
    if n_levels - small.size < 2:
        few = ", ".join(f"{levels[level]} {size[level]}" for level in small.tolist())
        what = "cells of the type" + (" and every covariate" if group.names else "")
        return f"too few donors have {what} ({few}); {MIN_DONORS} a side are needed"
    own = own.of(~np.isin(own.level, small))
    design = design_of(own, n_levels)
    if isinstance(design, str):
        return design
    values = counts.loc[own.donors].to_numpy(float)
    measured = ~np.isnan(values).any(axis=0)
    total = np.nansum(values, axis=1)
    least = int(size[size >= MIN_DONORS].min())
    enough = measured & ((values >= MIN_COUNT).sum(axis=0) >= least)
    if enough.sum() < MIN_GENES:
        return (
            f"{int(enough.sum())} genes have {MIN_COUNT} counts in {least} donors; "
            f"{MIN_GENES} are needed"
        )
    kept = values[:, enough]
    library = library_sizes(kept, total)
    y = log_cpm(kept, library)
    return Part(
        own,
        counts.columns.to_numpy(object)[enough],
        y,
        precision_weights(y, library, design.matrix),
        design,
        int((measured & ~enough).sum()),
        int((~measured).sum()),
    )


def by_pair(part: Part | None, y: Floats | None = None) -> dict[Pair, Any]:
    """Tests of every pair of a part: names, effect, p and q."""
    if part is None:
        return {}
    weights = part.weights if y is None else None
    values = part.y if y is None else y
    tests = moderated_tests(values, part.design.matrix, part.design.contrasts, weights)
    return {
        pair: {
            "names": part.genes,
            "effect": test.effect,
            "p": test.p,
            "q": benjamini_hochberg(test.p),
            "test": test,
        }
        for pair, test in zip(part.design.pairs, tests, strict=True)
    }
