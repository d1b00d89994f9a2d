"""Cell-type labels from a marker panel and mean expression, with the right to abstain.

A marker's evidence in a cluster is its mean expression as a share of the
highest mean of all clusters, so a marker that every cluster carries (ambient
insulin in islets) or none expresses says little. A type's score is the mean
over its positive minus the mean over its negative markers. Types that the Cell
Ontology places under another type of the panel (CD4 under T cell) compete only
where that one has won. T and natural killer cells often share a cluster, which then
carries the positive markers of both: it is called 'T or NK cell'. Markers are resampled
(bootstrap); the share of resamples that agree on a type or on types below it is the
confidence. Few measured markers, weak or contradictory ones end without a label. The
limits below were chosen on five public cohorts of blood and islets, with source labels
hidden; `MIN_RIVAL` on one of them (GSE96583).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pmcell.core.counts.aggregate import ClusterSums
from pmcell.registry.terms.cell_types import UMBRELLA, Consensus, consensus, joint_term
from pmcell.registry.terms.marker_panel import CellTypeMarkers
from pmcell.registry.terms.ontology import is_under, terms

MIN_MARKERS = 3
"""A type is considered with at least this many positive markers measured."""

MIN_SCORE = 0.42
"""Lowest winning score; below it nothing is recognised."""

MIN_WINS = 0.7
"""Lowest share of resamples that must agree on the label or types below it."""

MIN_RIVAL = 0.5
"""Share of the winner's positive evidence from which a type with a joint name is there too."""

FLOOR = 1.0
"""Mean expression (per 10,000 counts) that the highest cluster must have for full evidence."""

N_RESAMPLES = 200


@dataclass(frozen=True)
class MarkerLabel:
    """The label of one cluster (None: abstained) and the evidence in one line."""

    label: Consensus | None
    evidence: str


def marker_labels(
    sums: ClusterSums,
    symbols: Mapping[str, str],
    panel: Sequence[CellTypeMarkers],
    *,
    seed: int = 0,
) -> list[MarkerLabel]:
    """One label for each cluster of `sums`; `symbols` maps its gene ids to gene symbols."""
    column_of = {
        symbols.get(str(gene), str(gene)): column for column, gene in enumerate(sums.gene_ids)
    }
    types = [row for row in panel if sum(name in column_of for name in row.positive) >= MIN_MARKERS]
    if not types:
        why = f"no type of the panel has {MIN_MARKERS} measured markers"
        return [MarkerLabel(None, why) for _ in sums.clusters]
    evidence = relative_expression(sums)
    positive = np.stack([_evidence(row.positive, evidence, column_of, seed) for row in types])
    negative = np.stack([_evidence(row.negative, evidence, column_of, seed) for row in types])
    scores = positive - negative
    family = _Family(types)
    labels = []
    for cluster in range(sums.clusters.size):
        label = _label(scores[:, cluster, 1:], positive[:, cluster, 0], family)
        text = _sentence(label, scores[:, cluster, 0], types, evidence[cluster], column_of)
        labels.append(MarkerLabel(label, text))
    return labels


def relative_expression(sums: ClusterSums) -> NDArray[np.float64]:
    """Square root of mean expression over the highest mean of all clusters (n_clusters, n_genes).

    From 0 to 1; NaN where no cell of the cluster was measured.
    """
    expression = np.expm1(sums.mean())
    seen = np.where(np.isnan(expression), 0.0, expression)
    highest = np.maximum(seen.max(axis=0, initial=0.0), FLOOR)
    return np.asarray(np.sqrt(expression / highest), np.float64)


class _Family:
    """The types of a panel with the closest type above each, and pairs that have a joint name."""

    def __init__(self, types: Sequence[CellTypeMarkers]) -> None:
        self.term_ids = [row.term_id for row in types]
        self.parents = _parents(types)
        self.roots = [at for at, parent in enumerate(self.parents) if parent < 0]

    def root_of(self, at: int) -> int:
        """The type at the top of the branch of a type."""
        while self.parents[at] >= 0:
            at = self.parents[at]
        return at

    def rivals_of(self, root: int) -> list[tuple[int, str]]:
        """Types at the top that have a joint name with this one, and its term."""
        return [
            (at, term)
            for at in self.roots
            if at != root and (term := joint_term(self.term_ids[root], self.term_ids[at]))
        ]


