"""Which cohorts enter the atlas, and on which genes they meet, tissue by tissue."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pmcell.core.counts.moments import DETECTED, Moments
from pmcell.errors import DataError
from pmcell.pp.features import choose, rank_genes, standardised_variances
from pmcell.pp.join import join_moments
from pmcell.registry.terms.tissues import tissue_groups, tissue_label

GeneIds = NDArray[np.str_]

LOST_SHARE = 0.5
"""Share of the most variable genes from which their loss to the panels is a warning."""


@dataclass(frozen=True)
class Verdict:
    """Why a cohort is refused or warned: a code for machines and a sentence."""

    reason: str
    message: str


@dataclass(frozen=True)
class Selection:
    """Selected genes of the accepted cohorts of one tissue.

    `genes` (sorted union of measured genes), `ranks` (NaN where not chosen),
    `chosen` (bool), `measured` (n_cohorts, n_genes) and `detected` (cells with a
    count), `cohorts` in the same order. `n_lost` of the `n_best` most variable
    genes are left out since too few cohorts measured them. `refused` and `warned`
    say why of a cohort.
    """

    cohorts: tuple[str, ...]
    genes: GeneIds
    ranks: NDArray[np.float64]
    chosen: NDArray[np.bool_]
    measured: NDArray[np.bool_]
    detected: NDArray[np.int64]
    n_best: int
    n_lost: int
    refused: Mapping[str, Verdict]
    warned: Mapping[str, Verdict]


@dataclass(frozen=True)
class AtlasSelection:
    """Selections of all tissues, by group of tissues.

    `group_of` maps each tissue of the samples to its group
    (`pmcell.registry.terms.tissues`); `refused` and `warned` hold what any tissue said
    of a cohort.
    """

    group_of: Mapping[str, str]
    by_tissue: Mapping[str, Selection]
    refused: Mapping[str, Verdict]
    warned: Mapping[str, Verdict]


def select_by_tissue(
    cohorts: Sequence[tuple[str, GeneIds, Mapping[str, Moments]]],
    *,
    n_top: int = 2000,
    min_cohort_share: float = 0.5,
    min_shared_genes: int = 50,
    warn_shared_genes: int = 200,
) -> AtlasSelection:
    """Select highly variable genes of each tissue among the cohorts that have it.

    Parameters
    ----------
    cohorts
        Name, gene ids and the moments of each tissue (UBERON term) of every cohort.
    n_top, min_cohort_share, min_shared_genes, warn_shared_genes
        As of `select`, for each tissue.

    Returns
    -------
    AtlasSelection
        What is selected; a cohort that one tissue refuses enters none.

    Raises
    ------
    DataError
        Where the cohorts of a tissue share too few genes and none stands out.
    """
    kept, refused = list(cohorts), dict[str, Verdict]()
    while True:
        group_of = tissue_groups(tissue for _, _, sums in kept for tissue in sums)
        by_tissue = {
            group: select(
                _cohorts_of(group, group_of, kept),
                n_top=n_top,
                min_cohort_share=min_cohort_share,
                min_shared_genes=min_shared_genes,
                warn_shared_genes=warn_shared_genes,
                tissue=tissue_label(group),
            )
            for group in sorted(set(group_of.values()))
        }
        found = {name: why for item in by_tissue.values() for name, why in item.refused.items()}
        if not found:
            warned = {name: why for item in by_tissue.values() for name, why in item.warned.items()}
            return AtlasSelection(group_of, by_tissue, refused, warned)
        refused |= found
        kept = [item for item in kept if item[0] not in found]


def _cohorts_of(
    group: str,
    group_of: Mapping[str, str],
    cohorts: Sequence[tuple[str, GeneIds, Mapping[str, Moments]]],
) -> list[tuple[str, GeneIds, Moments]]:
    """The cohorts with a tissue of the group, their moments in its tissues added."""
    found = []
    for name, ids, sums in cohorts:
        own = [sums[tissue] for tissue in sorted(sums) if group_of[tissue] == group]
        if own:
            found.append((name, ids, join_moments([(ids, item) for item in own])[1]))
    return found


def select(
    cohorts: Sequence[tuple[str, GeneIds, Moments]],
    *,
    n_top: int = 2000,
    min_cohort_share: float = 0.5,
    min_shared_genes: int = 50,
    warn_shared_genes: int = 200,
    tissue: str = "the study",
) -> Selection:
    """Select highly variable genes of one tissue; refuse cohorts that share too few of them.

    A gene is a candidate when at least `min_cohort_share` of the cohorts measured it,
    and never fewer than two of several, unless that share is 0. Cohorts must share
    `min_shared_genes` of the selected genes (or as many as two small panels have), each
    with another, so that all are linked: those not linked to most others are refused
    and the selection made anew. Where no part is the largest, nobody can tell which to
    refuse: that raises DataError. A cohort that measured fewer than `warn_shared_genes` of the
    selected genes is placed with a warning, and all are where their panels leave out
    half of the most variable genes.
    """
    kept, refused = list(cohorts), dict[str, Verdict]()
    while True:
        names = [name for name, _, _ in kept]
        genes, joined, in_batch = join_moments([(ids, item) for _, ids, item in kept])
        measured = np.stack([np.isin(genes, ids) for _, ids, _ in kept])
        variances = standardised_variances(joined, in_batch)
        if not variances:
            return _nothing_to_select(names, genes, measured, joined, refused, tissue)
        candidate = measured.sum(axis=0) >= cohorts_needed(len(kept), min_cohort_share)
        ranks = rank_genes(variances, n_top, candidate)
        chosen = choose(ranks, candidate, n_top)
        varies = np.any([~np.isnan(item.values) for item in variances], axis=0)
        shared = _shared_genes(measured & chosen)
        part = _linked(shared >= _genes_needed(measured & varies, min_shared_genes))
        sizes = np.sort(np.bincount(part))[::-1]
        if sizes.size == 1:
            break
        if sizes[0] == sizes[1]:
            raise _no_shared_genes(names, measured, shared, part, tissue)
        for at in np.flatnonzero(part != np.bincount(part).argmax())[::-1]:
            refused[names[at]] = Verdict(
                "too_few_shared_genes",
                f"a cohort must share at least {min_shared_genes} of the selected genes with the "
                f"others of {tissue}; this one measured {shared[at, at]} of {chosen.sum()}. "
                "Run it in a study of its own, or lower hvg.min_shared_genes",
            )
            del kept[at]
    if not chosen.any():
        return _nothing_to_select(names, genes, measured, joined, refused, tissue)
    best = choose(rank_genes(variances, n_top), varies, n_top)
    selection = Selection(
        tuple(names),
        genes,
        np.where(chosen, ranks, np.nan),
        chosen,
        measured,
        joined.sums[:, :, DETECTED].sum(axis=0),
        int(best.sum()),
        int((best & ~candidate).sum()),
        refused,
        {},
    )
    return replace(selection, warned=_warnings(selection, warn_shared_genes, tissue))


def lost_genes(selection: Selection, tissue: str) -> str:
    """Sentence on the variable genes that too few cohorts measured."""
    return (
        f"{selection.n_lost} of the {selection.n_best} most variable genes of {tissue} were "
        "measured in too few of its cohorts and are left out; "
        f"{int(selection.chosen.sum())} genes that its cohorts share are used"
    )


def cohorts_needed(n_cohorts: int, min_share: float) -> int:
    """How many cohorts must measure a gene that is to be selected."""
    if min_share == 0 or n_cohorts == 1:
        return 1
    # Rounded first: 0.07 × 100 is above 7 in floating point.
    return max(2, int(np.ceil(round(min_share * n_cohorts, 9))))


def _shared_genes(of_cohort: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Genes that each pair of cohorts has (cohorts × cohorts), from those of each (× genes)."""
    counts = of_cohort.astype(np.int64)
    return np.asarray(counts @ counts.T)


