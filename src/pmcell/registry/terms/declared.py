"""What the columns of samples say that they are, held against a reference."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pmcell.errors import DataError
from pmcell.registry.terms.ontology import exact
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
)
"""Columns that are read, each where it is there."""
HUMAN_NAMES = frozenset({HUMAN, SPECIES_NAMES[HUMAN], "human"})
IN_A_BODY = frozenset({"tissue"})
SAYS_NOTHING = frozenset({"", "unknown", "na", "n/a", "nan", "none"})


def check_declared(obs: pd.DataFrame, tissue: str) -> None:
    """Refuse samples that are said to be of another species, of another tissue, or of a culture.

    Parameters
    ----------
    obs
        Cells of the samples, with those of `DECLARED` that are known.
    tissue
        UBERON term of the reference's tissue.

    Notes
    -----
    A tissue is a term, or the name of one ('kidney'). What is no name of a term, such as 'PBMC',
    says nothing.

    Raises
    ------
    DataError
        `wrong_species` or `wrong_tissue`.
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


def _check_tissue(value: str, tissue: str) -> None:
    named = exact(value, "UBERON", alike=False)
    term = value if value.startswith("UBERON:") else (named.term_id if named else "")
    own = organ_of(tissue)
    if term and organ_of(term) != own:
        raise DataError(
            f"samples must be of the reference's tissue, {tissue_label(own)} ({own}); found "
            f"{tissue_label(organ_of(term))} ({term}). Map them onto a release of that tissue.",
            reason="wrong_tissue",
        )
