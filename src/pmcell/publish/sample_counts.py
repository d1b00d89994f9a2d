"""Cells of each sample of a cohort, as submitted and after QC."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pmcell.io.tables import read_table

if TYPE_CHECKING:
    import pandas as pd


def count_cells(cohort: Path) -> pd.DataFrame:
    """Samples of a cohort's results (index): donor_id, visit, cells submitted and passing QC."""
    samples = read_table(cohort / "samples.parquet").set_index("sample_id")
    qc = read_table(cohort / "qc.parquet", ["sample_id", "passes_qc"])
    grouped = qc.groupby("sample_id", observed=True)["passes_qc"]
    counted = samples[["donor_id", "visit"]].copy()
    counted["n_cells_submitted"] = (
        grouped.size().reindex(samples.index, fill_value=0).astype("int64")
    )
    counted["n_cells"] = grouped.sum().reindex(samples.index, fill_value=0).astype("int64")
    return counted
