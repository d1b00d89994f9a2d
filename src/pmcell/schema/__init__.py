"""The data contract: every column, slot and table that pmcell writes, spelled once.

A field has a name, a kind, one sentence of prose, a unit and, where there is
one, the ontology its values come from. Tables are built from fields; the
Parquet metadata, the data dictionary and the FAIR metadata are all made from
here. A new output is first a new field here.
"""

from __future__ import annotations

from pmcell.schema.added import ADDITIONS, PLACED_CELLS, PLACEMENTS
from pmcell.schema.cells import (
    CELLS,
    CLUSTERS,
    COMPOSITION,
    GENE_LEDGER,
    GENES,
    MARKERS,
    PSEUDOBULK,
)
from pmcell.schema.counts import DONOR_GROUPS, GAPS, QC, RUNTIME
from pmcell.schema.disclosure import Disclosure
from pmcell.schema.explanation import (
    DIFFERENTIAL_EXPRESSION,
    EXPRESSION_CONTRASTS,
    GENE_DRIVERS,
    PATHWAYS,
)
from pmcell.schema.fields import (
    ASSAY,
    CELL_TYPE,
    CELL_TYPE_TERM,
    DISEASE,
    PROFILE_CELL_TYPE,
    SOURCE_CELL_TYPE_TERM,
    SUSPENSION,
    TISSUE,
    VISIT_DAY,
)
from pmcell.schema.followup import FOLLOWUP, FOLLOWUP_EFFECTS, STRATUM_STEPS
from pmcell.schema.measurements import MEASUREMENTS
from pmcell.schema.model import Field, ForeignKey, Table
from pmcell.schema.pairs import CONSENSUS, DONOR_DISTANCES
from pmcell.schema.people import COHORT_COUNTS, COHORTS, DONORS, DUPLICATES, SAMPLES, VISITS
from pmcell.schema.release_files import EXPRESSION, RELEASE_FILES
from pmcell.schema.slots import (
    CLUSTER,
    CLUSTER_STABILITY,
    CONNECTIVITIES,
    COUNT_SCALE,
    DISTANCES,
    NO_PROGRAMME,
    SCHEMA_VERSION,
    TARGET_SUM,
    TISSUE_GROUP,
    UNKNOWN,
    X_COMPOSITION,
    X_INTEGRATED,
    X_PCA,
    X_STATE,
    X_UMAP,
)
from pmcell.schema.steps import CELL_CLUSTERS, CELL_LABELS, CELL_TYPES, CELL_UMAP, QC_CELLS
from pmcell.schema.strata import (
    ASSIGNMENTS,
    ASSOCIATIONS,
    COMPOSITION_SHIFTS,
    DRIVERS,
    MOVEMENT,
    OUTCOMES,
    STRATA,
    SURVIVAL,
)
from pmcell.schema.tables import TABLES, table
from pmcell.schema.verdict import Verdict
