"""Tables about cells, genes, clusters and sums per sample."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from pmcell.core.grouped import COUNTS, N_DETECTED
from pmcell.io.aggregates import read_aggregate
from pmcell.io.counts import open_counts
from pmcell.io.tables import read_table
from pmcell.publish.atlas import LABELS, Atlas
from pmcell.publish.disclosure.atlas import open_markers
from pmcell.publish.disclosure.rules import rules_of
from pmcell.publish.facts import Cohort, Facts
from pmcell.schema import UNKNOWN, X_UMAP
from pmcell.schema.text import as_text

if TYPE_CHECKING:
    import pandas as pd

    from pmcell.core.aggregate import Aggregate

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
        for name in ("cluster", *LABELS):
            values = np.full(len(frame), None, object)
            values[passes] = atlas.cells[name].to_numpy(object)[rows]
            frame[name] = values
        for column, name in enumerate(("umap_1", "umap_2")):
            place = np.full(len(frame), np.nan)
            place[passes] = atlas.coordinates[X_UMAP][rows, column]
            frame[name] = place
        yield frame


def iter_pseudobulk(facts: Facts, atlas: Atlas) -> Iterator[pd.DataFrame]:
    """Sums per sample, cell type and gene; clusters of one type are added."""
    label = dict(zip(atlas.annotation["cluster"], atlas.annotation["cell_type"], strict=True))
    for cohort in _in_key_order(facts):
        aggregate = read_aggregate(cohort.folder / "aggregate.npz")
        yield from _by_cell_type(aggregate, label)


def genes_frame(facts: Facts) -> pd.DataFrame:
    """Genes of the accepted cohorts; cells are counted over published cohorts only."""
    import pandas as pd

    frame = read_table(facts.results / "atlas" / "features.parquet")
    if not facts.withheld:
        return frame
    total = pd.Series(0, index=pd.Index(frame["gene_id"]), dtype="int64")
    for cohort in facts.published:
        aggregate = read_aggregate(cohort.folder / "aggregate.npz")
        detected = np.asarray(aggregate.sums.matrix(N_DETECTED).sum(axis=0)).ravel()
        total = total.add(pd.Series(detected, index=aggregate.gene_ids), fill_value=0)
    frame["n_cells_detected"] = (
        total.reindex(frame["gene_id"], fill_value=0).astype("int64").to_numpy()
    )
    # The choice over all batches is a vector over genes that withheld cells enter.
    frame["hvg_rank"] = np.nan
    frame["is_highly_variable"] = pd.array([pd.NA] * len(frame), "boolean")
    return frame


def iter_gene_ledger(facts: Facts) -> Iterator[pd.DataFrame]:
    """What became of the genes; sums of cohorts without open access are not shown."""
    for cohort in facts.cohorts:
        path = cohort.folder / "gene_ledger.parquet"
        if not path.is_file():
            continue
        frame = read_table(path)
        if not cohort.is_open:
            frame["umis"] = None
        yield frame


def clusters_frame(facts: Facts, atlas: Atlas) -> pd.DataFrame:
    """Clusters with cells, donors and mixing counted over published cohorts only."""
    frame = atlas.annotation.copy()
    if not facts.withheld:
        return frame
    shown = atlas.cells[
        atlas.cells["cohort_id"].isin([cohort.cohort_id for cohort in facts.published])
    ]
    grouped = shown.groupby("cluster", observed=True)
    clusters = frame["cluster"]
    frame["n_cells"] = grouped.size().reindex(clusters, fill_value=0).to_numpy("int64")
    frame["n_donors"] = (
        grouped["donor_id"].nunique().reindex(clusters, fill_value=0).to_numpy("int64")
    )
    overall = _entropy(shown["batch_id"])
    within = grouped["batch_id"].apply(_entropy).reindex(clusters, fill_value=0.0).to_numpy(float)
    frame["batch_entropy"] = within / overall if overall > 0 else 1.0
    exposed = clusters.isin(too_few_hidden_donors(facts, atlas))
    frame.loc[exposed, "label_evidence"] = (
        "withheld: too few donors of a cohort without open access"
    )
    return frame


def markers_frame(facts: Facts, atlas: Atlas) -> pd.DataFrame:
    """Markers of the clusters; where a cohort is withheld, found again in the others' cells."""
    if facts.withheld:
        return open_markers(facts)
    frame = read_table(facts.results / "atlas" / "markers.parquet")
    frame["cluster"] = as_text(frame["cluster"])
    return frame


def too_few_hidden_donors(facts: Facts, atlas: Atlas) -> list[str]:
    """Clusters whose statistics rest on 1 to min_donors - 1 donors of cohorts without open access.

    A cluster is compared with all other cells, so too few such donors in the
    whole atlas expose every cluster.
    """
    if not facts.withheld:
        return []
    hidden = atlas.cells[
        atlas.cells["cohort_id"].isin([cohort.cohort_id for cohort in facts.withheld])
    ]
    least = rules_of(facts).strictest
    if 0 < hidden["donor_id"].nunique() < least:
        return sorted(atlas.annotation["cluster"])
    donors = hidden.groupby("cluster", observed=True)["donor_id"].nunique()
    return sorted(donors[donors < least].index)


def iter_qc(facts: Facts) -> Iterator[pd.DataFrame]:
    """QC of the samples of published cohorts."""
    for cohort in facts.published:
        yield read_table(cohort.folder / "qc_samples.parquet")


def _in_key_order(facts: Facts) -> list[Cohort]:
    """Published cohorts in the order of their ids' prefix, so that their rows follow each other."""
    return sorted(facts.published, key=lambda cohort: cohort.prefix)


def _by_cell_type(aggregate: Aggregate, label: dict[str, str]) -> Iterator[pd.DataFrame]:
    import pandas as pd
    import scipy.sparse as sp

    types = np.array([label[str(cluster)] for cluster in aggregate.clusters], dtype=object)
    group_type = types[aggregate.group_cluster]
    group_sample = aggregate.sample_ids[aggregate.group_sample]
    keys = pd.MultiIndex.from_arrays([group_sample, group_type])
    codes, merged = keys.factorize(sort=True)
    if len(merged) == 0:
        return
    # Groups of the same sample and type are added: merged groups × groups, times groups × genes.
    add = sp.csr_matrix((np.ones(codes.size, np.int64), (codes, np.arange(codes.size))))
    n_cells = add @ aggregate.group_n_cells
    counts = (add @ aggregate.sums.matrix(COUNTS)).tocsr()
    detected = (add @ aggregate.sums.matrix(N_DETECTED)).tocsr()
    counts.sort_indices()
    detected.sort_indices()
    lengths = np.diff(counts.indptr)
    start = 0
    while start < len(merged):
        stop = start + 1
        while stop < len(merged) and counts.indptr[stop + 1] - counts.indptr[start] <= CHUNK_ROWS:
            stop += 1
        rows = np.repeat(np.arange(start, stop), lengths[start:stop])
        values = slice(counts.indptr[start], counts.indptr[stop])
        yield pd.DataFrame(
            {
                "sample_id": merged.get_level_values(0).to_numpy(object)[rows],
                "cell_type": merged.get_level_values(1).to_numpy(object)[rows],
                "gene_id": aggregate.gene_ids[counts.indices[values]],
                "counts": counts.data[values],
                "n_cells_detected": detected.data[values],
                "n_cells": n_cells[rows],
            }
        )
        start = stop


def _entropy(labels: pd.Series[str]) -> float:
    shares = labels.value_counts(normalize=True).to_numpy(float)
    shares = shares[shares > 0]
    return float(-(shares * np.log(shares)).sum())
