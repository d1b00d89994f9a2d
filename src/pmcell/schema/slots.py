"""Constants of the contract: its version, scales, and the slots of AnnData objects."""

SCHEMA_VERSION = "1.2.0"

COUNT_SCALE = 2048
"""Fixed-point scale of log-normalised values: round(log1p(TARGET_SUM * count / total) * COUNT_SCALE)."""

TARGET_SUM = 10_000
"""Counts per cell after normalisation."""

UNKNOWN = "unknown"
"""The one word for a value that nobody supplied."""

NO_PROGRAMME = "none"
"""What a cohort names that belongs to no programme."""

OWN_COLUMNS_WRITTEN = "pmcell_columns"
"""uns: columns of obs that pmcell wrote; any other column of the same name came with the cells."""

# Slots of AnnData objects.
X_PCA = "X_pca"
X_INTEGRATED = "X_integrated"
X_UMAP = "X_umap"
CONNECTIVITIES = "connectivities"
DISTANCES = "distances"
CLUSTER = "cluster"
TISSUE_GROUP = "tissue_group"
CLUSTER_STABILITY = "cluster_stability"
X_STATE = "X_state"
X_COMPOSITION = "X_composition"
