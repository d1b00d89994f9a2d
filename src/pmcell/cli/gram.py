"""Sum products of the selected genes over the cells of one cohort, exactly.

Example:
  pmcell gram --cohort liu_b1 --counts results/cohorts/liu_b1/intake.h5ad \\
    --qc results/cohorts/liu_b1/qc.parquet --features results/atlas/features.parquet \\
    --cohorts results/atlas/cohorts.json --out results/cohorts/liu_b1/gram.npz
"""

from __future__ import annotations

import argparse
from pathlib import Path

from pmcell.cli._atlas import add_cohort_options, read_cohort_cells
from pmcell.cli._common import add_memory_option, add_step_options, use_threads
from pmcell.settings.cohort import GramSettings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    add_cohort_options(parser)
    parser.add_argument("--out", type=Path, required=True, help="gram.npz to write")
    add_step_options(parser, GramSettings)
    add_memory_option(parser)


def run(args: argparse.Namespace) -> int:
    """Write gram.npz."""
    from pmcell.core.gram import gram
    from pmcell.io.sums import write_gram

    use_threads(args.threads)
    cells = read_cohort_cells(args)
    # Sums in float64 and int64 with their transposes, and what a tile of cells takes.
    tables = 5 * 8 * cells.feature_ids.size**2 + 3 * 8 * 2048 * cells.feature_ids.size
    counts = cells.counts.with_memory(args.memory, tables=tables, bytes_a_value=24)
    found = gram(counts, cells.feature_of_gene, cells.feature_ids.size, cells.used)
    write_gram(args.out, found)
    print(
        f"{args.cohort}: {found.n_cells} cells, {int(found.measured.sum())} features -> {args.out}"
    )
    return 0
