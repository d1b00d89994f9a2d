"""Tables of what strata and other groups of donors differ in: genes, gene sets, gene drivers."""

from __future__ import annotations

from pmcell.schema.disclosure import VECTOR, Disclosure
from pmcell.schema.fields import GENE_FK, GENE_ID, PROFILED_TYPE, SYMBOL
from pmcell.schema.model import Field, Table

CONTRAST = Field(
    "contrast", "string", "What is compared: stratum, or a column of the donors or visits."
)
LEVEL = Field("level", "string", "The group that is compared with the reference; 'all' for none.")
REFERENCE = Field(
    "reference",
    "string",
    "The other groups, joined by '; ': of more than one, the mean of their means.",
)
N_LEVEL = Field(
    "n_donors_level",
    "int64",
    "Donors of the level; their visits with it that have enough cells of the type "
    "(min_cells_type of strata.json) are added up.",
    "donors",
)
N_REFERENCE = Field("n_donors_reference", "int64", "Donors of the reference.", "donors")
INFERENCE = Field(
    "inference",
    "string",
    "confirmed: found in a part of the donors (q at most alpha) and again, with the same sign, in held-out donors, placed among strata by other genes; not confirmed: not found again; descriptive: held-out donors were not asked; not tested: see why_not. Confirmed does not exclude a continuum sliced into strata, or a technical cause that many genes share.",
)
Q_HELD_OUT = Field(
    "q_value_held_out",
    "float64",
    "Benjamini-Hochberg q in the held-out donors, over what the other donors found; null where they were not asked.",
    "1",
    required=False,
)
WHY_NOT = Field("why_not", "string", "Why there is no test; empty where there is one.")

EXPRESSION_CONTRASTS = Table(
    "expression_contrasts",
    "Which groups of donors were compared in which cell type, how many genes differ, or why nothing was tested.",
    ("contrast", "level", "cell_type"),
    (
        CONTRAST,
        LEVEL,
        REFERENCE,
        PROFILED_TYPE,
        Field(
            "design",
            "string",
            "Terms of the linear model: donor_id where each donor is compared with itself, (1 | donor_id) where the samples of a donor are correlated; then what was added up, whom it leaves out and what it is not adjusted for; empty where nothing was tested.",
        ),
        N_LEVEL,
        N_REFERENCE,
        Field(
            "n_donors_paired",
            "int64",
            "Donors on both sides, compared with themselves: with donor_id in the design wholly.",
            "donors",
        ),
        Field(
            "n_donors_left_out",
            "int64",
            "Donors with enough cells of the type who are not compared: of broken pairs, or of a group with too few donors.",
            "donors",
        ),
        Field("n_genes", "int64", "Genes tested.", "genes"),
        Field("n_genes_few_counts", "int64", "Genes left out for too few counts.", "genes"),
        Field(
            "n_genes_not_measured",
            "int64",
            "Genes left out because the cohort of one of the donors did not measure them.",
            "genes",
        ),
        Field("n_significant", "int64", "Genes with q at most alpha over all donors.", "genes"),
        Field("n_confirmed", "int64", "Genes that held-out donors confirm.", "genes"),
        Field("n_not_confirmed", "int64", "Genes that held-out donors do not confirm.", "genes"),
        Field(
            "held_out",
            "string",
            "How donors were held out: by region, by batch_id, random halves within batch, or none with the reason.",
        ),
        WHY_NOT,
    ),
    source="strata/expression_contrasts.parquet",
    disclosure=Disclosure(VECTOR, rule="contrasts"),
)

