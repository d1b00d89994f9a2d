"""Distances between samples by the peers, in the peers' own environment; `peers.py` calls it.

    python peer_distances.py CELLS.h5ad OUT.npz METHOD…

CELLS has obs sample, cell_type and obsm X_cells. OUT gets the samples, and for each
method its matrix, seconds of processor time, and the versions used.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import anndata as ad
import numpy as np

LAYER = "X_cells"
KEYS = {"sample_key": "sample", "cell_group_key": "cell_type", "layer": LAYER}
PACKAGES = ("patpy", "pot", "mofapy2", "pynndescent", "anndata", "numpy", "scikit-learn")


def main() -> None:
    """Measure what is asked for."""
    source, out, *names = sys.argv[1:]
    cells = ad.read_h5ad(source)
    samples = np.unique(cells.obs["sample"].astype(str))
    results: dict[str, np.ndarray] = {"samples": samples}
    seconds = {}
    for name in names:
        start = time.process_time()
        results[name] = METHODS[name](cells.copy(), samples)
        seconds[name] = round(time.process_time() - start, 3)
    used = {package: version(package) for package in PACKAGES}
    np.savez_compressed(
        Path(out), seconds=json.dumps(seconds), versions=json.dumps(used), **results
    )


def of_patpy(class_name: str, **options: object) -> Callable[[ad.AnnData, np.ndarray], np.ndarray]:
    """A representation of patpy with its defaults."""

    def run(cells: ad.AnnData, samples: np.ndarray) -> np.ndarray:
        import patpy.tl

        method = getattr(patpy.tl, class_name)(**KEYS, **options)
        method.prepare_anndata(cells)
        matrix = np.asarray(method.calculate_distance_matrix(), np.float64)
        order = [list(map(str, method.samples)).index(name) for name in samples]
        return matrix[np.ix_(order, order)]

    return run


def composition(clr: bool) -> Callable[[ad.AnnData, np.ndarray], np.ndarray]:
    """patpy's composition ignores the embedding, so it is not told one."""

    def run(cells: ad.AnnData, samples: np.ndarray) -> np.ndarray:
        import patpy.tl

        method = patpy.tl.CellGroupComposition("sample", "cell_type", apply_clr=clr)
        method.prepare_anndata(cells)
        matrix = np.asarray(method.calculate_distance_matrix(), np.float64)
        order = [list(map(str, method.samples)).index(name) for name in samples]
        return matrix[np.ix_(order, order)]

    return run


def random_vector(cells: ad.AnnData, samples: np.ndarray) -> np.ndarray:
    import patpy.tl

    method = patpy.tl.RandomVector("sample", "cell_type")
    method.prepare_anndata(cells)
    return np.asarray(method.calculate_distance_matrix(), np.float64)


def pilot(cells: ad.AnnData, samples: np.ndarray) -> np.ndarray:
    """PILOT: exact earth mover's distance of compositions, cosine between types' medians as cost.

    Joodaki et al. 2024, doi:10.1038/s44320-023-00003-8, with its regulariser of 0.2;
    written over POT, because the wrapper of patpy fails.
    """
    import ot
    from scipy.spatial.distance import pdist, squareform

    sample = np.searchsorted(samples, cells.obs["sample"].astype(str))
    types, code = np.unique(cells.obs["cell_type"].astype(str), return_inverse=True)
    x = np.asarray(cells.obsm[LAYER], np.float64)
    median = np.array([np.median(x[code == index], axis=0) for index in range(types.size)])
    cost = squareform(pdist(median, "cosine"))
    cost /= cost.max()
    n = np.zeros((samples.size, types.size))
    np.add.at(n, (sample, code), 1.0)
    share = n + 0.2 * n.sum(axis=0) / n.sum()
    share /= share.sum(axis=1, keepdims=True)
    out = np.zeros((samples.size, samples.size))
    for row in range(samples.size):
        for other in range(row):
            out[row, other] = out[other, row] = ot.emd2(share[row], share[other], cost)
    return out


def mofa(cells: ad.AnnData, samples: np.ndarray) -> np.ndarray:
    """MOFA factors of the types' means; what it prints while it learns is not kept."""
    import contextlib
    import io

    with contextlib.redirect_stdout(io.StringIO()):
        return of_patpy("MOFA", quiet=True)(cells, samples)


METHODS: dict[str, Callable[[ad.AnnData, np.ndarray], np.ndarray]] = {
    "GloScope_py": of_patpy("GloScope_py"),
    "PILOT": pilot,
    "pseudobulk": of_patpy("Pseudobulk"),
    "grouped pseudobulk": of_patpy("GroupedPseudobulk"),
    "MOFA": mofa,
    "composition": composition(clr=False),
    "CLR composition": composition(clr=True),
    "random": random_vector,
}

if __name__ == "__main__":
    main()
