"""Expression of a few genes in a few cells: from `expression/`, which holds gene after gene.

Where a release has no such file, or not of all genes, `cells/<cohort>.h5ad` is read in blocks.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from pmcell.core.counts.lognorm import log_normalised
from pmcell.errors import DataError
from pmcell.release.expression import holds_all_genes, listed_counts, stored_values
from pmcell.release.folder import CHECK

if TYPE_CHECKING:
    import h5py
    import pandas as pd

    from pmcell.release import ReleaseFolder
    from pmcell.release.report_tables import Release

MAX_GENES = 64
"""Genes by which the map can be coloured."""


@dataclass(frozen=True)
class Gene:
    """A gene of the map; `why` says why it was chosen."""

    gene_id: str
    symbol: str
    why: str


def chosen_genes(release: Release, *, most: int = MAX_GENES) -> list[Gene]:
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


def read_expression(
    folder: ReleaseFolder, cells: pd.DataFrame, gene_ids: list[str]
) -> np.ndarray | None:
    """Log-normalised values, genes × cells; NaN where the cell's cohort did not measure the gene.

    None where a cohort of `cells` has no file in the release.
    """
    values = np.full((len(gene_ids), len(cells)), np.nan, dtype=np.float32)
    for cohort, own in cells.groupby("cohort_id", observed=True):
        name = f"cells/{cohort}.h5ad"
        if not folder.has(name):
            return None
        with folder.hdf5(name) as file:
            _read_cohort(folder, str(cohort), file, own, gene_ids, values)
    return values


def _read_cohort(
    folder: ReleaseFolder,
    cohort: str,
    file: h5py.File,
    own: pd.DataFrame,
    gene_ids: list[str],
    values: np.ndarray,
) -> None:
    import pandas as pd

    names = _index(file["var"])
    rows = pd.Index(_index(file["obs"])).get_indexer(own["cell_id"])
    present = rows >= 0
    cell_at = np.full(file["X"].attrs["shape"][0], -1)
    cell_at[rows[present]] = own.index.to_numpy()[present]
    measured = np.flatnonzero(pd.Index(names).get_indexer(gene_ids) >= 0)
    values[np.ix_(measured, own.index.to_numpy()[present])] = 0.0
    wanted = {gene: number for number, gene in enumerate(gene_ids)}
    by_gene = f"expression/{cohort}.parquet"
    if holds_all_genes(folder, by_gene):
        found = _by_gene(folder, by_gene, file["obs"]["total_counts"][:], wanted)
    else:
        found = stored_values(file["X"], names, wanted)
    for genes, stored_rows, stored in found:
        cell = cell_at[stored_rows]
        hit = cell >= 0
        values[genes[hit], cell[hit]] = stored[hit]


def _by_gene(
    folder: ReleaseFolder, name: str, totals: np.ndarray, wanted: dict[str, int]
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """What `stored_values` gives of X, with the same bits, of the row groups with the genes."""
    for number, rows, counts in listed_counts(folder, name, wanted):
        if rows.size and not 0 <= rows.min() <= rows.max() < totals.size:
            raise DataError(
                f"{folder.place(name)} must name cells by their row, 0 to {totals.size - 1}; "
                f"found {rows.min()} to {rows.max()}. {CHECK}",
                reason="unreadable_table",
            )
        yield number, rows, log_normalised(counts, totals[rows]).astype(np.float32)


def _index(group: Any) -> np.ndarray:
    name = group.attrs["_index"]
    return np.asarray(group[name].asstr()[:], dtype=object)
