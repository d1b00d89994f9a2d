"""Tables of who was studied and how: cohorts, donors, visits, samples."""

from __future__ import annotations

from pmcell.schema.disclosure import AGGREGATE, INDIVIDUAL, Disclosure
from pmcell.schema.fields import (
    AGE_GROUP,
    ASSAY,
    BATCH_ID,
    COHORT_FK,
    COHORT_ID,
    CONDITION,
    DEVELOPMENT_STAGE,
    DISEASE,
    DONOR_FK,
    DONOR_ID,
    ETHNICITY,
    N_CELLS,
    N_DONORS,
    N_SAMPLES,
    REGION,
    SAMPLE_ID,
    SEX,
    SUSPENSION,
    TISSUE,
    TISSUE_TYPE,
    VISIT,
    VISIT_DAY,
    VISIT_FK,
    WITHHELD_NOTE,
)
from pmcell.schema.model import Field, ForeignKey, Table

COHORTS = Table(
    "cohorts",
    "Every registered cohort, the quarantined ones with their reason.",
    ("cohort_id",),
    (
        COHORT_ID,
        Field("title", "string", "Title that the steward gave."),
        REGION,
        Field("programme", "string", "Disease programme of the cohort."),
        Field(
            "programme_report",
            "string",
            "What the programme says a report of its cohorts should tell, as it stood at intake; "
            "empty where it says nothing.",
        ),
        Field(
            "programme_sources",
            "list<string>",
            "Where the programme's markers, signatures and published variations come from: DOIs, "
            "or their publication.",
        ),
        Field("organism_ontology_term_id", "string", "Organism.", ontology="NCBITaxon"),
        Field("access", "string", "open, registered or controlled."),
        Field(
            "license", "string", "Licence that the source gives to the data, as an SPDX identifier."
        ),
        Field("data_use", "list<string>", "Permitted uses.", ontology="DUO"),
        Field("source_doi", "string", "DOI of the source publication or data set."),
        Field("source_accession", "string", "Accession of the source data set."),
        Field("status", "string", "ok, warned or quarantined."),
        Field("reason", "string", "Short code of the reason when not ok, else empty."),
        Field("message", "string", "What was found and what to do when not ok, else empty."),
        Field(
            "n_cells_submitted",
            "int64",
            "Cells in the submitted file; null where it could not be read." + WITHHELD_NOTE,
            "cells",
            required=False,
        ),
        Field(
            "n_cells_left_out",
            "int64",
            "Cells of the submitted file that its steward left out at registration."
            + WITHHELD_NOTE,
            "cells",
            required=False,
        ),
        Field(
            "left_out",
            "string",
            "Why cells were left out at registration, each reason with its number of cells; empty "
            "where none were or access is not open.",
        ),
        Field(
            "consent",
            "string",
            "For a cohort with a consent ledger the use and permit for which its donors' consent "
            "was decided, and how many were dropped, for which reasons, where access is open; for "
            "another that its own policy holds.",
        ),
        Field("n_cells", "int64", N_CELLS.prose + WITHHELD_NOTE, "cells", required=False),
        Field("n_donors", "int64", N_DONORS.prose + WITHHELD_NOTE, "donors", required=False),
        Field("n_samples", "int64", N_SAMPLES.prose + WITHHELD_NOTE, "samples", required=False),
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
    source="content.people:cohorts_frame",
    disclosure=Disclosure(AGGREGATE, rule="cohorts"),
)

COHORT_COUNTS = Table(
    "cohort_counts",
    "Donors and cells of cohorts without open access, by one or two properties; small groups are "
    "merged or suppressed.",
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
            "Donors of the group who have a cell that passed QC; null where suppressed.",
            "donors",
            required=False,
        ),
        Field(
            "n_cells",
            "int64",
            "Cells that passed QC; only for groups by cell type, null where suppressed.",
            "cells",
            required=False,
        ),
    ),
    (COHORT_FK,),
    source="disclosure.counts:cohort_counts_frame",
    disclosure=Disclosure(AGGREGATE, rule="cohort_counts"),
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
    (COHORT_FK,),
    source="content.people:donors_frame",
    disclosure=Disclosure(INDIVIDUAL, ids=("donor_id",)),
)

VISITS = Table(
    "visits",
    "Time points: one row a donor and visit.",
    ("donor_id", "visit"),
    (DONOR_ID, VISIT, COHORT_ID, VISIT_DAY, CONDITION, N_SAMPLES, N_CELLS),
    (DONOR_FK, COHORT_FK),
    source="content.people:visits_frame",
    disclosure=Disclosure(INDIVIDUAL, ids=("donor_id",)),
)

DUPLICATES = Table(
    "duplicates",
    "Pairs of donors who may be one person, donors whose cells are of another sex than is "
    "registered, and donors whose cells are of two people: hints for the stewards. Nobody was "
    "merged or left out for them.",
    ("donor_id", "other_donor_id", "kind"),
    (
        DONOR_ID,
        Field(
            "other_donor_id",
            "string",
            "Donor who may be the same person; the donor again where the row is about one.",
        ),
        Field(
            "kind",
            "string",
            "shared_cells: both have cells with the same molecules; sex_conflict: samples express "
            "genes of the other sex; two_people: some of the donor's cells are of another person.",
        ),
        Field(
            "n_found",
            "int64",
            "Cells in common, samples in conflict, or cells of the other person.",
            "1",
        ),
        Field(
            "n_compared",
            "int64",
            "Cells compared of the donor with fewer, samples that tell a sex, or cells that tell the "
            "person.",
            "1",
        ),
        Field(
            "similarity",
            "float64",
            "Median correlation of the residuals of the cells in common; null for other kinds.",
            "1",
            required=False,
        ),
        Field("what_to_do", "string", "What a steward does."),
    ),
    (DONOR_FK, ForeignKey(("other_donor_id",), "donors", ("donor_id",))),
    source="atlas/duplicates.parquet",
    disclosure=Disclosure(INDIVIDUAL, ids=("donor_id", "other_donor_id")),
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
        Field(
            "n_cells_submitted",
            "int64",
            "Cells of the sample in the submitted file, without those left out at registration.",
            "cells",
        ),
        N_CELLS,
        Field(
            "hours_to_processing",
            "float64",
            "Hours from taking the sample to its processing or freezing; null where not known.",
            "h",
            required=False,
        ),
    ),
    (DONOR_FK, VISIT_FK, COHORT_FK),
    source="content.people:samples_frame",
    disclosure=Disclosure(INDIVIDUAL, ids=("sample_id",)),
)
