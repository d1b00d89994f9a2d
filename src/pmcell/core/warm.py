"""Compile every kernel once, so that parallel jobs load them from the cache.

`pmcell run` does this before jobs fan out; `pmcell.warm` adds the libraries at set-up.
"""

from __future__ import annotations

import numpy as np
from scipy import sparse

from pmcell.core.counts.blocks import MatrixCounts
from pmcell.core.counts.by_gene import joined_runs, runs_by_gene
from pmcell.core.counts.cell_metrics import cell_metrics
from pmcell.core.counts.decode import copy_counts, first_bad_row, unshuffled
from pmcell.core.counts.encode import fletcher32, shuffled
from pmcell.core.counts.grouped import add_sums, grouped_sums
from pmcell.core.counts.kept import kept_rows
from pmcell.core.counts.lognorm import cell_totals, quantise
from pmcell.core.counts.moments import moments
from pmcell.core.counts.ranks import LabelledCounts, rank_sums
from pmcell.core.counts.rewritten import fingerprints, over_columns
from pmcell.core.counts.sums import N_DETECTED, GroupedSums
from pmcell.core.donors.donor_stats import sum_groups
from pmcell.core.graph.ivf import approximate_neighbors
from pmcell.core.graph.knn import nearest_neighbors
from pmcell.core.graph.layout import layout
from pmcell.core.graph.leiden import as_graph, leiden, thinned
from pmcell.core.graph.weights import fuzzy_weights, shared_weights
from pmcell.core.harmony import harmony
from pmcell.core.pca.doublets import doublet_scores
from pmcell.core.pca.gram import basis, gram
from pmcell.core.pca.project import project
from pmcell.core.weighted_products import weighted_products


def warm_kernels() -> None:
    """Call each kernel on a few cells, with the types that the steps use."""
    rng = np.random.default_rng(0)
    matrix = sparse.csr_matrix(rng.poisson(1.0, (40, 12)).astype(np.int32))
    counts = MatrixCounts(matrix)
    block = next(counts.iter_blocks())
    used = np.ones(counts.n_cells, bool)
    features = np.arange(counts.n_genes)
    cell_totals(block.indptr, block.data)
    quantise(block.indptr, block.data)
    doublet_scores(matrix)
    cell_metrics(counts, np.zeros(counts.n_genes, bool))
    moments(counts, np.zeros(counts.n_cells, np.int64), ["all"])
    sums = gram(counts, features, counts.n_genes, used)
    scores = project(counts, features, used, basis([sums], 5), sums.measured)
    weighted_products(matrix, np.ones(counts.n_cells))
    harmony(scores, np.arange(counts.n_cells) % 2)
    positions, distances = nearest_neighbors(scores, 5)
    shared_weights(positions)
    weights = fuzzy_weights(positions, distances)
    layout(weights, scores[:, :2], n_epochs=1)
    graph = as_graph(weights)
    leiden(thinned(graph, 0.8, seed=0))
    approximate_neighbors(scores, 5)
    groups = np.arange(counts.n_cells) % 3
    by_group = grouped_sums(counts, groups, 3)
    grouped_sums(counts, np.zeros(counts.n_cells, np.int64), 1)
    merged = grouped_sums(counts, np.arange(counts.n_cells), counts.n_cells)
    if isinstance(merged, GroupedSums):
        add_sums(merged, merged)
    unshuffled(bytes(8), np.dtype("<i4"))
    fletcher32(shuffled(np.zeros(1, np.int32)))
    kept = kept_rows(block, np.arange(block.n_rows) % 2 == 0)
    kept.log_normalised()
    rank = np.arange(counts.n_genes, dtype=np.int32)
    parts = [runs_by_gene(kept.indptr, kept.indices, kept.data, rank, n_genes=rank.size)] * 2
    joined_runs(parts)
    copy_counts(np.zeros(1, np.float32), np.zeros(1, np.int32))
    rows = block.indptr, block.indices, block.data
    over_columns(rows, features.astype(np.int32), np.zeros(counts.n_genes, np.int64))
    fingerprints((*rows[:2], block.data.astype(np.int64)), features.astype(np.uint64))
    first_bad_row(block.indptr, block.indices, counts.n_genes)
    sum_groups(scores, groups, 3)
    detected = by_group.matrix(N_DETECTED).toarray()
    sizes = np.repeat(np.bincount(groups)[:, None], counts.n_genes, axis=1)
    rank_sums([LabelledCounts(counts, groups, features)], sizes, detected)
