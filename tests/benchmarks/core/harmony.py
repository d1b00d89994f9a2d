"""Harmony's kernel beside harmonypy: mixing of batches, conservation of labels, CPU seconds.

    python tests/benchmarks/core/harmony.py [--seeds 5] [FILE.h5ad:BATCH:LABEL ...]

Without files: the embedded cohorts. A file has raw counts in X; BATCH and
LABEL are columns of its obs. Needs harmonypy, which pmcell itself does not.

mixing: entropy of the batches among a cell's 30 nearest neighbours of its own
label, as a part of that of the label's batches (1 is as mixed as can be).
conservation: macro F1 of each cell's label told by the majority of its 30
neighbours. Both are means over seeds, with the range.
"""

from __future__ import annotations

import argparse
import time

import anndata
import numpy as np
import pandas as pd
from data_sets import data_sets

import pmcell as pm
from pmcell.core.harmony import harmony

N_NEIGHBOURS = 30


def main() -> None:
    """Print a row a data set and method."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="*", metavar="FILE:BATCH:LABEL")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--repeat", type=int, default=1, help="copies of each cell, with noise")
    args = parser.parse_args()
    print("| data | cells | batches | method | mixing | conservation | CPU s |")
    print("|---|---|---|---|---|---|---|")
    for name, adata, batch, label in data_sets(args.files):
        points = _embedding(adata, args.repeat)
        codes, labels = (
            np.tile(pd.factorize(adata.obs[key].astype(str), sort=True)[0], args.repeat)
            for key in (batch, label)
        )
        for method, run in (("none", None), ("pmcell", _ours), ("harmonypy", _harmonypy)):
            rows = [_judged(points, codes, labels, run, seed) for seed in range(args.seeds)]
            shown = " | ".join(
                f"{np.mean(part):.3f} ({np.min(part):.3f} to {np.max(part):.3f})"
                for part in zip(*rows, strict=True)
            )
            print(f"| {name} | {codes.size} | {codes.max() + 1} | {method} | {shown} |", flush=True)


def _embedding(adata: anndata.AnnData, repeat: int) -> np.ndarray:
    adata.obs["sample_id"] = adata.obs["sample_id"].astype(str)
    for name in ("donor_id", "visit", "batch_id"):
        adata.obs[name] = "one"
    pm.pp.qc(adata)
    pm.pp.highly_variable_genes(adata)
    pm.tl.pca(adata)
    points = np.tile(adata.obsm["X_pca"], (repeat, 1))
    rng = np.random.default_rng(0)
    noise = 0.1 * points.std(0) * rng.standard_normal(points.shape)
    return (points + noise * (np.arange(len(points)) >= adata.n_obs)[:, None]).astype(np.float32)


def _ours(points: np.ndarray, codes: np.ndarray, seed: int) -> np.ndarray:
    return harmony(points, codes, seed=seed)


def _harmonypy(points: np.ndarray, codes: np.ndarray, seed: int) -> np.ndarray:
    import harmonypy

    batches = pd.DataFrame({"batch": codes.astype(str)})
    options = {"random_state": seed, "ncores": 1, "verbose": False}
    moved = harmonypy.run_harmony(points.astype(float), batches, ["batch"], **options).Z_corr
    return moved if moved.shape == points.shape else moved.T


def _judged(points, codes, labels, run, seed):
    if run is None:
        return *_scores(points, codes, labels), 0.0
    start = time.process_time()
    moved = run(points, codes, seed)
    seconds = time.process_time() - start
    return *_scores(moved, codes, labels), seconds


def _scores(points: np.ndarray, codes: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
    from sklearn.metrics import f1_score
    from sklearn.neighbors import NearestNeighbors

    rng = np.random.default_rng(1)
    chosen = rng.permutation(len(points))[:4000]
    found = NearestNeighbors(n_neighbors=N_NEIGHBOURS + 1).fit(points)
    near = found.kneighbors(points[chosen], return_distance=False)[:, 1:]
    counts = np.stack([np.bincount(row, minlength=labels.max() + 1) for row in labels[near]])
    conserved = f1_score(labels[chosen], counts.argmax(1), average="macro")
    mixing = []
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        whole = _entropy(np.bincount(codes[members]) / members.size)
        if members.size <= 2 * N_NEIGHBOURS or whole < 0.1:
            continue
        among = NearestNeighbors(n_neighbors=N_NEIGHBOURS + 1).fit(points[members])
        asked = members[rng.permutation(members.size)[:500]]
        rows = members[among.kneighbors(points[asked], return_distance=False)[:, 1:]]
        each = [_entropy(np.bincount(codes[row]) / N_NEIGHBOURS) for row in rows]
        mixing.append(np.mean(each) / whole)
    return float(np.mean(mixing)), float(conserved)


def _entropy(share: np.ndarray) -> float:
    kept = share[share > 0]
    return float(-(kept * np.log(kept)).sum())


if __name__ == "__main__":
    main()
