"""Cohort cards, and the places of cohorts among regions and programmes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pmcell.report.methods import doi_link, known
from pmcell.report.parts import as_number, count, percent
from pmcell.report.programmes import ProgrammeText, programme_text
from pmcell.schema import UNKNOWN

if TYPE_CHECKING:
    import pandas as pd

    from pmcell.release.report_tables import Release

WITHHELD = "withheld"
"""State of a cohort that took part and of which no row is published."""
SUPPRESSED = "suppressed"
"""What stands for a number that would count too few people."""


@dataclass(frozen=True)
class Line:
    """One fact of a card: a name, its values, and a link or a quieter note."""

    name: str
    text: str
    href: str = ""
    note: str = ""


@dataclass(frozen=True)
class Card:
    """What a reader must know of one cohort; `state` is open, withheld or quarantined."""

    cohort_id: str
    title: str
    state: str
    status: str
    reason: str
    message: str
    region: str
    programme: str
    description: str
    numbers: tuple[Line, ...]
    lines: tuple[Line, ...] = field(default=())
    about_programme: ProgrammeText | None = None

    @property
    def anchor(self) -> str:
        """The card's id on its page."""
        return f"cohort-{self.cohort_id}"


def cards(release: Release, people: Mapping[str, Mapping[str, str]]) -> list[Card]:
    """A card for each registered cohort; `people` has the steward and publisher by cohort."""
    return [
        _card(release, row, people.get(str(row["cohort_id"]), {}))
        for row in release["cohorts"].to_dict("records")
    ]


def _card(release: Release, row: Mapping[str, Any], people: Mapping[str, str]) -> Card:
    out = row["status"] == "quarantined"
    state = "quarantined" if out else "open" if row["access"] == "open" else WITHHELD
    missing = "not published" if out else SUPPRESSED
    numbers = tuple(
        Line(name, missing if as_number(row[column]) is None else count(row[column]))
        for name, column in (("cells", "n_cells"), ("donors", "n_donors"), ("samples", "n_samples"))
    )
    doi = known(row["source_doi"])
    lines = [
        Line("Access", str(row["access"])),
        Line("Licence", known(row["license"]) or UNKNOWN, note=people.get("license_note", "")),
        Line("Consent terms", _data_use(row["data_use"])),
        Line("Source", doi or UNKNOWN, doi_link(doi), known(row["source_accession"])),
        *[Line(name, people[key]) for name, key in _PEOPLE if people.get(key)],
        Line("Organism", _terms([row["organism_ontology_term_id"]])),
    ]
    own = _of(release["samples"], row["cohort_id"])
    donors = _of(release["donors"], row["cohort_id"])
    for name, values in (
        ("Disease", donors["disease_ontology_term_id"]),
        ("Tissue", own["tissue_ontology_term_id"]),
        ("Assay", own["assay_ontology_term_id"]),
    ):
        if len(values):
            lines.append(Line(name, _terms(values)))
    return Card(
        str(row["cohort_id"]),
        known(row["title"]) or str(row["cohort_id"]),
        state,
        str(row["status"]),
        str(row["reason"] or ""),
        str(row["message"] or ""),
        known(row["region"]) or UNKNOWN,
        known(row["programme"]) or UNKNOWN,
        people.get("description", ""),
        () if out else numbers,
        tuple(lines) if out else (*lines, *_quality(release, row)),
        programme_text(row),
    )


_PEOPLE = (
    ("Steward", "steward"),
    ("Organisation", "organisation"),
    ("Source's publisher", "publisher"),
    ("Purpose", "purpose"),
)


def _quality(release: Release, row: Mapping[str, Any]) -> list[Line]:
    """Numbers of QC, from the table of samples that is published."""
    own = _of(release["qc"], row["cohort_id"])
    lines = []
    if len(own):
        kept, submitted = int(own["n_cells"].sum()), int(own["n_cells_submitted"].sum())
        lines = [
            Line("Cells kept by QC", percent(kept / submitted if submitted else None)),
            Line("Median UMI per cell", _range(own["median_total_counts"]), note="per sample"),
            Line("Median genes per cell", _range(own["median_genes_detected"]), note="per sample"),
        ]
    genes, before = as_number(row["n_genes"]), as_number(row["n_genes_submitted"])
    if genes is not None:
        of = f"of {count(before)} submitted" if before is not None else ""
        lines.append(Line("Genes", count(genes), note=of))
    return lines


def _range(values: pd.Series[float]) -> str:
    low, high = count(values.min()), count(values.max())
    return low if low == high else f"{low} to {high}"


def _of(frame: pd.DataFrame, cohort_id: Any) -> pd.DataFrame:
    return frame[frame["cohort_id"] == cohort_id]


def _data_use(codes: Any) -> str:
    from pmcell.registry.terms.vocabulary import DUO_MODIFIERS, DUO_PERMISSIONS

    labels = {**DUO_PERMISSIONS, **DUO_MODIFIERS}
    found = [known(code) for code in (codes if codes is not None else [])]
    return (
        "; ".join(f"{labels.get(code, '')} ({code})".strip() for code in found if code)
        or "unknown: no Data Use Ontology term was given"
    )


def _terms(values: Iterable[Any]) -> str:
    """Distinct terms with their labels."""
    found = sorted({part for value in values for part in str(value).split(" || ") if known(part)})
    return "; ".join(_label(term) for term in found) or UNKNOWN


def _label(term: str) -> str:
    from pmcell.registry.terms.ontology import resolve

    label = resolve(term)
    return f"{label} ({term})" if isinstance(label, str) else term


def by_place(found: list[Card]) -> tuple[list[str], dict[str, dict[str, list[Card]]]]:
    """Programmes, and for each region the cards by programme; unknown ones last."""
    programmes = sorted({card.programme for card in found}, key=_unknown_last)
    regions = sorted({card.region for card in found}, key=_unknown_last)
    return programmes, {
        region: {
            programme: [
                card for card in found if (card.region, card.programme) == (region, programme)
            ]
            for programme in programmes
        }
        for region in regions
    }


def _unknown_last(name: str) -> tuple[bool, str]:
    return name == UNKNOWN, name
