"""Tables of strata: what they are, who is in them, how far apart they are."""

from __future__ import annotations

from dataclasses import replace

from pmcell.schema.disclosure import AGGREGATE, INDIVIDUAL, Disclosure
from pmcell.schema.fields import DONOR_FK, DONOR_ID, N_DONORS, PROFILED_TYPE, VISIT, VISIT_FK
from pmcell.schema.model import Field, Table

STRATA = Table(
    "strata",
    "Strata of donors; no rows when no strata are published.",
    ("stratum",),
    (
        Field("stratum", "string", "Stratum label, 'S1' is the largest."),
        N_DONORS,
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
            "Stratum of the best partition before the decision to publish; null when not assigned.",
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

DONOR_DISTANCES = Table(
    "donor_distances",
    "Squared distance of each pair of donor visits: fused, and in each feature set; sampling noise is subtracted, so a few are slightly negative. Of more than 2,000 visits, pairs of which one is among the 50 nearest (fused) of the other.",
    ("donor_id", "visit", "other_donor_id", "other_visit", "channel"),
    (
        DONOR_ID,
        VISIT,
        Field("other_donor_id", "string", "Donor of the other visit, later in the file's order."),
        Field("other_visit", "string", "Label of the other visit."),
        Field(
            "channel",
            "string",
            "fused: the weighted mean of the feature sets that were not dropped, each over its median; else the feature set, dropped ones too.",
        ),
        Field(
            "squared_distance", "float64", "Squared distance; pairs without one have no row.", "1"
        ),
    ),
    (DONOR_FK, VISIT_FK),
    source="content.pairs:iter_distances",
    disclosure=Disclosure(INDIVIDUAL, ids=("donor_id", "other_donor_id")),
)

CONSENSUS = Table(
    "consensus",
    "Share of resampled runs that put two donors into one stratum; no rows when no strata are published. Of more than 2,000 donors, pairs of which one is among the 50 nearest (fused distance) of the other.",
    ("donor_id", "other_donor_id"),
    (
        DONOR_ID,
        Field("other_donor_id", "string", "The other donor, later in the file's order."),
        Field(
            "consensus",
            "float64",
            "Share of the runs with both donors that joined them, for the published number of strata.",
            "1",
        ),
    ),
    (DONOR_FK,),
    source="content.pairs:consensus_frame",
    disclosure=Disclosure(INDIVIDUAL, ids=("donor_id", "other_donor_id"), needs_strata=True),
)
