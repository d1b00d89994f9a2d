"""A release folder in memory: the only input of the report."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pmcell.errors import DataError, UsageError
from pmcell.io.atomic import read_json
from pmcell.io.tables import read_table
from pmcell.schema import TABLES, Table

if TYPE_CHECKING:
    import pandas as pd

CORE = ("cohorts", "donors", "visits", "samples", "cells", "qc")
"""Tables without which there is nothing to report; any other may be absent."""

_NOT_SHOWN = ("pseudobulk", "genes")


@dataclass(frozen=True)
class Release:
    """The tables by name (an absent one is an empty frame), `strata.json` and the manifest."""

    tables: dict[str, pd.DataFrame]
    absent: tuple[str, ...]
    strata: dict[str, Any]
    manifest: dict[str, Any]
    citation: str

    def __getitem__(self, name: str) -> pd.DataFrame:
        return self.tables[name]


def read_release(folder: Path) -> Release:
    """Read what the report shows; `UsageError` where `folder` is no release, `DataError` if broken."""
    tables_folder = folder / "tables"
    if not tables_folder.is_dir():
        raise UsageError(
            f"--release must be a release folder with tables/*.parquet; {folder} has no folder "
            "tables. Write one with: pmcell release"
        )
    tables: dict[str, pd.DataFrame] = {}
    absent = []
    for item in TABLES:
        if item.name in _NOT_SHOWN:
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
            tables[item.name] = _empty(item)
    return Release(
        tables=tables,
        absent=tuple(absent),
        strata=_json(folder / "strata.json"),
        manifest=_json(folder / "manifest.json"),
        citation=_text(folder / "CITATION.cff"),
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


def _empty(table: Table) -> pd.DataFrame:
    import pandas as pd

    kinds = {"int64": "int64", "float64": "float64", "bool": "bool"}
    return pd.DataFrame(
        {field.name: pd.Series(dtype=kinds.get(field.kind, "object")) for field in table.fields}
    )


def _json(path: Path) -> dict[str, Any]:
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
