"""What `pmcell map` writes of samples that were mapped onto a release.

`mapped.json` is the document `Mapped`; beside it lie `cells.parquet` (`MAPPED_CELLS`) and
`composition.parquet` (`MAPPED_COMPOSITION`). All three are about single people who are not in
the release, and hold nothing of a single person who is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pmcell.schema.cells import CELLS
from pmcell.schema.documents import fact, json_schema, parse, plain
from pmcell.schema.fields import CELL_ID, DONOR_ID, SAMPLE_ID, VISIT
from pmcell.schema.model import Field, Table

FILE, CELLS_FILE, COMPOSITION_FILE = "mapped.json", "cells.parquet", "composition.parquet"

PERSON = "person"
"""About the mapped person: for those who may see that person's data."""
REFERENCE = "reference"
"""About the release and its reference: as public as they are."""

LEAF, ANCESTOR, NO_LABEL = "leaf", "ancestor", "unknown"
"""How precise a cell's label is: one type of the reference, what several have in common, none."""

ASSIGNED, AMBIGUOUS, NOVEL = "assigned", "ambiguous", "novel"
NOT_PLACED, NO_STRATA, TOO_FEW_CELLS = "cannot be placed", "no strata", "too few cells"
"""What is said of a person's stratum."""


@dataclass(frozen=True)
class ReferenceUsed:
    """The frozen reference that was used."""

    content_sha256: str = fact(
        "Digest of the reference: equal digests give equal answers.", tells=REFERENCE, required=True
    )
    release_version: str = fact("Version of the release.", tells=REFERENCE, required=True)
    tissue_ontology_term_id: str = fact("Tissue of its cells.", tells=REFERENCE, required=True)
    n_cells: int = fact("Cells that it was made of.", tells=REFERENCE, required=True)
    n_donors: int = fact("Donors that it was made of.", tells=REFERENCE, required=True)
    n_batches: int = fact("Batches that it was made of.", tells=REFERENCE, required=True)


@dataclass(frozen=True)
class MappedFile:
    """A submitted file."""

    name: str = fact("Name of the file, without its folder.", tells=PERSON, required=True)
    sha256: str = fact("Digest of its bytes.", tells=PERSON, required=True)
    counts: str = fact("Which of its matrices was read.", tells=PERSON, required=True)
    n_cells: int = fact("Cells in it.", tells=PERSON, required=True)
    n_genes: int = fact("Genes in it that have a canonical id.", tells=PERSON, required=True)
    notes: tuple[str, ...] | None = fact("What to mind of it, a sentence each.", tells=PERSON)


@dataclass(frozen=True)
class GeneOverlap:
    """Genes of the reference that the samples have."""

    n_reference: int = fact("Genes of the model.", tells=REFERENCE, required=True)
    n_shared: int = fact("Those that were measured in the samples.", tells=PERSON, required=True)
    share_of_model: float = fact(
        "Share of what the label model weighs that rests on measured genes, from 0 to 1.",
        tells=PERSON,
        required=True,
    )
    missing_markers: tuple[str, ...] = fact(
        "Symbols of marker genes of the model that were not measured.", tells=PERSON, required=True
    )


@dataclass(frozen=True)
class Quality:
    """Cells of a visit and those that passed QC."""

    n_cells_submitted: int = fact("Cells of the visit.", tells=PERSON, required=True)
    n_cells: int = fact("Cells that passed QC.", tells=PERSON, required=True)
    excluded: Mapping[str, int] = fact(
        "Cells excluded, by reason; a cell may have several.", tells=PERSON, required=True
    )
    median_total_counts: float = fact(
        "Median counts of the cells that passed.", tells=PERSON, required=True
    )


@dataclass(frozen=True)
class Labels:
    """How sure the labels of a visit's cells are."""

    n_leaf: int = fact("Cells with one type of the reference.", tells=PERSON, required=True)
    n_ancestor: int = fact("Cells with a common ancestor only.", tells=PERSON, required=True)
    n_unknown: int = fact("Cells without a label.", tells=PERSON, required=True)
    n_unlike: int = fact(
        "Cells unlike every type of the reference, or with too few counts of its genes to tell; "
        "all are without a label.",
        tells=PERSON,
        required=True,
    )
    vetoed: Mapping[str, int] = fact(
        "Cells whose label was taken back because markers speak against it, by type.",
        tells=PERSON,
        required=True,
    )


@dataclass(frozen=True)
class Surprise:
    """A cell type whose share no donor of the reference had."""

    cell_type: str = fact("The type.", tells=PERSON, required=True)
    share: float = fact("Its share of the visit's cells.", tells=PERSON, required=True)
    reference_least: float = fact("Least share in a donor.", tells=REFERENCE, required=True)
    reference_most: float = fact("Largest share in a donor.", tells=REFERENCE, required=True)
    n_donors: int = fact("Donors compared with.", tells=REFERENCE, required=True)


