"""Exact k-nearest-neighbour divergence beside patpy's port of GloScope, in one run.

Prints processor seconds of both and how far the values are apart. Needs an
environment with pmcell's dependencies and requirements.txt of this folder:
  python tests/benchmarks/strata/knn_kl.py --donors 30 --cells 500
"""

from __future__ import annotations

import argparse
import importlib.util
import time
from pathlib import Path

import numpy as np

import pmcell as pm


def main() -> None:
    """Print one line a tool."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--h5ad", type=Path, help="cells with an embedding; else simulated")
    parser.add_argument("--basis", default="X_integrated")
    parser.add_argument("--sample", default="donor_id")
    parser.add_argument("--dims", type=int, default=30)
    parser.add_argument("--donors", type=int, default=30)
    parser.add_argument("--cells", type=int, default=500)
    args = parser.parse_args()
    if args.h5ad:
        import anndata as ad

        cells = ad.read_h5ad(args.h5ad)
    else:
        cells = pm.simulate.simulate_latent(
            n_donors=args.donors, cells_per_donor=args.cells, n_dims=args.dims
        )
    small = pm.simulate.simulate_latent(n_donors=3, cells_per_donor=60, n_dims=args.dims)
    pm.strata.knn_kl(small, by=("donor_id",))
    ours, used = timed(
        lambda: pm.strata.knn_kl(
            cells, by=(args.sample,), basis=args.basis, estimator="gloscope_py"
        )
    )
    print(f"pmcell       {used:8.1f} s cpu")
    if importlib.util.find_spec("patpy") is None:
        print("patpy is not installed: nothing to compare with")
        return
    theirs, peer = timed(lambda: port(cells, args.sample, args.basis))
    upper = np.triu_indices(len(ours), 1)
    a, b = ours.to_numpy()[upper], theirs.loc[ours.index, ours.index].to_numpy(float)[upper]
    print(f"GloScope_py  {peer:8.1f} s cpu, {peer / used:.1f} times as much")
    print(
        f"max |difference| {np.abs(a - b).max():.3g} (median value {np.median(b):.3g}), "
        f"correlation {np.corrcoef(a, b)[0, 1]:.6f}"
    )


def port(cells, sample: str, basis: str):
    """The distances of patpy's port."""
    from patpy.tl.sample_representation import GloScope_py

    method = GloScope_py(sample_key=sample, layer=basis, k=25)
    method.prepare_anndata(cells)
    return method.calculate_distance_matrix_pynndescent()


def timed(step):
    """Result and processor seconds."""
    begun = time.process_time()
    out = step()
    return out, time.process_time() - begun


if __name__ == "__main__":
    main()
