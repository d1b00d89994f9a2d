"""Sum counts and log-normalised values of one cohort per sample, cluster and gene.

Only cells that pass QC count; a cohort that is not part of the atlas gets an
empty file. The matrix is read in blocks and every sum is an exact integer, so
cohorts can be added later.

Example:
  pmcell aggregate --counts results/cohorts/a/intake.h5ad --qc results/cohorts/a/qc.parquet \\
    --clusters results/atlas/clusters.parquet --out results/cohorts/a/aggregate.npz
"""

from __future__ import annotations

import argparse
from pathlib import Path

from pmcell.cli._common import require_files, use_threads


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument("--counts", type=Path, required=True, help="intake.h5ad of the cohort")
    parser.add_argument("--qc", type=Path, required=True, help="qc.parquet of the cohort")
    parser.add_argument("--clusters", type=Path, required=True, help="clusters.parquet")
    parser.add_argument("--out", type=Path, required=True, help="aggregate.npz to write")
    parser.add_argument("--threads", type=int, default=1, help="threads to use (default 1)")


def run(args: argparse.Namespace) -> int:
    """Write aggregate.npz."""
    from pmcell.errors import DataError
    from pmcell.io.aggregates import write_aggregate
    from pmcell.io.counts import open_counts
    from pmcell.io.tables import read_table
    from pmcell.tl.aggregate import aggregate_cells

    use_threads(args.threads)
    require_files(args.counts, args.qc, args.clusters)
    counts = open_counts(args.counts)
    qc = read_table(args.qc, ["cell_id", "passes_qc"])
    if list(qc["cell_id"]) != list(counts.cell_ids):
        raise DataError(
            f"{args.qc} must have the cells of {args.counts} in the same order; it has "
            f"{len(qc)} rows for {counts.n_cells} cells, or another order. Run qc again.",
            reason="stale_intermediate",
        )
    passes = qc["passes_qc"].to_numpy(bool)
    clusters = read_table(args.clusters, ["cell_id", "cluster"]).set_index("cell_id")["cluster"]
    cells = counts.read_obs()
    cells["cluster"] = clusters.reindex(cells.index).where(passes).to_numpy(object)
    missing = passes & cells["cluster"].isna().to_numpy()
    if missing.any() and not missing[passes].all():
        raise DataError(
            f"{args.clusters} must give a cluster to every cell that passes QC; "
            f"{int(missing.sum())} cells of {args.counts} have none, the first "
            f"{cells.index[missing][0]!r}. Run cluster again.",
            reason="stale_intermediate",
        )
    result = aggregate_cells(counts, counts.gene_ids, cells)
    write_aggregate(args.out, result)
    print(
        f"{int(result.group_n_cells.sum())} cells in {result.group_n_cells.size} groups of "
        f"{result.sample_ids.size} samples and {result.clusters.size} clusters -> {args.out}"
    )
    return 0
