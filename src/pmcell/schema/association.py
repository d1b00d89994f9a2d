"""Tables of what strata and axes go with: covariates, cell types, clinical values, events."""

from __future__ import annotations

from dataclasses import replace

from pmcell.schema.disclosure import AGGREGATE, OPEN_ONLY, Disclosure
from pmcell.schema.explanation import CONTRAST, LEVEL, REFERENCE
from pmcell.schema.fields import PROFILED_TYPE
from pmcell.schema.model import Field, Table

ASSOCIATIONS = Table(
    "associations",
    "Association of strata or axes with covariates of the donors; technical ones show confounding.",
    ("outcome", "covariate"),
    (
        Field(
            "outcome",
            "string",
            "axis_1 … axis_3; map and dispersion: place and spread in the whole distance matrix; map_within_donors: place, over the visits of donors at which the covariate differs; stratum, or candidate_stratum where labels are not published; condition or disease for the design.",
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
