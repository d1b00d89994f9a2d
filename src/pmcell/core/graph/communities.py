"""Communities of a weighted graph as arrays: number them, group, merge, split, score and thin.

A graph is (indptr, indices, weights) of a symmetric CSR matrix; `labels` (n,
uint32) gives each node's community.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pmcell.core.compiler import Array, kernel


def order_by_size(membership: NDArray[np.integer]) -> NDArray[np.int64]:
    """Renumber communities: 0 the largest, ties by the first member."""
    _, first, inverse, sizes = np.unique(
        membership, return_index=True, return_inverse=True, return_counts=True
    )
    order = np.lexsort((first, -sizes))
    rank = np.empty(order.size, np.int64)
    rank[order] = np.arange(order.size)
    return rank[inverse]


@kernel
def numbered(labels: Array, order: Array) -> tuple[Array, int]:
    """Labels renumbered 0, 1, … as they are met in `order`, and how many there are."""
    new = np.full(labels.size, -1, np.int32)
    out = np.empty(labels.size, np.uint32)
    n_communities = 0
    for node in order:
        label = labels[node]
        if new[label] < 0:
            new[label] = n_communities
            n_communities += 1
        out[node] = new[label]
    return out, n_communities


@kernel
def grouped(labels: Array, order: Array, n_communities: int) -> tuple[Array, Array]:
    """Nodes by community: those of c are nodes[starts[c] : starts[c + 1]], in `order`."""
    starts = np.zeros(n_communities + 1, np.int64)
    for label in labels:
        starts[label + 1] += 1
    for community in range(n_communities):
        starts[community + 1] += starts[community]
    nodes = np.empty(labels.size, np.uint32)
    free = starts[:-1].copy()
    for node in order:
        nodes[free[labels[node]]] = node
        free[labels[node]] += 1
    return starts, nodes


@kernel
def connected(indptr: Array, indices: Array, labels: Array) -> tuple[Array, int]:
    """Each community cut into its connected parts, and how many parts there are."""
    n_nodes = labels.size
    parts = np.empty(n_nodes, np.uint32)
    met = np.zeros(n_nodes, np.bool_)
    stack = np.empty(n_nodes, np.uint32)
    n_parts = 0
    for root in range(n_nodes):
        if met[root]:
            continue
        met[root] = True
        parts[root] = n_parts
        stack[0] = root
        depth = 1
        while depth > 0:
            depth -= 1
            node = stack[depth]
            for edge in range(indptr[node], indptr[node + 1]):
                other = indices[edge]
                if not met[other] and labels[other] == labels[root]:
                    met[other] = True
                    parts[other] = n_parts
                    stack[depth] = other
                    depth += 1
        n_parts += 1
    return parts, n_parts


@kernel
def inner_weights(indptr: Array, indices: Array, weights: Array, labels: Array) -> Array:
    """Weight of each node's edges that stay in its community, self loops included (n,)."""
    inner = np.zeros(labels.size)
    for node in range(labels.size):
        for edge in range(indptr[node], indptr[node + 1]):
            if labels[indices[edge]] == labels[node]:
                inner[node] += weights[edge]
    return inner


@kernel
def merged_rows(
    indptr: Array,
    indices: Array,
    weights: Array,
    labels: Array,
    nodes: Array,
    starts: Array,
    n_communities: int,
) -> tuple[Array, Array, Array]:
    """Rows of the graph whose nodes are the communities, edges summed, without self loops.

    Of the communities whose nodes are nodes[starts[0] : starts[1]] and so on: how many
    neighbours each has, those, and the weights. Self loops change no move; the sizes of
    the nodes are the caller's to add up.
    """
    n_edges = np.int64(0)
    for at in range(starts[0], starts[-1]):
        n_edges += np.int64(indptr[nodes[at] + 1] - indptr[nodes[at]])
    counts = np.empty(starts.size - 1, np.int64)
    merged_indices = np.empty(n_edges, np.uint32)
    merged_weights = np.empty(n_edges, weights.dtype)
    slots = np.full(n_communities, -1, np.int64)
    end = 0
    for row in range(starts.size - 1):
        begin = end
        for at in range(starts[row], starts[row + 1]):
            node = nodes[at]
            own = labels[node]
            for edge in range(indptr[node], indptr[node + 1]):
                other = labels[indices[edge]]
                if other == own:
                    continue
                slot = slots[other]
                if slot < begin:
                    slots[other] = end
                    merged_indices[end] = other
                    merged_weights[end] = weights[edge]
                    end += 1
                else:
                    merged_weights[np.uint64(slot)] += weights[edge]
        counts[row] = end - begin
    return counts, merged_indices[:end], merged_weights[:end]


@kernel
def thinned_edges(
    indptr: Array, indices: Array, weights: Array, share: float, seed: int
) -> tuple[Array, Array, Array]:
    """Keep each edge if a number in [0, 1) made of the seed and its two ends is below `share`."""
    n_nodes = indptr.size - 1
    kept_indptr = np.zeros(n_nodes + 1, np.uint64)
    kept_indices = np.empty(indices.size, np.uint32)
    kept_weights = np.empty(indices.size, weights.dtype)
    to = 0
    for node in range(n_nodes):
        for edge in range(indptr[node], indptr[node + 1]):
            other = indices[edge]
            mixed = np.uint64(min(node, other)) << np.uint64(32) | np.uint64(max(node, other))
            # splitmix64 (Steele et al. 2014, doi:10.1145/2660193.2660195), keyed by the seed.
            mixed += np.uint64(seed + 1) * np.uint64(0x9E3779B97F4A7C15)
            for _ in range(2):
                mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
                mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
                mixed = mixed ^ (mixed >> np.uint64(31))
            if (mixed >> np.uint64(11)) * 2.0**-53 < share:
                kept_indices[to] = other
                kept_weights[to] = weights[edge]
                to += 1
        kept_indptr[node + 1] = to
    return kept_indptr, kept_indices[:to].copy(), kept_weights[:to].copy()