def _genes_needed(varying: NDArray[np.bool_], min_shared: int) -> NDArray[np.int64]:
    """Genes that each pair must share: `min_shared`, or all that vary where both have fewer."""
    panel = varying.sum(axis=1)
    needed = np.clip(np.maximum.outer(panel, panel), min(min_shared, 1), min_shared)
    return np.asarray(needed, np.int64)


def _linked(shares_enough: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Part of each cohort: those that share enough genes, directly or through others, are one."""
    from scipy.sparse.csgraph import connected_components

    return np.asarray(connected_components(shares_enough, directed=False)[1], np.int64)


def _no_shared_genes(
    names: Sequence[str],
    measured: NDArray[np.bool_],
    shared: NDArray[np.int64],
    part: NDArray[np.int64],
    tissue: str,
) -> DataError:
    """The error for parts of equal size, of which nobody can tell which is the odd one."""
    sizes = np.bincount(part)
    first, second = np.flatnonzero(sizes == sizes.max())[:2]
    one, other = int(np.argmax(part == first)), int(np.argmax(part == second))
    n_genes = measured.sum(axis=1)
    return DataError(
        f"the cohorts of {tissue} must share enough selected genes (hvg.min_shared_genes); "
        f"{names[one]} ({n_genes[one]} genes) and {names[other]} ({n_genes[other]}) share "
        f"{_shared_genes(measured)[one, other]} genes, {shared[one, other]} of them selected. Name "
        f"the cohorts that share genes in `cohorts` of the config "
        f"({', '.join(np.array(names)[part == first])}), and run the others as another study",
        reason="too_few_shared_genes",
    )


def _warnings(selection: Selection, warn_below: int, tissue: str) -> dict[str, Verdict]:
    """The warning of each cohort that measured few of the selected genes, or lost many."""
    n_chosen = int(selection.chosen.sum())
    is_lost = selection.n_lost > LOST_SHARE * selection.n_best
    warned = {}
    n_measured = (selection.measured & selection.chosen).sum(axis=1)
    for name, n_shared in zip(selection.cohorts, n_measured, strict=True):
        sentence = lost_genes(selection, tissue) if is_lost else ""
        if n_shared < min(warn_below, n_chosen):
            sentence = (
                f"{n_shared} of the {n_chosen} selected genes were measured: its cells are placed "
                "on these alone, so read their place on the map and their clusters with care"
            )
        if sentence:
            warned[name] = Verdict("few_shared_genes", sentence)
    return warned


def _nothing_to_select(
    names: Sequence[str],
    genes: GeneIds,
    measured: NDArray[np.bool_],
    joined: Moments,
    refused: Mapping[str, Verdict],
    tissue: str,
) -> Selection:
    """No gene, and all cohorts refused, for want of cells in which a gene varies."""
    why = Verdict(
        "too_few_cells",
        f"genes must vary among the cells of a tissue; the {int(joined.n_cells.sum())} cells of "
        f"{tissue} in all cohorts show none that does. Leave its samples out of samples.tsv",
    )
    nothing = np.zeros(genes.size, bool)
    return Selection(
        tuple(names),
        genes,
        np.full(genes.size, np.nan),
        nothing,
        measured,
        joined.sums[:, :, DETECTED].sum(axis=0),
        0,
        0,
        {**refused, **dict.fromkeys(names, why)},
        {},
    )
