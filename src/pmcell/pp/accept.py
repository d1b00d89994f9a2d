"""Which cohorts enter the atlas, and on which genes they meet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pmcell.core.counts.moments import Moments
from pmcell.pp.features import choose, rank_genes, standardised_variances
from pmcell.pp.join import join_moments


@dataclass(frozen=True)
class Selection:
    """Selected genes of the accepted cohorts.

    `genes` (sorted union of measured genes), `ranks` (NaN where not ranked),
    `chosen` (bool), `measured` (n_cohorts, n_genes), `cohorts` in the same
    order, `refused` maps a cohort to the sentence that says why, `warned` one
    that is placed on few genes.
    """

    cohorts: tuple[str, ...]
    genes: NDArray[np.str_]
    ranks: NDArray[np.float64]
    chosen: NDArray[np.bool_]
    measured: NDArray[np.bool_]
    detected: NDArray[np.int64]
    refused: Mapping[str, str]
    warned: Mapping[str, str]


def select(
    cohorts: Sequence[tuple[str, NDArray[np.str_], Moments]],
    *,
    n_top: int = 2000,
    min_cohort_share: float = 0.5,
    min_shared_genes: int = 50,
    warn_shared_genes: int = 200,
) -> Selection:
    """Select highly variable genes; refuse cohorts that share too few of them.

    A gene is a candidate when at least `min_cohort_share` of the cohorts
    measured it. A cohort that measured fewer than `min_shared_genes` of the
    selected genes cannot be placed beside the others: it is refused, the one
    with the fewest first, and the selection made anew without it. Below
    `warn_shared_genes` it is placed with a warning.
    """
    from pmcell.core.counts.moments import DETECTED

    kept = list(cohorts)
    refused: dict[str, str] = {}
    while kept:
        genes, joined, in_batch = join_moments([(ids, item) for _, ids, item in kept])
        measured = np.stack([np.isin(genes, ids) for _, ids, _ in kept])
        candidate = measured.mean(axis=0) >= min_cohort_share
        ranks = rank_genes(standardised_variances(joined, in_batch & candidate), n_top)
        chosen = choose(ranks, candidate, n_top)
        shared = (measured & chosen).sum(axis=1)
        needed = min(min_shared_genes, int(chosen.sum()))
        worst = int(np.argmin(shared))
        if shared[worst] >= needed or len(kept) == 1:
            names = [name for name, _, _ in kept]
            return Selection(
                tuple(names),
                genes,
                np.where(chosen, ranks, np.nan),
                chosen,
                measured,
                joined.sums[:, :, DETECTED].sum(axis=0),
                refused,
                _few_genes(names, shared, int(chosen.sum()), warn_shared_genes),
            )
        refused[kept[worst][0]] = (
            f"a cohort must measure at least {needed} of the selected genes to be placed beside "
            f"the others; this one measured {int(shared[worst])} of {int(chosen.sum())}. "
            f"Run it in a study of its own, or lower hvg.min_shared_genes"
        )
        del kept[worst]
    raise ValueError("select needs at least one cohort")


def _few_genes(
    names: Sequence[str], shared: NDArray[np.int64], n_chosen: int, warn_below: int
) -> dict[str, str]:
    """The warning of each cohort that measured few of the selected genes."""
    return {
        name: (
            f"{int(n_shared)} of the {n_chosen} selected genes were measured: its cells are placed "
            f"on these alone, so read their place on the map and their clusters with care"
        )
        for name, n_shared in zip(names, shared, strict=True)
        if n_shared < min(warn_below, n_chosen)
    }