@dataclass(frozen=True)
class Residual:
    """Expression that the model does not describe."""

    value: float = fact(
        "Squared distance of the visit's mean expression from the model's, over that expected.",
        tells=PERSON,
        required=True,
    )
    p: float = fact(
        "Share of the reference's donors, left out in turn, with as large a value.",
        tells=PERSON,
        required=True,
    )
    genes: tuple[str, ...] = fact(
        "Symbols of the genes that make most of it, largest first.", tells=PERSON, required=True
    )


@dataclass(frozen=True)
class Driver:
    """A part of the difference between the distances to two strata; the parts add up to it."""

    channel: str = fact("Feature set.", tells=PERSON, required=True)
    cell_type: str = fact("Cell type.", tells=PERSON, required=True)
    contribution: float = fact(
        "Positive towards the nearest stratum, negative towards the second.",
        tells=PERSON,
        required=True,
    )


@dataclass(frozen=True)
class StratumAnswer:
    """What is said of a person's stratum at a visit."""

    status: str = fact(
        "assigned, ambiguous, novel, cannot be placed, no strata or too few cells.",
        tells=PERSON,
        required=True,
    )
    why: str = fact("Why it is not assigned; else empty.", tells=PERSON, required=True)
    stratum: str | None = fact("The stratum, only where it is assigned.", tells=PERSON)
    nearest: str | None = fact("The nearest stratum.", tells=PERSON)
    probability: Mapping[str, float] | None = fact(
        "Probability of each stratum, given that it is one of them.", tells=PERSON
    )
    conformal_set: tuple[str, ...] | None = fact(
        "Strata that cannot be ruled out; empty where none fits.", tells=PERSON
    )
    coverage: float | None = fact("Promised share of sets that hold the stratum.", tells=REFERENCE)
    calibrated_on: str | None = fact(
        "What was left out in turn to calibrate the set: donors, or batches for a new site.",
        tells=REFERENCE,
    )
    ood_p: float | None = fact(
        "Share of the reference's donors that fit every stratum as badly; small for none of them.",
        tells=PERSON,
    )
    margin: float | None = fact(
        "1 at the mean of the nearest stratum, 0 on the border to the next.", tells=PERSON
    )
    drivers: tuple[Driver, ...] | None = fact(
        "What places the person, largest first.", tells=PERSON
    )


@dataclass(frozen=True)
class MappedVisit:
    """A person at a visit."""

    donor_id: str = fact("The person, as submitted.", tells=PERSON, required=True)
    visit: str = fact("The visit, as submitted.", tells=PERSON, required=True)
    batch_id: str = fact("Processing batch, as submitted.", tells=PERSON, required=True)
    samples: tuple[str, ...] = fact("Samples of the visit.", tells=PERSON, required=True)
    quality: Quality = fact("Cells and QC.", tells=PERSON, required=True)
    labels: Labels = fact("How sure the labels are.", tells=PERSON, required=True)
    surprises: tuple[Surprise, ...] = fact("Shares that no donor had.", tells=PERSON, required=True)
    stratum: StratumAnswer = fact("The stratum, or why none is given.", tells=PERSON, required=True)
    warnings: tuple[str, ...] = fact("What to mind, a sentence each.", tells=PERSON, required=True)
    donor_p: float | None = fact(
        "Share of the reference's donors whose composition is as far from the others'.",
        tells=PERSON,
    )
    residual: Residual | None = fact("Expression outside the model.", tells=PERSON)
    n_cells_of_another: int | None = fact(
        "Cells that are of another person than the rest, of those whose genes tell; null where the "
        "cells may all be of one.",
        tells=PERSON,
    )


@dataclass(frozen=True)
class UnseenSite:
    """What to expect at a site that the reference does not know, by leaving each batch out."""

    unit: str = fact("What was left out in turn.", tells=REFERENCE, required=True)
    why: str = fact("Why nothing was estimated; else empty.", tells=REFERENCE, required=True)
    group: tuple[str, ...] | None = fact("The groups left out.", tells=REFERENCE)
    n_cells: tuple[int, ...] | None = fact("Cells of each group.", tells=REFERENCE)
    label_accuracy: tuple[float, ...] | None = fact(
        "Share of the group's cells of known types whose most probable type is right.",
        tells=REFERENCE,
    )
    label_macro_f1: tuple[float, ...] | None = fact(
        "Mean F1 over the types that the group and the others have.", tells=REFERENCE
    )
    label_coverage: tuple[float, ...] | None = fact(
        "Share of cells whose set holds their type.", tells=REFERENCE
    )
    answered: tuple[float, ...] | None = fact(
        "Share of cells that get a type or a common ancestor.", tells=REFERENCE
    )
    answered_accuracy: tuple[float, ...] | None = fact(
        "Share of the answered cells whose label is their type or above it.", tells=REFERENCE
    )
    confident_wrong: tuple[float, ...] | None = fact(
        "Share of all cells that get a label which is neither their type nor above it.",
        tells=REFERENCE,
    )
    stratum_accuracy: tuple[float, ...] | None = fact(
        "Balanced accuracy of the strata in the group's donors, as strata.json has it.",
        tells=REFERENCE,
    )


