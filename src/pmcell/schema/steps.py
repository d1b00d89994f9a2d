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
from pmcell.schema.model import Field, Table

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

CELL_LABELS = Table(
    "cell_labels",
    "Labels of cells whose source gave none, told from those whose source gave one.",
    ("cell_id",),
    (
        CELL_ID,
        Field(
            "cell_type_ontology_term_id",
            "string",
            "Cell Ontology term: a type, the closest common ancestor of types where one is too "
            "much to say, or 'unknown'.",
            ontology="CL",
            term="CL:0000000",
        ),
        Field("label_level", "string", "leaf, ancestor or unknown."),
        Field(
            "cell_type_set",
            "list<string>",
            "Cell Ontology terms of the types that cannot be ruled out.",
            ontology="CL",
        ),
        Field(
            "nearest_cell_type_ontology_term_id",
            "string",
            "Most probable type, whether or not it became the label; the cell counts as it in "
            "profiles, unless it has no label.",
            ontology="CL",
        ),
        Field(
            "probability",
            "float64",
            "Probability of the types at or below the label; of the most probable type without one.",
            "1",
        ),
    ),
)

TRANSFERRED_TERM = "transferred_cell_type_ontology_term_id"
NEAREST_TERM = "transferred_nearest_cell_type_ontology_term_id"
TRANSFERRED_PROBABILITY = "transferred_probability"
TRANSFERRED = {
    "cell_type_ontology_term_id": TRANSFERRED_TERM,
    "nearest_cell_type_ontology_term_id": NEAREST_TERM,
    "probability": TRANSFERRED_PROBABILITY,
}
"""Columns of `CELL_LABELS`, and what they are called beside all cells, null without a label."""

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
