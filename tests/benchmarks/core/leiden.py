"""Leiden against its peers on one graph, interleaved in one process: quality beside time.

Example:
  python tests/benchmarks/core/leiden.py --graph graph.npz --repeats 5

The graph is a symmetric CSR matrix of `scipy.sparse.save_npz`, or made of points
(`--points pca.npz`, an array pca). Wall and processor time, medians over seeds; each
partition of ours is checked to be connected. Peers that are not installed are named
and left out.
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import sparse

from pmcell.core.graph.communities import connected
from pmcell.core.graph.ivf import approximate_neighbors
from pmcell.core.graph.leiden import as_graph, leiden, quality
from pmcell.core.graph.weights import fuzzy_weights, shared_weights

Run = Callable[[int], Any]
BASES = ("igraph, converged", "networkit, 3 iterations")


def igraph_runs(upper: Any, n_nodes: int) -> dict[str, Run]:
    import igraph

    graph = igraph.Graph(n=n_nodes, edges=np.stack([upper.row, upper.col], axis=1))
    weights = upper.data.astype(float).tolist()

    def run(seed: int, n_iterations: int) -> Any:
        igraph.set_random_number_generator(random.Random(seed))
        return graph.community_leiden(
            "modularity", weights=weights, n_iterations=n_iterations
        ).membership

    return {
        "igraph, 2 iterations": lambda seed: run(seed, 2),
        BASES[0]: lambda seed: run(seed, -1),
    }


def networkit_runs(upper: Any, n_nodes: int) -> dict[str, Run]:
    import networkit

    ends = upper.row.astype(np.uint64), upper.col.astype(np.uint64)
    graph = networkit.GraphFromCoo(
        (upper.data.astype(float), ends), n=n_nodes, weighted=True, directed=False
    )

    def run(seed: int) -> Any:
        networkit.setSeed(seed, True)
        found = networkit.community.ParallelLeiden(graph, iterations=3, gamma=1.0)
        found.run()
        return found.getPartition().getVector()

    return {BASES[1]: run}


def made(args: argparse.Namespace) -> Any:
    """The graph of the nearest 15 neighbours of the points."""
    found = approximate_neighbors(np.load(args.points)["pca"].astype(np.float32), 15)
    if args.weights == "snn":
        return shared_weights(found.positions)
    return fuzzy_weights(found.positions, found.distances)


def main() -> None:
    """Print the median time, its ratios to the peers' converged runs, and the quality of each."""
    parser = argparse.ArgumentParser(description=__doc__)
    given = parser.add_mutually_exclusive_group(required=True)
    given.add_argument("--graph", help="npz of a symmetric CSR matrix")
    given.add_argument("--points", help="npz with an array pca (n, dims)")
    parser.add_argument("--weights", choices=["umap", "snn"], default="umap")
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args()
    weights = sparse.load_npz(args.graph).tocsr() if args.graph else made(args)
    graph = as_graph(weights)
    upper = sparse.triu(weights, 1).tocoo()
    runs: dict[str, Run] = {
        "pmcell, 2 iterations": lambda seed: leiden(graph, seed=seed, n_iterations=2),
        "pmcell, converged": lambda seed: leiden(graph, seed=seed),
    }
    for name, make in (("igraph", igraph_runs), ("networkit", networkit_runs)):
        try:
            runs |= make(upper, weights.shape[0])
        except ImportError:
            print(f"{name} is not installed and left out: pip install {name}")
    leiden(graph)
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    processor: dict[str, list[float]] = {name: [] for name in runs}
    reached: dict[str, list[float]] = {name: [] for name in runs}
    for seed in range(args.repeats):
        for name, run in runs.items():
            begin, before = time.perf_counter(), time.process_time()
            labels = run(seed)
            seconds[name].append(time.perf_counter() - begin)
            processor[name].append(time.process_time() - before)
            if name.startswith("pmcell"):
                found = labels.astype(np.int32)
                assert connected(*graph.arrays[:2], found)[1] == found.max() + 1
            reached[name].append(quality(graph, np.asarray(labels)))
    print(f"{weights.shape[0]} nodes, {upper.nnz} edges, {args.repeats} seeds")
    for name, times in seconds.items():
        line = (
            f"{name:24} {np.median(times):8.2f} s ({min(times):.2f} to {max(times):.2f}), "
            f"cpu {np.median(processor[name]):.2f} s"
        )
        for base in (base for base in BASES if base in seconds):
            line += f"; of {base}: {np.median(np.divide(times, seconds[base])):.3f} wall"
            line += f" {np.median(np.divide(processor[name], processor[base])):.3f} cpu"
        q = reached[name]
        print(f"{line}; Q {np.median(q):.5f} ({min(q):.5f} to {max(q):.5f})")


if __name__ == "__main__":
    main()