DIFFERENTIAL_EXPRESSION = Table(
    "differential_expression",
    "Genes of each cell type that differ between strata or other groups of donors: moderated linear model of pseudobulk, adjusted for batch.",
    ("contrast", "level", "cell_type", "gene_id"),
    (
        CONTRAST,
        LEVEL,
        REFERENCE,
        PROFILED_TYPE,
        GENE_ID,
        SYMBOL,
        Field("log2_fold_change", "float64", "log2 of level over reference.", "log2 ratio"),
        Field("log2_fold_change_low", "float64", "Lower end of the 95 % interval.", "log2 ratio"),
        Field("log2_fold_change_high", "float64", "Upper end of the 95 % interval.", "log2 ratio"),
        Field("mean_log2_cpm", "float64", "Mean over donors of log2 counts per million.", "log2"),
        Field("p_value", "float64", "Two-sided p of the moderated t, all donors.", "1"),
        Field(
            "q_value",
            "float64",
            "Benjamini-Hochberg q over the genes of the cell type and contrast with the counts at which most are found; 1 for genes with fewer.",
            "1",
        ),
        Field(
            "log2_fold_change_held_out",
            "float64",
            "The same in the held-out donors; null where they were not asked.",
            "log2 ratio",
            required=False,
        ),
        Q_HELD_OUT,
        INFERENCE,
        N_LEVEL,
        N_REFERENCE,
    ),
    (GENE_FK,),
    source="strata/differential_expression.parquet",
    disclosure=Disclosure(VECTOR, rule="contrasts"),
)

PATHWAYS = Table(
    "pathways",
    "Gene sets of the study whose activity differs between strata or other groups of donors, per cell type.",
    ("contrast", "level", "cell_type", "gene_set"),
    (
        CONTRAST,
        LEVEL,
        REFERENCE,
        PROFILED_TYPE,
        Field("gene_set", "string", "Name of the set in the study's file of gene sets."),
        Field(
            "activity_difference",
            "float64",
            "Mean activity of the level minus that of the reference, adjusted for batch; activity is the t of the slope of a donor's expression on the set's weights.",
            "1",
            required=False,
        ),
        Field(
            "activity_difference_low",
            "float64",
            "Lower end of the 95 % interval.",
            "1",
            required=False,
        ),
        Field(
            "activity_difference_high",
            "float64",
            "Upper end of the 95 % interval.",
            "1",
            required=False,
        ),
        Field(
            "p_value", "float64", "Two-sided p of the moderated t, all donors.", "1", required=False
        ),
        Field(
            "q_value",
            "float64",
            "Benjamini-Hochberg q over the gene sets of the cell type and contrast.",
            "1",
            required=False,
        ),
        Q_HELD_OUT,
        INFERENCE,
        N_LEVEL,
        N_REFERENCE,
        Field("n_genes", "int64", "Genes of the set.", "genes"),
        Field("n_genes_found", "int64", "Genes of the set among the tested ones.", "genes"),
        WHY_NOT,
    ),
    source="strata/pathways.parquet",
    disclosure=Disclosure(VECTOR, rule="contrasts"),
)

GENE_DRIVERS = Table(
    "gene_drivers",
    "Genes that separate each stratum from the nearest other: parts of the squared distance in log counts per million.",
    ("stratum", "cell_type", "gene_id"),
    (
        Field("stratum", "string", "The stratum."),
        Field("other", "string", "The stratum nearest to it."),
        PROFILED_TYPE,
        GENE_ID,
        SYMBOL,
        Field(
            "contribution",
            "float64",
            "Mean over the stratum's donors of the squared difference from the other stratum's mean minus that from their own, in this gene; noise of the means subtracted, so 0 on average without a difference.",
            "log2²",
        ),
        Field(
            "contribution_low",
            "float64",
            "Lower end of the 95 % interval, from drawing the donors again.",
            "log2²",
        ),
        Field(
            "contribution_high",
            "float64",
            "Upper end of the 95 % interval, from drawing the donors again.",
            "log2²",
        ),
        Field("share", "float64", "Contribution over the sum of all genes of the cell type.", "1"),
        Field("direction", "string", "higher or lower in the stratum."),
        Field("n_donors", "int64", "Donors of the stratum in the cell type.", "donors"),
        Field("n_donors_other", "int64", "Donors of the other stratum.", "donors"),
    ),
    (GENE_FK,),
    source="strata/gene_drivers.parquet",
    disclosure=Disclosure(VECTOR, needs_strata=True),
)
