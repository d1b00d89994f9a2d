"""From counts on disk to clusters and markers, beside brisc and scanpy: time, memory, agreement.

Not part of the tests. Each run is a process of its own; runs of the tools are
interleaved, so that a busy machine slows all alike. The tools share the file, the
flavour and number of highly variable genes (seurat_v3, 2,000), 50 components, 15
neighbours and Leiden's resolution 1; the graph is of shared neighbours where a tool
has it. "pmcell" reads the file in blocks through the library; "pmcell steps" is
the workflow's commands, one process each, with intake, checks and all files.

Example:
  python tests/benchmarks/core/pipeline.py --cells 200000 --peers .venv-peers/bin/python
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import resource
import runpy
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

TOOLS = ("pmcell", "pmcell steps", "brisc", "scanpy")
STEPS = Path(__file__).with_name("pipeline_steps.py")
README = Path(__file__).parents[3] / "README.md"
BEGIN, END = "<!-- performance: begin -->", "<!-- performance: end -->"


def main() -> None:
    """Run the tools, print the table, write the figures."""
    args = parse()
    if args.run:
        print("\n" + json.dumps(run_one(args.run, args.file, args.threads)))
        return
    with tempfile.TemporaryDirectory() as folder:
        file = args.file or Path(folder) / "cells.h5ad"
        if not args.file:
            # In a process of its own: what this one once held would count as its children's peak.
            making = multiprocessing.get_context("spawn").Process(
                target=make_counts, args=(file, args.cells)
            )
            making.start()
            making.join()
        figures: dict[str, list[dict[str, Any]]] = {tool: [] for tool in args.tools}
        for tool in args.tools if args.warm else ():
            measure(tool, file, args)
        for round_ in range(args.runs):
            for tool in args.tools:
                found = measure(tool, file, args)
                print(f"run {round_ + 1}, {tool}: {shown(found)}", file=sys.stderr, flush=True)
                figures[tool].append(found)
    text = table(figures, args)
    print(text)
    if args.json:
        args.json.write_text(json.dumps(figures, indent=1) + "\n")
    if args.update_readme:
        update_readme(text)


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--file", type=Path, help="h5ad with counts in X (CSR), obs cell_type")
    parser.add_argument("--cells", type=int, default=50_000, help="cells to make without --file")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--tools", nargs="+", default=list(TOOLS), choices=TOOLS)
    parser.add_argument("--peers", default=sys.executable, help="python that has the peers")
    parser.add_argument("--json", type=Path, help="write every run's figures here")
    parser.add_argument("--no-warm", dest="warm", action="store_false", help="no run before")
    parser.add_argument("--update-readme", action="store_true")
    parser.add_argument("--run", choices=TOOLS, help=argparse.SUPPRESS)
    return parser.parse_args()


def measure(tool: str, file: Path, args: argparse.Namespace) -> dict[str, Any]:
    """One run in a new process: wall and CPU seconds, peak memory, what it reports itself."""
    python = args.peers if tool in ("brisc", "scanpy") else sys.executable
    # -P: the other benchmarks of this folder have names of modules.
    command = [python, "-P", __file__, "--run", tool, "--file", str(file)]
    names = ("OMP", "OPENBLAS", "MKL", "NUMBA", "POLARS_MAX")
    limits = {
        f"{name}_{'' if name == 'POLARS_MAX' else 'NUM_'}THREADS": str(args.threads)
        for name in names
    }
    begin = time.perf_counter()
    process = subprocess.Popen(
        [*command, "--threads", str(args.threads)],
        env={**os.environ, **limits},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    output = process.stdout.read()
    _, status, used = os.wait4(process.pid, 0)
    wall = time.perf_counter() - begin
    if status:
        return {"wall": float("nan"), "cpu": float("nan"), "peak_mb": float("nan"), "failed": True}
    own = json.loads(output.strip().splitlines()[-1])
    return {
        "wall": wall,
        "cpu": used.ru_utime + used.ru_stime,
        "peak_mb": own.pop("peak_mb", used.ru_maxrss / 1024),
        **own,
    }


def run_one(tool: str, file: Path, threads: int) -> dict[str, Any]:
    """Do the job in this process; seconds of each step, agreement with the true types."""
    if tool == "pmcell steps":
        return dict(runpy.run_path(str(STEPS))["run_steps"](file, threads))
    job = {"pmcell": run_pmcell, "brisc": run_brisc, "scanpy": run_scanpy}[tool]
    clock = Clock()
    labels, truth = job(str(file), threads, clock)
    from sklearn.metrics import adjusted_rand_score

    return {
        "ari": float(adjusted_rand_score(truth, labels)),
        "n_clusters": len(set(labels)),
        "steps": clock.steps,
        "version": version(tool),
    }


class Clock:
    """Wall and CPU seconds between calls, by name; the peak so far."""

    def __init__(self) -> None:
        self.steps: dict[str, tuple[float, float, float]] = {}
        self._last = time.perf_counter(), time.process_time()

    def __call__(self, name: str) -> None:
        now = time.perf_counter(), time.process_time()
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        wall, cpu = (round(b - a, 3) for a, b in zip(self._last, now, strict=True))
        self.steps[name] = (wall, cpu, round(peak))
        self._last = now


def run_pmcell(file: str, threads: int, clock: Clock) -> tuple[Any, Any]:
    """The library on a file; quality control as the peers do it, without doublets."""
    import numba

    import pmcell as pm
    from pmcell.pp.qc import QcOptions
    from pmcell.tl.aggregate import aggregate
    from pmcell.tl.markers import find_markers

    numba.set_num_threads(threads)
    clock("import")
    counts = pm.open_counts(file)
    adata = counts.read_cells()
    adata.obs["all"] = "all"
    clock("open")
    options = QcOptions(score_doublets=False, min_genes=200, max_share_mitochondrial=0.15)
    pm.pp.qc(adata, sample="all", options=options, counts=counts)
    adata = adata[adata.obs["passes_qc"]].copy()
    clock("qc")
    pm.pp.highly_variable_genes(adata, batch="all", counts=counts)
    clock("hvg")
    pm.tl.pca(adata, counts=counts)
    clock("pca")
    pm.tl.neighbors(adata, basis="X_pca")
    clock("neighbors")
    pm.tl.cluster(adata)
    clock("leiden")
    find_markers(aggregate(adata, by=("all", "cluster"), counts=counts))
    clock("markers")
    return adata.obs["cluster"].astype(str).tolist(), adata.obs["cell_type"].astype(str).tolist()


def run_brisc(file: str, threads: int, clock: Clock) -> tuple[Any, Any]:
    """brisc in the order of its manual."""
    import polars as pl
    from brisc import SingleCell

    clock("import")
    cells = SingleCell(file, num_threads=threads)
    clock("open")
    cells = cells.qc(max_mito_fraction=0.15, min_genes=200, nonzero_MALAT1=False, allow_float=True)
    clock("qc")
    cells = cells.hvg(num_genes=2000)
    clock("hvg")
    cells = cells.normalize(method="logCP10k")
    clock("normalise")
    cells = cells.pca(num_PCs=50)
    clock("pca")
    cells = cells.neighbors(num_neighbors=15).shared_neighbors()
    clock("neighbors")
    cells = cells.cluster(resolution=1.0)
    clock("leiden")
    kept = cells.obs.filter(pl.col("passed_QC"))
    cells.find_markers("cluster")
    clock("markers")
    return (
        kept["cluster"].to_numpy().astype(str).tolist(),
        kept["cell_type"].cast(pl.String).to_list(),
    )


def run_scanpy(file: str, threads: int, clock: Clock) -> tuple[Any, Any]:
    """scanpy in the order of its tutorial."""
    import warnings

    import scanpy as sc

    warnings.filterwarnings("ignore")
    sc.settings.n_jobs = threads
    clock("import")
    adata = sc.read_h5ad(file)
    clock("open")
    adata.var["mt"] = adata.var_names.str.startswith("MT-")
    sc.pp.calculate_qc_metrics(adata, qc_vars=["mt"], percent_top=None, log1p=False, inplace=True)
    passes = (adata.obs["n_genes_by_counts"] >= 200) & (adata.obs["pct_counts_mt"] < 15)
    adata = adata[passes.to_numpy()].copy()
    clock("qc")
    sc.pp.highly_variable_genes(adata, n_top_genes=2000, flavor="seurat_v3")
    clock("hvg")
    sc.pp.normalize_total(adata, target_sum=1e4)
    sc.pp.log1p(adata)
    clock("normalise")
    sc.pp.pca(adata, n_comps=50, random_state=0)
    clock("pca")
    sc.pp.neighbors(adata, n_neighbors=15, n_pcs=50, random_state=0)
    clock("neighbors")
    sc.tl.leiden(adata, resolution=1.0, flavor="igraph", n_iterations=2, directed=False)
    clock("leiden")
    sc.tl.rank_genes_groups(adata, "leiden", method="t-test")
    clock("markers")
    return adata.obs["leiden"].astype(str).tolist(), adata.obs["cell_type"].astype(str).tolist()


def make_counts(path: Path, n_cells: int, *, n_genes: int = 20_000, seed: int = 0) -> Path:
    """Write made UMI counts: 28 types in 6 lineages, about 2,000 UMI a cell, uncompressed CSR."""
    import anndata
    import numpy as np
    import pandas as pd
    from scipy import sparse

    rng = np.random.default_rng(seed)
    base = rng.normal(0, 1.9, n_genes)
    lineages = rng.normal(0.4, 1.3, (6, n_genes)) * (rng.random((6, n_genes)) < 0.045)
    own = rng.normal(0.5, 1.1, (28, n_genes)) * (rng.random((28, n_genes)) < 0.0175)
    profiles = np.exp(base + lineages[np.arange(28) % 6] + own)
    profiles[:, -13:] *= (
        0.05 * profiles.sum(1, keepdims=True) / profiles[:, -13:].sum(1, keepdims=True)
    )
    ambient = profiles.mean(axis=0)
    edges = [np.cumsum(p / p.sum()) for p in 0.97 * profiles + 0.03 * ambient]
    kinds = rng.choice(28, n_cells, p=rng.dirichlet(np.full(28, 1.2)) * 0.97 + 0.03 / 28)
    depth = np.clip(rng.lognormal(np.log(2000), 0.45, n_cells), 400, 20_000).astype(np.int64)
    parts = []
    for start in range(0, n_cells, 5000):
        stop = min(start + 5000, n_cells)
        cell = np.repeat(np.arange(stop - start), depth[start:stop])
        kind = kinds[start:stop][cell]
        gene = np.empty(cell.size, np.int32)
        for at in np.unique(kind):
            umis = kind == at
            gene[umis] = np.searchsorted(edges[at], rng.random(int(umis.sum())))
        gene = np.minimum(gene, n_genes - 1)
        ones = np.ones(cell.size, np.float32)
        parts.append(sparse.csr_matrix((ones, (cell, gene)), (stop - start, n_genes)))
    genes = [f"G{at:05d}" for at in range(n_genes - 13)] + [f"MT-{at}" for at in range(13)]
    obs = pd.DataFrame({"cell_type": [f"T{kind:02d}" for kind in kinds]})
    obs.index = [f"c{at}" for at in range(n_cells)]
    matrix = sparse.vstack(parts, format="csr")
    anndata.AnnData(matrix, obs, pd.DataFrame(index=genes)).write_h5ad(path)
    return path


def middle(runs: list[dict[str, Any]], name: str) -> float:
    """The median of a figure over the runs that ended well."""
    values = [run[name] for run in runs if not run.get("failed")]
    return statistics.median(values) if values else float("nan")


def shown(run: dict[str, Any]) -> str:
    """One run in words."""
    if run.get("failed"):
        return "failed"
    return (
        f"wall {run['wall']:.1f} s, cpu {run['cpu']:.1f} s, peak {run['peak_mb']:.0f} MB, "
        f"ARI {run['ari']:.3f}; " + ", ".join(f"{k} {v[1]:.1f}" for k, v in run["steps"].items())
    )


def table(figures: dict[str, list[dict[str, Any]]], args: argparse.Namespace) -> str:
    """A Markdown table: medians, spread, and the first tool's share of each tool's figure."""
    first = next(iter(figures))
    lines = [
        "| | version | wall s (range) | CPU s | peak GB | ARI | clusters "
        f"| {first}'s share: wall | CPU | peak |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for tool, runs in figures.items():
        good = [run for run in runs if not run.get("failed")]
        if not good:
            lines.append(f"| {tool} | failed |" + " |" * 8)
            continue
        walls = [run["wall"] for run in good]
        shares = [
            statistics.median(
                [
                    a[name] / b[name]
                    for a, b in zip(figures[first], runs, strict=True)
                    if not (a.get("failed") or b.get("failed"))
                ]
                or [float("nan")]
            )
            for name in ("wall", "cpu", "peak_mb")
        ]
        lines.append(
            f"| {tool} | {good[0]['version']} | {middle(runs, 'wall'):.1f} "
            f"({min(walls):.1f} to {max(walls):.1f}) | {middle(runs, 'cpu'):.1f} "
            f"| {middle(runs, 'peak_mb') / 1024:.2f} | {middle(runs, 'ari'):.3f} "
            f"| {middle(runs, 'n_clusters'):.0f} | "
            + " | ".join(f"{share:.2f}" for share in shares)
            + " |"
        )
    size = args.file.name if args.file else f"{args.cells:,} simulated cells × 20,000 genes"
    lines += ["", f"{size}; {args.threads} threads; medians of {args.runs} interleaved runs."]
    return "\n".join(lines)


def update_readme(text: str) -> None:
    """Put the table between the marks of the README."""
    before, rest = README.read_text(encoding="utf-8").split(BEGIN)
    _, after = rest.split(END)
    README.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
