"""Tables that count: gaps, cohorts, quality control, what the run took."""

from __future__ import annotations

from pmcell.schema.disclosure import DESCRIPTION, INDIVIDUAL, OPEN_ONLY, Disclosure
from pmcell.schema.fields import (
    COHORT_FK,
    COHORT_ID,
    CONDITION,
    ETHNICITY,
    N_CELLS,
    N_DONORS,
    REGION,
    SAMPLE_FK,
    SAMPLE_ID,
    SEX,
    TISSUE,
)
from pmcell.schema.model import Field, Table

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
    (COHORT_FK,),
    source="content.gaps:gaps_frame",
    disclosure=Disclosure(OPEN_ONLY, rule="gaps"),
)

DONOR_GROUPS = Table(
    "donor_groups",
    "Who is there and who is missing: donors of open cohorts in groups of programme, region, "
    "tissue, age, sex, ethnicity and stage, and the power to tell each group from the others.",
    (
        "programme",
        "region",
        "tissue_ontology_term_id",
        "age_band",
        "sex_ontology_term_id",
        "self_reported_ethnicity_ontology_term_id",
        "condition",
    ),
    (
        Field("programme", "string", "Disease programme of the cohort."),
        REGION,
        TISSUE,
        Field(
            "age_band",
            "string",
            "Age of the donor: the cohort's own band, else ten years around the age that the "
            "development stage tells.",
        ),
        SEX,
        ETHNICITY,
        CONDITION,
        Field(
            "n_donors",
            "int64",
            N_DONORS.prose + " A donor with several tissues or conditions is in several groups.",
            "donors",
        ),
        Field("n_visits", "int64", "Visits with at least one cell that passed QC.", "visits"),
        N_CELLS,
        Field("n_cohorts", "int64", "Open cohorts that the donors are of.", "cohorts"),
        Field(
            "n_other_donors",
            "int64",
            "Donors of the same programme and tissue who are not in the group: those that it can "
            "be compared with.",
            "donors",
        ),
        Field(
            "effect",
            "float64",
            "Stated effect: difference between the means of group and others, in standard "
            "deviations between donors.",
            "1",
        ),
        Field(
            "power",
            "float64",
            "Chance that Welch's t-test on one value a donor finds the stated effect between the "
            "group and the others (two-sided, alpha 0.05); 0 where either has fewer than two donors.",
            "1",
        ),
        Field(
            "n_donors_needed",
            "int64",
            "Donors that the group needs for a power of 0.8 while the others stay as they are; "
            "null where the others are too few for any number to be enough.",
            "donors",
            required=False,
        ),
    ),
    source="content.gaps:donor_groups_frame",
    disclosure=Disclosure(OPEN_ONLY, rule="donor_groups"),
)

QC = Table(
    "qc",
    "QC of each sample: medians, thresholds and exclusions.",
    ("sample_id",),
    (
        SAMPLE_ID,
        COHORT_ID,
        Field(
            "n_cells_submitted",
            "int64",
            "Cells of the sample in the submitted file, without those left out at registration.",
            "cells",
        ),
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
    (SAMPLE_FK, COHORT_FK),
    source="cohorts/*/qc_samples.parquet",
    disclosure=Disclosure(INDIVIDUAL, ids=("sample_id",)),
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
    (COHORT_FK,),
    source="content.runtime:runtime_frame",
    disclosure=Disclosure(DESCRIPTION, rule="runtime"),
)
