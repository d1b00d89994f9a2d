"""The cluster of each cell of a cohort: its counts, QC and the clusters of the atlas together."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pmcell.core.counts.aggregate import ClusteredCounts
from pmcell.errors import DataError
from pmcell.io.counts.open import CountsFile, open_counts
from pmcell.io.tables import read_table


def open_clustered(folder: Path, clusters_path: Path) -> ClusteredCounts:
    """Counts of the cohort in `folder` with the cluster of each cell; read in blocks."""
    counts = open_counts(folder / "intake.h5ad")
    clusters = read_clusters(counts, folder / "qc.parquet", clusters_path)
    return ClusteredCounts(counts, counts.gene_ids, clusters)


def read_clusters(counts: CountsFile, qc_path: Path, clusters_path: Path) -> np.ndarray:
    """Cluster of each cell of `counts` (object); null for cells that do not pass QC.

    A cohort of which no cell has a cluster is not part of the atlas. Raises
    `DataError` where the files do not belong together.
    """
    qc = read_table(qc_path, ["cell_id", "passes_qc"])
    if list(qc["cell_id"]) != list(counts.cell_ids):
        raise DataError(
            f"{qc_path} must have the cells of {counts.path} in the same order; it has "
            f"{len(qc)} rows for {counts.n_cells} cells, or another order. Run qc again.",
            reason="stale_intermediate",
        )
    passes = qc["passes_qc"].to_numpy(bool)
    table = read_table(clusters_path, ["cell_id", "cluster"]).set_index("cell_id")["cluster"]
    clusters = np.asarray(table.reindex(counts.cell_ids).where(passes), object)
    missing = passes & np.array([not isinstance(name, str) for name in clusters], bool)
    if missing.any() and not missing[passes].all():
        raise DataError(
            f"{clusters_path} must give a cluster to every cell that passes QC; "
            f"{int(missing.sum())} cells of {counts.path} have none, the first "
            f"{counts.cell_ids[missing][0]!r}. Run cluster again.",
            reason="stale_intermediate",
        )
    return clusters
