"""Tables that a step leaves for another and no release holds."""

from __future__ import annotations

from pmcell.schema.cells import CELLS
from pmcell.schema.fields import (
    CELL_ID,
    CELL_LABEL_METHOD,
    CELL_TYPE,
    CELL_TYPE_CONFIDENCE,
    CELL_TYPE_TERM,
    CLUSTER_ID,
    N_CELLS,
    PROFILE_CELL_TYPE,
    SAMPLE_ID,
    SOURCE_CELL_TYPE_TERM,
)
from pmcell.schema.model import Table

QC_CELLS = Table(
    "qc_cells",
    "QC of each cell of one cohort, in the order of the count file.",
    ("cell_id",),
    (
        CELL_ID,
        SAMPLE_ID,
        *(
            CELLS.field(name)
            for name in (
                "total_counts",
                "n_genes_detected",
                "share_mitochondrial",
                "doublet_score",
                "passes_qc",
                "exclusion",
            )
        ),
    ),
)

CELL_CLUSTERS = Table(
    "cell_clusters",
    "Cluster of each cell of the atlas, in the order of the embedding.",
    ("cell_id",),
    (CELL_ID, CLUSTER_ID),
)

CELL_TYPES = Table(
    "cell_types",
    "Type of the cells of each cluster and label of the source.",
    (CLUSTER_ID.name, SOURCE_CELL_TYPE_TERM.name),
    (
        CLUSTER_ID,
        SOURCE_CELL_TYPE_TERM,
        CELL_TYPE,
        CELL_TYPE_TERM,
        CELL_TYPE_CONFIDENCE,
        CELL_LABEL_METHOD,
        PROFILE_CELL_TYPE,
        N_CELLS,
    ),
)

CELL_UMAP = Table(
    "cell_umap",
    "Map coordinates of each cell of the atlas, in the order of the embedding.",
    ("cell_id",),
    (CELL_ID, CELLS.field("umap_1"), CELLS.field("umap_2")),
)
