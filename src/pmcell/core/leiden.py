"""Leiden communities of a weighted graph, the same bits for any number of threads.

Traag et al. 2019 (doi:10.1038/s41598-019-41695-z): nodes move to the best
community near them, communities are refined from single nodes, the refined
communities become the nodes of a smaller graph, and so on; then all again from
the partition found, until it no longer improves.

Two things make it fast and good. Nodes are numbered along a breadth-first walk
from a seeded node, and visited in that order (`pmcell.core.leiden_moves`). And a
converged run begins in three ways, each a rough iteration: the parts on which
all three agree are the nodes of a small graph, on which the rest is decided again.

With A the symmetric weights, s_i the size of node i and a rate r, both
objectives are the sum of A_ij - r·s_i·s_j over pairs within communities:
modularity has s_i = Σ_j A_ij and r = resolution / ΣA, the constant Potts model
(CPM, Traag et al. 2011, doi:10.1103/PhysRevE.84.016114) s_i = 1 and
r = resolution.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from pmcell.core.communities import (
    connected,
    inner_weights,
    merged,
    numbered,
    order_by_size,
    thinned_edges,
)
from pmcell.core.compiler import Array, thread_count
from pmcell.core.leiden_moves import (
    MOST_VISITS,
    asymmetric_rows,
    breadth_first,
    join_singles,
    move,
    renumbered,
)

OBJECTIVES = ("modularity", "cpm")
CONVERGED = 1e-5
"""A run ends with the iteration that adds less than this share of the total weight."""

BEGINNINGS = ((True, 1), (False, 1), (True, 2), *((up, n) for n in (3, 9) for up in (True, False)))
"""Ways to begin: up or down the numbers of the nodes, and visits of each before they merge."""
SMALL = 20_000
"""Graphs of fewer nodes begin in all ways, where chance matters more and time less."""
N_BEGINNINGS = 3
"""Of larger graphs: ways to begin."""


@dataclass(frozen=True)
class Graph:
    """Symmetric weights ready to be clustered, shared by all runs on them."""

    indptr: NDArray[np.int64]
    indices: NDArray[np.int32]
    weights: NDArray[np.float32]
    degrees: NDArray[np.float64]

    @property
    def arrays(self) -> tuple[Array, Array, Array]:
        """The three arrays of the CSR matrix."""
        return self.indptr, self.indices, self.weights


@dataclass(frozen=True)
class _Level:
    """A graph of nodes or of merged nodes, the size of each, and the objective's rate."""

    arrays: tuple[Array, Array, Array]
    sizes: Array
    rate: float

    @property
    def singles(self) -> NDArray[np.int32]:
        return np.arange(self.sizes.size, dtype=np.int32)

    def score(self, labels: Array) -> float:
        inner = float(inner_weights(*self.arrays, labels).sum())
        return inner - self.rate * float((np.bincount(labels, weights=self.sizes) ** 2).sum())

    def merged(self, parts: Array, n_parts: int) -> _Level:
        sizes = np.bincount(parts, weights=self.sizes, minlength=n_parts)
        return _Level(merged(*self.arrays, parts, n_parts), sizes, self.rate)


