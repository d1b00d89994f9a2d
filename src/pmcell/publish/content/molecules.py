"""Tables about cells, genes, clusters and sums per sample."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from pmcell.core.counts.aggregate import type_of_groups
from pmcell.core.counts.sums import COUNTS, N_DETECTED
from pmcell.io.coded_tables import coded
from pmcell.io.counts.aggregates import read_aggregate
from pmcell.io.counts.open import open_counts
from pmcell.io.tables import join_tables, read_table
from pmcell.publish.atlas import Atlas
from pmcell.publish.facts import Cohort, Facts
from pmcell.schema import GENE_LEDGER, UNKNOWN, X_UMAP
from pmcell.schema.text import text_array
from pmcell.tl.cell_types import PER_CELL, type_of_cells

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa
    import scipy.sparse as sp

    from pmcell.core.counts.aggregate import Aggregate, TypeOfCells

CHUNK_ROWS = 500_000


def iter_cells(facts: Facts, atlas: Atlas) -> Iterator[pd.DataFrame]:
    """All submitted cells of published cohorts, one chunk a cohort."""
    import pandas as pd

    for cohort in facts.published:
        counts = open_counts(cohort.folder / "intake.h5ad")
        frame = read_table(cohort.folder / "qc.parquet")
        observed = counts.read_obs()
        for name in ("donor_id", "sample_id", "visit", "batch_id"):
            frame[name] = observed[name].to_numpy()
        for name in ("source_cell_type", "source_cell_type_ontology_term_id"):
            frame[name] = observed[name].to_numpy() if name in observed else UNKNOWN
        frame["cohort_id"] = cohort.cohort_id
        passes = frame["passes_qc"].to_numpy(bool)
        # Cells are written to cells/ in this order, without the excluded ones.
        frame["cell_row"] = pd.array(np.cumsum(passes) - 1, "Int64")
        frame.loc[~passes, "cell_row"] = pd.NA
        rows = atlas.rows_of(counts.cell_ids[passes], cohort_id=cohort.cohort_id)
        for name in ("cluster", *PER_CELL, "cell_type_set"):
            values = np.full(len(frame), None, object)
            values[passes] = atlas.cells[name].to_numpy(object)[rows]
            frame[name] = values
        for column, name in enumerate(("umap_1", "umap_2")):
            place = np.full(len(frame), np.nan)
            place[passes] = atlas.coordinates[X_UMAP][rows, column]
            frame[name] = place
        yield frame


def iter_pseudobulk(facts: Facts, atlas: Atlas) -> Iterator[pa.Table]:
    """Sums per sample, cell type and gene; clusters and labels of one type are added."""
    cell_types = type_of_cells(atlas.cell_types)
    for cohort in _in_key_order(facts):
        aggregate = read_aggregate(cohort.folder / "aggregate.npz")
        yield from _by_cell_type(aggregate, cell_types)


def gene_ledger_frame(facts: Facts, atlas: Atlas) -> pd.DataFrame:
    """What became of the genes of every cohort whose file could be read."""
    paths = (cohort.folder / "gene_ledger.parquet" for cohort in facts.cohorts)
    return join_tables((read_table(path) for path in paths if path.is_file()), GENE_LEDGER)


def clusters_frame(facts: Facts, atlas: Atlas) -> pd.DataFrame:
    """Clusters with their labels."""
    return atlas.annotation.copy()


def _in_key_order(facts: Facts) -> list[Cohort]:
    """Published cohorts in the order of their ids' prefix, so that their rows follow each other."""
    return sorted(facts.published, key=lambda cohort: cohort.prefix)


def _by_cell_type(aggregate: Aggregate, cell_types: TypeOfCells) -> Iterator[pa.Table]:
    import pandas as pd
    import pyarrow as pa
    import scipy.sparse as sp

    group_type = type_of_groups(aggregate, cell_types)
    group_sample = aggregate.sample_ids[aggregate.group_sample]
    keys = pd.MultiIndex.from_arrays([group_sample, group_type])
    codes, merged = keys.factorize(sort=True)
    if len(merged) == 0:
        return
    # Groups of the same sample and type are added: merged groups × groups, times groups × genes.
    add = sp.csr_matrix((np.ones(codes.size, np.int64), (codes, np.arange(codes.size))))
    n_cells = add @ aggregate.group_n_cells
    genes, gene = np.unique(text_array(aggregate.gene_ids), return_inverse=True)
    counts, detected = (
        _in_order(add @ aggregate.sums.matrix(name), gene) for name in (COUNTS, N_DETECTED)
    )
    samples, sample = np.unique(text_array(merged.get_level_values(0)), return_inverse=True)
    types, cell_type = np.unique(text_array(merged.get_level_values(1)), return_inverse=True)
    lengths = np.diff(counts.indptr)
    start = 0
    while start < len(merged):
        stop = start + 1
        while stop < len(merged) and counts.indptr[stop + 1] - counts.indptr[start] <= CHUNK_ROWS:
            stop += 1
        rows = np.repeat(np.arange(start, stop), lengths[start:stop])
        values = slice(counts.indptr[start], counts.indptr[stop])
        yield pa.table(
            {
                "sample_id": coded(sample[rows], samples),
                "cell_type": coded(cell_type[rows], types),
                "gene_id": coded(counts.indices[values], genes),
                "counts": counts.data[values],
                "n_cells_detected": detected.data[values],
                "n_cells": n_cells[rows],
            }
        )
        start = stop


def _in_order(sums: sp.sparray, gene: np.ndarray) -> sp.csr_matrix:
    """Sums of groups × genes with each gene at its place `gene`, and places rising in a row."""
    import scipy.sparse as sp

    matrix = sp.csr_matrix(sums)
    matrix.indices = gene[matrix.indices].astype(matrix.indices.dtype)
    matrix.has_sorted_indices = False
    matrix.sort_indices()
    return matrix
