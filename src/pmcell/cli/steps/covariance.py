"""Sum products of the highly variable genes over the cells of one cohort, exactly.

Example:
  pmcell covariance --cohort liu_b1 --counts results/cohorts/liu_b1/intake.h5ad \\
    --qc results/cohorts/liu_b1/qc.parquet --features results/atlas/features.parquet \\
    --cohorts results/atlas/cohorts.json --out results/cohorts/liu_b1/gram.npz
"""

from __future__ import annotations

import argparse

from pmcell.cli._job.atlas import read_cohort_cells
from pmcell.cli._job.memory import within_memory


def run(args: argparse.Namespace) -> int:
    """Write gram.npz."""
    from pmcell.core.pca.gram import gram
    from pmcell.io.counts.sums import write_grams

    cells = read_cohort_cells(args)
    counts = within_memory(
        cells.counts,
        "covariance",
        args.memory,
        is_soft=args.soft_memory,
        n_features=cells.n_features,
    )
    grams = {
        tissue: gram(counts, own.feature_of_gene, own.n_features, own.used)
        for tissue, own in cells.tissues.items()
    }
    write_grams(args.out, grams)
    told = (f"{item.n_cells} cells, {int(item.measured.sum())} features" for item in grams.values())
    print(f"{args.cohort}: {'; '.join(told) or 'no cells'} -> {args.out}")
    return 0
