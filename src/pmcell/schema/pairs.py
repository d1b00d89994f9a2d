"""Tables of pairs of donors: how far apart they are, how often they fall together."""

from __future__ import annotations

from pmcell.schema.disclosure import INDIVIDUAL, Disclosure
from pmcell.schema.fields import DONOR_FK, DONOR_ID, VISIT, VISIT_FK
from pmcell.schema.model import Field, Table

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
