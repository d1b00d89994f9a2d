"""Tables of strata: what they are, who is in them, what they go with."""

from __future__ import annotations

from pmcell.schema.fields import CELL_TYPE, DONOR_FK, DONOR_ID, N_DONORS, VISIT, VISIT_FK
from pmcell.schema.model import Field, Table

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
    (DONOR_FK, VISIT_FK),
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
    (DONOR_FK, VISIT_FK),
)
