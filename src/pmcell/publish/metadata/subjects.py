"""What a release is about, in ontology terms, read from its own tables.

The tables have passed the disclosure gate, so nothing is named here that they
do not show.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pmcell.io.tables import read_table
from pmcell.registry.terms.ontology import resolve
from pmcell.registry.terms.vocabulary import NORMAL
from pmcell.schema import ASSAY, COHORTS, DISEASE, DONORS, SAMPLES, TISSUE, UNKNOWN

OBO_SITE = "http://purl.obolibrary.org/obo/"
EFO_SITE = "http://www.ebi.ac.uk/efo/"
NOT_DISEASES = (NORMAL, UNKNOWN)


@dataclass(frozen=True)
class Term:
    """An ontology term: `ontology` is its prefix (MONDO, EFO, …), `label` falls back on the id."""

    term_id: str
    label: str

    @property
    def ontology(self) -> str:
        """The ontology that the term belongs to."""
        return self.term_id.split(":")[0]

    @property
    def address(self) -> str:
        """The term's IRI."""
        site = EFO_SITE if self.ontology == "EFO" else OBO_SITE
        return site + self.term_id.replace(":", "_")


@dataclass(frozen=True)
class Subjects:
    """Organisms, diseases, tissues and assays of a release, each sorted by id."""

    organisms: tuple[Term, ...]
    diseases: tuple[Term, ...]
    tissues: tuple[Term, ...]
    assays: tuple[Term, ...]

    @property
    def topics(self) -> tuple[Term, ...]:
        """All but the assays, which are a method rather than a subject."""
        return (*self.diseases, *self.tissues, *self.organisms)


def read_subjects(folder: Path) -> Subjects:
    """The terms in the tables of the release in `folder`."""
    return Subjects(
        organisms=_terms(folder, COHORTS.name, "organism_ontology_term_id"),
        diseases=_terms(folder, DONORS.name, DISEASE.name),
        tissues=_terms(folder, SAMPLES.name, TISSUE.name),
        assays=_terms(folder, SAMPLES.name, ASSAY.name),
    )


def _terms(folder: Path, table: str, column: str) -> tuple[Term, ...]:
    values = read_table(folder / "tables" / f"{table}.parquet")[column].dropna()
    # A donor with several diseases has them in one text, as the CELLxGENE schema writes them.
    names = {part for value in values.unique() for part in str(value).split(" || ")}
    return tuple(Term(name, _label(name)) for name in sorted(names) if _is_term(name))


def _is_term(name: str) -> bool:
    return ":" in name and name not in NOT_DISEASES


def _label(term_id: str) -> str:
    label = resolve(term_id)
    return label if isinstance(label, str) else term_id
