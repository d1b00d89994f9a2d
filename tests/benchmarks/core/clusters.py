"""Clusters against published labels at default settings, beside scanpy with harmonypy.

    python tests/benchmarks/core/clusters.py [--seeds 10] [FILE.h5ad:BATCH:LABEL ...]

Without files: the embedded cohorts. A file has raw counts in X; BATCH and
LABEL are columns of its obs, and BATCH may be `-`: nothing is integrated then,
by neither. The peer is scanpy's tutorial: counts per 10,000, log1p, 2,000
genes, PCA of 50 components, Harmony of harmonypy, 15 neighbours, Leiden
(igraph, two iterations) at resolution 1. A seed decides the integration and
the clusters of both; the cells and genes are the same.

macro F1: each cluster is called by the label of most of its cells. Both are
medians over seeds, with the range; the last column is ours less the peer's,
seed by seed, with the range of its median over bootstraps of the seeds.
"""

from __future__ import annotations

import argparse
import warnings

import anndata
import numpy as np
import pandas as pd
from data_sets import data_sets
from sklearn.metrics import adjusted_rand_score, f1_score

import pmcell as pm

N_BOOTSTRAPS = 2000


def main() -> None:
    """Print a row a data set and score."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="*", metavar="FILE:BATCH:LABEL")
    parser.add_argument("--seeds", type=int, default=10)
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    print(
        "| data | cells | labels | score | pmcell | clusters "
        "| scanpy + harmonypy | clusters | difference |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    for name, adata, batch, label in data_sets(args.files):
        labels = adata.obs[label].astype(str).to_numpy()
        ours, theirs = _ours(adata, batch, args.seeds), _peer(adata, batch, args.seeds)
        for score, judge in (("ARI", adjusted_rand_score), ("macro F1", _macro_f1)):
            a, b = (np.array([judge(labels, found) for found in sets]) for sets in (ours, theirs))
            columns = [
                name,
                len(labels),
                len(set(labels)),
                score,
                _spread(a),
                _count(ours),
                _spread(b),
                _count(theirs),
            ]
            print("|", " | ".join(map(str, [*columns, _difference(a - b)])), "|", flush=True)


def _ours(source: anndata.AnnData, batch: str, n_seeds: int) -> list[np.ndarray]:
    adata = anndata.AnnData(
        source.X.copy(), obs=pd.DataFrame(index=source.obs_names), var=source.var[[]].copy()
    )
    for column in ("sample_id", "donor_id", "visit"):
        adata.obs[column] = "one"
    adata.obs["batch_id"] = "one" if batch == "-" else source.obs[batch].astype(str).to_numpy()
    pm.pp.qc(adata)
    pm.pp.highly_variable_genes(adata)
    pm.tl.pca(adata)
    found = []
    for seed in range(n_seeds):
        if batch == "-":
            adata.obsm["X_integrated"] = adata.obsm["X_pca"]
        else:
            pm.tl.integrate(adata, seed=seed)
        pm.tl.neighbors(adata)
        pm.tl.cluster(adata, seed=seed)
        found.append(adata.obs["cluster"].astype(str).to_numpy())
    return found


def _peer(source: anndata.AnnData, batch: str, n_seeds: int) -> list[np.ndarray]:
    import harmonypy
    import scanpy as sc

    adata = anndata.AnnData(
        source.X.copy(), obs=pd.DataFrame(index=source.obs_names), var=source.var[[]].copy()
    )
    sc.pp.normalize_total(adata, target_sum=1e4)
    sc.pp.log1p(adata)
    sc.pp.highly_variable_genes(adata, n_top_genes=min(2000, adata.n_vars))
    sc.pp.pca(adata, n_comps=min(50, adata.n_vars - 1, adata.n_obs - 1))
    batches = (
        None if batch == "-" else pd.DataFrame({"batch": source.obs[batch].astype(str).to_numpy()})
    )
    found = []
    for seed in range(n_seeds):
        adata.obsm["X_used"] = adata.obsm["X_pca"]
        if batches is not None:
            options = {"random_state": seed, "ncores": 1, "verbose": False}
            moved = harmonypy.run_harmony(
                adata.obsm["X_pca"].astype(float), batches, ["batch"], **options
            ).Z_corr
            adata.obsm["X_used"] = moved if moved.shape == adata.obsm["X_pca"].shape else moved.T
        sc.pp.neighbors(adata, use_rep="X_used", random_state=seed)
        options = {"flavor": "igraph", "n_iterations": 2, "directed": False}
        sc.tl.leiden(adata, resolution=1.0, random_state=seed, **options)
        found.append(adata.obs["leiden"].astype(str).to_numpy())
    return found


def _macro_f1(labels: np.ndarray, clusters: np.ndarray) -> float:
    called = pd.Series(labels).groupby(clusters).transform(lambda part: part.mode()[0])
    return float(f1_score(labels, called, average="macro"))


def _spread(values: np.ndarray) -> str:
    return f"{np.median(values):.3f} ({values.min():.3f} to {values.max():.3f})"


def _count(found: list[np.ndarray]) -> str:
    return f"{np.median([len(set(each)) for each in found]):g}"


def _difference(values: np.ndarray) -> str:
    rng = np.random.default_rng(0)
    drawn = np.median(rng.choice(values, (N_BOOTSTRAPS, values.size)), axis=1)
    low, high = np.quantile(drawn, [0.025, 0.975])
    return f"{np.median(values):+.3f} ({low:+.3f} to {high:+.3f})"


if __name__ == "__main__":
    main()
