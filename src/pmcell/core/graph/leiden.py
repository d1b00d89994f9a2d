"""Leiden communities of a weighted graph, the same bits for any number of threads.

Traag et al. 2019 (doi:10.1038/s41598-019-41695-z): nodes move to the best
community near them, communities are refined from single nodes, the refined
communities become the nodes of a smaller graph, and so on; then all again from
the partition found, until it no longer improves.

Three things make it fast and good. Nodes are numbered along a breadth-first walk
from a seeded node, and visited in that order (`pmcell.core.graph.leiden_moves`). The first
iterations seek communities at a higher resolution and then let them merge at the one
asked (`FALLING`): whole communities move that single nodes would not leave one by one.
And a run begins in several ways: the parts on which all agree are the nodes of a small
graph, on which the rest is decided again.

With A the symmetric weights, s_i the size of node i and a rate r, both
objectives are the sum of A_ij - r·s_i·s_j over pairs within communities:
modularity has s_i = Σ_j A_ij and r = resolution / ΣA, the constant Potts model
(CPM, Traag et al. 2011, doi:10.1103/PhysRevE.84.016114) s_i = 1 and
r = resolution.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from pmcell.core.compiler import Array, thread_count
from pmcell.core.graph.communities import (
    connected,
    grouped,
    inner_weights,
    merged_rows,
    numbered,
    order_by_size,
    thinned_edges,
)
from pmcell.core.graph.leiden_moves import (
    MAX_VISITS,
    breadth_first,
    first_asymmetric,
    join_singles,
    move,
    renumbered,
)

OBJECTIVES = ("modularity", "cpm")
CONVERGED = 1e-4
"""A run ends with the iteration that adds less than this share of the total weight."""

FALLING = ((2.0, 1.5), (1.5, 1.0))
"""Resolutions of the first iterations, as multiples of that asked: a level on which no
node gains any more is gone on with at the next. By trial: of 1.5 to 32 times, once to
three times, this gave the best median on neighbour graphs of 30,000 and 200,000 cells."""

WAYS = ((True, 1), (False, 1), (True, 2), *((up, n) for n in (3, 9) for up in (True, False)))
"""Ways to begin: up or down the numbers of the nodes, and visits of each before they merge."""
N_WAYS = 2
MORE_WAYS = ((20_000, 7), (100_000, 3))
"""Graphs of fewer nodes begin in so many ways, where chance matters more and time less."""
PARALLEL = 50_000
"""Levels of fewer edges are not worth a second thread."""


@dataclass(frozen=True)
class Graph:
    """Symmetric weights ready to be clustered, shared by all runs on them."""

    indptr: NDArray[np.uint64]
    indices: NDArray[np.uint32]
    weights: NDArray[np.float32]
    degrees: NDArray[np.float64]

    @property
    def arrays(self) -> tuple[Array, Array, Array]:
        """The three arrays of the CSR matrix; unsigned, so that no index is tested for a sign."""
        return self.indptr, self.indices, self.weights


@dataclass(frozen=True)
class _Level:
    """A graph of nodes or of merged nodes, the size of each, and the objective's rate."""

    arrays: tuple[Array, Array, Array]
    sizes: Array
    rate: float

    @property
    def singles(self) -> NDArray[np.uint32]:
        return np.arange(self.sizes.size, dtype=np.uint32)

    def score(self, labels: Array) -> float:
        inner = float(inner_weights(*self.arrays, labels).sum())
        return inner - self.rate * float((np.bincount(labels, weights=self.sizes) ** 2).sum())

    def merged(self, parts: Array, n_parts: int) -> _Level:
        """The graph whose nodes are the parts."""
        sizes = np.bincount(parts, weights=self.sizes, minlength=n_parts)
        starts, nodes = grouped(parts, self.singles, n_parts)

        def rows(first: int, last: int) -> tuple[Array, Array, Array]:
            return merged_rows(*self.arrays, parts, nodes, starts[first : last + 1], n_parts)

        done = self._in_blocks(rows, starts)
        ends = np.cumsum(np.concatenate([[0], *(counts for counts, _, _ in done)]))
        indices, weights = (np.concatenate([block[at] for block in done]) for at in (1, 2))
        return _Level((ends.astype(np.uint64), indices, weights), sizes, self.rate)

    def refined(self, labels: Array, n_communities: int, upwards: bool) -> Array:
        """Parts of the communities (n,), each a well-connected piece of its community."""
        order = self.singles if upwards else self.singles[::-1]
        starts, nodes = grouped(labels, order, n_communities)
        parts = self.singles

        def join(first: int, last: int) -> None:
            own = nodes[starts[first] : starts[last]]
            join_singles(*self.arrays, self.sizes, labels, self.rate, own, parts)

        self._in_blocks(join, starts)
        return parts

    def _in_blocks(self, run: Callable[[int, int], Any], starts: Array) -> list[Any]:
        """`run(first, last)` on blocks of groups with about as many nodes each, in order.

        What a group gives does not depend on its block, so threads change no bit.
        """
        n_blocks = thread_count() if self.arrays[1].size >= PARALLEL else 1
        shares = np.linspace(0, starts[-1], n_blocks + 1)
        cuts = np.searchsorted(starts, shares)
        if n_blocks == 1:
            return [run(cuts[0], cuts[1])]
        with ThreadPoolExecutor(n_blocks) as pool:
            return list(pool.map(run, cuts[:-1], cuts[1:]))


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
    `n_iterations` None begins in `N_WAYS` and runs until an iteration adds less than
    `CONVERGED`; a number begins in one way only. `start` is a partition to go on from
    instead. Communities of equal size are ordered by their first node.
    Raises ValueError for weights that are not such, and for a resolution not above 0.
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
        given = np.unique(start[order], return_inverse=True)[1].astype(np.uint32)
        labels = _begun(level, [_coarsely(level, *connected(*level.arrays[:2], given))])
    elif n_iterations is not None:
        labels = _fallen(level, WAYS[0], n_iterations)
        n_iterations -= min(n_iterations, len(FALLING))
    else:
        labels = _begun(level, [])
    labels = _iterated(level, labels, n_iterations, CONVERGED * total)
    found = np.empty(n_nodes, np.uint32)
    found[order] = labels
    # Cutting a community that fell apart drops only pairs without an edge, so it never costs.
    return order_by_size(connected(graph.indptr, graph.indices, found)[0])


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
    return level.score(np.unique(labels, return_inverse=True)[1].astype(np.uint32)) / total


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
    indptr = matrix.indptr.astype(np.uint64)
    indices = matrix.indices.astype(np.uint32)
    if first_asymmetric(indptr, indices, values) >= 0:
        raise ValueError("weights must be symmetric; use weights.maximum(weights.T)")
    return _with_degrees(indptr, indices, values)


