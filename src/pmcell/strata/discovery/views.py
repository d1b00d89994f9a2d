"""Which channels to look through: one alone, or several fused, where strata show most clearly."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from pmcell.core.donors.channels import CLUSTER_FREE, COMPOSITION, GENES
from pmcell.core.donors.resample import VIEWS, stream
from pmcell.strata.discovery.null import compare_with_null
from pmcell.strata.discovery.sizes import k_range
from pmcell.strata.profiles.model import DonorMap

N_DRAWS = 39
LEAD = 1.25
"""A view that needs no cell types says less of what makes the strata: it must lead by so much."""

EVEN = ", axes alike"
"""Ends the title of a view in which the axes of genes are of one length."""

MAX_DONORS = 200
"""A view is chosen on so many donors, drawn at random, at most."""


@dataclass(frozen=True)
class Choice:
    """Weights of the chosen channels; the score of each view, how far it is above its null.

    With `even_axes` the axes of the gene channel are of one length.
    """

    weights: dict[str, float]
    scores: dict[str, float]
    even_axes: bool = False

    def report(self) -> dict[str, Any]:
        """What is kept for the report."""
        return {"n_views": max(len(self.scores), 1), "view_scores": self.scores}


def choose_view(opened: DonorMap, weights: dict[str, float], seed: int = 0) -> Choice:
    """The channels among `weights`, alone or fused, in which clusters stand out most from chance.

    A channel that knows nothing of the strata blurs those that another shows
    clearly, and reliability cannot tell: donors differ reliably in things that
    are no strata. So each channel that uses cell types, composition with each of the others, all
    together, and genes with axes of one length, since strata in few genes drown in a factor that
    moves many, are compared with a few draws of their own model without strata,
    that of the existence test; the largest excess of its statistic, in the draws'
    sd, wins. Points with the same spectrum, but without a donor model, took batches
    in shares for groups. This ranks views and tests nothing: the existence test
    draws anew and must multiply its p by the number of views looked at.
    """
    views = _views(list(weights))
    ks = k_range(opened.rows.size)
    if len(views) < 2 or not len(ks):
        return Choice(weights, {})
    rows = opened.rows
    if rows.size > MAX_DONORS:
        rows = np.sort(stream(seed, VIEWS, 0).choice(rows, MAX_DONORS, replace=False))
    some = replace(opened, rows=rows)
    scores = {}
    for view in views:
        own = some.with_weights(
            {name: weights[name] for name in view.names}, even_axes=view.even_axes
        )
        scores[view.title] = round(_excess(own, ks, seed), 6)
    if max(scores.values()) <= 0:
        # Nothing stands out anywhere: there is no reason to leave anything out.
        return Choice(weights, scores)
    best = max(views, key=lambda view: scores[view.title] / view.lead)
    return Choice({name: weights[name] for name in best.names}, scores, best.even_axes)


@dataclass(frozen=True)
class _View:
    names: tuple[str, ...]
    even_axes: bool = False

    @property
    def title(self) -> str:
        return "+".join(self.names) + (EVEN if self.even_axes else "")

    @property
    def lead(self) -> float:
        return LEAD if CLUSTER_FREE in self.names else 1.0


def _views(names: list[str]) -> list[_View]:
    """Each channel that uses cell types alone, composition with each other of these, all.

    Last genes with axes of one length. Not the cluster-free channel alone where there is another:
    it tells nothing of what makes the strata, and the model without strata knows least of its
    waves. Not state and genes without composition: genes tell what state tells, and more.
    """
    typed = [name for name in names if name != CLUSTER_FREE]
    views: list[tuple[str, ...]] = [(name,) for name in typed]
    views += [(COMPOSITION, name) for name in typed if COMPOSITION in typed and name != COMPOSITION]
    if tuple(names) not in views:
        views.append(tuple(names))
    even = [_View((GENES,), even_axes=True)] if GENES in typed else []
    return [*map(_View, views), *even]


def _excess(opened: DonorMap, ks: range, seed: int) -> float:
    """How far T of the data lies above its draws without strata, in their sd; -inf without a T."""
    result = compare_with_null(opened, ks, N_DRAWS, seed, purpose=VIEWS)
    draws = result.null[np.isfinite(result.null)]
    if not np.isfinite(result.statistic) or draws.size < 2:
        return float("-inf")
    return float((result.statistic - draws.mean()) / max(float(draws.std()), 1e-12))
