"""Where the stratification keeps things in the donors' AnnData (donor × visit, cell types)."""

from __future__ import annotations

SUM = "sum_q"
"""obsm (rows, types·dims) int64: Σx of each type's cells, in units of 2^-20."""
SUM_SQUARES = "sum_q2"
"""obsm, the same for Σx²."""
HALF_N = "half_n"
"""obsm (rows, types) int64: cells in the first half, chosen by a hash of the cell id."""
HALF_SUM = "half_sum_q"
"""obsm (rows, types·dims) int64: Σx of the first half."""
WAVES = "waves_q"
"""obsm (rows, 2·waves) int64: Σcos and Σsin of random waves over all cells, units of 2^-20."""
HALF_WAVES = "half_waves_q"
"""obsm, the same for the first half."""
SAMPLED = "sampled"
"""Layer (rows, types), with several tissues: whether one that has the type was sampled."""
GENE_COUNTS = "gene_counts"
"""obsm (rows, 2·types·genes) int32: counts of each type's genes in two halves of the cells."""
GENE_TOTALS = "gene_totals"
"""obsm (rows, 2·types) int64: counts of the genes that all cohorts with the type measured."""
SUMS = (SUM, SUM_SQUARES, HALF_N, HALF_SUM, WAVES, HALF_WAVES, GENE_COUNTS, GENE_TOTALS)
"""obsm: all that is added up over cells."""
GENES = "genes"
"""uns: gene_ids, gene (types × genes: a place in gene_ids or -1), why there is none."""
CLOUD = "cluster_free"
"""uns: local_distance, frequencies (dims, waves), error (2·waves square)."""
WITHIN = "within_variance"
"""varm (types, dims): variance of a type's cells within a row, pooled; NaN without two cells."""
POOL = "state_pool"
"""var: the type itself or the pool of rare types in which its state is looked at, '' for none."""
AXES = "X_axes"
"""obsm (rows, axes): principal coordinates of the fused distance; other visits are projected."""
LABELS = "candidate_by_k"
"""obsm (rows, ks) int64: partition for each k of uns['clustering']['ks']; -1 if not assigned."""
SUPPORT = "support_by_k"
"""obsm (rows, ks): share of bootstraps that agree with the row's label."""

DISTANCE = "distance"
DISTANCE_GENES = "distance_genes"
"""obsp: squared distances, sampling noise subtracted (so a few may be slightly negative)."""

DISCOVERY = "discovery"
"""obs: the one row of each donor on which everything is fitted."""
ENOUGH = "enough_cells"
"""obs: whether the row has the cells to be placed."""
CANDIDATE = "candidate_stratum"
STRATUM = "stratum"
STATUS = "status"
PROBABILITY = "probability"
CONFORMAL = "conformal_set"
OOD = "ood_p"
MARGIN = "margin"
MEDIANS = ("total_counts", "share_mitochondrial")
"""Columns of the cells of which a row has the median, as `median_<name>`."""
OWN_COLUMNS = (
    "donor_id",
    "visit",
    "batch_id",
    "n_cells",
    "n_samples",
    *(f"median_{name}" for name in MEDIANS),
    DISCOVERY,
    ENOUGH,
    CANDIDATE,
    STRATUM,
    STATUS,
    PROBABILITY,
    CONFORMAL,
    OOD,
    MARGIN,
)
"""obs: names that the stratification writes; columns of the cells that have one are renamed."""

ALL_CELLS = "all cells"
"""What stands for the cell type where a channel knows none."""
