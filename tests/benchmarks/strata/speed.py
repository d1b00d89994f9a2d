"""From the embedding of many cells to strata of donors: processor seconds, wall seconds and memory.

Example:
  python tests/benchmarks/strata/speed.py --donors 1000 --cells 3000 --dims 30 --threads 2
"""

from __future__ import annotations

import argparse
import os
import resource
import sys
import tempfile
import time
from pathlib import Path

import numpy as np


def main() -> None:
    """Make the cells in a child process, run every step on them, print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--donors", type=int, default=1000)
    parser.add_argument("--cells", type=int, default=3000, help="cells of each donor")
    parser.add_argument("--dims", type=int, default=30)
    parser.add_argument("--types", type=int, default=20)
    parser.add_argument("--null", type=int, default=199)
    parser.add_argument("--bootstraps", type=int, default=200)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    os.environ["NUMBA_NUM_THREADS"] = str(args.threads)
    with tempfile.TemporaryDirectory() as folder:
        if os.fork() == 0:
            make(Path(folder), args)
            os._exit(0)
        os.wait()
        run(Path(folder), args)


def make(folder: Path, args: argparse.Namespace) -> None:
    """Cells donor after donor on disk: three strata differ in composition and in state."""
    rng = np.random.default_rng(0)
    n, types, dims = args.donors, args.types, args.dims
    stratum = np.arange(n) % 3
    centre = 3 * rng.standard_normal((types, dims))
    state = 0.35 * rng.standard_normal((3, types, dims))
    logits = np.linspace(1, -1, types) + 0.6 * rng.standard_normal((3, types))
    x = np.lib.format.open_memmap(folder / "x.npy", "w+", np.float32, (n * args.cells, dims))
    code = np.lib.format.open_memmap(folder / "code.npy", "w+", np.int8, (n * args.cells,))
    for donor in range(n):
        share = np.exp(logits[stratum[donor]] + 0.3 * rng.standard_normal(types))
        kind = rng.choice(types, args.cells, p=share / share.sum())
        own = centre + state[stratum[donor]] + 0.25 * rng.standard_normal((types, dims))
        rows = slice(donor * args.cells, (donor + 1) * args.cells)
        code[rows] = kind
        x[rows] = own[kind] + rng.standard_normal((args.cells, dims), dtype=np.float32)
    x.flush()
    code.flush()


def run(folder: Path, args: argparse.Namespace) -> None:
    """Every step of the stratification, with what each takes."""
    import pandas as pd
    from sklearn.metrics import adjusted_rand_score

    import pmcell as pm

    # Compiling, or loading what was compiled, is not part of the work.
    warm = pm.strata.profile(
        pm.simulate.simulate_latent(n_donors=6, cells_per_donor=120, n_types=2)
    )
    pm.strata.distances(warm)
    adata = cells(folder, args)
    print(f"{adata.n_obs:,} cells of {args.donors:,} donors in {args.dims} dimensions")
    print(f"{'step':12}{'wall s':>10}{'cpu s':>10}{'peak GB':>10}")
    begun, used = time.perf_counter(), time.process_time()
    donors = timed("profile", lambda: pm.strata.profile(adata))
    timed("distances", lambda: pm.strata.distances(donors))
    timed("cluster", lambda: pm.strata.cluster(donors, n_bootstraps=args.bootstraps))
    timed("existence", lambda: pm.strata.existence(donors, n_null=args.null))
    report("all", begun, used)
    truth = np.arange(args.donors) % 3
    label = pd.Series(donors.obs["candidate_stratum"].to_numpy(), donors.obs["donor_id"])
    found = label.reindex([f"d{donor:05d}" for donor in range(args.donors)])
    existence = donors.uns["existence"]
    print(
        f"{existence['decision']}, k = {existence['k']}, p = {existence['p']:.3g}, "
        f"ARI to the truth {adjusted_rand_score(truth, found):.2f}"
    )


def cells(folder: Path, args: argparse.Namespace):
    """The cells as an AnnData on a memory-mapped embedding."""
    import anndata as ad
    import pandas as pd

    code = np.load(folder / "code.npy")
    donor = np.repeat(np.arange(args.donors), args.cells)
    obs = pd.DataFrame(
        {
            "donor_id": pd.Categorical.from_codes(donor, [f"d{i:05d}" for i in range(args.donors)]),
            "visit": pd.Categorical.from_codes(np.zeros(code.size, np.int8), ["T0"]),
            "batch_id": pd.Categorical.from_codes(donor % 4, [f"b{i}" for i in range(4)]),
            "cell_type": pd.Categorical.from_codes(code, [f"t{i:02d}" for i in range(args.types)]),
        },
        index=pd.Index([f"c{i}" for i in range(code.size)], dtype=object),
    )
    return ad.AnnData(obs=obs, obsm={"X_integrated": np.load(folder / "x.npy", mmap_mode="r")})


def timed(name: str, step):
    """Run a step and print what it took."""
    begun, used = time.perf_counter(), time.process_time()
    out = step()
    report(name, begun, used)
    return out


def report(name: str, begun: float, used: float) -> None:
    """One line of the table; the peak is that of the process so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 << 20)
    wall, cpu = time.perf_counter() - begun, time.process_time() - used
    print(f"{name:12}{wall:10.1f}{cpu:10.1f}{peak:10.2f}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
