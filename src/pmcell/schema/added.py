"""Tables of cohorts that were added to a release: placed on what was found before, not clustered."""

from __future__ import annotations

import re
from dataclasses import fields, replace

from pmcell.schema import mapped
from pmcell.schema.disclosure import INDIVIDUAL, OPEN_ONLY, Disclosure
from pmcell.schema.documents import PROSE
from pmcell.schema.fields import CELL_ID, COHORT_FK, COHORT_ID, DONOR_FK, DONOR_ID, VISIT, VISIT_FK
from pmcell.schema.model import Field, ForeignKey, Table

ADDITIONS = Table(
    "additions",
    "Cohorts that were added to an earlier release: their donors were placed on its strata, not "
    "clustered. What describes the study as a whole (clusters, markers, strata, tests, distances) "
    "holds for the donors of all other cohorts. No rows in a release that was made whole.",
    ("cohort_id",),
    (
        COHORT_ID,
        Field("release_version", "string", "Version of the release that first held the cohort."),
        Field("previous_version", "string", "Version of the release that it was added to."),
        Field("previous_sha256", "string", "content_sha256 of that release's manifest."),
        Field("reference_sha256", "string", "Digest of the frozen reference that was used."),
        Field("n_genes_reference", "int64", "Genes of the reference's model.", "genes"),
        Field("n_genes_shared", "int64", "Those that the cohort measured.", "genes"),
        Field("n_donors", "int64", "Donors who were placed, or could not be.", "donors"),
        Field("n_visits", "int64", "Their visits.", "visits"),
        Field("n_assigned", "int64", "Visits that were assigned to one stratum.", "visits"),
        Field("n_ambiguous", "int64", "Visits with several possible strata, or none.", "visits"),
        Field("n_novel", "int64", "Visits that fit no stratum.", "visits"),
        Field("n_not_placed", "int64", "Visits of which nothing can be said.", "visits"),
    ),
    (COHORT_FK,),
    source="strata/additions.parquet",
    disclosure=Disclosure(OPEN_ONLY),
)


def _told(name: str) -> str:
    """The sentence of `mapped.json` on a part of the answer."""
    (found,) = (item for item in fields(mapped.StratumAnswer) if item.name == name)
    return str(found.metadata[PROSE])


def _of_passing(field: Field) -> Field:
    """The field in a table of cells that passed QC only."""
    prose = re.sub("; (null|empty) where QC failed", "", field.prose)
    return replace(field, prose=prose, required=True)


PLACEMENTS = Table(
    "placements",
    "Place of each donor and visit of an added cohort among the strata of the earlier release, as "
    "`pmcell map` gives it.",
    ("donor_id", "visit"),
    (
        DONOR_ID,
        VISIT,
        Field("status", "string", _told("status")),
        Field("why", "string", _told("why")),
        Field("stratum", "string", _told("stratum"), required=False),
        Field("nearest_stratum", "string", _told("nearest"), required=False),
        Field(
            "probability",
            "float64",
            "Probability of the nearest stratum, given that it is one of them.",
            "1",
            required=False,
        ),
        Field("conformal_set", "list<string>", _told("conformal_set"), required=False),
        Field("coverage", "float64", _told("coverage"), "1", required=False),
        Field("calibrated_on", "string", _told("calibrated_on"), required=False),
        Field("ood_p", "float64", _told("ood_p"), "1", required=False),
        Field("margin", "float64", _told("margin"), "1", required=False),
        Field(
            "composition_p",
            "float64",
            "Share of the earlier donors whose composition is as far from the others'.",
            "1",
            required=False,
        ),
        Field(
            "expression_p",
            "float64",
            "Share of the earlier donors, left out in turn, with as much expression that the model "
            "does not describe.",
            "1",
            required=False,
        ),
        Field("n_cells", "int64", "Cells that passed QC.", "cells"),
        Field("n_cells_labelled", "int64", "Those with a type or a common ancestor.", "cells"),
        Field("n_cells_unlike", "int64", "Those unlike every type of the reference.", "cells"),
    ),
    (DONOR_FK, VISIT_FK),
    source="strata/placements.parquet",
    disclosure=Disclosure(
        INDIVIDUAL,
        ids=("donor_id",),
        strata=(
            "stratum",
            "nearest_stratum",
            "probability",
            "conformal_set",
            "ood_p",
            "margin",
        ),
    ),
)

PLACED_CELLS = Table(
    "placed_cells",
    "How sure the label of each cell of an added cohort is: the set of types that cannot be ruled "
    "out, by the frozen reference. Cells that passed QC only.",
    ("cell_id",),
    (
        CELL_ID,
        *(
            _of_passing(mapped.MAPPED_CELLS.field(name))
            for name in (
                "label_level",
                "cell_type_set",
                "nearest_cell_type",
                "probability",
                "typical_p",
                "veto",
            )
        ),
        Field(
            "counted_by",
            "string",
            "By what the cell counts as its profile_cell_type: 'source', the label of its source, "
            "as in a whole release; 'reference', the reference's most probable type.",
        ),
    ),
    (ForeignKey(("cell_id",), "cells"),),
    source="strata/placed_cells.parquet",
    disclosure=Disclosure(INDIVIDUAL, ids=("cell_id",)),
)