def thinned(graph: Graph, share: float, seed: int) -> Graph:
    """The graph with each edge kept with probability `share`, drawn by (seed, edge)."""
    indptr, indices, weights = thinned_edges(*graph.arrays, share, seed)
    return _with_degrees(indptr, indices, weights)


def _with_degrees(indptr: Array, indices: Array, weights: Array) -> Graph:
    everywhere = np.zeros(indptr.size - 1, np.uint32)
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
    """Communities to go on from: partitions known and beginnings, decided where they differ."""
    n_nodes = level.sizes.size
    n_ways = next((n_ways for below, n_ways in MORE_WAYS if n_nodes < below), N_WAYS)
    ways = WAYS[: n_ways - len(known)]

    def begin(way: tuple[bool, int]) -> Array:
        return _fallen(level, way, len(FALLING))

    with ThreadPoolExecutor(min(len(ways), thread_count())) as pool:
        return _best_of_overlap(level, known + list(pool.map(begin, ways)))


def _best_of_overlap(level: _Level, partitions: list[Array]) -> Array:
    """Communities of the parts on which all partitions agree, at least as good as any of them."""
    overlap = partitions[0].astype(np.int64)
    for labels in partitions[1:]:
        overlap = overlap * (int(labels.max()) + 1) + labels
        overlap = np.unique(overlap, return_inverse=True)[1]
    parts, n_parts = connected(*level.arrays[:2], overlap.astype(np.uint32))
    small = level.merged(parts, n_parts)
    best = parts
    best_score = -np.inf
    for labels in (*partitions, parts):
        start = np.empty(n_parts, np.uint32)
        start[parts] = labels
        found = _iterated(small, numbered(start, small.singles)[0], None, 0.0)
        score = small.score(found)
        if score > best_score:
            best = found[parts]
            best_score = score
    return best


def _coarsely(level: _Level, parts: Array, n_parts: int) -> Array:
    """Communities of whole parts."""
    small = level.merged(parts, n_parts)
    return _iterated(small, small.singles, None, 0.0)[parts]


def _fallen(level: _Level, way: tuple[bool, int], n_iterations: int) -> Array:
    """Iterations at the resolutions of `FALLING`, the last down to that asked."""
    upwards, n_visits = way
    labels = level.singles
    for at, falls in enumerate(FALLING[:n_iterations]):
        is_last = at + 1 == n_iterations
        factors = (*falls, 1.0) if is_last and falls[-1] != 1.0 else falls
        labels = _iterate(level, labels, upwards, n_visits, factors)
        upwards = not upwards
        n_visits = MAX_VISITS
    return labels


def _iterated(level: _Level, labels: Array, n_iterations: int | None, least: float) -> Array:
    """Iterations downwards and upwards in turn, as many as asked for or while one adds `least`."""
    best = level.score(labels)
    done = 0
    while done != n_iterations:
        labels = _iterate(level, labels, done % 2 == 1)
        done += 1
        score = level.score(labels)
        if n_iterations is None and not score > best + least:
            break
        best = score
    return labels


def _iterate(
    level: _Level,
    labels: Array,
    upwards: bool,
    n_visits: int = MAX_VISITS,
    factors: tuple[float, ...] = (1.0,),
) -> Array:
    """One iteration of Leiden from `labels`: all levels, from nodes to communities.

    Where no node of a level gains at the first of `factors` times the resolution,
    its communities go on as nodes at the next.
    """
    place = level.singles
    rate = level.rate
    at = 0
    while True:
        n_nodes = level.sizes.size
        level = replace(level, rate=rate * factors[at])
        labels = move(*level.arrays, level.sizes, labels, level.rate, upwards, n_visits)
        n_visits = MAX_VISITS
        labels, n_communities = numbered(labels, level.singles)
        n_parts = n_nodes
        if n_communities < n_nodes:
            parts = level.refined(labels, n_communities, upwards)
            parts, n_parts = numbered(parts, level.singles)
        if n_parts == n_nodes:
            at += 1
            if at == len(factors):
                return labels[place]
            place = labels[place]
            level = level.merged(labels, n_communities)
            labels = level.singles
            continue
        level = level.merged(parts, n_parts)
        coarse = np.empty(n_parts, np.uint32)
        coarse[parts] = labels
        labels = coarse
        place = parts[place]
