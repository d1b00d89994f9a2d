"""Open a release: tables, cells, counts and strata, each read when it is asked for.

import pmcell as pm
release = pm.open_release("results/release")
release                                        # what is in it
release.tables["donors"].to_pandas()
release.cells["liu_b1"]                        # AnnData, matrices stay on disk
release.expression(["CD4", "LYZ"], cell_type="classical monocyte")
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pmcell.errors import DataError, FaultsError, UsageError
from pmcell.schema import SCHEMA_VERSION
from pmcell.spelling import did_you_mean

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa
    import pyarrow.dataset as ds
    from anndata import AnnData

MANIFEST = "manifest.json"


def open_release(path: Path | str, *, verify: bool = False) -> Release:
    """Open the release in the folder `path`; nothing but its manifest is read yet.

    `verify` first checks every digest, table and count, which reads all of it.
    Raises `UsageError` when the folder is no release, `DataError` when this
    pmcell cannot read it, `FaultsError` when it is not intact.
    """
    folder = Path(path)
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        major = str(manifest["schema_version"]).split(".")[0]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(
            f"open_release needs the folder of a release, with its {MANIFEST}; {folder} has none "
            "that can be read. Name the folder that `pmcell release --out` wrote."
        ) from error
    if major != SCHEMA_VERSION.split(".")[0]:
        raise DataError(
            f"this pmcell reads releases of schema {SCHEMA_VERSION}; {folder} has schema "
            f"{manifest['schema_version']}. Use pmcell {manifest.get('pmcell', '')}.",
            reason="schema_version",
        )
    if verify:
        from pmcell.publish import verify_release

        faults = verify_release(folder)
        if faults:
            raise FaultsError(faults)
    return Release(folder, manifest)


@dataclass(frozen=True)
class ReleaseTable:
    """One Parquet table, not in memory: `to_pandas`, `to_arrow`, or the Arrow `dataset`."""

    path: Path

    @property
    def dataset(self) -> ds.Dataset:
        """The table as a pyarrow dataset: filters skip row groups."""
        import pyarrow.dataset as ds

        return ds.dataset(self.path, format="parquet")

    def to_arrow(self, columns: Sequence[str] | None = None, filter: Any = None) -> pa.Table:
        """Read it, or some columns and the rows that an Arrow expression keeps."""
        return self.dataset.to_table(
            columns=None if columns is None else list(columns), filter=filter
        )

    def to_pandas(self, columns: Sequence[str] | None = None, filter: Any = None) -> pd.DataFrame:
        """The same as a data frame."""
        return self.to_arrow(columns, filter).to_pandas()

    def describe(self) -> pd.DataFrame:
        """Each column with its type, unit, ontology, concept and meaning."""
        import pandas as pd

        keys = ("unit", "ontology", "term", "prose")
        rows = []
        for field in self.dataset.schema:
            said = field.metadata or {}
            rows.append(
                {"column": field.name, "type": str(field.type)}
                | {key: said.get(f"pmcell:{key}".encode(), b"").decode() for key in keys}
            )
        return pd.DataFrame(rows).set_index("column")

    def __len__(self) -> int:
        return int(self.dataset.count_rows())

    def __repr__(self) -> str:
        return f"{self.path.stem}: {len(self):,} rows, {', '.join(self.dataset.schema.names)}"


class Parts(Mapping[str, Any]):
    """Files of one kind by name, opened when asked for; a misspelt name is answered."""

    def __init__(self, kind: str, paths: Mapping[str, Path], opener: Callable[[Path], Any]) -> None:
        self._kind, self._paths, self._open = kind, paths, opener

    def __getitem__(self, name: str) -> Any:
        if name not in self._paths:
            there = ", ".join(self._paths) or "none"
            hint = did_you_mean(name, self._paths)
            raise KeyError(f"no {self._kind} {name!r}; there are {there}. {hint}".strip())
        return self._open(self._paths[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self._paths)

    def __len__(self) -> int:
        return len(self._paths)

    def __repr__(self) -> str:
        return f"{len(self)} × {self._kind}: {', '.join(self)}"


@dataclass(frozen=True)
class Release:
    """A release on disk; `path` is its folder, `manifest` what manifest.json says."""

    path: Path
    manifest: Mapping[str, Any]

    @property
    def tables(self) -> Parts:
        """Tables by name, as in tables/README.md."""
        return Parts("table", self._files("tables", ".parquet"), ReleaseTable)

    @property
    def cells(self) -> Parts:
        """Cells by cohort: AnnData whose matrices stay on disk (`.to_memory()` loads them)."""
        return Parts("cohort", self._files("cells", ".h5ad"), _open_cells)

    @property
    def donors(self) -> AnnData:
        """Profiles of the donors and visits, and the distances between them."""
        import anndata

        return anndata.read_h5ad(self.path / "donors.h5ad")

    @property
    def strata(self) -> dict[str, Any]:
        """The verdict on strata: `decision`, why, and what it rests on."""
        value: dict[str, Any] = json.loads((self.path / "strata.json").read_text(encoding="utf-8"))
        return value

    def expression(
        self,
        genes: Sequence[str],
        *,
        cell_type: str | None = None,
        stratum: str | None = None,
        cohorts: Sequence[str] | None = None,
        normalised: bool = False,
    ) -> pd.DataFrame:
        """Cells × genes of the cells that passed QC: counts, or log1p(10⁴ · count / total).

        `genes` are symbols or Ensembl ids. A gene that a cell's cohort did not
        measure is null there, not zero. Raises `UsageError` for a gene, cell
        type, stratum or cohort that the release does not have.
        """
        from pmcell.reading_expression import read_expression

        return read_expression(
            self,
            [genes] if isinstance(genes, str) else list(genes),
            cell_type=cell_type,
            stratum=stratum,
            cohorts=cohorts,
            normalised=normalised,
        )

    def _files(self, folder: str, suffix: str) -> dict[str, Path]:
        names = [Path(name) for name in self.manifest["files"] if name.startswith(f"{folder}/")]
        found = {name.stem: self.path / name for name in names if name.suffix == suffix}
        return dict(sorted(found.items()))

    def __repr__(self) -> str:
        table = self.tables["cohorts"].to_pandas(["status", "access", "cohort_id", "n_cells"])
        cohorts = self.manifest["cohorts"]
        shown = [name for name in cohorts if cohorts[name]["published"]]
        left_out = [
            f"{name} ({item['access'] if item['status'] != 'quarantined' else item['status']})"
            for name, item in cohorts.items()
            if not item["published"]
        ]
        n_cells = int(table.loc[table["cohort_id"].isin(shown), "n_cells"].sum())
        decision = self.manifest.get("strata_decision")
        n_strata = len(self.tables["strata"])
        rows = {
            "cohorts": ", ".join(shown)
            + (f"; not shown: {', '.join(left_out)}" if left_out else ""),
            "size": f"{len(self.tables['donors']):,} donors, {n_cells:,} cells, "
            f"{len(self.tables['genes']):,} genes",
            "strata": f"{n_strata} (.strata, .tables['strata'])"
            if n_strata
            else f"none: {decision}",
            "tables": ", ".join(self.tables),
            "cells": f".cells['{shown[0]}'] is an AnnData; .expression(genes, cell_type=…)",
        }
        head = f"Release {self.manifest['version']}: {self.manifest['title']}"
        made = f"pmcell {self.manifest['pmcell']}, schema {self.manifest['schema_version']}"
        lines = [f"  {name:<8} {text}" for name, text in rows.items()]
        return "\n".join([head, *lines, f"  made by  {made}; research use only"])


def _open_cells(path: Path) -> AnnData:
    import anndata

    return anndata.read_h5ad(path, backed="r")
