"""Distances between samples by the peers, in the peers' own environment; `peers.py` calls it.

Reads jobs from stdin, one JSON object a line: `source`, cells with obs sample, cell_type
and obsm X_cells; `targets`, the .npz file of each method; `digest` of the cells. Each
file is written as soon as its method is done: samples, distance, and `about` (seconds
of processor time, version, digest). Answers each job with a line.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys
import time
import zlib
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import anndata as ad
import numpy as np

Method = Callable[[ad.AnnData, np.ndarray], np.ndarray]
LAYER = "X_cells"
KEYS = {"sample_key": "sample", "cell_group_key": "cell_type", "layer": LAYER}
PACKAGES = ("patpy", "pot", "mofapy2", "pynndescent", "anndata", "numpy", "scikit-learn")


def main() -> None:
    """Do every job; what the peers print is not kept."""
    started: set[str] = set()
    for line in sys.stdin:
        with contextlib.redirect_stdout(io.StringIO()):
            measure(**json.loads(line), started=started)
        print("done", flush=True)


def measure(source: str, targets: dict[str, str], digest: str, started: set[str]) -> None:
    """Write the distances of each method; its first run here imports and compiles, untimed."""
    cells = ad.read_h5ad(source)
    samples = np.unique(cells.obs["sample"].astype(str))
    used = ", ".join(f"{package} {version(package)}" for package in PACKAGES)
    for name, target in targets.items():
        if name not in started:
            METHODS[name](cells.copy(), samples)
            started.add(name)
        own = cells.copy()
        start = time.process_time()
        distance = METHODS[name](own, samples)
        about = {"seconds": round(time.process_time() - start, 3), "version": used, "cells": digest}
        Path(target).parent.mkdir(parents=True, exist_ok=True)
        part = Path(target).with_suffix(".part.npz")
        np.savez_compressed(part, samples=samples, distance=distance, about=json.dumps(about))
        os.replace(part, target)


def of_patpy(class_name: str, **options: object) -> Method:
    """A representation of patpy with its defaults, but for `options`."""

    def run(cells: ad.AnnData, samples: np.ndarray) -> np.ndarray:
        import patpy.tl

        method = getattr(patpy.tl, class_name)(**(KEYS | options))
        method.prepare_anndata(cells)
        matrix = np.asarray(method.calculate_distance_matrix(), np.float64)
        order = [list(map(str, method.samples)).index(name) for name in samples]
        return matrix[np.ix_(order, order)]

    return run


def root_of(method: Method) -> Method:
    """Its square roots: a symmetric divergence behaves as a squared distance."""
    return lambda cells, samples: np.sqrt(method(cells, samples))


def random_vector(cells: ad.AnnData, samples: np.ndarray) -> np.ndarray:
    """30 normal values a sample, as patpy's RandomVector, whose seed is without effect."""
    from scipy.spatial.distance import pdist, squareform

    rng = np.random.default_rng(zlib.crc32(np.ascontiguousarray(cells.obsm[LAYER])))
    return squareform(pdist(rng.standard_normal((samples.size, 30))))


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


METHODS: dict[str, Method] = {
    "GloScope_py": of_patpy("GloScope_py"),
    "GloScope_py, 10 dimensions": of_patpy("GloScope_py", n_components=10),
    "GloScope_py, square roots": root_of(of_patpy("GloScope_py")),
    "PILOT": pilot,
    "pseudobulk": of_patpy("Pseudobulk"),
    "grouped pseudobulk": of_patpy("GroupedPseudobulk"),
    "MOFA": of_patpy("MOFA", quiet=True),
    "CLR composition": of_patpy("CellGroupComposition", layer=None, apply_clr=True),
    "random": random_vector,
}

if __name__ == "__main__":
    main()
