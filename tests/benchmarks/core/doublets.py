"""Doublet scores beside Scrublet (scanpy's) on cells with known doublets: quality and time.

Not part of the tests. In each sample a twelfth of the cells are replaced by sums
of two, thinned by up to 40 %, so that depth does not give them away.

Example:
  python tests/benchmarks/core/doublets.py --cells cells.h5ad --samples sample_id
"""

from __future__ import annotations

import argparse
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse

SHARE = 0.08


def main() -> None:
    """Print one line a tool: means over samples."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cells", type=Path, required=True, help="h5ad with raw counts in X")
    parser.add_argument("--samples", default="sample_id", help="obs column with the samples")
    parser.add_argument("--most", type=int, default=10, help="samples to measure (default 10)")
    args = parser.parse_args()
    import anndata
    from sklearn.metrics import average_precision_score, roc_auc_score

    from pmcell.core.pca.doublets import doublet_scores

    warnings.simplefilter("ignore")
    cells = anndata.read_h5ad(args.cells)
    names, sizes = np.unique(cells.obs[args.samples].astype(str), return_counts=True)
    counts = sparse.csr_matrix(cells.X)
    rng = np.random.default_rng(0)
    found: dict[str, list[tuple[float, float, float]]] = {"pmcell": [], "scrublet": []}
    doublet_scores(counts[:200])
    for name in names[sizes >= 100][: args.most]:
        own = counts[(cells.obs[args.samples].astype(str) == name).to_numpy()].astype(np.int32)
        mixed, truth = with_doublets(own, rng)
        for tool, run in {"pmcell": doublet_scores, "scrublet": scrublet}.items():
            start = time.process_time()
            scores = np.nan_to_num(np.asarray(run(mixed), float))
            cpu = time.process_time() - start
            quality = roc_auc_score(truth, scores), average_precision_score(truth, scores)
            found[tool].append((*quality, cpu))
    for tool, runs in found.items():
        area, precision, cpu = np.mean(runs, axis=0)
        print(
            f"{tool}: AUC {area:.3f}, average precision {precision:.3f}, {cpu:.2f} CPU s a sample"
        )


def with_doublets(counts: Any, rng: np.random.Generator) -> tuple[Any, np.ndarray]:
    """Cells of which some are sums of two, and which they are."""
    n_doublets = max(5, int(counts.shape[0] * SHARE))
    order = rng.permutation(counts.shape[0])
    sums = (counts[order[:n_doublets]] + counts[order[n_doublets : 2 * n_doublets]]).tocsr()
    sums.data = rng.binomial(sums.data, rng.uniform(0.6, 1.0)).astype(np.int32)
    sums.eliminate_zeros()
    singles = counts[order[2 * n_doublets :]]
    truth = np.repeat([0, 1], [singles.shape[0], n_doublets])
    return sparse.vstack([singles, sums]).tocsr(), truth


def scrublet(counts: Any) -> np.ndarray:
    import scanpy as sc
    from anndata import AnnData

    cells = AnnData(counts.astype(np.float32))
    n_components = min(30, counts.shape[0] - 1, counts.shape[1] - 1)
    sc.pp.scrublet(cells, n_prin_comps=n_components, threshold=1.0, random_state=0, verbose=False)
    return cells.obs["doublet_score"].to_numpy(float)


if __name__ == "__main__":
    main()
