"""Sum counts and log-normalised values of one cohort exactly, per batch and gene.

Example:
  pmcell gene_stats --counts results/cohorts/liu_b1/intake.h5ad \\
    --qc results/cohorts/liu_b1/qc.parquet --out results/cohorts/liu_b1/moments.npz
"""

from __future__ import annotations

import argparse
from pathlib import Path

from pmcell.cli._common import add_step_options, use_threads
from pmcell.cli.steps._memory import add_memory_options, within_memory
from pmcell.schema.text import text_array
from pmcell.settings.cohort import GeneStatsSettings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument("--counts", type=Path, required=True, help="intake.h5ad of the cohort")
    parser.add_argument("--qc", type=Path, required=True, help="qc.parquet of the cohort")
    parser.add_argument("--out", type=Path, required=True, help="moments.npz to write")
    add_step_options(parser, GeneStatsSettings)
    add_memory_options(parser)


def run(args: argparse.Namespace) -> int:
    """Write moments.npz."""
    import numpy as np

    from pmcell.core.counts.moments import moments
    from pmcell.io.counts.open import open_counts
    from pmcell.io.counts.sums import write_moments
    from pmcell.io.tables import read_table

    use_threads(args.threads)
    counts = open_counts(args.counts)
    passes = read_table(args.qc, ["passes_qc"])["passes_qc"].to_numpy(bool)
    labels = text_array(counts.read_obs()["batch_id"]) if counts.n_cells else np.zeros(0, "U1")
    batches = np.unique(labels[passes])
    codes = np.where(passes, np.searchsorted(batches, labels), -1).astype(np.int64)
    counts = within_memory(
        counts, "gene_stats", args.memory, is_soft=args.soft_memory, n_batches=batches.size
    )
    found = moments(counts, codes, batches.tolist())
    symbols = text_array(counts.read_var()["symbol"]) if counts.n_genes else np.zeros(0, "U1")
    write_moments(args.out, counts.gene_ids, symbols, found)
    print(f"{int(found.n_cells.sum())} cells in {len(found.batches)} batches -> {args.out}")
    return 0
