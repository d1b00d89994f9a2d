"""The data contract: every column, slot and table that pmcell writes, spelled once.

A field has a name, a kind, one sentence of prose, a unit and, where there is
one, the ontology its values come from. Tables are built from fields; the
Parquet metadata, the data dictionary and the FAIR metadata are all made from
here. A new output is first a new field here.
"""

from __future__ import annotations

from dataclasses import dataclass, field

SCHEMA_VERSION = "1.0.0"

COUNT_SCALE = 2048
"""Fixed-point scale of log-normalised values: round(log1p(TARGET_SUM * count / total) * COUNT_SCALE)."""

TARGET_SUM = 10_000
"""Counts per cell after normalisation."""

UNKNOWN = "unknown"
"""The one word for a value that nobody supplied."""

# Slots of AnnData objects.
X_PCA = "X_pca"
X_INTEGRATED = "X_integrated"
X_UMAP = "X_umap"
CONNECTIVITIES = "connectivities"
DISTANCES = "distances"
CLUSTER = "cluster"
CLUSTER_STABILITY = "cluster_stability"
X_STATE = "X_state"
X_COMPOSITION = "X_composition"


@dataclass(frozen=True)
class Field:
    """One column: `kind` is an Arrow type name (`string`, `int64`, `float64`, `bool`, `list<string>`).

    `ontology` is where the values come from, `term` the concept that they are
    values of, both by prefix: see `ontology_iri` and `term_iri`.
    """

    name: str
    kind: str
    prose: str
    unit: str = ""
    ontology: str = ""
    required: bool = True
    term: str = ""

    @property
    def ontology_iri(self) -> str:
        """Where the ontology of the values is; empty when they come from none."""
        return _ONTOLOGIES.get(self.ontology, "")

    @property
    def term_iri(self) -> str:
        """The concept as an IRI, empty when none is known: PATO:0000047 is biological sex."""
        prefix, _, number = self.term.partition(":")
        base = "http://www.ebi.ac.uk/efo" if prefix == "EFO" else "http://purl.obolibrary.org/obo"
        return f"{base}/{prefix}_{number}" if number else ""


_OBO = "http://purl.obolibrary.org/obo"
_ONTOLOGIES = {
    "CL": f"{_OBO}/cl.owl",
    "DUO": f"{_OBO}/duo.owl",
    "EFO": "http://www.ebi.ac.uk/efo/efo.owl",
    "Ensembl": "https://identifiers.org/ensembl",
    "HANCESTRO": f"{_OBO}/hancestro.owl",
    "HGNC": "https://identifiers.org/hgnc.symbol",
    "HsapDv": f"{_OBO}/hsapdv.owl",
    "MONDO": f"{_OBO}/mondo.owl",
    "NCBITaxon": f"{_OBO}/ncbitaxon.owl",
    "PATO": f"{_OBO}/pato.owl",
    "UBERON": f"{_OBO}/uberon.owl",
}


@dataclass(frozen=True)
class ForeignKey:
    """`columns` of this table refer to `references` of `table`, its primary key when empty."""

    columns: tuple[str, ...]
    table: str
    references: tuple[str, ...] = ()


@dataclass(frozen=True)
class Table:
    """One Parquet table of the release; rows are sorted by `key`, or by `order` where it is given.

    Engines skip whole row groups by the least and greatest value in each:
    `order` and `row_group_size` are chosen for the questions that are asked.
    """

    name: str
    prose: str
    key: tuple[str, ...]
    fields: tuple[Field, ...]
    foreign_keys: tuple[ForeignKey, ...] = field(default=())
    order: tuple[str, ...] = ()
    row_group_size: int = 100_000

    @property
    def row_order(self) -> tuple[str, ...]:
        """Columns by which rows ascend; null comes last."""
        return self.order or self.key

    def field(self, name: str) -> Field:
        """The field called `name`; KeyError if there is none."""
        for item in self.fields:
            if item.name == name:
                return item
        raise KeyError(f"table {self.name!r} has no field {name!r}")


