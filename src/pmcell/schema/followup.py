"""Tables of donors over their visits: change against noise, steps between strata, effects."""

from __future__ import annotations

from dataclasses import replace

from pmcell.schema.disclosure import INDIVIDUAL, OPEN_ONLY, Disclosure
from pmcell.schema.fields import DONOR_FK, DONOR_ID, N_DONORS, VISIT
from pmcell.schema.model import Field, Table

FOLLOWUP = Table(
    "followup",
    "Change of each quantity between a visit of a donor and the one before that has a value, against the noise of repeats and the reference group.",
    ("donor_id", "visit", "kind", "quantity"),
    (
        DONOR_ID,
        replace(VISIT, prose="Visit, or 'day N' of a value between visits."),
        Field(
            "kind",
            "string",
            "cell type, measurement, signature, or profile (all feature sets in use).",
        ),
        Field(
            "quantity",
            "string",
            "Cell type, name of the programme's variable (or LOINC and a code) or signature, or the distance to the reference group.",
        ),
        Field("previous_visit", "string", "The visit before."),
        Field(
            "days",
            "float64",
            "Days between the two; null where the days are not known.",
            "d",
            required=False,
        ),
        Field("unit", "string", "UCUM unit of the values."),
        Field("previous_value", "float64", "Value at the visit before."),
        Field("value", "float64", "Value at the visit: share, mean of the values, or distance."),
        Field("change", "float64", "Change, in `change_unit`."),
        Field(
            "change_unit",
            "string",
            "difference (in `unit`), log2 ratio, or log2 odds ratio (of shares).",
        ),
        Field(
            "change_limit",
            "float64",
            "Reference change value: steady donors exceed it in 5 of 100 cases; of the profile 1.96 standard deviations of the draws; null where there are no repeats.",
            required=False,
        ),
        Field(
            "noise_df",
            "int64",
            "Degrees of freedom of the repeats; null without repeats and for the profile.",
            required=False,
        ),
        Field(
            "noise_donors",
            "int64",
            "Donors (or, of a publication, people) that the noise comes from.",
            "donors",
            required=False,
        ),
        Field(
            "noise_source",
            "string",
            "visits of reference donors, published variation (with its source), samples of one visit, values of one day (neither tells what varies from day to day), draws, or no repeats.",
        ),
        Field("verdict", "string", "changed, within noise, or cannot be judged."),
        Field(
            "direction",
            "string",
            "toward or away from the reference group's median (or from the group, for the profile); empty where nothing changed or fewer than 5 reference donors are known.",
        ),
        Field("n_reference", "int64", "Donors of the reference group with a value.", "donors"),
        Field("same_batch", "bool", "Whether the cells of both visits are of one batch."),
    ),
    (DONOR_FK,),
    source="strata/followup.parquet",
    disclosure=Disclosure(INDIVIDUAL, ids=("donor_id",)),
)

STRATUM_STEPS = Table(
    "stratum_steps",
    "From which stratum to which donors go between visits that follow one another.",
    ("previous_stratum", "stratum"),
    (
        Field("previous_stratum", "string", "Published stratum at the visit before."),
        Field("stratum", "string", "Published stratum at the visit; none where it has none."),
        Field("n_steps", "int64", "Steps from the one to the other.", "steps"),
        replace(N_DONORS, prose="Donors with such a step."),
        Field("n_donors_from", "int64", "Donors with any step from the first.", "donors"),
        Field("share", "float64", "Share of the steps from the first that lead to it.", "1"),
        Field(
            "share_low",
            "float64",
            "Lower end of its 95 % interval: donors drawn again with all their steps, or binomial over donors where all or none go one way.",
            "1",
        ),
        Field("share_high", "float64", "Upper end of its 95 % interval.", "1"),
    ),
    source="strata/stratum_steps.parquet",
    disclosure=Disclosure(OPEN_ONLY, needs_strata=True),
)

FOLLOWUP_EFFECTS = Table(
    "followup_effects",
    "Comparisons that programmes declare, and clinical variables against cell types over visits; refused ones with the reason.",
    ("programme", "analysis", "outcome", "term"),
    (
        Field("programme", "string", "Disease programme, or none."),
        Field(
            "analysis",
            "string",
            "groups (donors at their first visit), difference in differences, or mixed model, within donors or between donors.",
        ),
        Field("outcome", "string", "Variable, signature or cell type."),
        Field("term", "string", "Name of the declared contrast, or the cell type of the model."),
        Field(
            "effect",
            "float64",
            "Effect on the scale of `unit`; null where refused.",
            required=False,
        ),
        Field("effect_low", "float64", "Lower end of its 95 % interval.", required=False),
        Field("effect_high", "float64", "Upper end of its 95 % interval.", required=False),
        Field("unit", "string", "difference, log2 ratio, log2 odds ratio or score."),
        Field("p_value", "float64", "Two-sided p over donors.", "1", required=False),
        Field(
            "q_value",
            "float64",
            "Benjamini-Hochberg q within the programme's analysis.",
            "1",
            required=False,
        ),
        Field("n_donors", "int64", "Donors of the group, the treated, or in the model.", "donors"),
        Field(
            "n_reference", "int64", "Donors that they are compared with.", "donors", required=False
        ),
        Field("n_visits", "int64", "Visits in the comparison.", "visits", required=False),
        Field(
            "smallest_detectable",
            "float64",
            "Smallest effect that 8 of 10 such studies would find at p 0.05.",
            required=False,
        ),
        Field(
            "power",
            "float64",
            "Power for the smallest difference that matters, as the programme says; null where it says none.",
            "1",
            required=False,
        ),
        Field(
            "n_needed",
            "int64",
            "Donors a side that find this difference with power 0.8.",
            "donors",
            required=False,
        ),
        Field("adjusted_for", "string", "Columns that it is adjusted for, joined by ';'."),
        Field("note", "string", "What to mind when reading the row; else empty."),
        Field("refused", "string", "Why the comparison was not made; else empty."),
    ),
    source="strata/followup_effects.parquet",
    disclosure=Disclosure(OPEN_ONLY),
)
