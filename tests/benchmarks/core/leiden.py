"""Leiden against its peers on one graph, interleaved in one process: quality beside time.

Example:
  python tests/benchmarks/core/leiden.py --graph graph.npz --repeats 5

The graph is a symmetric CSR matrix of `scipy.sparse.save_npz`. Peers that are
not installed are named and left out.
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import sparse

from pmcell.core.leiden import as_graph, leiden, quality

Run = Callable[[int], Any]
BASE = "igraph, converged"


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
        BASE: lambda seed: run(seed, -1),
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

    return {"networkit, 3 iterations": run}


def main() -> None:
    """Print the median time, its ratio to igraph's converged run, and the quality of each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--graph", required=True)
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args()
    weights = sparse.load_npz(args.graph).tocsr()
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
    leiden(graph, n_iterations=1)
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    reached: dict[str, list[float]] = {name: [] for name in runs}
    for seed in range(args.repeats):
        for name, run in runs.items():
            begin = time.perf_counter()
            labels = run(seed)
            seconds[name].append(time.perf_counter() - begin)
            reached[name].append(quality(graph, np.asarray(labels)))
    print(f"{weights.shape[0]} nodes, {upper.nnz} edges, {args.repeats} seeds")
    for name, times in seconds.items():
        line = f"{name:24} {np.median(times):8.2f} s ({min(times):.2f} to {max(times):.2f})"
        if BASE in seconds:
            line += f"  {np.median(np.divide(times, seconds[BASE])):.2f} x"
        print(f"{line}  Q {np.median(reached[name]):.5f}")


if __name__ == "__main__":
    main()
