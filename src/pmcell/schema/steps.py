"""Tables that a step leaves for another and no release holds."""

from __future__ import annotations

from pmcell.schema.cells import CELLS
from pmcell.schema.fields import CELL_ID, CLUSTER_ID, SAMPLE_ID
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

CELL_UMAP = Table(
    "cell_umap",
    "Map coordinates of each cell of the atlas, in the order of the embedding.",
    ("cell_id",),
    (CELL_ID, CELLS.field("umap_1"), CELLS.field("umap_2")),
)
