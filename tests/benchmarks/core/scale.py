"""How time and memory grow with the number of cells, step by step, and what more would take.

Not part of the tests. Runs on each file, smallest first: the library in one process (as in
`pipeline.py`), then the workflow's commands from intake to the map, each a process of its own. CPU
seconds count what a command's children took, peaks are of the command's own process. The exponent
is the slope of log CPU seconds against log cells. Doublets are not scored.

Writes the tables between the marks of RESULTS.md, and every figure to --json; runs that --json
already has are not repeated.

Example:
  python tests/benchmarks/core/scale.py cells50k.h5ad cells200k.h5ad cells1m.h5ad --json scale.json
"""

from __future__ import annotations

import argparse
import json
import runpy
import statistics
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import h5py
import numpy as np

FOLDER = Path(__file__).parent
RESULTS = FOLDER / "RESULTS.md"
BEGIN, END = "<!-- scale: begin -->", "<!-- scale: end -->"
PIPELINE = runpy.run_path(str(FOLDER / "pipeline.py"))
STEPS = runpy.run_path(str(FOLDER / "pipeline_steps.py"))

OF_COHORT = ("intake", "qc", "gene_stats", "covariance", "pca_scores", "aggregate")
OF_ATLAS = ("hvg", "pca", "integrate", "neighbors", "leiden", "umap", "markers")
COHORT_CELLS = 200_000
"""Cells of one cohort where many cells are extrapolated to."""
TARGETS = (10_000_000, 100_000_000)

Figure = tuple[float, float, float]
"""Wall seconds, CPU seconds, peak megabytes."""