def leiden(
    weights: Any,
    resolution: float = 1.0,
    *,
    objective: str = "modularity",
    seed: int = 0,
    n_iterations: int | None = None,
    start: NDArray[np.integer] | None = None,
) -> NDArray[np.int64]:
    """Community of each node (n, int64), 0 the largest; every community is connected.

    `weights` is a symmetric sparse matrix of weights ≥ 0, or a `Graph`.
    `n_iterations` None takes the best of all `BEGINNINGS` and runs until an iteration
    adds less than `CONVERGED`; a number goes on from the first beginning only.
    `start` is a partition to go on from instead. Communities of equal size are ordered
    by their first node. Raises ValueError for weights that are not such, and
    for a resolution not above 0.
    """
    graph = weights if isinstance(weights, Graph) else as_graph(weights)
    n_nodes = graph.degrees.size
    sizes, rate = _sizes_and_rate(graph, resolution, objective)
    if n_iterations is not None and n_iterations < 1:
        raise ValueError(f"n_iterations must be at least 1, got {n_iterations}")
    if start is not None and np.shape(start) != (n_nodes,):
        raise ValueError(
            f"start must give each of the {n_nodes} nodes a community, got {np.shape(start)}"
        )
    total = float(graph.degrees.sum())
    if total == 0.0:
        return order_by_size(np.arange(n_nodes))
    roots = np.random.default_rng(seed).permutation(n_nodes).astype(np.int32)
    order = breadth_first(graph.indptr, graph.indices, roots)
    level = _Level(renumbered(*graph.arrays, order), sizes[order], rate)
    if start is not None:
        given = np.unique(start[order], return_inverse=True)[1].astype(np.int32)
        labels = _begun(level, [_iterate(level, given, True)])
    elif n_iterations is not None:
        labels = _iterate(level, level.singles, *BEGINNINGS[0])
    else:
        labels = _begun(level, [])
    labels = _iterated(level, labels, n_iterations, CONVERGED * total)
    found = np.empty(n_nodes, np.int32)
    found[order] = labels
    # Cutting a community that fell apart drops only pairs without an edge, so it never costs.
    return order_by_size(connected(graph.indptr, graph.indices, found)[0])


def leiden_sweep(
    weights: Any,
    resolutions: Sequence[float],
    *,
    objective: str = "modularity",
    seed: int = 0,
) -> NDArray[np.int64]:
    """Communities at each resolution (n_resolutions, n, int64), in the order given.

    Runs from the highest resolution to the lowest, each from the partition
    before it, whose communities then only have to merge.
    """
    graph = weights if isinstance(weights, Graph) else as_graph(weights)
    found = np.empty((len(resolutions), graph.degrees.size), np.int64)
    start = None
    for at in np.argsort(-np.asarray(resolutions, np.float64), kind="stable"):
        start = leiden(graph, resolutions[at], objective=objective, seed=seed, start=start)
        found[at] = start
    return found


def quality(
    weights: Any,
    labels: NDArray[np.integer],
    resolution: float = 1.0,
    *,
    objective: str = "modularity",
) -> float:
    """Objective of a partition as a share of the total weight; modularity is the usual one.

    A graph without weight has quality 0.
    """
    graph = weights if isinstance(weights, Graph) else as_graph(weights)
    sizes, rate = _sizes_and_rate(graph, resolution, objective)
    total = float(graph.degrees.sum())
    if total == 0.0:
        return 0.0
    level = _Level(graph.arrays, sizes, rate)
    return level.score(np.unique(labels, return_inverse=True)[1].astype(np.int32)) / total


def as_graph(weights: Any) -> Graph:
    """Graph of a square, symmetric matrix of finite weights ≥ 0; stored zeros are dropped."""
    matrix = sparse.csr_matrix(weights)
    if matrix.shape[0] != matrix.shape[1]:
        raise ValueError(f"weights must be a square matrix, got shape {matrix.shape}")
    if not np.isfinite(matrix.data).all() or (matrix.data < 0).any():
        raise ValueError("weights must be finite and at least 0; found some that are not")
    values = matrix.data.astype(np.float32, copy=False)
    if not matrix.has_canonical_format or (values == 0).any():
        matrix = sparse.csr_matrix((values, matrix.indices, matrix.indptr), matrix.shape, copy=True)
        matrix.sum_duplicates()
        matrix.eliminate_zeros()
        values = matrix.data
    indptr = matrix.indptr.astype(np.int64, copy=False)
    indices = matrix.indices.astype(np.int32, copy=False)
    if asymmetric_rows(indptr, indices, values).any():
        raise ValueError("weights must be symmetric; use weights.maximum(weights.T)")
    return _with_degrees(indptr, indices, values)


