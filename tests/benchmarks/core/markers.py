"""The rank-sum test of every cluster and gene beside its peers: time, memory, difference.

Not part of the tests. Each tool runs in a process of its own, twice: the first
run is cold (compilation, where there is no cache), the second warm. Tools take
turns. All get the same log-normalised values in memory, as they like them;
pmcell gets raw counts, normalises them itself and makes Welch's test as well.
hpdex compares groups with one group, not with the rest: it is given one
cluster and the rest, and does a part of the work.

Example:
  python tests/benchmarks/core/markers.py --cells bench50k.h5ad --clusters cell_type --rounds 3
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

TOOLS = ("pmcell", "illico", "scanpy", "hpdex one cluster")


def main() -> None:
    """Print one line a tool: medians over rounds, peak memory, largest difference from scanpy."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cells", type=Path, help="h5ad with raw counts in X")
    parser.add_argument("--clusters", default="cluster", help="its obs column with clusters")
    parser.add_argument(
        "--made", type=int, default=20_000, help="simulated cells when none are given"
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--tools", nargs="+", choices=TOOLS, default=list(TOOLS))
    parser.add_argument("--one", choices=TOOLS, help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        print(json.dumps(measure(args)))
        return
    found: dict[str, list[dict[str, float]]] = {tool: [] for tool in args.tools}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(args.rounds):
            for tool in args.tools:
                result = child(tool, Path(folder))
                if result:
                    found[tool].append(result)
                    print(f"  {tool}: {json.dumps(result)}", file=sys.stderr, flush=True)
        scores = {tool: Path(folder) / f"{tool}.bin" for tool in args.tools}
        print(
            "tool | cold CPU s | warm CPU s | warm wall s | peak GB | of it input | "
            "largest difference from scanpy's z"
        )
        for tool, runs in found.items():
            if not runs:
                print(f"{tool} | not installed, or failed")
                continue
            row = {key: statistics.median(run[key] for run in runs) for key in runs[0]}
            print(
                f"{tool} | {row['cold_cpu']:.1f} | {row['warm_cpu']:.2f} | "
                f"{row['warm_wall']:.2f} | {row['peak']:.2f} | "
                f"{row['input']:.2f} | {difference(scores, tool)}"
            )


def child(tool: str, folder: Path) -> dict[str, float] | None:
    """Measure one tool in a process of its own."""
    given = [word for word in sys.argv[1:] if word]
    done = subprocess.run(
        [sys.executable, __file__, *given, "--one", tool, "--out", str(folder / f"{tool}.bin")],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        print(f"  {tool}: {done.stderr.strip().splitlines()[-1]}", file=sys.stderr)
        return None
    return dict(json.loads(done.stdout.splitlines()[-1]))


def measure(args: argparse.Namespace) -> dict[str, float]:
    """Run one tool twice on the cells, and keep its z of every cluster and gene."""
    counts, labels = read(args)
    run = {
        "pmcell": pmcell,
        "scanpy": scanpy,
        "illico": illico,
        "hpdex one cluster": hpdex,
    }[args.one](counts, labels, args.threads)
    del counts
    result = {"input": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20}
    for name in ("cold", "warm"):
        wall, cpu = time.perf_counter(), time.process_time()
        z = run()
        result[f"{name}_wall"] = time.perf_counter() - wall
        result[f"{name}_cpu"] = time.process_time() - cpu
    result["peak"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    if z is not None:
        args.out.write_bytes(z.astype(np.float64).tobytes())
    return result


def read(args: argparse.Namespace) -> tuple[Any, np.ndarray]:
    """Raw counts (CSR) and the cluster of each cell."""
    if args.cells is None:
        import pmcell as pm

        made = pm.simulate.simulate(n_donors=10, cells_per_sample=args.made // 10, seed=1)
        return made.X.tocsr(), made.obs["cell_type"].astype(str).to_numpy(object)
    import anndata

    cells = anndata.read_h5ad(args.cells)
    return cells.X, cells.obs[args.clusters].astype(str).to_numpy(object)


def pmcell(counts: Any, labels: np.ndarray, threads: int) -> Callable[[], np.ndarray]:
    import numba
    import pandas as pd
    from anndata import AnnData

    from pmcell.tl.markers import markers

    numba.set_num_threads(threads)
    names = [str(cell) for cell in range(counts.shape[0])]
    obs = pd.DataFrame({"sample_id": "s", "cluster": labels}, index=names)
    cells = AnnData(counts, obs=obs)
    clusters = np.unique(labels.astype(str))

    def run() -> np.ndarray:
        found = markers(cells, method="wilcoxon", n_top=cells.n_vars)
        z = found.pivot(index="cluster", columns="gene_id", values="score_wilcoxon")
        return z.reindex(index=clusters, columns=list(cells.var_names)).to_numpy()

    return run


def log_normalised(counts: Any, labels: np.ndarray) -> Any:
    """What peers get: the values that pmcell makes, as float32."""
    import anndata
    import pandas as pd
    from scipy import sparse

    from pmcell.core.counts.lognorm import SCALE, quantise

    q = quantise(np.asarray(counts.indptr, np.int64), np.asarray(counts.data, np.int32))
    values = sparse.csr_matrix(
        (q.astype(np.float32) / np.float32(SCALE), counts.indices, counts.indptr), counts.shape
    )
    names = [str(cell) for cell in range(counts.shape[0])]
    obs = pd.DataFrame({"cluster": pd.Categorical(labels.astype(str))}, index=names)
    return anndata.AnnData(values, obs=obs)


def scanpy(counts: Any, labels: np.ndarray, threads: int) -> Callable[[], np.ndarray]:
    import warnings

    import scanpy as sc

    warnings.simplefilter("ignore")
    cells = log_normalised(counts, labels)
    sc.settings.n_jobs = threads

    def run() -> np.ndarray:
        sc.tl.rank_genes_groups(cells, "cluster", method="wilcoxon", tie_correct=True)
        found = cells.uns["rank_genes_groups"]
        rows = []
        for name in cells.obs["cluster"].cat.categories:
            order = np.argsort(found["names"][name].astype(int))
            rows.append(found["scores"][name][order])
        return np.array(rows, float)

    return run


def illico(counts: Any, labels: np.ndarray, threads: int) -> Callable[[], np.ndarray]:
    from illico import asymptotic_wilcoxon

    cells = log_normalised(counts, labels)

    def run() -> np.ndarray:
        found = asymptotic_wilcoxon(
            cells,
            is_log1p=True,
            group_keys="cluster",
            use_continuity=False,
            tie_correct=True,
            n_threads=threads,
        )
        z = found["z_score"].unstack()
        return z.loc[cells.obs["cluster"].cat.categories, cells.var_names].to_numpy()

    return run


def hpdex(counts: Any, labels: np.ndarray, threads: int) -> Callable[[], None]:
    from hpdex import parallel_differential_expression

    cells = log_normalised(counts, labels)
    first = cells.obs["cluster"].cat.categories[0]
    cells.obs["cluster"] = np.where(cells.obs["cluster"] == first, "own", "rest")
    cells.obs["cluster"] = cells.obs["cluster"].astype("category")

    def run() -> None:
        parallel_differential_expression(
            cells, "cluster", reference="rest", threads=threads, show_progress=False
        )

    return run


def difference(scores: dict[str, Path], tool: str) -> str:
    """Largest difference of z from scanpy's, where ours is positive."""
    if "scanpy" not in scores or not (scores[tool].exists() and scores["scanpy"].exists()):
        return "not compared"
    ours, theirs = (np.fromfile(scores[name]) for name in (tool, "scanpy"))
    known = np.isfinite(ours) & (np.abs(theirs) > 0)
    relative = np.abs(ours[known] - theirs[known]) / np.maximum(np.abs(theirs[known]), 1)
    return f"{relative.max():.1e}"


if __name__ == "__main__":
    main()
