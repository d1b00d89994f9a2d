"""What report and catalogue show of a release: its tables in memory, verdict and citation."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pmcell.errors import DataError, UsageError
from pmcell.io.tables import empty_table
from pmcell.release import ReleaseFolder
from pmcell.release.manifest import MANIFEST
from pmcell.schema import DIFFERENTIAL_EXPRESSION, TABLES, Table, Verdict
from pmcell.schema.text import as_text

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

CORE = ("cohorts", "donors", "visits", "samples", "cells", "qc")
"""Tables without which there is nothing to report; any other may be absent."""

ALPHA = 0.05
"""The largest q of what counts as a difference."""

_NOT_SHOWN = ("pseudobulk", "genes", "runtime", "donor_distances", "consensus")


@dataclass(frozen=True)
class Consensus:
    """Share of resampled runs that join two donors; `rows` has donor_id and visit."""

    values: np.ndarray
    rows: pd.DataFrame


@dataclass(frozen=True)
class Release:
    """The tables by name (an absent one is an empty frame), the verdict on strata, the manifest."""

    tables: dict[str, pd.DataFrame]
    absent: tuple[str, ...]
    verdict: Verdict | None
    manifest: dict[str, Any]
    citation: str
    consensus: Consensus | None = None

    def __getitem__(self, name: str) -> pd.DataFrame:
        return self.tables[name]


def read_release(path: Path, only: Collection[str] = ()) -> Release:
    """Read what the report shows; `UsageError` for no release, `DataError` for a broken one.

    Of `differential_expression` these are the rows with q ≤ `ALPHA`.
    `only` names the tables to read; the others are then not in the result.
    """
    folder = ReleaseFolder(path)
    if not folder.place("tables").is_dir():
        raise UsageError(
            f"a release must be a folder with tables/*.parquet; {path} has no folder "
            "tables. Write one with: pmcell release"
        )
    tables: dict[str, pd.DataFrame] = {}
    absent = []
    for item in TABLES:
        if item.name not in only if only else item.name in _NOT_SHOWN:
            continue
        if folder.listed(f"tables/{item.name}.parquet").is_file():
            tables[item.name] = _read(folder, item)
        elif item.name in CORE:
            raise DataError(
                f"a release must have tables/{item.name}.parquet; {path} has none. "
                "Write the release again with: pmcell release",
                reason="missing_table",
            )
        else:
            absent.append(item.name)
            tables[item.name] = empty_table(item)
    return Release(
        tables=tables,
        absent=tuple(absent),
        verdict=folder.verdict(),
        manifest=folder.json(MANIFEST),
        citation=folder.text("CITATION.cff"),
        consensus=_consensus(folder),
    )


def _read(folder: ReleaseFolder, table: Table) -> pd.DataFrame:
    import pyarrow.compute as pc

    name = f"tables/{table.name}.parquet"
    with folder.parquet(name) as file:
        missing = [item.name for item in table.fields if item.name not in file.schema_arrow.names]
    if missing:
        raise DataError(
            f"{folder.path / name} must have the columns of table "
            f"{table.name!r}; missing {missing}. "
            "Was it written by another version of pmcell? Write the release again.",
            reason="missing_column",
        )
    # A row for each gene, cell type and group: by far the most rows, of which few are shown.
    is_of_genes = table.name == DIFFERENTIAL_EXPRESSION.name
    return folder.table(table.name, rows=pc.field("q_value") <= ALPHA if is_of_genes else None)


def _consensus(folder: ReleaseFolder) -> Consensus | None:
    """The consensus matrix of the chosen number of strata, where the donor profiles hold it."""
    import numpy as np
    from anndata.io import read_elem

    if not folder.listed("donors.h5ad").is_file():
        return None
    with folder.hdf5("donors.h5ad") as file:
        uns: Any = file.get("uns", {})
        if "clustering/consensus" not in uns or "existence/k" not in uns:
            return None
        key = f"clustering/consensus/{int(np.asarray(uns['existence/k'][()]))}"
        if key not in uns:
            return None
        values = np.asarray(uns[key][()], dtype=np.float64)
        obs: Any = read_elem(file["obs"])
    if "discovery" not in obs or not {"donor_id", "visit"} <= set(obs.columns):
        return None
    rows = as_text(obs.loc[obs["discovery"].astype(bool), ["donor_id", "visit"]])
    return Consensus(values, rows) if values.shape == (len(rows), len(rows)) else None
