"""Files as stewards send them, for the tests of registration, workbooks and file checks."""

from __future__ import annotations

from pathlib import Path

import scipy.sparse as sp

from cohorts_on_disk import N_CELLS, barcodes, cell_counts, gene_names
from submissions import write_h5ad

DONORS = ("d1", "d2", "d3", "d4")
SEX = ("1", "2", "1", "2")


def steward_obs(**more: list[str]) -> dict[str, list[str]]:
    """Columns of 60 cells of 4 donors: sexes as numbers, a cell type of nobody's, a score."""
    at = [k % 4 for k in range(N_CELLS)]
    return {
        "sample_id": [f"s{k}" for k in at],
        "donor_id": [DONORS[k] for k in at],
        "sex": [SEX[k] for k in at],
        "cell_type": [("B cell", "odd kind")[k // 2] for k in at],
        "tissue": ["blood"] * N_CELLS,
        "disease": [("healthy", "lupus")[k % 2] for k in at],
        "score": [str(7 + k) for k in at],
    } | more


def write_steward_file(path: Path, **more: list[str]) -> Path:
    """An h5ad with the columns of `steward_obs`, some of them replaced or added."""
    counts = sp.csr_matrix(cell_counts())
    return write_h5ad(path, counts, barcodes(), genes=gene_names(), obs=steward_obs(**more))
