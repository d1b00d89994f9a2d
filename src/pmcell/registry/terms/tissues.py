"""Which tissues are analysed together: those of one organ, blood being one."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from pmcell.registry.terms.ontology import resolve, terms
from pmcell.schema import UNKNOWN

PREFIX = "UBERON:"


def tissue_groups(tissues: Iterable[str]) -> dict[str, str]:
    """Group of each tissue: cells of different groups are never neighbours of each other.

    A group is the organ that holds the tissue (`organ_of`). Samples without a known
    tissue belong to the one group that there is; where there are several or none, they
    are a group of their own, `unknown`.

    Parameters
    ----------
    tissues
        UBERON terms of all samples that are analysed together; anything else is unknown.

    Returns
    -------
    dict
        Each tissue as given and its group: the term of an organ, or `unknown`.

    Examples
    --------
    >>> tissue_groups(["UBERON:0013756", "UBERON:0000178", "UBERON:0000006"])["UBERON:0000006"]
    'UBERON:0001264'
    >>> tissue_groups(["UBERON:0000178", "unknown"])["unknown"]
    'UBERON:0000178'
    """
    given = sorted({str(tissue) for tissue in tissues})
    organs = {tissue: organ_of(tissue) for tissue in given if tissue.startswith(PREFIX)}
    known = sorted(set(organs.values()))
    rest = known[0] if len(known) == 1 else UNKNOWN
    return {tissue: organs.get(tissue, rest) for tissue in given}


def organ_of(tissue: str) -> str:
    """The nearest organ that a tissue is or is part of; the tissue itself where there is none.

    Organs are those of CELLxGENE's curated list (blood, pancreas, lung and 25 others).

    Examples
    --------
    >>> organ_of("UBERON:0013756"), organ_of("UBERON:0000473")
    ('UBERON:0000178', 'UBERON:0000473')
    """
    steps = {tissue: 0, **terms("UBERON").get(tissue, {}).get("ancestors", {})}
    above = [term for term in steps if term in _organs()]
    return min(above, key=lambda term: (steps[term], term)) if above else tissue


def tissue_label(group: str) -> str:
    """Name of a group for people, such as 'blood'."""
    if not group.startswith(PREFIX):
        return "unknown tissue"
    label = resolve(group, "UBERON")
    return label if isinstance(label, str) else group


@lru_cache(maxsize=1)
def _organs() -> frozenset[str]:
    from cellxgene_ontology_guide.curated_ontology_term_lists import get_curated_ontology_term_list
    from cellxgene_ontology_guide.entities import CuratedOntologyTermList

    return frozenset(get_curated_ontology_term_list(CuratedOntologyTermList.ORGAN))
