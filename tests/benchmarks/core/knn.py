"""Neighbour search beside its peers: wall and processor time, recall, peak memory.

Not part of the tests. Peers are measured where they can be imported; runs are
interleaved, so that a busy machine slows all alike. Beside each peer ours runs at the
recall that the peer reached in a run before, so that times at equal recall compare.

Example:
  python tests/benchmarks/core/knn.py --points pca.npz --rounds 5
  python tests/benchmarks/core/knn.py --points pca.npz --crossover
"""

from __future__ import annotations

import argparse
import importlib.util
import resource
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numba
import numpy as np

from pmcell.core.graph.ivf import approximate_neighbors
from pmcell.core.graph.knn import nearest_among, nearest_neighbors

K = 15
N_ASKED = 2000
MAX_RECALL = 0.9995
"""Of ours: more cannot be told from 1 on the points that recall is measured on."""


def main() -> None:
    """Print one line a tool: medians over rounds, recall, and what ours takes at that recall."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--points", type=Path, help="npz with an array pca (n, dims)")
    parser.add_argument("--made", type=int, default=50_000, help="made points when none are given")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument(
        "--crossover", action="store_true", help="exact search beside lists by number of points"
    )
    args = parser.parse_args()
    numba.set_num_threads(args.threads)
    points = np.load(args.points)["pca"].astype(np.float32) if args.points else made(args.made)
    if args.crossover:
        crossover(points, args.rounds)
        return
    tools = peers(points, args.threads)
    asked = np.sort(np.random.default_rng(0).choice(len(points), N_ASKED, replace=False))
    truth = nearest_among(points[asked], points, K, asked)[0]
    approximate_neighbors(points[:1000], K)
    runs: dict[str, Callable[[], np.ndarray]] = {"pmcell": lambda: ours(points, 0.99)}
    rivals = {}
    for name, run in tools.items():
        reached = min(share_found(run(), asked, truth), MAX_RECALL)
        rivals[name] = f"pmcell as {name}"
        runs[name] = run
        runs[rivals[name]] = lambda reached=reached: ours(points, reached)
    walls: dict[str, list[float]] = {name: [] for name in runs}
    cpus: dict[str, list[float]] = {name: [] for name in runs}
    recall = {}
    for _ in range(args.rounds):
        for name, run in runs.items():
            wall, cpu = time.perf_counter(), time.process_time()
            positions = run()
            walls[name].append(time.perf_counter() - wall)
            cpus[name].append(time.process_time() - cpu)
            recall[name] = share_found(positions, asked, truth)
    for name in runs:
        line = (
            f"{name:24} wall {statistics.median(walls[name]):.2f} s "
            f"({min(walls[name]):.2f} to {max(walls[name]):.2f}), "
            f"cpu {statistics.median(cpus[name]):.2f} s, recall {recall[name]:.4f}"
        )
        if name in rivals:
            own = rivals[name]
            wall, cpu = (
                statistics.median(a / b for a, b in zip(of[own], of[name], strict=True))
                for of in (walls, cpus)
            )
            line += f"; ours at its recall takes {wall:.2f} of its wall, {cpu:.2f} of its cpu"
        print(line)
    print(
        f"peak memory of all: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GiB"
    )


def ours(points: np.ndarray, recall: float) -> np.ndarray:
    return approximate_neighbors(points, K, recall=recall).positions


def crossover(points: np.ndarray, rounds: int) -> None:
    """Print the processor time of both searches of ours for growing samples of the points."""
    order = np.random.default_rng(0).permutation(len(points))
    for n_points in (2_000, 5_000, 10_000, 15_000, 20_000, 30_000, 50_000):
        if n_points > len(points):
            return
        sample = points[np.sort(order[:n_points])]
        approximate_neighbors(sample[:1000], K)
        nearest_neighbors(sample[:1000], K)
        exact, lists = [], []
        for _ in range(rounds):
            begin = time.process_time()
            nearest_neighbors(sample, K)
            middle = time.process_time()
            found = approximate_neighbors(sample, K)
            exact.append(middle - begin)
            lists.append(time.process_time() - middle)
        print(
            f"{n_points} points: exact {statistics.median(exact):.2f} cpu s, lists "
            f"{statistics.median(lists):.2f} cpu s at recall {found.recall:.4f}",
            flush=True,
        )


def made(n_points: int) -> np.ndarray:
    """Thirty clusters in 50 dimensions of falling variance."""
    rng = np.random.default_rng(0)
    scale = 1 / np.sqrt(np.arange(1, 51))
    centers = rng.normal(size=(30, 50)) * 4 * scale
    noise = rng.normal(size=(n_points, 50)) * scale
    return (centers[rng.integers(0, 30, n_points)] + noise).astype(np.float32)


def peers(points: np.ndarray, n_threads: int) -> dict[str, Callable[[], np.ndarray]]:
    """A search for each tool that is installed."""
    tools: dict[str, Callable[[], np.ndarray]] = {}
    if importlib.util.find_spec("brisc"):
        tools |= {f"brisc {n}": brisc_search(points, n, n_threads) for n in (64, 24)}
    if importlib.util.find_spec("faiss"):
        tools["faiss IVF 32"] = lambda: faiss_search(points, 32, n_threads)
    if importlib.util.find_spec("hnswlib"):
        tools["hnswlib 16"] = lambda: hnswlib_search(points, n_threads)
    if importlib.util.find_spec("pynndescent"):
        tools["pynndescent"] = lambda: pynndescent_search(points, n_threads)
    return tools


def brisc_search(points: np.ndarray, n_searched: int, n_threads: int) -> Callable[[], np.ndarray]:
    import polars as pl
    from brisc import SingleCell
    from scipy import sparse

    n_points = len(points)
    cells = SingleCell(
        X=sparse.csr_array((n_points, 2), dtype=np.float32),
        obs=pl.DataFrame({"cell": [str(cell) for cell in range(n_points)]}),
        var=pl.DataFrame({"gene": ["a", "b"]}),
        num_threads=n_threads,
    ).with_obsm({"pca": points})

    def run() -> np.ndarray:
        found = cells.neighbors(QC_column=None, num_neighbors=K, num_clusters_searched=n_searched)
        return np.asarray(found.obsm["neighbors"])

    return run


def faiss_search(points: np.ndarray, n_probe: int, n_threads: int) -> np.ndarray:
    import faiss

    faiss.omp_set_num_threads(n_threads)
    n_lists = int(4 * np.sqrt(len(points)))
    index = faiss.IndexIVFFlat(faiss.IndexFlatL2(points.shape[1]), points.shape[1], n_lists)
    index.cp.niter = 5
    index.train(points)
    index.add(points)
    index.nprobe = n_probe
    return index.search(points, K + 1)[1]


def hnswlib_search(points: np.ndarray, n_threads: int) -> np.ndarray:
    import hnswlib

    index = hnswlib.Index("l2", points.shape[1])
    index.init_index(len(points), M=16, ef_construction=100)
    index.set_num_threads(n_threads)
    index.add_items(points)
    index.set_ef(40)
    return index.knn_query(points, K + 1)[0]


def pynndescent_search(points: np.ndarray, n_threads: int) -> np.ndarray:
    import pynndescent

    index = pynndescent.NNDescent(points, n_neighbors=K + 1, n_jobs=n_threads, random_state=0)
    return index.neighbor_graph[0]


def share_found(positions: np.ndarray, asked: np.ndarray, truth: np.ndarray) -> float:
    """Mean share of the true neighbours among those found, the point itself left out."""
    found = 0
    for own, true in zip(asked, truth, strict=True):
        row = positions[own]
        found += np.isin(true, row[row != own][:K]).sum()
    return found / truth.size


if __name__ == "__main__":
    main()