# --- fields used by more than one table -------------------------------------

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
    "Cell-type label of the cell's cluster, or 'unknown' where the evidence is too weak.",
)
CELL_TYPE_TERM = Field(
    "cell_type_ontology_term_id",
    "string",
    "Cell Ontology term of the label, or 'unknown'.",
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

_COHORT_FK = ForeignKey(("cohort_id",), "cohorts")
_DONOR_FK = ForeignKey(("donor_id",), "donors")
_VISIT_FK = ForeignKey(("donor_id", "visit"), "visits")
_SAMPLE_FK = ForeignKey(("sample_id",), "samples")
_GENE_FK = ForeignKey(("gene_id",), "genes")
_CLUSTER_FK = ForeignKey(("cluster",), "clusters")

_WITHHELD = " Null where a cohort without open access has too few donors to be counted."

# --- tables of the release ---------------------------------------------------

COHORTS = Table(
    "cohorts",
    "Every registered cohort, the quarantined ones with their reason.",
    ("cohort_id",),
    (
        COHORT_ID,
        Field("title", "string", "Title that the steward gave."),
        REGION,
        Field("programme", "string", "Disease programme of the cohort."),
        Field("organism_ontology_term_id", "string", "Organism.", ontology="NCBITaxon"),
        Field("access", "string", "open, registered or controlled."),
        Field("license", "string", "SPDX identifier of the source's licence."),
        Field("data_use", "list<string>", "Permitted uses.", ontology="DUO"),
        Field("source_doi", "string", "DOI of the source publication or data set."),
        Field("source_accession", "string", "Accession of the source data set."),
        Field("status", "string", "ok, warned or quarantined."),
        Field("reason", "string", "Short code of the reason when not ok, else empty."),
        Field("message", "string", "What was found and what to do when not ok, else empty."),
        Field(
            "n_cells_submitted",
            "int64",
            "Cells in the submitted file; null where it could not be read.",
            "cells",
            required=False,
        ),
        Field("n_cells", "int64", N_CELLS.prose + _WITHHELD, "cells", required=False),
        Field("n_donors", "int64", N_DONORS.prose + _WITHHELD, "donors", required=False),
        Field("n_samples", "int64", N_SAMPLES.prose + _WITHHELD, "samples", required=False),
        Field(
            "n_genes_submitted",
            "int64",
            "Genes in the submitted file; null where it could not be read.",
            "genes",
            required=False,
        ),
        Field(
            "n_genes",
            "int64",
            "Genes kept in the canonical space; null where the file could not be read.",
            "genes",
            required=False,
        ),
        Field(
            "share_umis_lost",
            "float64",
            "Share of all counts that fell on genes that were not kept; null where it could not be measured.",
            "1",
            required=False,
        ),
    ),
)

DONORS = Table(
    "donors",
    "The people, pseudonymous: one row a donor of an accepted cohort.",
    ("donor_id",),
    (
        DONOR_ID,
        COHORT_ID,
        REGION,
        SEX,
        ETHNICITY,
        DEVELOPMENT_STAGE,
        DISEASE,
        AGE_GROUP,
        Field("n_visits", "int64", "Visits with at least one cell that passed QC.", "visits"),
        N_SAMPLES,
        N_CELLS,
    ),
    (_COHORT_FK,),
)

VISITS = Table(
    "visits",
    "Time points: one row a donor and visit.",
    ("donor_id", "visit"),
    (DONOR_ID, VISIT, COHORT_ID, VISIT_DAY, CONDITION, N_SAMPLES, N_CELLS),
    (_DONOR_FK, _COHORT_FK),
)

SAMPLES = Table(
    "samples",
    "Libraries: one row a sample of an accepted cohort.",
    ("sample_id",),
    (
        SAMPLE_ID,
        DONOR_ID,
        VISIT,
        COHORT_ID,
        BATCH_ID,
        ASSAY,
        TISSUE,
        TISSUE_TYPE,
        SUSPENSION,
        CONDITION,
        Field("n_cells_submitted", "int64", "Cells of the sample in the submitted file.", "cells"),
        N_CELLS,
    ),
    (_DONOR_FK, _VISIT_FK, _COHORT_FK),
)

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
            "Scrublet score within the sample; null where the sample is too small.",
            "1",
            required=False,
        ),
        Field("passes_qc", "bool", "Whether the cell is used by later steps."),
        Field(
            "exclusion", "string", "Reasons of exclusion joined by ';', empty when the cell passes."
        ),
        Field("cluster", "string", "Leiden cluster; null for excluded cells.", required=False),
        Field("cell_type", "string", CELL_TYPE.prose + " Null for excluded cells.", required=False),
        Field(
            "cell_type_ontology_term_id",
            "string",
            CELL_TYPE_TERM.prose + " Null for excluded cells.",
            ontology="CL",
            term="CL:0000000",
            required=False,
        ),
        Field(
            "cell_type_confidence",
            "float64",
            "Confidence of the cluster's label, from 0 to 1; null for excluded cells.",
            "1",
            required=False,
        ),
        Field("source_cell_type", "string", "Cell type that the source gave, or 'unknown'."),
        Field(
            "source_cell_type_ontology_term_id",
            "string",
            "Cell Ontology term of the source's cell type, or 'unknown'.",
            ontology="CL",
            term="CL:0000000",
        ),
        Field(
            "umap_1", "float64", "First UMAP coordinate; null for excluded cells.", required=False
        ),
        Field(
            "umap_2", "float64", "Second UMAP coordinate; null for excluded cells.", required=False
        ),
    ),
    (_COHORT_FK, _DONOR_FK, _VISIT_FK, _SAMPLE_FK, _CLUSTER_FK),
    # One type's cells of a million then lie in 5 of 50 row groups, not in all; measured by
    # tests/benchmarks/release/layout.py.
    order=("cohort_id", "cell_type", "donor_id", "cell_id"),
    row_group_size=20_000,
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
            "Cohorts that measured the gene; elsewhere it is unknown, not zero.",
        ),
        Field(
            "n_cells_detected", "int64", "Cells that passed QC with at least one count.", "cells"
        ),
        Field("is_highly_variable", "bool", "Whether the gene enters the principal components."),
        Field(
            "hvg_rank",
            "float64",
            "Median over batches of the gene's rank by standardised variance; null where it is not ranked.",
            "rank",
            required=False,
        ),
    ),
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
    (_COHORT_FK,),
)

