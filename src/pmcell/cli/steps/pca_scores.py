"""Project the cells of one cohort onto the principal components of their tissue.

Genes that the cohort did not measure are masked.

Example:
  pmcell pca_scores --cohort liu_b1 --counts results/cohorts/liu_b1/intake.h5ad \\
    --qc results/cohorts/liu_b1/qc.parquet --features results/atlas/features.parquet \\
    --cohorts results/atlas/cohorts.json --basis results/atlas/basis.npz \\
    --out results/cohorts/liu_b1/embedding.npz
"""

from __future__ import annotations

import argparse

from pmcell.cli._job.atlas import read_cohort_cells
from pmcell.cli._job.memory import within_memory
from pmcell.schema.text import text_array


def run(args: argparse.Namespace) -> int:
    """Write embedding.npz."""
    import numpy as np

    from pmcell.core.pca.project import project
    from pmcell.io.arrays import write_arrays
    from pmcell.io.counts.sums import read_bases

    cells = read_cohort_cells(args)
    bases = read_bases(args.basis)
    width = max(item.components.shape[1] for item in bases.values())
    counts = within_memory(
        cells.counts,
        "pca_scores",
        args.memory,
        is_soft=args.soft_memory,
        n_components=width,
    )
    used = np.zeros(counts.n_cells, bool)
    for own in cells.tissues.values():
        used |= own.used
    row_of_cell = np.cumsum(used) - 1
    # A tissue with fewer components than another has zeros for the rest.
    scores = np.zeros((int(used.sum()), width), np.float32)
    tissues = np.full(scores.shape[0], "", object)
    for tissue, own in cells.tissues.items():
        found = project(counts, own.feature_of_gene, own.used, bases[tissue], own.measured)
        rows = row_of_cell[own.used]
        scores[rows, : found.shape[1]] = found
        tissues[rows] = tissue
    write_arrays(
        args.out,
        cell_ids=text_array(counts.cell_ids[used]),
        tissues=text_array(tissues),
        X_pca=scores,
    )
    print(f"{args.cohort}: {scores.shape[0]} cells × {width} components -> {args.out}")
    return 0
