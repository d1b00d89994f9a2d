"""What the per-cohort steps after feature selection share: cells and features by tissue."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pmcell.schema.text import as_text, text_array

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    from pmcell.io.counts.open import CountsFile


@dataclass(frozen=True)
class TissueCells:
    """Cells of one tissue of a cohort: which they are, and the feature of each gene (-1: none)."""

    used: NDArray[np.bool_]
    n_features: int
    feature_of_gene: NDArray[np.int64]

    @property
    def measured(self) -> NDArray[np.bool_]:
        """Which features the cohort measured (n_features)."""
        import numpy as np

        measured = np.zeros(self.n_features, bool)
        measured[self.feature_of_gene[self.feature_of_gene >= 0]] = True
        return measured


@dataclass(frozen=True)
class CohortCells:
    """One cohort as a later step sees it: counts, and the cells in use of each tissue.

    `n_features` are those of the tissue of the atlas that has most: jobs ask for memory
    before it is known which cohorts are accepted.
    """

    counts: CountsFile
    tissues: dict[str, TissueCells]
    n_features: int


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
    verdict = read_json(args.cohorts)[args.cohort]
    chosen = read_table(args.features, ["highly_variable_in"])["highly_variable_in"]
    n_features = int(chosen.explode().value_counts().max())
    if verdict["status"] == "quarantined":
        return CohortCells(counts, {}, n_features)
    passes = read_table(args.qc, ["passes_qc"])["passes_qc"].to_numpy(bool)
    tissue_of_cell = as_text(counts.read_obs()["tissue_ontology_term_id"])
    group_of_cell = tissue_of_cell.map(verdict["tissues"]).to_numpy(object)
    tissues = {}
    for group in sorted(set(verdict["tissues"].values())):
        features = read_features(args.features, group)
        position = {gene: at for at, gene in enumerate(features.tolist())}
        of_gene = np.array([position.get(str(gene), -1) for gene in counts.gene_ids], np.int64)
        used = passes & (group_of_cell == group)
        tissues[group] = TissueCells(used, features.size, of_gene)
    return CohortCells(counts, tissues, n_features)


def read_clustered(obs: pd.DataFrame, embedding: Path, clusters: Path) -> pd.DataFrame:
    """The cells of the embedding with their cluster; both must have the same cells."""
    from pmcell.errors import DataError
    from pmcell.io.tables import read_table

    table = read_table(clusters, ["cell_id", "cluster"]).set_index("cell_id")["cluster"]
    cells = obs.assign(cluster=table.reindex(obs.index).to_numpy(object))
    missing = cells["cluster"].isna().to_numpy()
    if missing.any() or len(table) != len(cells):
        raise DataError(
            f"{clusters} must have the cells of {embedding}; it has {len(table)} for "
            f"{len(cells)}, and {int(missing.sum())} are missing. Run cluster again.",
            reason="stale_intermediate",
        )
    return cells


def read_features(path: Path, tissue: str) -> NDArray[np.str_]:
    """Ids of the highly variable genes of a tissue."""
    from pmcell.io.tables import read_table

    genes = read_table(path, ["gene_id", "highly_variable_in"])
    is_chosen = [tissue in tissues for tissues in genes["highly_variable_in"]]
    return text_array(genes.loc[is_chosen, "gene_id"])