def thinned(graph: Graph, share: float, seed: int) -> Graph:
    """The graph with each edge kept with probability `share`, drawn by (seed, edge)."""
    indptr, indices, weights = thinned_edges(*graph.arrays, share, seed)
    return _with_degrees(indptr, indices, weights)


def _with_degrees(indptr: Array, indices: Array, weights: Array) -> Graph:
    everywhere = np.zeros(indptr.size - 1, np.int32)
    degrees = inner_weights(indptr, indices, weights, everywhere)
    return Graph(indptr, indices, weights, degrees)


def _sizes_and_rate(graph: Graph, resolution: float, objective: str) -> tuple[Array, float]:
    if not (np.isfinite(resolution) and resolution > 0):
        raise ValueError(f"resolution must be above 0, got {resolution}")
    if objective not in OBJECTIVES:
        raise ValueError(f"objective must be one of {OBJECTIVES}, got {objective!r}")
    if objective == "cpm":
        return np.ones(graph.degrees.size), float(resolution)
    total = float(graph.degrees.sum())
    return graph.degrees, float(resolution) / total if total else 0.0


def _begun(level: _Level, known: list[Array]) -> Array:
    """Communities to go on from: beginnings and partitions known, decided where they differ."""
    ways = BEGINNINGS if level.sizes.size < SMALL else BEGINNINGS[: N_BEGINNINGS - 2 * len(known)]

    def begin(way: tuple[bool, int]) -> Array:
        return _iterate(level, level.singles, *way)

    with ThreadPoolExecutor(min(len(ways), thread_count())) as pool:
        return _best_of_overlap(level, known + list(pool.map(begin, ways)))


def _best_of_overlap(level: _Level, partitions: list[Array]) -> Array:
    """Communities of the parts on which all partitions agree, at least as good as any of them."""
    overlap = partitions[0].astype(np.int64)
    for labels in partitions[1:]:
        overlap = overlap * (int(labels.max()) + 1) + labels
        overlap = np.unique(overlap, return_inverse=True)[1]
    parts, n_parts = connected(level.arrays[0], level.arrays[1], overlap.astype(np.int32))
    small = level.merged(parts, n_parts)
    best = parts
    best_score = -np.inf
    for labels in (*partitions, parts):
        start = np.empty(n_parts, np.int32)
        start[parts] = labels
        found = _iterated(small, numbered(start, small.singles)[0], None, 0.0)
        score = small.score(found)
        if score > best_score:
            best = found[parts]
            best_score = score
    return best


def _iterated(level: _Level, labels: Array, n_iterations: int | None, least: float) -> Array:
    """Iterations upwards and downwards in turn, as many as asked for or while one adds `least`."""
    best = level.score(labels)
    done = 0
    while True:
        labels = _iterate(level, labels, done % 2 == 0)
        done += 1
        score = level.score(labels)
        if done == n_iterations or (n_iterations is None and not score > best + least):
            return labels
        best = score


def _iterate(level: _Level, labels: Array, upwards: bool, n_sweeps: int = MOST_VISITS) -> Array:
    """One iteration of Leiden from `labels`: all levels, from nodes to communities."""
    place = level.singles
    while True:
        n_nodes = level.sizes.size
        labels = move(*level.arrays, level.sizes, labels, level.rate, upwards, n_sweeps)
        labels, n_communities = numbered(labels, level.singles)
        if n_communities == n_nodes:
            return labels[place]
        parts = join_singles(*level.arrays, level.sizes, labels, level.rate, upwards)
        parts, n_parts = numbered(parts, level.singles)
        if n_parts == n_nodes:
            return labels[place]
        level = level.merged(parts, n_parts)
        coarse = np.empty(n_parts, np.int32)
        coarse[parts] = labels
        labels = coarse
        place = parts[place]
        n_sweeps = MOST_VISITS
