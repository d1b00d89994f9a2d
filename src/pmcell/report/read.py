"""A release folder in memory: the only input of the report."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pmcell.errors import DataError, UsageError
from pmcell.io.atomic import read_json
from pmcell.io.tables import empty_table, read_table
from pmcell.io.verdict import read_verdict
from pmcell.schema import TABLES, Table, Verdict
from pmcell.schema.text import as_text

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

CORE = ("cohorts", "donors", "visits", "samples", "cells", "qc")
"""Tables without which there is nothing to report; any other may be absent."""

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


def read_release(folder: Path, only: Collection[str] = ()) -> Release:
    """Read what the report shows; `UsageError` for no release, `DataError` for a broken one.

    `only` names the tables to read; the others are then not in the result.
    """
    tables_folder = folder / "tables"
    if not tables_folder.is_dir():
        raise UsageError(
            f"--release must be a release folder with tables/*.parquet; {folder} has no folder "
            "tables. Write one with: pmcell release"
        )
    tables: dict[str, pd.DataFrame] = {}
    absent = []
    for item in TABLES:
        if item.name not in only if only else item.name in _NOT_SHOWN:
            continue
        path = tables_folder / f"{item.name}.parquet"
        if path.is_file():
            tables[item.name] = _read(path, item)
        elif item.name in CORE:
            raise DataError(
                f"a release must have tables/{item.name}.parquet; {folder} has none. "
                "Write the release again with: pmcell release",
                reason="missing_table",
            )
        else:
            absent.append(item.name)
            tables[item.name] = empty_table(item)
    verdict = folder / "strata.json"
    return Release(
        tables=tables,
        absent=tuple(absent),
        verdict=read_verdict(verdict) if verdict.is_file() else None,
        manifest=json_object(folder / "manifest.json"),
        citation=_text(folder / "CITATION.cff"),
        consensus=_consensus(folder / "donors.h5ad"),
    )


def _read(path: Path, table: Table) -> pd.DataFrame:
    try:
        frame = read_table(path)
    except Exception as error:
        raise DataError(
            f"{path} must be a Parquet table; reading it failed: {error}. "
            "Check the release with: pmcell verify",
            reason="unreadable_table",
        ) from error
    missing = [field.name for field in table.fields if field.name not in frame.columns]
    if missing:
        raise DataError(
            f"{path} must have the columns of table {table.name!r}; missing {missing}. "
            "Was it written by another version of pmcell? Write the release again.",
            reason="missing_column",
        )
    return frame


def _consensus(path: Path) -> Consensus | None:
    """The consensus matrix of the chosen number of strata, where the donor profiles hold it."""
    import h5py
    import numpy as np
    from anndata.io import read_elem

    if not path.is_file():
        return None
    with h5py.File(path, "r", locking=False) as file:
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


def json_object(path: Path) -> dict[str, Any]:
    """The object of a JSON file, {} where there is no file; `DataError` for broken JSON."""
    if not path.is_file():
        return {}
    try:
        value = read_json(path)
    except ValueError as error:
        raise DataError(
            f"{path} must be JSON; reading it failed: {error}. "
            "Check the release with: pmcell verify",
            reason="unreadable_json",
        ) from error
    return value if isinstance(value, dict) else {}


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.is_file() else ""
