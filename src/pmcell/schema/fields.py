"""Fields and foreign keys that more than one table has."""

from __future__ import annotations

from pmcell.schema.model import Field, ForeignKey

COHORT_ID = Field("cohort_id", "string", "Identifier of the registered cohort.")
DONOR_ID = Field(
    "donor_id",
    "string",
    "Pseudonymous identifier of the person, '<cohort>:<donor>'.",
    term="EFO:0000542",
)
VISIT = Field("visit", "string", "Label of the donor's visit (time point), as the steward gave it.")
SAMPLE_ID = Field("sample_id", "string", "Identifier of the library, '<cohort>:<sample>'.")
CELL_ID = Field(
    "cell_id", "string", "Identifier of the cell, '<cohort>:<barcode>'.", term="CL:0000000"
)
BATCH_ID = Field("batch_id", "string", "Processing batch; the unit that integration removes.")
GENE_ID = Field(
    "gene_id",
    "string",
    "Ensembl gene id without version.",
    ontology="Ensembl",
    term="SO:0000704",
)
SYMBOL = Field(
    "symbol",
    "string",
    "Current gene symbol of the pinned annotation.",
    ontology="HGNC",
    term="SO:0000704",
)
CLUSTER_ID = Field("cluster", "string", "Leiden cluster; '0' is the largest.")
CELL_TYPE = Field(
    "cell_type",
    "string",
    "Cell type that the source gave the cell, else the label of its cluster, which is 'cluster' "
    "and its number where the evidence is too weak; in added cohorts the label of the reference.",
)
CELL_TYPE_TERM = Field(
    "cell_type_ontology_term_id",
    "string",
    "Cell Ontology term of cell_type, or 'unknown'.",
    ontology="CL",
    term="CL:0000000",
)
CELL_TYPE_CONFIDENCE = Field(
    "cell_type_confidence",
    "float64",
    "Confidence of cell_type, from 0 to 1: 1 where the source gave it, else that of the cluster's "
    "label; in added cohorts the probability of the nearest type.",
    "1",
)
CELL_LABEL_METHOD = Field(
    "label_method",
    "string",
    "What cell_type follows: source, transfer (from cells with a source label) or cluster; "
    "reference in added cohorts.",
)
PROFILE_CELL_TYPE = Field(
    "profile_cell_type",
    "string",
    "Type under which the cell counts in the profiles of donors and in every table of types: "
    "cell_type, or the type above it that the labels of all cohorts reach; where a cohort has no "
    "labels, the label of the cluster.",
)
PROFILED_TYPE = Field(
    "cell_type",
    "string",
    "Cell type under which cells count in the profiles of donors: profile_cell_type of cells.",
)
SOURCE_CELL_TYPE_TERM = Field(
    "source_cell_type_ontology_term_id",
    "string",
    "Cell Ontology term of the source's cell type, or 'unknown'.",
    ontology="CL",
    term="CL:0000000",
)
REGION = Field("region", "string", "NUTS code of the region, or ISO 3166-2 code outside the EU.")
SEX = Field(
    "sex_ontology_term_id", "string", "Sex of the donor.", ontology="PATO", term="PATO:0000047"
)
ETHNICITY = Field(
    "self_reported_ethnicity_ontology_term_id",
    "string",
    "Ethnicity as the donor reported it.",
    ontology="HANCESTRO",
    term="EFO:0001799",
)
DEVELOPMENT_STAGE = Field(
    "development_stage_ontology_term_id",
    "string",
    "Age as a development stage.",
    ontology="HsapDv",
    term="EFO:0000399",
)
DISEASE = Field(
    "disease_ontology_term_id",
    "string",
    "Disease of the donor.",
    ontology="MONDO",
    term="MONDO:0000001",
)
ASSAY = Field(
    "assay_ontology_term_id", "string", "Assay of the library.", ontology="EFO", term="OBI:0000070"
)
TISSUE = Field(
    "tissue_ontology_term_id",
    "string",
    "Tissue of the sample.",
    ontology="UBERON",
    term="UBERON:0001062",
)
TISSUE_TYPE = Field("tissue_type", "string", "tissue, organoid or cell culture.")
SUSPENSION = Field("suspension_type", "string", "cell, nucleus or na.")
VISIT_DAY = Field(
    "visit_day",
    "float64",
    "Day of the visit, relative to the donor's first visit.",
    "d",
    required=False,
)
CONDITION = Field("condition", "string", "Condition at the visit, in the cohort's own words.")
AGE_GROUP = Field("age_group", "string", "Age band of the donor, in the cohort's own words.")
CELL_ROW = Field(
    "cell_row",
    "int64",
    "Row of the cell in cells/<cohort>.h5ad, from 0; with cohort_id the key to expression/.",
    "row",
)
N_CELLS = Field("n_cells", "int64", "Cells that passed QC.", "cells")
N_DONORS = Field("n_donors", "int64", "Donors with at least one cell that passed QC.", "donors")
N_SAMPLES = Field("n_samples", "int64", "Samples with at least one cell that passed QC.", "samples")

COHORT_FK = ForeignKey(("cohort_id",), "cohorts")
DONOR_FK = ForeignKey(("donor_id",), "donors")
VISIT_FK = ForeignKey(("donor_id", "visit"), "visits")
SAMPLE_FK = ForeignKey(("sample_id",), "samples")
GENE_FK = ForeignKey(("gene_id",), "genes")
CLUSTER_FK = ForeignKey(("cluster",), "clusters")

WITHHELD_NOTE = (
    " Null where a cohort without open access has too few donors to be counted, or where the number "
    "would tell of few of them."
)

DONOR_FACTS = (SEX.name, ETHNICITY.name, DEVELOPMENT_STAGE.name, DISEASE.name, AGE_GROUP.name)
"""Columns of what a cohort registers of each of its donors, wherever these live."""
