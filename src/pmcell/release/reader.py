"""Open a release: tables, cells, counts and strata, each read when it is asked for.

import pmcell as pm
release = pm.open_release("results/release")
release                                        # what is in it
release.tables["donors"].to_pandas()
release.cells["liu_b1"]                        # AnnData, matrices stay on disk
release.composition("CD8 T cell")              # a row a donor and visit: cells, share, condition
release.pseudobulk("ISG15")                    # the same for a gene: counts of each cell type
release.expression(["CD4", "LYZ"], cell_type="classical monocyte")  # cells × genes
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from pmcell.errors import DataError, FaultsError
from pmcell.limitations import RESEARCH_USE
from pmcell.release.by_donor import read_composition, read_pseudobulk
from pmcell.release.expression import find_genes, read_expression
from pmcell.release.folder import CHECK, ReleaseFolder, check_contents, file_state
from pmcell.release.manifest import MANIFEST, read_manifest
from pmcell.release.parts import Parts, ReleaseTable
from pmcell.release.verify import verify_release

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData


def open_release(path: Path | str, *, verify: bool = False) -> Release:
    """Open the release in the folder `path`; nothing but its manifest is read yet.

    Parameters
    ----------
    path
        Folder that `pmcell release` wrote, or a copy of one.
    verify
        First check every digest, table and count, which reads all of it.

    Returns
    -------
    Release
        Its tables, cells, donors, strata and counts, each read when asked for.

    Raises
    ------
    UsageError
        The folder is no release.
    DataError
        This pmcell cannot read it, or its manifest names what lies elsewhere.
    FaultsError
        It is not intact (`verify`).

    Notes
    -----
    A release is untrusted input: nothing outside its folder is read, and a
    file that declares more than it can hold is refused.
    """
    folder = Path(path)
    manifest = read_manifest(folder)
    if verify and (faults := verify_release(folder)):
        raise FaultsError(faults)
    return Release(folder, manifest, _state(folder))


@dataclass(frozen=True)
class Release:
    """A release on disk; `path` is its folder, `manifest` what manifest.json says.

    Reading on after another release was put in its place raises `DataError`: the two would mix.
    """

    path: Path
    manifest: Mapping[str, Any]
    _opened: tuple[int, ...] | None = field(default=None, repr=False, compare=False)

    @property
    def tables(self) -> Parts:
        """Tables by name, as in tables/README.md."""
        files = self._files("tables", ".parquet")
        return Parts("table", files, lambda path: ReleaseTable(self._listed(path)))

    @property
    def cells(self) -> Parts:
        """Cells by cohort: AnnData whose matrices stay on disk (`.to_memory()` loads them)."""
        files = self._files("cells", ".h5ad")
        return Parts("cohort", files, lambda path: _open_cells(self._listed(path)))

    @property
    def donors(self) -> AnnData:
        """Profiles of the donors and visits, and the distances between them."""
        import anndata

        return _read_anndata(anndata.read_h5ad, self.folder.listed("donors.h5ad"))

    @property
    def strata(self) -> dict[str, Any]:
        """The verdict on strata: `decision`, why, and what it rests on."""
        return self.folder.json("strata.json")

    @property
    def folder(self) -> ReleaseFolder:
        """The files of the release, read as untrusted input."""
        if self._opened is not None and _state(self.path) != self._opened:
            raise DataError(
                f"{self.path} must be the release that was opened; it was replaced or taken away "
                "since. Open it again: pm.open_release(...)",
                reason="replaced",
            )
        return ReleaseFolder(self.path)

    def expression(
        self,
        genes: str | Sequence[str],
        *,
        cell_type: str | Sequence[str] | None = None,
        stratum: str | None = None,
        cohorts: Sequence[str] | None = None,
        normalised: bool = False,
    ) -> pd.DataFrame:
        """Cells × genes of the cells that passed QC: counts, or log1p(10⁴ · count / total).

        `genes` are symbols or Ensembl ids, `cell_type` a label, words of types or a list of labels,
        as for `composition`. A gene that a cell's cohort did not measure is null there, not zero.
        Raises `UsageError` for a gene, cell type, stratum or cohort that the release does not have.
        """
        return read_expression(
            self.folder,
            self.tables,
            self.cells,
            [genes] if isinstance(genes, str) else list(genes),
            cell_type=cell_type,
            stratum=stratum,
            cohorts=cohorts,
            normalised=normalised,
        )

    def genes(self, *names: str) -> pd.DataFrame:
        """Rows of the table `genes`, by symbol or Ensembl id; all of them where none is named.

        Raises `UsageError` for a gene that the release does not have.
        """
        table = self.tables["genes"].to_pandas()
        if not names:
            return table
        ids = find_genes(self.tables, names)["gene_id"]
        return table.set_index("gene_id").loc[ids].reset_index()

    def composition(self, cell_type: str | Sequence[str] | None = None) -> pd.DataFrame:
        """Cells of each type, a row per donor, visit and type, with condition and stratum.

        `cell_type` keeps the types of which a name has all these words: 'CD8' finds all CD8 T
        cells, 'NK' natural killer cells. A list of labels keeps these types alone. A type that a
        donor lacks has its row, with 0 cells. Raises `UsageError` where no type has such a name.
        """
        return read_composition(self.tables, cell_type)

    def pseudobulk(self, genes: str | Sequence[str]) -> pd.DataFrame:
        """Counts of genes, a row per sample, cell type and gene, with condition and stratum.

        `counts` is the sum over the `n_cells` cells of the type, `counts_per_million` that sum
        over the type's counts of all genes. Both are 0 where a measured gene has no count, and
        null where the cohort did not measure it. Raises `UsageError` for a gene that the release
        does not have.
        """
        return read_pseudobulk(self.tables, [genes] if isinstance(genes, str) else list(genes))

    def _listed(self, path: Path) -> Path:
        return self.folder.listed(path.relative_to(self.path).as_posix())

    def _files(self, folder: str, suffix: str) -> dict[str, Path]:
        names = [PurePosixPath(name) for name in self.manifest["files"]]
        found = {
            name.stem: self.folder.place(str(name))
            for name in names
            if str(name.parent) == folder and name.suffix == suffix
        }
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
            "cells": f".cells['{next(iter(shown), '')}'] is an AnnData; "
            ".expression(genes, cell_type=…)",
            "donors": ".composition('T cell'), .pseudobulk(genes): a row per donor, visit and type",
        }
        head = f"Release {self.manifest['version']}: {self.manifest['title']}"
        made = f"pmcell {self.manifest['pmcell']}, schema {self.manifest['schema_version']}"
        lines = [f"  {name:<8} {text}" for name, text in rows.items()]
        return "\n".join([head, *lines, f"  made by  {made}; {RESEARCH_USE}"])


def _state(folder: Path) -> tuple[int, ...] | None:
    """What tells the release in a folder from another that is put in its place."""
    try:
        return file_state(folder / MANIFEST)
    except OSError:
        return None


def _open_cells(path: Path) -> AnnData:
    import anndata

    return _read_anndata(lambda place: anndata.read_h5ad(place, backed="r"), path)


def _read_anndata(read: Callable[[Path], AnnData], path: Path) -> AnnData:
    """Look at the file before it is read; `DataError` for any failure."""
    check_contents(path)
    try:
        return read(path)
    except (OSError, KeyError, ValueError, TypeError, AttributeError, RuntimeError) as error:
        raise DataError(
            f"{path} must be an AnnData file as pmcell writes it; reading it failed "
            f"({type(error).__name__}: {error}). {CHECK}",
            reason="unreadable_cells",
        ) from error