@dataclass(frozen=True)
class Mapped:
    """All that is said of the samples."""

    schema_version: str = fact("Version of this document.", tells=REFERENCE, required=True)
    pmcell: str = fact("Version of pmcell that mapped the samples.", tells=REFERENCE, required=True)
    intended_use: str = fact("What it may be used for.", tells=REFERENCE, required=True)
    reference: ReferenceUsed = fact("The reference.", tells=REFERENCE, required=True)
    files: tuple[MappedFile, ...] = fact("Files that were read.", tells=PERSON, required=True)
    genes: GeneOverlap = fact("Genes that could be used.", tells=PERSON, required=True)
    visits: tuple[MappedVisit, ...] = fact("Each person and visit.", tells=PERSON, required=True)
    unseen_site: UnseenSite = fact(
        "What to expect at a site that the reference does not know.", tells=REFERENCE, required=True
    )
    limitations: tuple[str, ...] = fact(
        "What limits the answer, a sentence each.", tells=REFERENCE, required=True
    )

    @classmethod
    def from_json(cls, value: Any, *, file: str = FILE) -> Mapped:
        """Return the document that a JSON value holds; `FaultsError` with all that is wrong."""
        return parse(cls, value, file=file)

    def as_json(self) -> dict[str, Any]:
        """Return the value for `mapped.json`."""
        value: dict[str, Any] = plain(self)
        return value


def mapped_schema() -> dict[str, Any]:
    """Return the JSON Schema of `mapped.json`, without its head."""
    return json_schema(Mapped)


_TYPE = Field(
    "cell_type",
    "string",
    "Label: a type of the reference, the closest common ancestor of those that cannot be ruled "
    "out, or 'unknown'.",
)
_TERM = Field(
    "cell_type_ontology_term_id",
    "string",
    "Cell Ontology term of cell_type, or 'unknown'.",
    ontology="CL",
    term="CL:0000000",
)

MAPPED_CELLS = Table(
    "mapped_cells",
    "Each cell of the mapped samples, with its label.",
    ("cell_id",),
    (
        CELL_ID,
        DONOR_ID,
        SAMPLE_ID,
        VISIT,
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
        _TYPE,
        _TERM,
        Field("label_level", "string", "leaf, ancestor or unknown; empty where QC failed."),
        Field(
            "cell_type_set",
            "list<string>",
            "Cell Ontology terms of the types that cannot be ruled out.",
            ontology="CL",
        ),
        Field(
            "nearest_cell_type",
            "string",
            "Most probable type of the reference, whether or not it became the label.",
        ),
        Field(
            "probability",
            "float64",
            "Its probability, given that it is one of them; null where QC failed.",
            "1",
            required=False,
        ),
        Field(
            "typical_p",
            "float64",
            "Share of that type's left-out cells that are as far from it; null where QC failed.",
            "1",
            required=False,
        ),
        Field(
            "veto",
            "string",
            "Row of the marker panel that speaks against nearest_cell_type: its markers are lacking, "
            "or, after 'not', two markers of other types are there; else empty.",
        ),
        Field(
            "umap_1",
            "float64",
            "Place on the map of the release, from its neighbours.",
            "1",
            required=False,
        ),
        Field("umap_2", "float64", "The same, second coordinate.", "1", required=False),
    ),
)

MAPPED_COMPOSITION = Table(
    "mapped_composition",
    "Cells of each type at each visit, beside the donors of the reference.",
    ("donor_id", "visit", "cell_type"),
    (
        DONOR_ID,
        VISIT,
        Field(
            "cell_type",
            "string",
            "Type under which cells count in the profiles of donors, or 'unknown'.",
        ),
        _TERM,
        Field("n_cells", "int64", "Cells whose most probable type it is.", "cells"),
        Field("n_certain", "int64", "Cells whose set holds no other type.", "cells"),
        Field("n_possible", "int64", "Cells whose set holds it.", "cells"),
        Field("share", "float64", "Share of the visit's cells that passed QC (n_cells).", "1"),
        Field("n_donors", "int64", "Donors of the reference compared with.", "donors"),
        Field("reference_low", "float64", "5th percentile of their shares.", "1", required=False),
        Field("reference_median", "float64", "Median of their shares.", "1", required=False),
        Field("reference_high", "float64", "95th percentile of their shares.", "1", required=False),
        Field(
            "p",
            "float64",
            "Two-sided rank of the share among the donors: twice the smaller tail, at most 1.",
            "1",
            required=False,
        ),
    ),
)
