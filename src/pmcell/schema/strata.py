"""Tables of strata: what they are, who is in them, what they go with."""

from __future__ import annotations

from dataclasses import replace

from pmcell.schema.disclosure import AGGREGATE, INDIVIDUAL, OPEN_ONLY, Disclosure
from pmcell.schema.explanation import CONTRAST, LEVEL, REFERENCE
from pmcell.schema.fields import DONOR_FK, DONOR_ID, N_DONORS, PROFILED_TYPE, VISIT, VISIT_FK
from pmcell.schema.model import Field, Table

STRATA = Table(
    "strata",
    "Strata of donors; no rows when no strata are published.",
    ("stratum",),
    (
        Field("stratum", "string", "Stratum label, 'S1' is the largest."),
        replace(
            N_DONORS,
            prose="Donors who make the stratum, at their visit that was used, also those whose own "
            "place is not sure: candidate_stratum of assignments.",
        ),
        Field(
            "stability",
            "float64",
            "Mean consensus of the stratum's donors over bootstraps; "
            "null where a few withheld donors are in it.",
            "1",
            required=False,
        ),
        Field(
            "medoid_donor_id",
            "string",
            "Donor whose profile is closest to the others of the stratum.",
        ),
        Field("description", "string", "What defines the stratum, in one line."),
    ),
    source="strata/strata.parquet",
    disclosure=Disclosure(AGGREGATE, rule="strata", needs_strata=True),
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
            "Published stratum, or null when none is published or assigned.",
            required=False,
        ),
        Field(
            "candidate_stratum",
            "string",
            "Stratum of the best partition, also where the place of the donor is not sure; null where no strata are published, or not assigned.",
            required=False,
        ),
        Field(
            "status",
            "string",
            "assigned, ambiguous, novel, new_batch, not_placed (only in added cohorts: see "
            "placements), withheld or too_few_cells.",
        ),
        Field(
            "probability",
            "float64",
            "Share of bootstraps that agree with the stratum, averaged over the finer partitions that the existence test supports as well; null in added cohorts, which took part in none.",
            "1",
            required=False,
        ),
        Field(
            "conformal_set",
            "string",
            "Strata that the row may belong to at the coverage of strata.json, joined by ';'; none for an empty set; null where no strata are published, the row's stratum has too few donors for a set, or its batch is new and too few batches are known.",
            required=False,
        ),
        Field(
            "ood_p",
            "float64",
            "Out-of-distribution p: rank of the misfit to the stratum that fits best among those of the donors who made the strata, each held out; small means like the donors of no stratum; null where strata are withheld or the batch has no set.",
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
            "left_out",
            "string",
            "Why the visit had no part in finding strata, with its number of cells and the limit; empty where it had one.",
        ),
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
    (DONOR_FK, VISIT_FK),
    source="strata/assignments.parquet",
    disclosure=Disclosure(
        INDIVIDUAL,
        ids=("donor_id",),
        rule="assignments",
        strata=(
            "stratum",
            "candidate_stratum",
            "conformal_set",
            "probability",
            "ood_p",
            "margin",
        ),
    ),
)

