"""What the per-cohort steps after feature selection share: the cohort's cells and features."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pmcell.schema.text import text_array

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from pmcell.io.counts.open import CountsFile


@dataclass(frozen=True)
class CohortCells:
    """One cohort as a later step sees it: counts, cells in use, position of each gene's feature."""

    counts: CountsFile
    used: NDArray[np.bool_]
    feature_ids: NDArray[np.str_]
    feature_of_gene: NDArray[np.int64]


def add_cohort_options(parser: argparse.ArgumentParser) -> None:
    """Options that name one cohort and the atlas it goes into."""
    parser.add_argument("--cohort", required=True, help="identifier of the cohort")
    parser.add_argument("--counts", type=Path, required=True, help="intake.h5ad of the cohort")
    parser.add_argument("--qc", type=Path, required=True, help="qc.parquet of the cohort")
    parser.add_argument(
        "--features", type=Path, required=True, help="features.parquet of the atlas"
    )
    parser.add_argument("--cohorts", type=Path, required=True, help="cohorts.json of the atlas")


def read_cohort_cells(args: argparse.Namespace) -> CohortCells:
    """The cohort's cells; none is in use when the cohort was not accepted."""
    import numpy as np

    from pmcell.io.atomic import read_json
    from pmcell.io.counts.open import open_counts
    from pmcell.io.tables import read_table

    counts = open_counts(args.counts)
    used = read_table(args.qc, ["passes_qc"])["passes_qc"].to_numpy(bool)
    if read_json(args.cohorts)[args.cohort]["status"] == "quarantined":
        used = np.zeros_like(used)
    genes = read_table(args.features, ["gene_id", "is_highly_variable"])
    features = text_array(genes.loc[genes["is_highly_variable"], "gene_id"])
    position = {gene: at for at, gene in enumerate(features.tolist())}
    of_gene = np.array([position.get(str(gene), -1) for gene in counts.gene_ids], np.int64)
    return CohortCells(counts, used, features, of_gene)
