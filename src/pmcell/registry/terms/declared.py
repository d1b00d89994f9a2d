"""What the columns of samples say that they are, held against a reference."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pmcell.errors import DataError
from pmcell.registry.terms.ontology import exact, is_under, terms
from pmcell.registry.terms.species import HUMAN, SPECIES_NAMES
from pmcell.registry.terms.tissues import organ_of, tissue_label

if TYPE_CHECKING:
    import pandas as pd

DECLARED = (
    "tissue_ontology_term_id",
    "tissue",
    "tissue_type",
    "organism_ontology_term_id",
    "organism",
    "assay_ontology_term_id",
    "assay",
)
"""Columns that are read, each where it is there."""
HUMAN_NAMES = frozenset({HUMAN, SPECIES_NAMES[HUMAN], "human"})
IN_A_BODY = frozenset({"tissue"})
SINGLE_CELL, SINGLE_CELL_RNA = ("EFO:0010183", "EFO:0007832"), ("EFO:0008913",)
OF_DNA = ("EFO:0001456",)
SAYS_NOTHING = frozenset({"", "unknown", "na", "n/a", "nan", "none"})


def check_declared(obs: pd.DataFrame, tissue: str) -> None:
    """Refuse samples said to be of another species, tissue or assay, or of a culture.

    Parameters
    ----------
    obs
        Cells of the samples, with those of `DECLARED` that are known.
    tissue
        UBERON term of the reference's tissue.

    Notes
    -----
    A tissue or an assay is a term, or the name of one ('kidney'). What is no name of a term, such
    as 'PBMC', says nothing.

    Raises
    ------
    DataError
        `wrong_species`, `wrong_tissue` or `wrong_assay`.
    """
    for column in DECLARED:
        if column not in obs:
            continue
        for value in sorted({str(value).strip() for value in obs[column].unique()}):
            if value.casefold() in SAYS_NOTHING:
                continue
            if column.startswith("organism"):
                _check_organism(value)
            elif column == "tissue_type":
                _check_type(value)
            elif column.startswith("assay"):
                _check_assay(value)
            else:
                _check_tissue(value, tissue)


def _check_organism(value: str) -> None:
    if value.casefold() not in {name.casefold() for name in HUMAN_NAMES}:
        raise DataError(
            f"samples must be human ({HUMAN}); they are said to be of {value!r}. Map human "
            "samples.",
            reason="wrong_species",
        )


def _check_type(value: str) -> None:
    if value.casefold() not in IN_A_BODY:
        raise DataError(
            f"samples must be of tissue, as the reference's are; tissue_type says {value!r}. Cells "
            "that grew in culture are not compared with people's.",
            reason="wrong_tissue",
        )


def _check_assay(value: str) -> None:
    term = _term(value, "EFO")
    if term not in terms("EFO"):
        return
    is_rna = is_under(term, SINGLE_CELL_RNA) or not is_under(term, OF_DNA)
    if not is_under(term, SINGLE_CELL) or not is_rna:
        raise DataError(
            f"samples must hold RNA of single cells; their assay is said to be {value!r} ({term}). "
            "Map counts of single-cell RNA sequencing.",
            reason="wrong_assay",
        )


def _term(value: str, ontology: str) -> str:
    """The term that a value is or names; '' for none."""
    named = exact(value, ontology, alike=False)
    return value if value.startswith(f"{ontology}:") else (named.term_id if named else "")


def _check_tissue(value: str, tissue: str) -> None:
    term = _term(value, "UBERON")
    own = organ_of(tissue)
    if term and organ_of(term) != own:
        raise DataError(
            f"samples must be of the reference's tissue, {tissue_label(own)} ({own}); found "
            f"{tissue_label(organ_of(term))} ({term}). Map them onto a release of that tissue.",
            reason="wrong_tissue",
        )
