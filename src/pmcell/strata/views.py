"""Which channels to look through: one alone, or several fused, where strata show most clearly."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pmcell.core.channels import CLUSTER_FREE
from pmcell.core.donor_map import map_donors, partition
from pmcell.core.resample import VIEWS, stream
from pmcell.core.spectral import pairwise_squared, spectrum
from pmcell.strata.model import DonorMap
from pmcell.strata.sizes import k_range, min_stratum_size

Floats = NDArray[np.float64]

N_DRAWS = 29
LEAD = 1.25
"""A view that needs no cell types says less of what makes the strata: it must lead by so much."""

MOST_DONORS = 200
"""A view is chosen on so many donors, drawn at random, at most."""


@dataclass(frozen=True)
class Choice:
    """Weights of the chosen channels; each view's score, how far its silhouette is above chance."""

    weights: dict[str, float]
    scores: dict[str, float]

    def report(self) -> dict[str, Any]:
        """What is kept for the report."""
        return {"n_views": max(len(self.scores), 1), "view_scores": self.scores}


def choose_view(opened: DonorMap, weights: dict[str, float], seed: int = 0) -> Choice:
    """The channels among `weights`, alone or fused, in which clusters stand out most from chance.

    A channel that knows nothing of the strata blurs those that another shows
    clearly, and reliability cannot tell: donors differ reliably in things that
    are no strata. So each channel that uses cell types, both, and all
    together are compared with points without clusters that have the same
    spectrum; the largest excess of a silhouette over theirs, in their sd, wins.
    This ranks views and tests nothing: the existence test must multiply its p
    by the number of views looked at.
    """
    views = _views(list(weights))
    ks = k_range(opened.rows.size)
    if len(views) < 2 or not len(ks):
        return Choice(weights, {})
    rows = opened.rows
    if rows.size > MOST_DONORS:
        rows = np.sort(stream(seed, VIEWS, 0).choice(rows, MOST_DONORS, replace=False))
    sums, batch = opened.sums.take(rows), opened.batch[rows]
    scores = {}
    for number, view in enumerate(views, 1):
        own = opened.with_weights({name: weights[name] for name in view})
        squared = map_donors(sums, batch, own.settings)
        scores["+".join(view)] = round(_excess(squared, ks, stream(seed, VIEWS, number)), 6)
    if max(scores.values()) <= 0:
        # Nothing stands out anywhere: there is no reason to leave anything out.
        return Choice(weights, scores)
    lead = {view: LEAD if CLUSTER_FREE in view else 1.0 for view in views}
    best = max(views, key=lambda view: scores["+".join(view)] / lead[view])
    return Choice({name: weights[name] for name in best}, scores)


def _views(names: list[str]) -> list[tuple[str, ...]]:
    """Each channel that uses cell types alone, those two, all.

    Not the cluster-free channel alone where there is another: its waves bend a
    continuum of donors, which the points that a view is compared with here do not.
    """
    views: list[tuple[str, ...]] = [(name,) for name in names if name != CLUSTER_FREE]
    views += [tuple(names[:size]) for size in sorted({2, len(names)}) if 1 < size <= len(names)]
    return views


def _excess(squared: Floats, ks: range, rng: np.random.Generator) -> float:
    """Largest distance of a silhouette above those of uniform points with the same spectrum."""
    n = squared.shape[0]
    min_size = min_stratum_size(n)
    observed = partition(squared, ks, min_size).silhouette
    values, _ = spectrum(squared)
    values = values[: n - 1]
    # What sums to the trace is the variance between donors; the rest is noise around 0.
    kept = values[(values > 0) & (np.cumsum(values) - values < values.sum())]
    draws = np.empty((N_DRAWS, len(ks)))
    for number in range(N_DRAWS):
        scores = rng.uniform(-1.0, 1.0, (n, kept.size))
        left, _, right = np.linalg.svd(scores - scores.mean(axis=0), full_matrices=False)
        flat = pairwise_squared((left @ right) * np.sqrt(kept))
        draws[number] = partition(flat, ks, min_size).silhouette
    known = np.isfinite(observed) & (np.isfinite(draws).sum(axis=0) > 1)
    if not known.any():
        return float("-inf")
    spread = np.maximum(np.nanstd(draws[:, known], axis=0), 1e-12)
    return float(((observed[known] - np.nanmean(draws[:, known], axis=0)) / spread).max())
