"""Do `expression/*.parquet` hold the counts of the cells table, for published cohorts only?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pmcell.errors import Fault
from pmcell.release.expression import ALL, GENES
from pmcell.release.verify.tables import REWRITE, key_faults, schema_faults
from pmcell.schema import EXPRESSION

if TYPE_CHECKING:
    import pandas as pd


def expression_faults(folder: Path, manifest: dict[str, Any]) -> list[Fault]:
    """Faults of the expression tables; none when the release has none."""
    published = {name for name, cohort in manifest["cohorts"].items() if cohort["published"]}
    present = {path.stem for path in (folder / "expression").glob("*.parquet")}
    faults = [
        Fault(
            f"expression/{name}.parquet",
            "must not be there: the cohort is not published",
            "the file",
            REWRITE,
            reason="withheld",
        )
        for name in sorted(present - published)
    ]
    if not present:
        return faults
    for name in sorted(published):
        path = folder / "expression" / f"{name}.parquet"
        if path.is_file():
            own = schema_faults(path, EXPRESSION) or key_faults(path, EXPRESSION)
            faults += own or _content_faults(folder, name)
        else:
            must = "must be there: other published cohorts have one"
            found = "no such file"
            faults.append(Fault(f"expression/{path.name}", must, found, REWRITE, reason="missing"))
    return faults


def _content_faults(folder: Path, cohort_id: str) -> list[Fault]:
    """Cells, genes and sums must be those of the tables; sums equal where all genes are there."""
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    name = f"expression/{cohort_id}.parquet"
    totals = _totals(folder, cohort_id)
    genes = pq.read_table(folder / "tables" / "genes.parquet", columns=["gene_id"])["gene_id"]
    sums = np.zeros(len(totals), np.int64)
    with (folder / name).open("rb") as stream:
        file = pq.ParquetFile(stream)
        is_whole = (file.schema_arrow.metadata or {}).get(GENES.encode()) == ALL.encode()
        for batch in file.iter_batches(batch_size=1 << 20):
            rows = batch["cell_row"].to_numpy()
            cohorts = set(batch["cohort_id"].unique().to_pylist())
            if cohorts - {cohort_id}:
                found = str(sorted(cohorts)[0])
                must = f"must be {cohort_id!r} in every row"
                return [Fault(name, must, found, REWRITE, column="cohort_id", reason="foreign_key")]
            if rows.size and (rows.min() < 0 or rows.max() >= len(totals)):
                must = f"must be a cell_row of the cohort's cells, 0 to {len(totals) - 1}"
                found = str(rows.min() if rows.min() < 0 else rows.max())
                return [Fault(name, must, found, REWRITE, column="cell_row", reason="foreign_key")]
            if not pc.all(pc.is_in(batch["gene_id"].unique(), value_set=genes)).as_py():
                must = "must be a key of genes"
                return [
                    Fault(name, must, "another", REWRITE, column="gene_id", reason="foreign_key")
                ]
            if rows.size and batch["counts"].to_numpy().min() < 1:
                must = "must be at least 1: zeros are left out"
                found = str(batch["counts"].to_numpy().min())
                return [Fault(name, must, found, REWRITE, column="counts", reason="counts")]
            sums += np.bincount(rows, batch["counts"].to_numpy(), len(totals)).astype(np.int64)
    wrong = np.flatnonzero(sums != totals) if is_whole else np.flatnonzero(sums > totals)
    if wrong.size:
        must = "counts of a cell must add up to its total_counts in tables/cells.parquet"
        found = f"{sums[wrong[0]]}, not {totals.iloc[wrong[0]]}, for cell_row {wrong[0]}"
        return [Fault(name, must, found, REWRITE, reason="counts")]
    return []


def _totals(folder: Path, cohort_id: str) -> pd.Series[Any]:
    """total_counts of the cohort's cells in the order of cell_row."""
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    table = pq.read_table(
        folder / "tables" / "cells.parquet",
        columns=["cell_row", "total_counts"],
        filters=(pc.field("cohort_id") == cohort_id) & pc.field("cell_row").is_valid(),
    )
    return table.to_pandas().sort_values("cell_row")["total_counts"].reset_index(drop=True)