def _evidence(
    markers: Sequence[str], evidence: NDArray[np.float64], column_of: Mapping[str, int], seed: int
) -> NDArray[np.float64]:
    """Mean of markers (n_clusters, 1 + N_RESAMPLES); the first takes each measured one once."""
    evidence = evidence[:, [column_of[name] for name in markers if name in column_of]]
    n_clusters, n_markers = evidence.shape
    if not n_markers:
        return np.zeros((n_clusters, 1 + N_RESAMPLES))
    draws = np.random.default_rng(seed).integers(0, n_markers, (N_RESAMPLES, n_markers))
    taken = evidence[:, np.vstack([np.arange(n_markers), draws])]
    n_measured = np.sum(~np.isnan(taken), axis=2)
    return np.asarray(np.nansum(taken, axis=2) / np.maximum(n_measured, 1), np.float64)


def _parents(types: Sequence[CellTypeMarkers]) -> list[int]:
    """Position of the closest type above each type in the Cell Ontology; -1 where there is none."""
    depth = [len(terms("CL")[row.term_id].get("ancestors", {})) for row in types]
    parents = []
    for row in types:
        above = [
            at
            for at, other in enumerate(types)
            if other.term_id != row.term_id and is_under(row.term_id, (other.term_id,))
        ]
        parents.append(max(above, key=lambda at: depth[at], default=-1))
    return parents


def _label(
    scores: NDArray[np.float64], positive: NDArray[np.float64], family: _Family
) -> Consensus | None:
    """Consensus of the winners of one cluster's resamples, `scores` (n_types, n_resamples)."""
    votes = Counter(_vote(of_type, positive, family) for of_type in scores.T)
    allowed = {*family.term_ids, *UMBRELLA}
    return consensus(votes, majority=MIN_WINS, coverage=MIN_WINS, allowed=allowed)


def _vote(scores: NDArray[np.float64], positive: NDArray[np.float64], family: _Family) -> str:
    """Term of the winner, or its joint name with a type that is there as well; '' for none."""
    winner = _winner(scores, family.parents)
    if winner < 0:
        return ""
    root = family.root_of(winner)
    for rival, joint in family.rivals_of(root):
        if positive[rival] >= MIN_RIVAL * positive[root]:
            return joint
    return family.term_ids[winner]


def _winner(scores: NDArray[np.float64], parents: Sequence[int]) -> int:
    """Position of the best type, searched downwards from the top; -1 when no top type is strong.

    A type is as strong as itself or the strongest type below it.
    """
    strength = scores.copy()
    for _ in parents:
        for at, parent in enumerate(parents):
            if parent >= 0:
                strength[parent] = max(strength[parent], strength[at])
    winner = -1
    while True:
        below = [at for at, parent in enumerate(parents) if parent == winner]
        below = [at for at in below if strength[at] >= MIN_SCORE]
        if not below:
            return winner
        winner = max(below, key=lambda at: strength[at])


def _sentence(
    label: Consensus | None,
    scores: NDArray[np.float64],
    types: Sequence[CellTypeMarkers],
    evidence: NDArray[np.float64],
    column_of: Mapping[str, int],
) -> str:
    order = [int(at) for at in np.argsort(-scores, kind="stable")]
    named = [
        at for at in order if label is not None and is_under(types[at].term_id, (label.term_id,))
    ]
    best = named[0] if named else order[0]
    measured = [name for name in types[best].positive if name in column_of]
    measured.sort(key=lambda name: -np.nan_to_num(evidence[column_of[name]]))
    rivals = [
        at
        for at in order
        if at != best
        and not is_under(types[at].term_id, (types[best].term_id,))
        and not is_under(types[best].term_id, (types[at].term_id,))
    ]
    text = f"{types[best].cell_type} {scores[best]:.2f} ({', '.join(measured[:4])})"
    if rivals:
        text += f"; next {types[rivals[0]].cell_type} {scores[rivals[0]]:.2f}"
    return text if label else f"too weak or too close to call: {text}"
