"""The map of the neighbour graph beside umap-learn's, on the same graph and start.

Not part of the tests. Prints processor and wall seconds, cold (with import and
compilation) and warm, and quality: trustworthiness of 15 neighbours (Venna &
Kaski 2001, doi:10.1007/3-540-44668-0_68) on 3,000 random cells, and the share of
each cell's 15 nearest cells, and of its 100, that are so on the map.

Each round has its own seed: medians are given, of trustworthiness also the range.

Example:
  python tests/benchmarks/core/umap_layout.py --points pca.npz --cells 12000 --threads 1
  python tests/benchmarks/core/umap_layout.py --graph results/atlas/graph.h5ad \\
    --embedding results/atlas/embedding.h5ad
"""

from __future__ import annotations

import argparse
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np


def main() -> None:
    """Print one line a tool; runs are interleaved."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--points", type=Path, help="npz with an array pca (n, dims)")
    parser.add_argument("--cells", type=int, help="of the points, so many at random")
    parser.add_argument("--graph", type=Path)
    parser.add_argument("--embedding", type=Path)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    import numba

    numba.set_num_threads(args.threads)
    warnings.simplefilter("ignore")
    weights, points = given(args)
    tools = {"pmcell": pmcell, "umap-learn": umap_learn}
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in tools}
    reached: dict[str, list[tuple[float, float, float]]] = {name: [] for name in tools}
    for at in range(args.rounds + 1):
        for name, run in tools.items():
            wall, cpu = time.perf_counter(), time.process_time()
            found = run(weights, points, max(at - 1, 0))
            times[name].append((time.process_time() - cpu, time.perf_counter() - wall))
            if at:
                reached[name].append(quality(points, found))
    print(f"{len(points)} cells, {args.rounds} seeds, {args.threads} threads")
    print("tool | cold CPU s | warm CPU s | warm wall s | trust 15 | kept of 15 | kept of 100")
    for name in tools:
        cpu, wall = np.median(times[name][1:], axis=0)
        trust, kept, kept_wide = np.median(reached[name], axis=0)
        low, high = min(reached[name])[0], max(reached[name])[0]
        print(
            f"{name} | {times[name][0][0]:.1f} | {cpu:.1f} | {wall:.1f} | "
            f"{trust:.4f} ({low:.4f} to {high:.4f}) | {kept:.4f} | {kept_wide:.4f}",
            flush=True,
        )


def given(args: argparse.Namespace) -> tuple[Any, np.ndarray]:
    """The graph and the points: of a study, or of points whose graph is made here."""
    if args.points is None:
        import anndata

        weights = anndata.read_h5ad(args.graph).obsp["connectivities"].tocsr()
        return weights, np.asarray(anndata.read_h5ad(args.embedding).obsm["X_integrated"], "f4")
    from pmcell.core.graph.ivf import approximate_neighbors
    from pmcell.core.graph.weights import fuzzy_weights

    points = np.load(args.points)["pca"].astype(np.float32)
    if args.cells:
        some = np.random.default_rng(0).choice(len(points), args.cells, replace=False)
        points = points[np.sort(some)]
    near = approximate_neighbors(points, 15)
    return fuzzy_weights(near.positions, near.distances), points


def pmcell(weights: Any, points: np.ndarray, seed: int) -> np.ndarray:
    from pmcell.tl.umap import map_points

    return map_points(weights, points, seed=seed)


def umap_learn(weights: Any, points: np.ndarray, seed: int) -> np.ndarray:
    from umap.umap_ import find_ab_params, simplicial_set_embedding

    from pmcell.tl.umap import first_plane

    a, b = find_ab_params(1.0, 0.5)
    return simplicial_set_embedding(
        data=points,
        graph=weights.tocoo(),
        n_components=2,
        initial_alpha=1.0,
        a=a,
        b=b,
        gamma=1.0,
        negative_sample_rate=5,
        n_epochs=500 if len(points) <= 10_000 else 200,
        init=first_plane(points),
        random_state=np.random.RandomState(seed),
        metric="euclidean",
        metric_kwds={},
        densmap=False,
        densmap_kwds={},
        output_dens=False,
        parallel=False,
    )[0]


def quality(points: np.ndarray, found: np.ndarray) -> tuple[float, float, float]:
    """Trustworthiness on a part of the cells; shares of 15 and of 100 neighbours kept, on all."""
    from sklearn.manifold import trustworthiness

    from pmcell.core.graph.knn import nearest_among

    rng = np.random.default_rng(0)
    some = np.sort(rng.choice(len(points), min(3000, len(points)), replace=False))
    trust = trustworthiness(points[some], found[some], n_neighbors=15)
    high = nearest_among(points[some], points, 100, some)[0]
    low = nearest_among(np.ascontiguousarray(found[some], np.float32), found, 100, some)[0]
    kept = [
        np.mean([np.isin(a[:k], b[:k]).mean() for a, b in zip(high, low, strict=True)])
        for k in (15, 100)
    ]
    return float(trust), float(kept[0]), float(kept[1])


if __name__ == "__main__":
    main()
