"""Sum counts and log-normalised values of one cohort exactly, per tissue, batch and gene.

Example:
  pmcell gene_stats --counts results/cohorts/liu_b1/intake.h5ad \\
    --qc results/cohorts/liu_b1/qc.parquet --out results/cohorts/liu_b1/moments.npz
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from pmcell.cli._job.memory import within_memory
from pmcell.schema.text import as_text, text_array
from pmcell.spelling import plural

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray


def run(args: argparse.Namespace) -> int:
    """Write moments.npz."""
    import numpy as np

    from pmcell.core.counts.moments import moments
    from pmcell.io.counts.open import open_counts
    from pmcell.io.counts.sums import write_moments
    from pmcell.io.tables import read_table

    counts = open_counts(args.counts)
    passes = read_table(args.qc, ["passes_qc"])["passes_qc"].to_numpy(bool)
    tissues, batches, codes = _batches_of_tissues(counts.read_obs(), passes)
    counts = within_memory(
        counts, "gene_stats", args.memory, is_soft=args.soft_memory, n_batches=len(batches)
    )
    found = moments(counts, codes, batches)
    symbols = text_array(counts.read_var()["symbol"]) if counts.n_genes else np.zeros(0, "U1")
    write_moments(args.out, counts.gene_ids, symbols, text_array(tissues), found)
    batches_found = plural(len(found.batches), "batch", "batches")
    print(f"{int(found.n_cells.sum())} cells in {batches_found} -> {args.out}")
    return 0


def _batches_of_tissues(
    cells: pd.DataFrame, passes: NDArray[np.bool_]
) -> tuple[list[str], list[str], NDArray[np.int64]]:
    """Tissue and batch of each set of cells that are summed, and each cell's set (-1: none)."""
    import numpy as np

    names = ["tissue_ontology_term_id", "batch_id"]
    pairs = list(zip(*(as_text(cells[name]) for name in names), strict=True))
    known = sorted({pair for pair, is_used in zip(pairs, passes, strict=True) if is_used})
    position = {pair: at for at, pair in enumerate(known)}
    codes = np.array([position.get(pair, -1) for pair in pairs], np.int64)
    codes[~passes] = -1
    return [tissue for tissue, _ in known], [batch for _, batch in known], codes
