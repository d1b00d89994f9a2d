"""Tables of cells, genes and clusters."""

from __future__ import annotations

from dataclasses import replace

from pmcell.schema.disclosure import DESCRIPTION, INDIVIDUAL, OPEN_ONLY, VECTOR, Disclosure
from pmcell.schema.fields import (
    BATCH_ID,
    CELL_ID,
    CELL_LABEL_METHOD,
    CELL_ROW,
    CELL_TYPE,
    CELL_TYPE_CONFIDENCE,
    CELL_TYPE_TERM,
    CLUSTER_FK,
    CLUSTER_ID,
    COHORT_FK,
    COHORT_ID,
    DONOR_FK,
    DONOR_ID,
    GENE_FK,
    GENE_ID,
    N_CELLS,
    N_DONORS,
    PROFILE_CELL_TYPE,
    PROFILED_TYPE,
    SAMPLE_FK,
    SAMPLE_ID,
    SOURCE_CELL_TYPE_TERM,
    SYMBOL,
    VISIT,
    VISIT_FK,
)
from pmcell.schema.model import Field, Table


def _of_kept(field: Field) -> Field:
    """The field as it stands beside excluded cells, which have none."""
    return replace(field, prose=f"{field.prose} Null for excluded cells.", required=False)


CELLS = Table(
    "cells",
    "Cells of accepted cohorts, excluded ones with their reason.",
    ("cell_id",),
    (
        CELL_ID,
        COHORT_ID,
        DONOR_ID,
        SAMPLE_ID,
        VISIT,
        BATCH_ID,
        Field(
            "cell_row",
            "int64",
            CELL_ROW.prose + " Null for excluded cells.",
            "row",
            required=False,
        ),
        Field("total_counts", "int64", "Sum of the cell's counts over kept genes.", "UMI"),
        Field("n_genes_detected", "int64", "Kept genes with at least one count.", "genes"),
        Field(
            "share_mitochondrial",
            "float64",
            "Share of counts on mitochondrial genes; null where none was measured.",
            "1",
            required=False,
        ),
        Field(
            "doublet_score",
            "float64",
            "Posterior of being two cells, from the share of simulated doublets among the cell's "
            "neighbours in the sample (Scrublet's score); null where the sample is too small.",
            "1",
            required=False,
        ),
        Field("passes_qc", "bool", "Whether the cell is used by later steps."),
        Field(
            "exclusion", "string", "Reasons of exclusion joined by ';', empty when the cell passes."
        ),
        Field(
            "cluster",
            "string",
            "Leiden cluster; null for excluded cells, and in added cohorts, which took no part in "
            "clustering.",
            required=False,
        ),
        _of_kept(CELL_TYPE),
        _of_kept(CELL_TYPE_TERM),
        _of_kept(CELL_TYPE_CONFIDENCE),
        _of_kept(CELL_LABEL_METHOD),
        _of_kept(PROFILE_CELL_TYPE),
        Field(
            "cell_type_set",
            "list<string>",
            "Cell Ontology terms of the types that cannot be ruled out, where the label is not the "
            "source's but a transferred one, or none could be; null for all other cells.",
            ontology="CL",
            required=False,
        ),
        Field("source_cell_type", "string", "Cell type that the source gave, or 'unknown'."),
        SOURCE_CELL_TYPE_TERM,
        Field(
            "umap_1", "float64", "First UMAP coordinate; null for excluded cells.", required=False
        ),
        Field(
            "umap_2", "float64", "Second UMAP coordinate; null for excluded cells.", required=False
        ),
    ),
    (COHORT_FK, DONOR_FK, VISIT_FK, SAMPLE_FK, CLUSTER_FK),
    # One type's cells of a million then lie in 5 of 50 row groups, not in all; measured by
    # tests/benchmarks/release/layout.py.
    order=("cohort_id", "cell_type", "donor_id", "cell_id"),
    row_group_size=20_000,
    source="content.molecules:iter_cells",
    disclosure=Disclosure(INDIVIDUAL, ids=("cell_id",)),
)

GENES = Table(
    "genes",
    "Genes measured in at least one accepted cohort.",
    ("gene_id",),
    (
        GENE_ID,
        SYMBOL,
        Field(
            "measured_in",
            "list<string>",
            "Cohorts that measured the gene, without those added to a release that held it: those are "
            "in gene_ledger; elsewhere it is unknown, not zero.",
        ),
        Field(
            "n_cells_detected",
            "int64",
            "Cells of the cohorts in measured_in that passed QC and have at least one count.",
            "cells",
        ),
        Field(
            "is_highly_variable",
            "bool",
            "Whether the gene enters the principal components; null where cells that are not published had a part in the choice.",
            required=False,
        ),
        Field(
            "hvg_rank",
            "float64",
            "Rank of the gene by the median over batches of its rank by standardised variance, the "
            "best of all tissues; null where it is not ranked.",
            "rank",
            required=False,
        ),
        Field(
            "highly_variable_in",
            "list<string>",
            "Tissues (organs, UBERON) into whose principal components the gene enters; null where "
            "cells that are not published had a part in the choice.",
            required=False,
        ),
    ),
    source="atlas/features.parquet",
    disclosure=Disclosure(VECTOR, rule="genes"),
)

