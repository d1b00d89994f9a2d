"""Sum counts and log-normalised values per sample, cluster, source label, half and gene.

Each cell is in one of two halves by its name, so that what repeats can be told from noise.

Only cells that pass QC count; a cohort that is not part of the atlas gets an
empty file. The matrix is read in blocks and every sum is an exact integer, so
cohorts can be added later.

Example:
  pmcell aggregate --counts results/cohorts/a/intake.h5ad --qc results/cohorts/a/qc.parquet \\
    --clusters results/atlas/clusters.parquet --out results/cohorts/a/aggregate.npz
"""

from __future__ import annotations

import argparse

from pmcell.cli._job.memory import add_memory_options, within_memory


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    add_memory_options(parser)


def run(args: argparse.Namespace) -> int:
    """Write aggregate.npz."""
    from pmcell.io.counts.aggregates import write_aggregate
    from pmcell.io.counts.clustered import read_clusters
    from pmcell.io.counts.open import open_counts
    from pmcell.io.transferred import with_transferred
    from pmcell.tl.aggregate import aggregate_cells, counted_labels

    counts = open_counts(args.counts)
    cells = with_transferred(counts.read_obs(), args.labels)
    cells["cluster"] = read_clusters(counts, args.qc, args.clusters)
    cells["label"] = counted_labels(cells)
    groups = 2 * len(cells[["sample_id", "cluster", "label"]].dropna().drop_duplicates())
    counts = within_memory(
        counts, "aggregate", args.memory, is_soft=args.soft_memory, n_groups=groups
    )
    result = aggregate_cells(counts, counts.gene_ids, cells)
    write_aggregate(args.out, result)
    print(
        f"{int(result.group_n_cells.sum())} cells in {result.group_n_cells.size} groups of "
        f"{result.sample_ids.size} samples and {result.clusters.size} clusters -> {args.out}"
    )
    return 0
