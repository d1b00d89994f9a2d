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
            own = schema_faults(path, EXPRESSION)
            if not own and not _is_sound(folder, name):
                own = key_faults(path, EXPRESSION) or _content_faults(folder, name)
            faults += own
        else:
            must = "must be there: other published cohorts have one"
            found = "no such file"
            faults.append(Fault(f"expression/{path.name}", must, found, REWRITE, reason="missing"))
    return faults


def _is_sound(folder: Path, cohort_id: str) -> bool:
    """Whether one pass finds nothing wrong; what is wrong, `key_faults` and `_content_faults` say.

    Text is read as codes, so that rows are compared as whole numbers.
    """
    import pyarrow.parquet as pq

    totals = _totals(folder, cohort_id)
    genes = pq.read_table(folder / "tables" / "genes.parquet", columns=["gene_id"])["gene_id"]
    rank = {name: at for at, name in enumerate(sorted(genes.to_pylist()))}
    sums, last = np.zeros(len(totals), np.int64), -1
    with (folder / "expression" / f"{cohort_id}.parquet").open("rb") as stream:
        file = pq.ParquetFile(stream, read_dictionary=["cohort_id", "gene_id"])
        is_whole = (file.schema_arrow.metadata or {}).get(GENES.encode()) == ALL.encode()
        for batch in file.iter_batches(batch_size=1 << 20):
            if not batch.num_rows:
                continue
            if any(column.null_count for column in batch.columns):
                return False
            names = batch["gene_id"].dictionary.to_pylist()
            ranks = np.array([rank.get(name, -1) for name in names], np.int64)
            gene = ranks[batch["gene_id"].indices.to_numpy()]
            rows, counts = batch["cell_row"].to_numpy(), batch["counts"].to_numpy()
            place = gene * max(len(totals), 1) + rows
            if (
                batch["cohort_id"].dictionary.to_pylist() != [cohort_id]
                or gene.min() < 0
                or rows.min() < 0
                or rows.max() >= len(totals)
                or counts.min() < 1
                or place[0] <= last
                or not np.all(place[1:] > place[:-1])
            ):
                return False
            last = int(place[-1])
            sums += np.bincount(rows, counts, len(totals)).astype(np.int64)
    return bool(np.all(sums == totals) if is_whole else np.all(sums <= totals))


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
