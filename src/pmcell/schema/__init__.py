"""The data contract: every column, slot and table that pmcell writes, spelled once.

A field has a name, a kind, one sentence of prose, a unit and, where there is
one, the ontology its values come from. Tables are built from fields; the
Parquet metadata, the data dictionary and the FAIR metadata are all made from
here. A new output is first a new field here.
"""

from __future__ import annotations

from pmcell.schema.cells import (
    CELLS,
    CLUSTERS,
    COMPOSITION,
    EXPRESSION,
    GENE_LEDGER,
    GENES,
    MARKERS,
    PSEUDOBULK,
)
from pmcell.schema.counts import COHORT_COUNTS, GAPS, QC, RUNTIME
from pmcell.schema.fields import (
    AGE_GROUP,
    ASSAY,
    BATCH_ID,
    CELL_ID,
    CELL_ROW,
    CELL_TYPE,
    CELL_TYPE_TERM,
    CLUSTER_ID,
    COHORT_ID,
    CONDITION,
    DEVELOPMENT_STAGE,
    DISEASE,
    DONOR_ID,
    ETHNICITY,
    GENE_ID,
    N_CELLS,
    N_DONORS,
    N_SAMPLES,
    REGION,
    SAMPLE_ID,
    SEX,
    SUSPENSION,
    SYMBOL,
    TISSUE,
    TISSUE_TYPE,
    VISIT,
    VISIT_DAY,
)
from pmcell.schema.model import Field, ForeignKey, Table
from pmcell.schema.people import COHORTS, DONORS, SAMPLES, VISITS
from pmcell.schema.slots import (
    CLUSTER,
    CLUSTER_STABILITY,
    CONNECTIVITIES,
    COUNT_SCALE,
    DISTANCES,
    SCHEMA_VERSION,
    TARGET_SUM,
    UNKNOWN,
    X_COMPOSITION,
    X_INTEGRATED,
    X_PCA,
    X_STATE,
    X_UMAP,
)
from pmcell.schema.steps import CELL_CLUSTERS, CELL_UMAP, QC_CELLS
from pmcell.schema.strata import (
    ASSIGNMENTS,
    ASSOCIATIONS,
    CONSENSUS,
    DONOR_DISTANCES,
    DRIVERS,
    OUTCOMES,
    STRATA,
    SURVIVAL,
)

__all__ = [
    "AGE_GROUP",
    "ASSAY",
    "ASSIGNMENTS",
    "ASSOCIATIONS",
    "BATCH_ID",
    "CELLS",
    "CELL_CLUSTERS",
    "CELL_ID",
    "CELL_ROW",
    "CELL_TYPE",
    "CELL_TYPE_TERM",
    "CELL_UMAP",
    "CLUSTER",
    "CLUSTERS",
    "CLUSTER_ID",
    "CLUSTER_STABILITY",
    "COHORTS",
    "COHORT_COUNTS",
    "COHORT_ID",
    "COMPOSITION",
    "CONDITION",
    "CONNECTIVITIES",
    "CONSENSUS",
    "COUNT_SCALE",
    "DEVELOPMENT_STAGE",
    "DISEASE",
    "DISTANCES",
    "DONORS",
    "DONOR_DISTANCES",
    "DONOR_ID",
    "DRIVERS",
    "ETHNICITY",
    "EXPRESSION",
    "GAPS",
    "GENES",
    "GENE_ID",
    "GENE_LEDGER",
    "MARKERS",
    "N_CELLS",
    "N_DONORS",
    "N_SAMPLES",
    "OUTCOMES",
    "PSEUDOBULK",
    "QC",
    "QC_CELLS",
    "REGION",
    "RUNTIME",
    "SAMPLES",
    "SAMPLE_ID",
    "SCHEMA_VERSION",
    "SEX",
    "STRATA",
    "SURVIVAL",
    "SUSPENSION",
    "SYMBOL",
    "TABLES",
    "TARGET_SUM",
    "TISSUE",
    "TISSUE_TYPE",
    "UNKNOWN",
    "VISIT",
    "VISITS",
    "VISIT_DAY",
    "X_COMPOSITION",
    "X_INTEGRATED",
    "X_PCA",
    "X_STATE",
    "X_UMAP",
    "Field",
    "ForeignKey",
    "Table",
    "table",
]

TABLES: tuple[Table, ...] = (
    COHORTS,
    COHORT_COUNTS,
    DONORS,
    VISITS,
    SAMPLES,
    CELLS,
    GENES,
    GENE_LEDGER,
    CLUSTERS,
    MARKERS,
    COMPOSITION,
    PSEUDOBULK,
    STRATA,
    ASSIGNMENTS,
    ASSOCIATIONS,
    DRIVERS,
    OUTCOMES,
    SURVIVAL,
    DONOR_DISTANCES,
    CONSENSUS,
    GAPS,
    QC,
    RUNTIME,
)
"""All tables of a release, in reading order."""


def table(name: str) -> Table:
    """The table called `name`; KeyError with the known names if there is none."""
    for item in TABLES:
        if item.name == name:
            return item
    raise KeyError(f"no table {name!r}; there are {', '.join(item.name for item in TABLES)}")
