"""What steps read alike: cells and features by tissue, sums by cohort, clusters of cells."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pmcell.schema.text import as_text, text_array

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    from pmcell.io.counts.aggregates import AggregateFiles
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


def cohort_sums(cohorts: Sequence[list[str]]) -> tuple[AggregateFiles, dict[str, str]]:
    """The sums of every cohort, and the visit of each sample."""
    from pmcell.io.counts.aggregates import open_aggregates
    from pmcell.io.tables import read_table

    folders = [Path(folder) for _, folder in sorted(cohorts)]
    visits: dict[str, str] = {}
    for folder in folders:
        samples = read_table(folder / "samples.parquet", ["sample_id", "visit"])
        visits |= dict(zip(samples["sample_id"], as_text(samples["visit"]), strict=True))
    return open_aggregates([folder / "aggregate.npz" for folder in folders]), visits


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


def read_symbols(path: Path) -> dict[str, str]:
    """The symbol of each gene of the features."""
    from pmcell.io.tables import read_table

    return dict(read_table(path, ["gene_id", "symbol"]).itertuples(index=False))
