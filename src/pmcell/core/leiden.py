"""Leiden communities of a weighted graph, the same bits for any number of threads.

Traag et al. 2019 (doi:10.1038/s41598-019-41695-z): nodes move to the best
community near them, communities are refined from single nodes, the refined
communities become the nodes of a smaller graph, and so on; then all again from
the partition found, until it no longer improves. Nodes move from a queue in
seeded random order. All of it is serial and frees the interpreter lock, so
that runs on one graph, at other resolutions or seeds, can share the cores.

With A the symmetric weights, s_i the size of node i and a rate r, both
objectives are the sum of A_ij - r·s_i·s_j over pairs within communities:
modularity has s_i = Σ_j A_ij and r = resolution / ΣA, the constant Potts model
(CPM, Traag et al. 2011, doi:10.1103/PhysRevE.84.016114) s_i = 1 and
r = resolution.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from pmcell.core.communities import (
    connected,
    grouped,
    inner_weights,
    merged,
    numbered,
    order_by_size,
    thinned_edges,
)
from pmcell.core.compiler import Array, kernel

OBJECTIVES = ("modularity", "cpm")
CONVERGED = 1e-5
"""An iteration adds nothing if it adds less than this share of the total weight."""
PATIENCE = 2
"""So many iterations in a row that add nothing end the run."""
THETA = 0.2
"""The paper's θ, by the mean weight of an edge: how freely refinement chooses among gains."""
ROUNDING = 1e-12
"""A move must add more than this share of the total weight, so that moving ends."""


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
    `n_iterations` None runs until `PATIENCE` iterations add less than `CONVERGED`.
    `start` is a partition to go on from. Communities of equal size are ordered
    by their first node. Raises ValueError for weights that are not such, and
    for a resolution not above 0.
    """
    graph = weights if isinstance(weights, Graph) else as_graph(weights)
    n_nodes = graph.degrees.size
    sizes, rate = _sizes_and_rate(graph, resolution, objective)
    if n_iterations is not None and n_iterations < 1:
        raise ValueError(f"n_iterations must be at least 1, got {n_iterations}")
    nodes = np.arange(n_nodes, dtype=np.int32)
    labels = nodes
    if start is not None:
        if np.shape(start) != (n_nodes,):
            raise ValueError(
                f"start must give each of the {n_nodes} nodes a community, got {np.shape(start)}"
            )
        labels = np.unique(start, return_inverse=True)[1].astype(np.int32)
    total = float(graph.degrees.sum())
    if total == 0.0:
        return order_by_size(nodes)
    rng = np.random.default_rng(seed)
    best = _score(graph, sizes, rate, labels)
    done = 0
    idle = 0
    while done < n_iterations if n_iterations is not None else idle < PATIENCE:
        labels = _iterate(graph, sizes, rate, labels, rng, ROUNDING * total)
        score = _score(graph, sizes, rate, labels)
        done += 1
        idle = idle + 1 if score - best < CONVERGED * total else 0
        best = score
    # Cutting a community that fell apart drops only pairs without an edge, so it never costs.
    return order_by_size(connected(graph.indptr, graph.indices, labels)[0])


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
    return _score(graph, sizes, rate, np.unique(labels, return_inverse=True)[1]) / total


def as_graph(weights: Any) -> Graph:
    """Graph of a square, symmetric matrix of finite weights ≥ 0; stored zeros are dropped."""
    matrix = sparse.csr_matrix(weights)
    if matrix.shape[0] != matrix.shape[1]:
        raise ValueError(f"weights must be a square matrix, got shape {matrix.shape}")
    if not np.isfinite(matrix.data).all() or (matrix.data < 0).any():
        raise ValueError("weights must be finite and at least 0; found some that are not")
    if not matrix.has_canonical_format or (matrix.data == 0).any():
        matrix = matrix.copy()
        matrix.sum_duplicates()
        matrix.eliminate_zeros()
    turned = matrix.tocsc()
    if not (
        np.array_equal(turned.indptr, matrix.indptr)
        and np.array_equal(turned.indices, matrix.indices)
        and np.allclose(turned.data, matrix.data, rtol=1e-4, atol=0)
    ):
        raise ValueError("weights must be symmetric; use weights.maximum(weights.T)")
    return _with_degrees(
        matrix.indptr.astype(np.int64, copy=False),
        matrix.indices.astype(np.int32, copy=False),
        matrix.data.astype(np.float32, copy=False),
    )


def thinned(graph: Graph, share: float, seed: int) -> Graph:
    """The graph with each edge kept with probability `share`, drawn by (seed, edge)."""
    indptr, indices, weights = thinned_edges(*graph.arrays, share, seed)
    return _with_degrees(indptr, indices, weights)


def _with_degrees(indptr: Array, indices: Array, weights: Array) -> Graph:
    everywhere = np.zeros(indptr.size - 1, np.int32)
    degrees = inner_weights(indptr, indices, weights, everywhere)
    return Graph(indptr, indices, weights, degrees)


def _sizes_and_rate(
    graph: Graph, resolution: float, objective: str
) -> tuple[NDArray[np.float64], float]:
    if not (np.isfinite(resolution) and resolution > 0):
        raise ValueError(f"resolution must be above 0, got {resolution}")
    if objective not in OBJECTIVES:
        raise ValueError(f"objective must be one of {OBJECTIVES}, got {objective!r}")
    if objective == "cpm":
        return np.ones(graph.degrees.size), float(resolution)
    total = float(graph.degrees.sum())
    return graph.degrees, float(resolution) / total if total else 0.0


def _score(graph: Graph, sizes: Array, rate: float, labels: Array) -> float:
    inner = float(inner_weights(*graph.arrays, labels).sum())
    return inner - rate * float((np.bincount(labels, weights=sizes) ** 2).sum())


def _iterate(
    graph: Graph, sizes: Array, rate: float, labels: Array, rng: np.random.Generator, least: float
) -> Array:
    """One iteration of Leiden from `labels`: all levels, from nodes to communities."""
    arrays = graph.arrays
    temperature = THETA * float(graph.degrees.sum()) / graph.weights.size
    place = np.arange(sizes.size, dtype=np.int32)
    while True:
        n_nodes = sizes.size
        order = rng.permutation(n_nodes).astype(np.int32)
        labels = _move(*arrays, sizes, labels, order, rate, least)
        labels, n_communities = numbered(labels, order)
        if n_communities == n_nodes:
            return labels[place]
        starts, nodes = grouped(labels, order, n_communities)
        refined, n_refined = numbered(
            _refine(*arrays, sizes, labels, starts, nodes, rate, least, temperature, rng), nodes
        )
        if n_refined == n_nodes:
            return labels[place]
        arrays = merged(*arrays, refined, n_refined)
        sizes = np.bincount(refined, weights=sizes)
        coarse = np.empty(n_refined, np.int32)
        coarse[refined] = labels
        labels = coarse
        place = refined[place]


@kernel
def _move(
    indptr: Array,
    indices: Array,
    weights: Array,
    sizes: Array,
    start: Array,
    order: Array,
    rate: float,
    least: float,
) -> Array:
    """Move nodes to their best community until none gains; a moved node wakes its neighbours."""
    n_nodes = sizes.size
    labels = start.copy()
    totals = np.zeros(n_nodes)
    members = np.zeros(n_nodes, np.int32)
    for node in range(n_nodes):
        totals[labels[node]] += sizes[node]
        members[labels[node]] += 1
    free = np.empty(n_nodes, np.int32)
    n_free = 0
    for community in range(n_nodes - 1, -1, -1):
        if members[community] == 0:
            free[n_free] = community
            n_free += 1
    queue = order.copy()
    waits = np.ones(n_nodes, np.bool_)
    shared = np.zeros(n_nodes)
    head = 0
    n_waiting = n_nodes
    while n_waiting > 0:
        node = queue[head]
        head = head + 1 if head + 1 < n_nodes else 0
        n_waiting -= 1
        waits[node] = False
        own = labels[node]
        size = sizes[node]
        begin = indptr[node]
        end = indptr[node + 1]
        for edge in range(begin, end):
            if indices[edge] != node:
                shared[labels[indices[edge]]] += weights[edge]
        stay = shared[own] - rate * size * (totals[own] - size)
        shared[own] = 0.0
        best = stay
        target = own
        for edge in range(begin, end):
            community = labels[indices[edge]]
            if shared[community] > 0.0:
                gain = shared[community] - rate * size * totals[community]
                shared[community] = 0.0
                if gain > best:
                    best = gain
                    target = community
        alone = members[own] == 1
        if best < 0.0 and not alone:
            best = 0.0
            target = free[n_free - 1]
        if target == own or best <= stay + least:
            continue
        if members[target] == 0:
            n_free -= 1
        labels[node] = target
        members[own] -= 1
        members[target] += 1
        totals[target] += size
        totals[own] -= size
        if alone:
            totals[own] = 0.0
            free[n_free] = own
            n_free += 1
        for edge in range(begin, end):
            other = indices[edge]
            if labels[other] != target and not waits[other]:
                waits[other] = True
                tail = head + n_waiting
                queue[tail if tail < n_nodes else tail - n_nodes] = other
                n_waiting += 1
    return labels


@kernel
def _refine(
    indptr: Array,
    indices: Array,
    weights: Array,
    sizes: Array,
    labels: Array,
    starts: Array,
    nodes: Array,
    rate: float,
    least: float,
    temperature: float,
    rng: np.random.Generator,
) -> Array:
    """Merge single nodes within each community, along edges, where both are well connected.

    Of the merges that gain, one is drawn with probability ∝ exp(gain / temperature).
    """
    n_nodes = sizes.size
    refined = np.arange(n_nodes).astype(np.int32)
    totals = sizes.copy()
    outward = np.zeros(n_nodes)
    single = np.ones(n_nodes, np.bool_)
    shared = np.zeros(n_nodes)
    for community in range(starts.size - 1):
        whole = 0.0
        for at in range(starts[community], starts[community + 1]):
            node = nodes[at]
            whole += sizes[node]
            for edge in range(indptr[node], indptr[node + 1]):
                other = indices[edge]
                if other != node and labels[other] == community:
                    outward[node] += weights[edge]
        for at in range(starts[community], starts[community + 1]):
            node = nodes[at]
            size = sizes[node]
            if not single[node] or outward[node] < rate * size * (whole - size):
                continue
            for edge in range(indptr[node], indptr[node + 1]):
                other = indices[edge]
                if other != node and labels[other] == community:
                    shared[refined[other]] += weights[edge]
            best = -np.inf
            target = node
            bond = 0.0
            for edge in range(indptr[node], indptr[node + 1]):
                other = indices[edge]
                if other == node or labels[other] != community:
                    continue
                part = refined[other]
                common = shared[part]
                if common > 0.0:
                    shared[part] = 0.0
                    gain = common - rate * size * totals[part]
                    if gain <= least or outward[part] < rate * totals[part] * (
                        whole - totals[part]
                    ):
                        continue
                    # The largest of gains with Gumbel noise is a draw by their exponentials.
                    noisy = gain - temperature * np.log(rng.standard_exponential())
                    if noisy > best:
                        best = noisy
                        target = part
                        bond = common
            if target != node:
                refined[node] = target
                single[target] = False
                totals[target] += size
                outward[target] += outward[node] - 2.0 * bond
    return refined
