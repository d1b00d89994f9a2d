"""Sums per sample, cluster and source label, from which markers and profiles are made."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pmcell.core.counts.aggregate import Aggregate, Labels, natural_order, positions
from pmcell.core.counts.blocks import Counts, MatrixCounts, StoredCounts
from pmcell.core.counts.grouped import grouped_sums
from pmcell.errors import DataError
from pmcell.pp._adata import column, counts_and_rows, raw_counts
from pmcell.schema import SOURCE_CELL_TYPE_TERM, UNKNOWN
from pmcell.schema.halves import second_half
from pmcell.schema.steps import NEAREST_TERM
from pmcell.schema.text import as_text

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData

SOURCE_TERM = SOURCE_CELL_TYPE_TERM.name
"""Column of the cells with the source's label."""


def aggregate(
    adata: AnnData,
    *,
    by: tuple[str, str] = ("sample_id", "cluster"),
    counts: StoredCounts | None = None,
    layer: str | None = None,
) -> Aggregate:
    """Sum raw counts and log-normalised values over half the cells of a sample, cluster and label.

    `adata.X`, `layer`, or the file `counts`, holds raw counts; `by` names the sample and the
    cluster column of `adata.obs`. Columns `donor_id`, `tissue_ontology_term_id` and
    `source_cell_type_ontology_term_id` (the label) are used where present, else each sample is
    its own donor and tissue and label are unknown. A cell is in the half that its name says,
    whatever cells are beside it. Every sum is an exact integer. Raises `DataError` when X is
    not raw counts.

    >>> import anndata, numpy as np, pandas as pd
    >>> obs = pd.DataFrame({"sample_id": list("sst"), "cluster": list("010")}, list("abc"))
    >>> adata = anndata.AnnData(np.array([[1, 0], [2, 3], [0, 4]]), obs=obs)
    >>> aggregate(adata).sums.matrix(0).toarray().tolist()
    [[1, 0], [2, 3], [0, 4]]
    """
    sample, cluster = by
    cells = adata.obs.assign(sample_id=column(adata, sample), cluster=column(adata, cluster))
    genes = np.asarray(adata.var_names, object)
    if counts is None:
        return aggregate_cells(counts_of(adata, layer), genes, cells)
    counts_and_rows(adata, counts)
    return aggregate_cells(counts, genes, cells.reindex(counts.cell_ids))


def counts_of(adata: AnnData, layer: str | None = None) -> MatrixCounts:
    """The raw counts in `adata.X` or a layer; `DataError` when they are not counts."""
    counts = raw_counts(adata, layer)
    if not counts.has_canonical_format:
        # A count stored in two pieces would be detected twice.
        counts = counts.copy()
        counts.sum_duplicates()
    return MatrixCounts(counts)


def symbols_of(adata: AnnData) -> dict[str, str]:
    """Gene symbols by gene: `adata.var["symbol"]` where there is one, else the index itself."""
    names = adata.var.get("symbol", adata.var_names)
    return dict(zip(map(str, adata.var_names), map(str, names), strict=True))


def aggregate_cells(counts: Counts, gene_ids: Labels, cells: pd.DataFrame) -> Aggregate:
    """The same sums for counts that are read in blocks.

    `cells` has one row a cell of `counts` with columns `sample_id` and `cluster`
    (null: the cell is left out) and, where known, `donor_id`,
    `tissue_ontology_term_id`, `source_cell_type_ontology_term_id` and, for cells without a
    source's label, the type that was transferred to them (`NEAREST_TERM`).
    """
    used = (cells["cluster"].notna() & cells["sample_id"].notna()).to_numpy()
    kept = cells[used]
    sample_of_cell = as_text(kept["sample_id"]).to_numpy(object)
    cluster_of_cell = as_text(kept["cluster"]).to_numpy(object)
    sample_ids = np.array(sorted(set(sample_of_cell)), dtype=object)
    clusters = natural_order(set(cluster_of_cell))
    label_of_cell = counted_labels(kept)
    labels = np.array(sorted(set(label_of_cell)), dtype=object)
    shape = (sample_ids.size, clusters.size, labels.size, 2)
    keys = (
        positions(sample_ids, sample_of_cell),
        positions(clusters, cluster_of_cell),
        positions(labels, label_of_cell),
        second_half(kept.index).astype(np.int64),
    )
    code = np.ravel_multi_index(keys, shape) if len(kept) else np.zeros(0, np.int64)
    groups, group_of_kept, n_cells = np.unique(code, return_inverse=True, return_counts=True)
    sample, cluster, label, half = np.unravel_index(groups, shape) if len(kept) else [groups] * 4
    group_of_cell = np.full(len(cells), -1, np.int64)
    group_of_cell[used] = group_of_kept
    return Aggregate(
        sample_ids=sample_ids,
        sample_donors=_of_sample(kept, sample_ids, "donor_id", default=sample_ids),
        sample_tissues=_of_sample(
            kept,
            sample_ids,
            "tissue_ontology_term_id",
            default=np.full(sample_ids.size, UNKNOWN, object),
        ),
        clusters=clusters,
        labels=labels,
        gene_ids=np.asarray(gene_ids, object),
        group_sample=sample.astype(np.int64),
        group_cluster=cluster.astype(np.int64),
        group_label=label.astype(np.int64),
        group_half=half.astype(np.int64),
        group_n_cells=n_cells.astype(np.int64),
        sums=grouped_sums(counts, group_of_cell, groups.size),
    )


def source_labels(cells: pd.DataFrame) -> Labels:
    """The Cell Ontology term that the source gave each cell, 'unknown' where it gave none."""
    if SOURCE_TERM not in cells:
        return np.full(len(cells), UNKNOWN, object)
    return np.asarray(as_text(cells[SOURCE_TERM]).replace("", UNKNOWN), object)


def counted_labels(cells: pd.DataFrame) -> Labels:
    """The label under which each cell is summed: transferred where one was, else its source's."""
    labels = source_labels(cells)
    if NEAREST_TERM not in cells:
        return labels
    nearest = cells[NEAREST_TERM]
    return np.where(nearest.notna(), nearest.astype(object), labels)


def _of_sample(cells: pd.DataFrame, sample_ids: Labels, name: str, *, default: Labels) -> Labels:
    """The value of `name` of each sample, which must be one; `default` without that column."""
    if name not in cells:
        return default
    values = cells.groupby(as_text(cells["sample_id"]), observed=True)[name]
    mixed = values.nunique(dropna=False)
    mixed = mixed[mixed > 1]
    if len(mixed):
        raise DataError(
            f"each sample must have one {name}; {len(mixed)} have more, the first "
            f"{mixed.index[0]!r}. Give every library its own sample_id.",
            reason="ambiguous_sample",
        )
    return np.asarray(as_text(values.first()).reindex(sample_ids), object)