CLUSTERS = Table(
    "clusters",
    "Leiden clusters of the integrated embedding.",
    ("cluster",),
    (
        CLUSTER_ID,
        CELL_TYPE,
        CELL_TYPE_TERM,
        Field("cell_type_confidence", "float64", "Confidence of the label, from 0 to 1.", "1"),
        Field("label_method", "string", "source_majority, markers or abstained."),
        Field("label_evidence", "string", "The evidence behind the label in one line."),
        N_CELLS,
        N_DONORS,
        Field(
            "batch_entropy",
            "float64",
            "Entropy of the cluster's batches over that of all cells; 1 is fully mixed.",
            "1",
        ),
    ),
)

MARKERS = Table(
    "markers",
    "Marker genes: each cluster against all other cells.",
    ("cluster", "gene_id"),
    (
        CLUSTER_ID,
        GENE_ID,
        SYMBOL,
        Field("rank", "int64", "Rank of the gene in the cluster by score, from 1.", "rank"),
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
    (_CLUSTER_FK, _GENE_FK),
)

COMPOSITION = Table(
    "composition",
    "Cells of each type per donor and visit.",
    ("donor_id", "visit", "cell_type"),
    (
        DONOR_ID,
        VISIT,
        CELL_TYPE,
        N_CELLS,
        Field(
            "share", "float64", "Share of the donor's cells at the visit that have the type.", "1"
        ),
    ),
    (_DONOR_FK, _VISIT_FK),
)

PSEUDOBULK = Table(
    "pseudobulk",
    "Sums of raw counts per sample, cell type and gene; measured genes without a row have sum 0.",
    ("sample_id", "cell_type", "gene_id"),
    (
        SAMPLE_ID,
        CELL_TYPE,
        GENE_ID,
        Field("counts", "int64", "Sum of raw counts over the cells.", "UMI"),
        Field("n_cells_detected", "int64", "Cells with at least one count.", "cells"),
        Field("n_cells", "int64", "Cells of the sample and type.", "cells"),
    ),
    (_SAMPLE_FK, _GENE_FK),
)

STRATA = Table(
    "strata",
    "Strata of donors; no rows when no strata are published.",
    ("stratum",),
    (
        Field("stratum", "string", "Stratum label, 'S1' is the largest."),
        N_DONORS,
        Field(
            "stability", "float64", "Mean consensus of the stratum's donors over bootstraps.", "1"
        ),
        Field(
            "medoid_donor_id",
            "string",
            "Donor whose profile is closest to the others of the stratum.",
        ),
        Field("description", "string", "What defines the stratum, in one line."),
    ),
)

ASSIGNMENTS = Table(
    "assignments",
    "Place of each donor and visit among the strata and on the axes.",
    ("donor_id", "visit"),
    (
        DONOR_ID,
        VISIT,
        Field(
            "stratum",
            "string",
            "Published stratum, or null when withheld or not assigned.",
            required=False,
        ),
        Field(
            "candidate_stratum",
            "string",
            "Stratum of the best partition before the decision to publish; null when not assigned.",
            required=False,
        ),
        Field("status", "string", "assigned, ambiguous, novel, withheld or too_few_cells."),
        Field(
            "probability",
            "float64",
            "Share of bootstraps that agree with the stratum.",
            "1",
            required=False,
        ),
        Field(
            "conformal_set",
            "string",
            "Strata that the row may belong to at the coverage of strata.json, joined by ';'; none for an empty set; null where strata are withheld or the row's stratum has too few donors for a set.",
            required=False,
        ),
        Field(
            "ood_p",
            "float64",
            "Out-of-distribution p: rank of the distance to the nearest donors among that of the donors who made the strata, each held out; small means unlike any of them; null where strata are withheld.",
            "1",
            required=False,
        ),
        Field(
            "margin",
            "float64",
            "Distance to the nearest other stratum minus that to the own, over the larger of both, with the donor held out: 1 at the own mean, 0 on the border, negative nearer another.",
            "1",
            required=False,
        ),
        Field("n_cells", "int64", "Cells of the donor at the visit that passed QC.", "cells"),
        Field(
            "axis_1",
            "float64",
            "First principal coordinate of the donor distances.",
            required=False,
        ),
        Field(
            "axis_2",
            "float64",
            "Second principal coordinate of the donor distances.",
            required=False,
        ),
        Field(
            "axis_3",
            "float64",
            "Third principal coordinate of the donor distances.",
            required=False,
        ),
    ),
    (_DONOR_FK, _VISIT_FK),
)

ASSOCIATIONS = Table(
    "associations",
    "Association of strata or axes with covariates of the donors; technical ones show confounding.",
    ("outcome", "covariate"),
    (
        Field(
            "outcome",
            "string",
            "axis_1 … axis_3; map and dispersion: place and spread in the whole distance matrix; stratum, or candidate_stratum where the labels are withheld.",
        ),
        Field("covariate", "string", "Column of donors, visits or samples."),
        Field("family", "string", "technical or clinical; q values are within a family."),
        Field("test", "string", "Name of the test."),
        Field("effect", "float64", "Effect size.", "1"),
        Field("effect_name", "string", "Name of the effect size."),
        Field(
            "effect_low",
            "float64",
            "Lower end of the effect's 95 % interval, from drawing the donors again.",
            "1",
            required=False,
        ),
        Field(
            "effect_high",
            "float64",
            "Upper end of the effect's 95 % interval, from drawing the donors again.",
            "1",
            required=False,
        ),
        Field("p_value", "float64", "Permutation p over donors.", "1"),
        Field("q_value", "float64", "Benjamini-Hochberg q within the family.", "1"),
        Field("n_donors", "int64", "Donors in the test.", "donors"),
    ),
)

DRIVERS = Table(
    "drivers",
    "What places each donor: contributions that sum to the distance difference between the nearest other and the own stratum.",
    ("donor_id", "visit", "channel", "cell_type"),
    (
        DONOR_ID,
        VISIT,
        Field("channel", "string", "composition or state."),
        CELL_TYPE,
        Field(
            "contribution",
            "float64",
            "Part of the squared distance to the nearest other stratum minus that to the own; "
            "signed; the parts of a donor and visit sum to the difference.",
        ),
    ),
    (_DONOR_FK, _VISIT_FK),
)

GAPS = Table(
    "gaps",
    "What each cohort did not supply: the gap analysis.",
    ("cohort_id", "table", "column"),
    (
        COHORT_ID,
        Field("table", "string", "Table of this release."),
        Field("column", "string", "Column of that table."),
        Field("n_missing", "int64", "Rows of the cohort whose value is unknown.", "rows"),
        Field("n_rows", "int64", "Rows of the cohort.", "rows"),
        Field("why_it_matters", "string", "What cannot be done without the value."),
    ),
    (_COHORT_FK,),
)

COHORT_COUNTS = Table(
    "cohort_counts",
    "Donors and cells of cohorts without open access, by one or two properties; small groups are "
    "merged or withheld.",
    ("cohort_id", "grouping", "group"),
    (
        COHORT_ID,
        Field(
            "grouping",
            "string",
            "Property by which donors or cells are grouped, such as cell_type; two are joined by ' × '.",
        ),
        Field(
            "group",
            "string",
            "Value of the property; other stands for all values with too few donors.",
        ),
        Field(
            "n_donors",
            "int64",
            "Donors of the group who have a cell that passed QC; null where withheld.",
            "donors",
            required=False,
        ),
        Field(
            "n_cells",
            "int64",
            "Cells that passed QC; only for groups by cell type, null where withheld.",
            "cells",
            required=False,
        ),
    ),
    (_COHORT_FK,),
)

QC = Table(
    "qc",
    "QC of each sample: medians, thresholds and exclusions.",
    ("sample_id",),
    (
        SAMPLE_ID,
        COHORT_ID,
        Field("n_cells_submitted", "int64", "Cells of the sample in the submitted file.", "cells"),
        N_CELLS,
        Field("median_total_counts", "float64", "Median of total counts before exclusion.", "UMI"),
        Field(
            "median_genes_detected",
            "float64",
            "Median of detected genes before exclusion.",
            "genes",
        ),
        Field(
            "median_share_mitochondrial",
            "float64",
            "Median before exclusion; null where not measured.",
            "1",
            required=False,
        ),
        Field("min_total_counts", "float64", "Lower threshold that was applied.", "UMI"),
        Field("max_total_counts", "float64", "Upper threshold that was applied.", "UMI"),
        Field("min_genes_detected", "float64", "Lower threshold that was applied.", "genes"),
        Field(
            "max_share_mitochondrial",
            "float64",
            "Upper threshold that was applied; null where not measured.",
            "1",
            required=False,
        ),
        Field(
            "max_doublet_score",
            "float64",
            "Upper threshold that was applied; null where not scored.",
            "1",
            required=False,
        ),
        Field("n_low_counts", "int64", "Cells below the lower threshold of counts.", "cells"),
        Field("n_high_counts", "int64", "Cells above the upper threshold of counts.", "cells"),
        Field(
            "n_low_genes", "int64", "Cells below the lower threshold of detected genes.", "cells"
        ),
        Field("n_high_mitochondrial", "int64", "Cells above the mitochondrial threshold.", "cells"),
        Field("n_doublets", "int64", "Cells above the doublet threshold.", "cells"),
    ),
    (_SAMPLE_FK, _COHORT_FK),
)

RUNTIME = Table(
    "runtime",
    "Time, memory and disk of the jobs behind the release; measured, so different in each run. "
    "The job that wrote the release has no record yet, nor has one of a cohort without open access.",
    ("job",),
    (
        Field("job", "string", "Step, or '<step>/<cohort>'; the step is a command of pmcell."),
        Field("rule", "string", "Rule of the workflow."),
        Field(
            "cohort_id",
            "string",
            "Cohort that the job was about; null for jobs across cohorts.",
            required=False,
        ),
        Field(
            "wall_seconds",
            "float64",
            "Time from start to end; null where there is no record.",
            "s",
            required=False,
        ),
        Field(
            "cpu_seconds",
            "float64",
            "Processor time over all threads; null where it was too short to be measured.",
            "s",
            required=False,
        ),
        Field(
            "peak_memory_mb",
            "float64",
            "Highest resident memory; null where the job was too short to be measured.",
            "MB",
            required=False,
        ),
        Field(
            "disk_read_mb",
            "float64",
            "Read from disk, without what the system had in memory; null as above, and for jobs "
            "across cohorts where one has no open access.",
            "MB",
            required=False,
        ),
        Field(
            "disk_written_mb",
            "float64",
            "Written to disk; null as disk_read_mb.",
            "MB",
            required=False,
        ),
    ),
    (_COHORT_FK,),
)
EXPRESSION = Table(
    "expression",
    "Raw counts above 0 of the cells that passed QC, one file a cohort in expression/; "
    "a gene that the cohort measured has count 0 where there is no row.",
    ("cohort_id", "gene_id", "cell_row"),
    (
        COHORT_ID,
        GENE_ID,
        CELL_ROW,
        Field("counts", "int64", "Raw count of the gene in the cell, at least 1.", "UMI"),
    ),
    (
        _COHORT_FK,
        _GENE_FK,
        ForeignKey(("cohort_id", "cell_row"), "cells", ("cohort_id", "cell_row")),
    ),
    row_group_size=200_000,
)

# --- tables between steps ------------------------------------------------------

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

# --- all tables of a release -----------------------------------------------------

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
