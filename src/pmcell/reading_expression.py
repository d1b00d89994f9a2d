"""Counts of a few genes from a release: from expression/ where it has them, else from cells/."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pmcell.errors import UsageError
from pmcell.schema import TARGET_SUM
from pmcell.spelling import did_you_mean

if TYPE_CHECKING:
    import pandas as pd

    from pmcell.reading import Release

BLOCK_VALUES = 4_000_000
CELL_COLUMNS = ("cell_id", "cohort_id", "cell_row", "total_counts", "donor_id", "visit")


def read_expression(
    release: Release,
    genes: Sequence[str],
    *,
    cell_type: str | None,
    stratum: str | None,
    cohorts: Sequence[str] | None,
    normalised: bool,
) -> pd.DataFrame:
    """See `Release.expression`."""
    import pandas as pd

    asked = _find_genes(release, genes)
    found = asked.drop_duplicates("gene_id", ignore_index=True)
    cells = _find_cells(release, cell_type, stratum, cohorts)
    values = np.zeros((len(cells), len(found)))
    place = pd.MultiIndex.from_frame(cells[["cohort_id", "cell_row"]])
    for cohort_id in sorted(cells["cohort_id"].unique()):
        measured = [cohort_id in names for names in found["measured_in"]]
        values[np.ix_((cells["cohort_id"] == cohort_id).to_numpy(), ~np.array(measured))] = np.nan
        for column, rows, counts in _counts(release, cohort_id, found["gene_id"][measured]):
            at = place.get_indexer(pd.MultiIndex.from_product([[cohort_id], rows]))
            values[at[at >= 0], column] = counts[at >= 0]
    if normalised:
        values = np.log1p(values * (TARGET_SUM / cells["total_counts"].to_numpy())[:, None])
    elif not np.isnan(values).any():
        values = values.astype(np.int64)
    columns = pd.Index(found["gene_id"]).get_indexer(asked["gene_id"])
    return pd.DataFrame(values[:, columns], index=pd.Index(cells["cell_id"]), columns=list(genes))


def _find_genes(release: Release, genes: Sequence[str]) -> pd.DataFrame:
    """gene_id and measured_in of each gene, in the order asked for."""
    table = release.tables["genes"].to_pandas(["gene_id", "symbol", "measured_in"])
    shared = set(table["symbol"][table["symbol"].duplicated()])
    by_name = {
        name: place
        for name, place in zip(table["symbol"], table.index, strict=True)
        if name not in shared
    }
    by_name |= dict(zip(table["gene_id"], table.index, strict=True))
    unknown = [name for name in genes if name not in by_name]
    if unknown:
        several = [name for name in unknown if name in shared]
        why = f"Several genes are called {', '.join(several)}: name the id."
        hint = why if several else did_you_mean(unknown[0], by_name)
        raise UsageError(
            f"genes must be symbols or Ensembl ids of tables/genes.parquet; "
            f"got {', '.join(unknown)}. {hint}".strip()
        )
    return table.loc[[by_name[name] for name in genes]].reset_index(drop=True)


def _find_cells(
    release: Release, cell_type: str | None, stratum: str | None, cohorts: Sequence[str] | None
) -> pd.DataFrame:
    """The chosen cells that passed QC, by cell_id."""
    import pyarrow.compute as pc

    keep = pc.field("passes_qc")
    for name in cohorts or ():
        if name not in release.cells:
            known = ", ".join(release.cells)
            raise UsageError(f"cohorts must be published ones ({known}), got {name!r}")
    if cohorts is not None:
        keep &= pc.field("cohort_id").isin(list(cohorts))
    if cell_type is not None:
        labels = set(release.tables["clusters"].to_pandas(["cell_type"])["cell_type"])
        if cell_type not in labels:
            raise UsageError(
                f"cell_type must be a label of tables/clusters.parquet, got {cell_type!r}. "
                f"{did_you_mean(cell_type, labels)} Labels: {', '.join(sorted(labels))}."
            )
        keep &= pc.field("cell_type") == cell_type
    cells = release.tables["cells"].to_pandas(CELL_COLUMNS, keep)
    if stratum is not None:
        cells = cells.merge(_members(release, stratum), on=["donor_id", "visit"])
    return cells.astype({"cell_row": "int64"}).sort_values("cell_id", ignore_index=True)


def _members(release: Release, stratum: str) -> pd.DataFrame:
    """Donors and visits of a stratum."""
    places = release.tables["assignments"].to_pandas(["donor_id", "visit", "stratum"])
    known = sorted(places["stratum"].dropna().unique())
    if stratum not in known:
        names = ", ".join(known) or f"none, the decision was {release.strata.get('decision')!r}"
        raise UsageError(f"stratum must be a published one ({names}), got {stratum!r}")
    return places.loc[places["stratum"] == stratum, ["donor_id", "visit"]]


def _counts(
    release: Release, cohort_id: str, genes: pd.Series[str]
) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """(position of the gene, rows of cells, counts); the index of `genes` holds the positions."""
    import pyarrow.compute as pc
    import pyarrow.dataset as ds

    path = release.path / "expression" / f"{cohort_id}.parquet"
    wanted = dict(zip(genes, genes.index, strict=True))
    listed = _listed(release, path, list(wanted))
    if listed:
        table = ds.dataset(path, format="parquet").to_table(
            columns=["gene_id", "cell_row", "counts"], filter=pc.field("gene_id").isin(listed)
        )
        for gene, part in table.to_pandas().groupby("gene_id"):
            yield wanted[str(gene)], part["cell_row"].to_numpy(), part["counts"].to_numpy()
    others = {gene: column for gene, column in wanted.items() if gene not in listed}
    if others:
        yield from _from_cells(release.path / "cells" / f"{cohort_id}.h5ad", others)


def _listed(release: Release, path: Path, genes: list[str]) -> list[str]:
    """Which of the genes expression/ holds: all, the highly variable ones, or none."""
    import pyarrow.parquet as pq

    if not path.is_file():
        return []
    said = (pq.read_schema(path).metadata or {}).get(b"pmcell:genes", b"").decode()
    if said == "all":
        return genes
    table = release.tables["genes"].to_pandas(["gene_id", "is_highly_variable"])
    held = set(table["gene_id"][table["is_highly_variable"].fillna(False).astype(bool)])
    return [gene for gene in genes if gene in held]


def _from_cells(path: Path, genes: dict[str, int]) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """The same from raw.X: all of the matrix is read, block by block."""
    import h5py

    # HDF5 opens a file twice only with one setting of locks, and AnnData takes the default.
    with h5py.File(path, "r") as file:
        raw = file["raw"]
        names = raw["var"][raw["var"].attrs["_index"]].asstr()[:]
        columns = {int(place): genes[name] for place, name in enumerate(names) if name in genes}
        indptr = raw["X/indptr"][:]
        for start in range(0, int(indptr[-1]), BLOCK_VALUES):
            inside = slice(start, start + BLOCK_VALUES)
            positions, counts = raw["X/indices"][inside], raw["X/data"][inside]
            for place, column in columns.items():
                hits = np.flatnonzero(positions == place)
                rows = np.searchsorted(indptr, start + hits, "right") - 1
                yield column, rows, counts[hits]
