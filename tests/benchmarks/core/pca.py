"""Principal components of one matrix, ours and scanpy's ARPACK: time, and how far they differ.

Not part of the tests. The matrix is the raw counts of the 2,000 most variable genes of made
cells, or of a file. scanpy is given it log-normalised, pmcell raw: its time includes the
normalisation. Both are in memory before the clock starts, and both have run on a few cells
before. Runs are interleaved, each in a process of its own.

Example:
  python tests/benchmarks/core/pca.py --cells 200000 --peers .venv-peers/bin/python
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import runpy
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse

TOOLS = ("pmcell", "scanpy")
PIPELINE = Path(__file__).with_name("pipeline.py")
N_COMPONENTS = 50


def main() -> None:
    """Run both tools, print the table."""
    args = parse()
    if args.run:
        print("\n" + json.dumps(run_one(args)))
        return
    with tempfile.TemporaryDirectory() as folder:
        matrix = Path(folder) / "matrix.npz"
        file = args.file or runpy.run_path(str(PIPELINE))["make_counts"](
            Path(folder) / "cells.h5ad", args.cells
        )
        write_matrix(file, args.genes, matrix)
        figures: dict[str, list[dict[str, Any]]] = {tool: [] for tool in TOOLS}
        for round_ in range(args.runs):
            for tool in TOOLS:
                figures[tool].append(measure(tool, matrix, args))
                print(f"run {round_ + 1}, {tool}: {figures[tool][-1]}", file=sys.stderr, flush=True)
        print(table(figures, *(load(matrix, tool) for tool in TOOLS)))


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--file", type=Path, help="h5ad with counts in X (CSR)")
    parser.add_argument("--cells", type=int, default=50_000, help="cells to make without --file")
    parser.add_argument("--genes", type=int, default=2000)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--peers", default=sys.executable, help="python that has scanpy")
    parser.add_argument("--run", choices=TOOLS, help=argparse.SUPPRESS)
    parser.add_argument("--matrix", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args()


def write_matrix(file: Path, n_genes: int, matrix: Path) -> None:
    """The counts of the most variable genes, of the cells that have any of them."""
    import pmcell as pm

    counts = pm.open_counts(file)
    adata = counts.read_cells()
    adata.obs["all"] = "all"
    pm.pp.highly_variable_genes(adata, batch="all", n_top=n_genes, counts=counts)
    chosen = np.flatnonzero(adata.var["is_highly_variable"])
    parts = []
    for block in counts.iter_blocks():
        shape = (block.n_rows, counts.n_genes)
        whole = sparse.csr_matrix((block.data, block.indices, block.indptr), shape)
        parts.append(whole[:, chosen])
    found = sparse.vstack(parts, format="csr")
    found = found[found.getnnz(axis=1) > 0]
    sparse.save_npz(matrix, found, compressed=False)


def measure(tool: str, matrix: Path, args: argparse.Namespace) -> dict[str, float]:
    """One run in a new process."""
    python = args.peers if tool == "scanpy" else sys.executable
    command = [python, "-P", __file__, "--run", tool, "--matrix", str(matrix)]
    names = ("OMP", "OPENBLAS", "MKL", "NUMBA")
    limits = {f"{name}_NUM_THREADS": str(args.threads) for name in names}
    output = subprocess.run(
        [*command, "--threads", str(args.threads)],
        env={**os.environ, **limits},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    ).stdout
    return dict(json.loads(output.strip().splitlines()[-1]))


def run_one(args: argparse.Namespace) -> dict[str, float]:
    """Wall and CPU seconds of one call in this process; its result goes beside the matrix."""
    matrix = sparse.load_npz(args.matrix)
    job = {"pmcell": run_pmcell, "scanpy": run_scanpy}[args.run]
    job(matrix[:1000])
    (wall, cpu), components, variances = job(matrix)
    np.savez(result(args.matrix, args.run), components=components, variances=variances)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"wall": round(wall, 3), "cpu": round(cpu, 3), "peak_mb": round(peak)}


def run_pmcell(matrix: Any) -> tuple[Any, ...]:
    """From raw counts, unscaled genes."""
    import anndata

    import pmcell as pm

    adata = anndata.AnnData(matrix)
    adata.var["is_highly_variable"] = True
    begin = time.perf_counter(), time.process_time()
    pm.tl.pca(adata, n_components=N_COMPONENTS, scaling="none")
    spent = time.perf_counter() - begin[0], time.process_time() - begin[1]
    return spent, adata.varm["PCs"], adata.uns["pca"]["variance"]


def run_scanpy(matrix: Any) -> tuple[Any, ...]:
    """From log-normalised values of double precision."""
    import anndata
    import scanpy as sc

    adata = anndata.AnnData(matrix.astype(np.float64))
    sc.pp.normalize_total(adata, target_sum=1e4)
    sc.pp.log1p(adata)
    begin = time.perf_counter(), time.process_time()
    sc.pp.pca(adata, n_comps=N_COMPONENTS, svd_solver="arpack", random_state=0)
    spent = time.perf_counter() - begin[0], time.process_time() - begin[1]
    return spent, adata.varm["PCs"], adata.uns["pca"]["variance"]


def result(matrix: Path, tool: str) -> Path:
    """Where a tool's components are."""
    return matrix.with_name(f"{tool}.npz")


def load(matrix: Path, tool: str) -> tuple[Any, Any]:
    """A tool's components and variances, as its last run left them."""
    found = np.load(result(matrix, tool))
    return found["components"], found["variances"]


def table(
    figures: dict[str, list[dict[str, float]]], ours: tuple[Any, Any], theirs: tuple[Any, Any]
) -> str:
    """Medians, the ratio of runs side by side, and how far the results differ."""
    lines = ["| | wall s (range) | CPU s | peak MB |", "|---|---|---|---|"]
    for tool, runs in figures.items():
        walls = [run["wall"] for run in runs]
        cpu, peak = (statistics.median(run[name] for run in runs) for name in ("cpu", "peak_mb"))
        lines.append(
            f"| {tool} | {statistics.median(walls):.2f} ({min(walls):.2f} to {max(walls):.2f}) "
            f"| {cpu:.2f} | {peak:.0f} |"
        )
    wall, cpu = (
        statistics.median(a[name] / b[name] for a, b in zip(*figures.values(), strict=True))
        for name in ("wall", "cpu")
    )
    # Orthonormal columns span the spaces: the least singular value is the largest angle's cosine.
    cosine = np.linalg.svd(np.linalg.qr(ours[0])[0].T @ np.linalg.qr(theirs[0])[0])[1].min()
    difference = np.abs(ours[1] / theirs[1] - 1).max()
    lines += [
        "",
        f"pmcell's share of scanpy's: wall {wall:.2f}, CPU {cpu:.2f}; "
        f"subspace cosine {cosine:.8f}, largest relative difference of a variance {difference:.1e}",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