ASSOCIATIONS = Table(
    "associations",
    "Association of strata or axes with covariates of the donors; technical ones show confounding.",
    ("outcome", "covariate"),
    (
        Field(
            "outcome",
            "string",
            "axis_1 … axis_3; map and dispersion: place and spread in the whole distance matrix; map_within_donors: place, over the visits of donors at which the covariate differs; stratum (candidate_stratum of assignments: all donors who make the strata), or candidate_stratum where labels are not published; condition or disease for the design.",
        ),
        Field("covariate", "string", "Column of donors, visits or samples."),
        Field(
            "family",
            "string",
            "technical, clinical, or design (a condition against a technical factor); q values are within a family.",
        ),
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
    source="strata/associations.parquet",
    disclosure=Disclosure(AGGREGATE, rule="associations"),
)

DRIVERS = Table(
    "drivers",
    "What places each donor: contributions that sum to the distance difference between the nearest other and the own stratum.",
    ("donor_id", "visit", "channel", "cell_type"),
    (
        DONOR_ID,
        VISIT,
        Field(
            "channel",
            "string",
            "Feature set: composition, state, genes or cluster_free (all cells together).",
        ),
        replace(
            PROFILED_TYPE,
            prose="Cell type; of the state feature set perhaps a group of rare types, named after the "
            "most common one (strata.json lists them); `all cells` of the cluster-free one.",
        ),
        Field(
            "contribution",
            "float64",
            "Part of the squared distance to the nearest other stratum minus that to the own; "
            "signed; the parts of a donor and visit sum to the difference.",
        ),
        Field(
            "flips_without",
            "bool",
            "Whether the donor would be nearest to another stratum if the cell type were left out of every feature set; the same in all of them.",
        ),
    ),
    (DONOR_FK, VISIT_FK),
    source="strata/drivers.parquet",
    disclosure=Disclosure(INDIVIDUAL, ids=("donor_id",), needs_strata=True),
)

COMPOSITION_SHIFTS = Table(
    "composition_shifts",
    "Which cell types strata and conditions have more or less of: ratios of shares, the median type taken as unchanged.",
    ("contrast", "level", "cell_type"),
    (
        CONTRAST,
        replace(LEVEL, prose="The group that is compared with the reference."),
        REFERENCE,
        PROFILED_TYPE,
        Field("mean_share", "float64", "Mean share of the type among the donors' cells.", "1"),
        Field("mean_share_others", "float64", "The same in the donors of the reference.", "1"),
        Field(
            "log2_ratio",
            "float64",
            "log2 of the type's ratio to the reference over that of the median type; 1: twice as much.",
        ),
        Field("ratio_low", "float64", "Lower end of its 95 % interval, given the groups."),
        Field("ratio_high", "float64", "Upper end of its 95 % interval, given the groups."),
        Field(
            "p_value",
            "float64",
            "Two-sided p of the moderated t; null for strata, which were made of the same cells.",
            "1",
            required=False,
        ),
        Field(
            "q_value",
            "float64",
            "Benjamini-Hochberg q over the cell types of the level; null for strata.",
            "1",
            required=False,
        ),
        Field("within_batch", "bool", "Whether donors are compared within batches."),
        Field("n_donors", "int64", "Donors of the level.", "donors"),
        Field("n_donors_others", "int64", "Donors of the reference.", "donors"),
        Field("n_donors_paired", "int64", "Donors on both sides.", "donors"),
    ),
    source="strata/composition_shifts.parquet",
    disclosure=Disclosure(OPEN_ONLY, rule="contrasts"),
)

MOVEMENT = Table(
    "movement",
    "Change of a donor's profile between a visit and the one before, compared with resampling of the cells; and from which stratum to which.",
    ("donor_id", "visit"),
    (
        DONOR_ID,
        VISIT,
        Field("previous_visit", "string", "Label of the donor's visit before."),
        Field(
            "moved", "float64", "Distance between the two visits, cell sampling subtracted.", "1"
        ),
        Field(
            "moved_by_chance",
            "float64",
            "Median distance when both visits are resampled from their pooled cells; null between batches.",
            "1",
            required=False,
        ),
        Field(
            "p_value",
            "float64",
            "Share of such resamples with at least this distance; null where the visits are in different batches. Differences in handling are not in it.",
            "1",
            required=False,
        ),
        Field(
            "q_value",
            "float64",
            "Benjamini-Hochberg q over the rows with a p.",
            "1",
            required=False,
        ),
        Field("same_batch", "bool", "Whether both visits are in one batch."),
        Field("stratum", "string", "Published stratum at the visit.", required=False),
        Field("previous_stratum", "string", "The same at the visit before.", required=False),
    ),
    (DONOR_FK, VISIT_FK),
    source="strata/movement.parquet",
    disclosure=Disclosure(
        INDIVIDUAL,
        ids=("donor_id",),
        rule="movement",
        strata=("stratum", "previous_stratum"),
    ),
)

OUTCOMES = Table(
    "outcomes",
    "Clinical outcomes against strata, or axes where labels are not published: mixed models of repeated visits, survival; refused comparisons with the reason.",
    ("outcome", "model", "term"),
    (
        Field("outcome", "string", "Column of the study's clinical table."),
        Field("model", "string", "mixed model, Cox regression or log-rank test."),
        Field(
            "term",
            "string",
            "strata or axes: all of them together; else one contrast, as 'S2 against S1', or one axis.",
        ),
        Field(
            "family",
            "string",
            "outcomes (all strata or axes together) or contrasts; q values are within a family.",
        ),
        Field(
            "effect",
            "float64",
            "Difference in the outcome's own unit, or hazard ratio; null for a whole comparison.",
            required=False,
        ),
        Field("effect_name", "string", "Name of the effect; empty for a whole comparison."),
        Field("effect_low", "float64", "Lower end of the effect's 95 % interval.", required=False),
        Field("effect_high", "float64", "Upper end of the effect's 95 % interval.", required=False),
        Field("p_value", "float64", "p over donors; null where refused.", "1", required=False),
        Field(
            "q_value",
            "float64",
            "Benjamini-Hochberg q within the family; null where refused.",
            "1",
            required=False,
        ),
        Field("n_donors", "int64", "Donors in the comparison; 0 where refused.", "donors"),
        Field("n_visits", "int64", "Visits in a mixed model.", "visits", required=False),
        Field("n_events", "int64", "Donors who had the event.", "donors", required=False),
        Field("adjusted_for", "string", "Columns that the model is adjusted for, joined by ';'."),
        Field(
            "ph_p",
            "float64",
            "p of the test of proportional hazards; null where it does not apply.",
            "1",
            required=False,
        ),
        Field("note", "string", "What to mind when reading the row; else empty."),
        Field("refused", "string", "Why the comparison was not made; else empty."),
    ),
    source="strata/outcomes.parquet",
    disclosure=Disclosure(AGGREGATE, rule="outcomes"),
)

SURVIVAL = Table(
    "survival",
    "Kaplan-Meier curve of each published stratum; no rows without strata and a declared event.",
    ("stratum", "time"),
    (
        Field("stratum", "string", "Stratum label."),
        Field("time", "float64", "Time of one event or more, in the unit of the study's column."),
        Field("survival", "float64", "Share of donors without the event after this time.", "1"),
        Field("low", "float64", "Lower end of its 95 % interval (log-log).", "1"),
        Field("high", "float64", "Upper end of its 95 % interval (log-log).", "1"),
        Field("n_at_risk", "int64", "Donors observed until then without the event.", "donors"),
        Field("n_events", "int64", "Donors with the event at this time.", "donors"),
    ),
    source="strata/survival.parquet",
    disclosure=Disclosure(OPEN_ONLY, needs_strata=True),
)
