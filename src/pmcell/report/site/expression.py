"""Expression of a few genes in a few cells, read from `cells/<cohort>.h5ad` in blocks."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

    from pmcell.report.read import Release

MOST_GENES = 64
"""Genes by which the map can be coloured."""

BLOCK_VALUES = 4_000_000


@dataclass(frozen=True)
class Gene:
    """A gene of the map; `why` says why it was chosen."""

    gene_id: str
    symbol: str
    why: str


def chosen_genes(release: Release, *, most: int = MOST_GENES) -> list[Gene]:
    """The best markers of each cluster in turn, then the most variable genes, by symbol.

    Where a cohort is withheld, markers and variable genes may be withheld too:
    then the genes with a count in most of the published cells.
    """
    import pandas as pd

    found: dict[str, Gene] = {}
    markers = release["markers"].sort_values(["rank", "cluster"], kind="stable")
    markers = markers[markers["log2_fold_change"] > 0]
    for row in markers.itertuples():
        found.setdefault(
            str(row.gene_id),
            Gene(str(row.gene_id), str(row.symbol), f"marker of cluster {row.cluster}"),
        )
        if len(found) == most:
            break
    genes = release["genes"]
    for row in genes[genes["hvg_rank"].notna()].sort_values(["hvg_rank", "gene_id"]).itertuples():
        if len(found) == most:
            break
        gene = Gene(str(row.gene_id), str(row.symbol), "highly variable")
        found.setdefault(gene.gene_id, gene)
    if not found:
        frequent = genes.sort_values(["n_cells_detected", "gene_id"], ascending=[False, True])
        for row in frequent.head(most).itertuples():
            found[str(row.gene_id)] = Gene(str(row.gene_id), str(row.symbol), "in most cells")
    safe = [gene for gene in found.values() if re.fullmatch(r"[\w.-]+", gene.gene_id)]
    return sorted(safe, key=lambda gene: (pd.isna(gene.symbol), gene.symbol.lower(), gene.gene_id))


def read_expression(folder: Path, cells: pd.DataFrame, gene_ids: list[str]) -> np.ndarray | None:
    """Log-normalised values, genes × cells; NaN where the cell's cohort did not measure the gene.

    None where a cohort of `cells` has no file in the release.
    """
    values = np.full((len(gene_ids), len(cells)), np.nan, dtype=np.float32)
    for cohort, own in cells.groupby("cohort_id", observed=True):
        path = folder / "cells" / f"{cohort}.h5ad"
        if not path.is_file():
            return None
        _read_cohort(path, own, gene_ids, values)
    return values


def _read_cohort(path: Path, own: pd.DataFrame, gene_ids: list[str], values: np.ndarray) -> None:
    import h5py
    import pandas as pd

    with h5py.File(path, "r", locking=False) as file:
        rows = pd.Index(_index(file["obs"])).get_indexer(own["cell_id"])
        columns = pd.Index(_index(file["var"])).get_indexer(gene_ids)
        measured = np.flatnonzero(columns >= 0)
        present = rows >= 0
        values[np.ix_(measured, own.index.to_numpy()[present])] = 0.0
        gene_at = np.full(file["X"].attrs["shape"][1], -1)
        gene_at[columns[measured]] = measured
        cell_at = np.full(file["X"].attrs["shape"][0], -1)
        cell_at[rows[present]] = own.index.to_numpy()[present]
        indptr = file["X/indptr"][:]
        for start in range(0, int(indptr[-1]), BLOCK_VALUES):
            block = slice(start, min(start + BLOCK_VALUES, int(indptr[-1])))
            gene = gene_at[file["X/indices"][block]]
            wanted = np.flatnonzero(gene >= 0)
            row = np.searchsorted(indptr, wanted + start, side="right") - 1
            cell = cell_at[row]
            hit = cell >= 0
            data: Any = file["X/data"][block]
            values[gene[wanted[hit]], cell[hit]] = data[wanted[hit]]


def _index(group: Any) -> np.ndarray:
    name = group.attrs["_index"]
    return np.asarray(group[name].asstr()[:], dtype=object)