def main() -> None:
    """Measure, print and write the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("files", type=Path, nargs="+", help="h5ad with counts in X (CSR)")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--runs", type=int, default=1, help="of each file; medians are printed")
    parser.add_argument("--json", type=Path, help="every run's figures; read again if it exists")
    parser.add_argument("--only", choices=("library", "commands"), help="measure one of the two")
    parser.add_argument("--no-write", action="store_true", help="leave RESULTS.md as it is")
    args = parser.parse_args()
    runs: list[dict[str, Any]] = []
    if args.json and args.json.exists():
        runs = json.loads(args.json.read_text())
    for file in sorted(args.files, key=n_cells):
        for kind in (args.only,) if args.only else ("library", "commands"):
            done = [run for run in runs if (run["kind"], run["cells"]) == (kind, n_cells(file))]
            for _ in range(args.runs - len(done)):
                runs.append(measure(kind, file, args.threads))
                print(json.dumps(runs[-1]), file=sys.stderr, flush=True)
                if args.json:
                    args.json.write_text(json.dumps(runs, indent=1) + "\n")
    text = tables(runs, args.threads)
    print(text)
    if not args.no_write:
        before, rest = RESULTS.read_text(encoding="utf-8").split(BEGIN)
        RESULTS.write_text(f"{before}{BEGIN}\n{text}\n{END}{rest.split(END)[1]}", encoding="utf-8")


def n_cells(file: Path) -> int:
    """Cells of an h5ad."""
    with h5py.File(file) as opened:
        return int(opened["X"].attrs["shape"][0])


def measure(kind: str, file: Path, threads: int) -> dict[str, Any]:
    """One run: figures of each step, the agreement of clusters and types."""
    if kind == "library":
        found = PIPELINE["measure"]("pmcell", file, SimpleNamespace(threads=threads))
        steps = found["steps"] | {"all": (found["wall"], found["cpu"], found["peak_mb"])}
        return {"kind": kind, "cells": n_cells(file), "ari": found["ari"], "steps": steps}
    with tempfile.TemporaryDirectory(dir=file.parent) as name:
        folder = Path(name)
        STEPS["write_cohort"](folder / "in" / "bench", file)
        (folder / "config.yaml").write_text(STEPS["CONFIG"])
        commands = STEPS["commands"](threads)
        atlas = "out/atlas"
        commands["umap"] = [
            *("umap", "--graph", f"{atlas}/graph.h5ad", "--embedding", f"{atlas}/embedding.h5ad"),
            *("--out", f"{atlas}/umap.parquet", "--threads", str(threads)),
        ]
        found = {
            step: STEPS["timed"]([sys.executable, "-m", "pmcell", *words], folder)
            for step, words in commands.items()
        }
    return {"kind": kind, "cells": n_cells(file), "steps": found}


def tables(runs: list[dict[str, Any]], threads: int) -> str:
    """The tables in Markdown."""
    lines = []
    for kind, title in (("library", "The library"), ("commands", "The workflow's commands")):
        figures = medians([run for run in runs if run["kind"] == kind])
        if figures:
            lines += [f"{title}, {threads} threads:", "", *growth(figures), ""]
    figures = medians([run for run in runs if run["kind"] == "commands"])
    if figures and len(next(iter(figures.values()))) > 1:
        lines += extrapolation(figures)
    return "\n".join(lines).rstrip()


def medians(runs: list[dict[str, Any]]) -> dict[str, dict[int, Figure]]:
    """Of each step and number of cells, the median wall, CPU and peak."""
    found: dict[str, dict[int, list[Figure]]] = {}
    for run in runs:
        for step, figure in run["steps"].items():
            found.setdefault(step, {}).setdefault(run["cells"], []).append(figure)
    return {
        step: {
            cells: tuple(statistics.median(column) for column in zip(*figures, strict=True))
            for cells, figures in sorted(sizes.items())
        }
        for step, sizes in found.items()
    }  # type: ignore[return-value]


def growth(figures: dict[str, dict[int, Figure]]) -> list[str]:
    """CPU seconds and peak of each step by cells, and how they grow."""
    sizes = sorted({cells for step in figures.values() for cells in step})
    head = [f"{cells:,}: CPU s, peak MB" for cells in sizes]
    lines = [
        f"| step | {' | '.join(head)} | exponent of CPU | MB per million cells |",
        "|---|" + "---|" * (len(sizes) + 2),
    ]
    for step, found in figures.items():
        cells = [
            f"{found[n][1]:.1f}, {found[n][2]:.0f}" if n in found else "not run" for n in sizes
        ]
        lines.append(
            f"| {step} | {' | '.join(cells)} | {exponent(found):.2f} | {memory(found)[1]:.0f} |"
        )
    return lines


def exponent(found: dict[int, Figure]) -> float:
    """Slope of log CPU seconds against log cells."""
    if len(found) < 2:
        return float("nan")
    sizes = np.log(list(found))
    return float(np.polyfit(sizes, np.log([figure[1] for figure in found.values()]), 1)[0])


def memory(found: dict[int, Figure]) -> tuple[float, float]:
    """Peak of a process without cells, and what a million cells add, in megabytes."""
    if len(found) < 2:
        return float("nan"), float("nan")
    peaks = [figure[2] for figure in found.values()]
    slope, constant = np.polyfit(np.array(list(found)) / 1e6, peaks, 1)
    return float(constant), float(slope)


def extrapolation(figures: dict[str, dict[int, Figure]]) -> list[str]:
    """What the steps would take of more cells than were measured."""
    largest = max(next(iter(figures.values())))
    head = " | ".join(f"{n // 1_000_000} M cells: CPU h | GB a job" for n in TARGETS)
    lines = [
        f"Extrapolated from those up to {largest:,} cells: cohorts of {COHORT_CELLS:,} cells, a "
        "job each; steps across cohorts in one job, their CPU time by the exponent (at least 1) "
        "from the largest run on, their memory along the line:",
        "",
        f"| step | jobs | {head} |",
        "|---|---|" + "---|" * (2 * len(TARGETS)),
    ]
    for step in (*OF_COHORT, *OF_ATLAS):
        found = figures[step]
        constant, slope = memory(found)
        cells = [
            text
            for target in TARGETS
            for text in of_target(step, found, (constant, max(slope, 0.0)), target)
        ]
        jobs = "a cohort each" if step in OF_COHORT else "one"
        lines.append(f"| {step} | {jobs} | {' | '.join(cells)} |")
    return lines


def of_target(
    step: str, found: dict[int, Figure], line: tuple[float, float], target: int
) -> tuple[str, str]:
    """CPU hours of all jobs of a step, and the memory of one of them."""
    constant, slope = line
    largest = max(found)
    if step in OF_COHORT:
        seconds, at = found[largest][1] * target / largest, COHORT_CELLS
    else:
        power = max(exponent(found), 1.0) if step not in ("hvg", "pca") else 0.0
        seconds = found[largest][1] * (target / largest) ** power
        at = target if step not in ("hvg", "pca") else largest
    return f"{seconds / 3600:.1f}", f"{(constant + slope * at / 1e6) / 1000:.1f}"


if __name__ == "__main__":
    main()
