"""In which cell types a gene is found: every gene of a release, in one file of the site.

The map has files for a few genes. The share of cells with a count takes a byte for a gene and
type, so all genes fit into one script, which is loaded when a gene is asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from pmcell.report.site import pack

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from pmcell.release import ReleaseFolder
    from pmcell.release.report_tables import Release

GENE_TYPES = "data/gene-types.js"
STEPS = 250
"""Steps of a share between no cell and every cell."""
UNKNOWN_SHARE = 255
"""Stands for a share that nobody knows: the gene was not measured in cells of the type."""
_COLUMNS = ("sample_id", "cell_type", "gene_id", "n_cells_detected", "n_cells")
_BLOCK_ROWS = 1_000_000


def gene_type_files(folder: ReleaseFolder, release: Release) -> dict[str, str]:
    """The script with the share of cells of each type that have a count of each gene.

    None where the release has no pseudobulk table with rows, as when nobody's cells are open.
    """
    genes = release["genes"].sort_values(["symbol", "gene_id"])
    name = "tables/pseudobulk.parquet"
    if genes.empty or not folder.has(name):
        return {}
    cohorts = release["cohorts"].set_index("cohort_id")["access"]
    cohort_of = release["samples"].set_index("sample_id")["cohort_id"]
    # Rows of a cohort that is not open would be a fault of the release; they are left out.
    cohort_of = cohort_of[cohort_of.map(cohorts) == "open"]
    detected, group_cells = _sums(folder, name, genes["gene_id"], cohort_of)
    if group_cells.empty:
        return {}
    types = sorted(detected)
    shares = np.full((len(genes), len(types)), UNKNOWN_SHARE, dtype=np.uint8)
    measured = _measured(genes["measured_in"], group_cells["cohort_id"])
    for column, cell_type in enumerate(types):
        own = group_cells[group_cells["cell_type"] == cell_type]
        by_cohort = own.groupby("cohort_id", observed=True)["n_cells"].sum()
        total = sum(measured[cohort] * n_cells for cohort, n_cells in by_cohort.items())
        known = total > 0
        share = np.divide(detected[cell_type], total, where=known, out=np.zeros(len(genes)))
        # A gene in a few cells is not a gene in none.
        steps = np.maximum(np.rint(share * STEPS), share > 0)
        shares[known, column] = steps[known].astype(np.uint8)
    n_cells = group_cells.groupby("cell_type", observed=True)["n_cells"].sum()
    content = {
        "genes": " ".join(genes["gene_id"]),
        "symbols": "\t".join(genes["symbol"].fillna("")),
        "types": types,
        "n_cells": [int(n_cells[cell_type]) for cell_type in types],
        "steps": STEPS,
        "shares": pack.encode(shares),
    }
    return {GENE_TYPES: pack.script("gene_types", content)}


def _sums(
    folder: ReleaseFolder, name: str, gene_ids: pd.Series[Any], cohort_of: pd.Series[Any]
) -> tuple[dict[str, np.ndarray], pd.DataFrame]:
    """Cells with a count of each gene by type; and the cells of each sample and type.

    Only of the samples of `cohort_of`.
    """
    import pandas as pd

    index = pd.Index(gene_ids)
    detected: dict[str, np.ndarray] = {}
    groups: dict[tuple[str, str], int] = {}
    with folder.parquet(name) as file:
        for batch in file.iter_batches(_BLOCK_ROWS, columns=list(_COLUMNS)):
            samples, types, genes = (_coded(batch, column) for column in _COLUMNS[:3])
            n_detected, n_cells = (batch.column(column).to_numpy() for column in _COLUMNS[3:])
            is_shown = np.array([name in cohort_of.index for name in samples[1]], bool)[samples[0]]
            # Rows are sorted by sample and type, so a group is one run of a block or two.
            is_first = np.r_[True, (np.diff(samples[0]) != 0) | (np.diff(types[0]) != 0)]
            for row in np.flatnonzero(is_first[: len(n_cells)] & is_shown):
                groups[samples[1][samples[0][row]], types[1][types[0][row]]] = int(n_cells[row])
            place = index.get_indexer(pd.Index(genes[1]))[genes[0]]
            rows = (place >= 0) & is_shown
            cell = types[0][rows].astype(np.int64) * len(index) + place[rows]
            found = np.bincount(cell, n_detected[rows], minlength=len(types[1]) * len(index))
            for code in np.unique(types[0][rows]):
                own = found[code * len(index) : (code + 1) * len(index)]
                cell_type = types[1][code]
                detected[cell_type] = detected.get(cell_type, 0.0) + own
    keys = list(groups)
    frame = pd.DataFrame(
        {
            "sample_id": [sample for sample, _ in keys],
            "cell_type": [cell_type for _, cell_type in keys],
            "cohort_id": [cohort_of[sample] for sample, _ in keys],
            "n_cells": list(groups.values()),
        }
    )
    return detected, frame


def _coded(batch: pa.RecordBatch, column: str) -> tuple[np.ndarray, list[str]]:
    """A column of text as codes, and the texts that they stand for."""
    values = batch.column(column).dictionary_encode()
    return values.indices.to_numpy(), values.dictionary.to_pylist()


def _measured(measured_in: pd.Series[Any], cohorts: pd.Series[Any]) -> dict[str, np.ndarray]:
    """Of each cohort, which genes it measured."""
    names = sorted(set(cohorts.dropna()))
    held = [set(one) for one in measured_in]
    return {name: np.array([name in one for one in held]) for name in names}