GENE_LEDGER = Table(
    "gene_ledger",
    "What became of every submitted gene.",
    ("cohort_id", "row"),
    (
        COHORT_ID,
        Field("row", "int64", "Position of the gene in the submitted file, from 0.", "row"),
        Field("source_gene", "string", "Gene identifier as submitted."),
        Field(
            "gene_id",
            "string",
            "Ensembl gene id it was mapped to; null when lost.",
            ontology="Ensembl",
            term="SO:0000704",
            required=False,
        ),
        Field(
            "symbol", "string", "Current symbol; null when lost.", ontology="HGNC", required=False
        ),
        Field("fate", "string", "kept, renamed, merged, ambiguous or lost."),
        Field("why", "string", "Why the gene is not simply kept; empty when kept."),
        Field(
            "umis",
            "int64",
            "Sum of the gene's counts in the submitted file; null for cohorts without open access.",
            "UMI",
            required=False,
        ),
    ),
    (COHORT_FK,),
    source="content.molecules:gene_ledger_frame",
    disclosure=Disclosure(DESCRIPTION, private=("umis",)),
)

CLUSTERS = Table(
    "clusters",
    "Leiden clusters of the integrated embedding.",
    ("cluster",),
    (
        CLUSTER_ID,
        Field(
            "cell_type",
            "string",
            "Label of the cluster; 'cluster' and its number where the evidence is too weak.",
        ),
        Field(
            "cell_type_ontology_term_id",
            "string",
            "Cell Ontology term of the label, or 'unknown'.",
            ontology="CL",
            term="CL:0000000",
        ),
        Field("cell_type_confidence", "float64", "Confidence of the label, from 0 to 1.", "1"),
        Field("label_method", "string", "source_majority, markers or abstained."),
        Field("label_evidence", "string", "The evidence behind the label in one line."),
        N_CELLS,
        N_DONORS,
        Field(
            "batch_entropy",
            "float64",
            "Entropy of the cluster's batches over that of all cells, at most 1: fully mixed, or one batch.",
            "1",
        ),
    ),
    source="content.molecules:clusters_frame",
    disclosure=Disclosure(OPEN_ONLY, rule="clusters"),
)

MARKERS = Table(
    "markers",
    "Marker genes: each cluster against all other cells.",
    ("cluster", "gene_id"),
    (
        CLUSTER_ID,
        GENE_ID,
        SYMBOL,
        Field(
            "rank",
            "int64",
            "Rank of the gene in the cluster, from 1, by score, or by score_wilcoxon where the "
            "study's markers.method says so.",
            "rank",
        ),
        Field(
            "score",
            "float64",
            "Welch t statistic of log-normalised expression, cluster against rest.",
        ),
        Field(
            "log2_fold_change",
            "float64",
            "log2 ratio of mean normalised expression, cluster over rest.",
            "log2",
        ),
        Field(
            "p_value",
            "float64",
            "Two-sided Welch p; cells are not replicates, use it for ranking only.",
            "1",
        ),
        Field("q_value", "float64", "Benjamini-Hochberg q of p_value within the cluster.", "1"),
        Field(
            "auc",
            "float64",
            "Chance that a cell of the cluster has a higher log-normalised value of the gene than "
            "another cell, ties counted half; 0.5 tells nothing.",
            "1",
            required=False,
        ),
        Field(
            "score_wilcoxon",
            "float64",
            "z of the Wilcoxon rank-sum test of log-normalised expression, corrected for ties, "
            "cluster against rest.",
            required=False,
        ),
        Field(
            "p_wilcoxon",
            "float64",
            "Two-sided p of score_wilcoxon; cells are not replicates, use it for ranking only.",
            "1",
            required=False,
        ),
        Field(
            "q_wilcoxon",
            "float64",
            "Benjamini-Hochberg q of p_wilcoxon within the cluster; an upper bound where genes are "
            "ranked by score, for only listed genes are then tested.",
            "1",
            required=False,
        ),
        Field("share_in", "float64", "Share of the cluster's cells with a count.", "1"),
        Field("share_out", "float64", "Share of the other cells with a count.", "1"),
        Field(
            "share_donors",
            "float64",
            "Share of donors, among those with at least 5 cells inside and outside the cluster, in whom "
            "the gene's mean is higher inside; null where there is no such donor.",
            "1",
            required=False,
        ),
    ),
    (CLUSTER_FK, GENE_FK),
    source="atlas/markers.parquet",
    disclosure=Disclosure(VECTOR, rule="markers"),
)

COMPOSITION = Table(
    "composition",
    "Cells of each type per donor and visit; no row where no tissue with the type was sampled.",
    ("donor_id", "visit", "cell_type"),
    (
        DONOR_ID,
        VISIT,
        PROFILED_TYPE,
        N_CELLS,
        Field(
            "share", "float64", "Share of the donor's cells at the visit that have the type.", "1"
        ),
    ),
    (DONOR_FK, VISIT_FK),
    source="strata/composition.parquet",
    disclosure=Disclosure(INDIVIDUAL, ids=("donor_id",)),
)

PSEUDOBULK = Table(
    "pseudobulk",
    "Sums of raw counts per sample, cell type and gene; measured genes without a row have sum 0.",
    ("sample_id", "cell_type", "gene_id"),
    (
        SAMPLE_ID,
        PROFILED_TYPE,
        GENE_ID,
        Field("counts", "int64", "Sum of raw counts over the cells.", "UMI"),
        Field("n_cells_detected", "int64", "Cells with at least one count.", "cells"),
        Field("n_cells", "int64", "Cells of the sample and type.", "cells"),
    ),
    (SAMPLE_FK, GENE_FK),
    source="content.molecules:iter_pseudobulk",
    disclosure=Disclosure(INDIVIDUAL, ids=("sample_id",)),
)
