"""One Cell Ontology term for many votes: the majority, or the closest common ancestor."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import lru_cache

from pmcell.registry.terms.ontology import is_under, terms

UMBRELLA = (
    "CL:0000084",  # T cell
    "CL:0000945",  # lymphocyte of B lineage
    "CL:0001065",  # innate lymphoid cell
    "CL:0000113",  # mononuclear phagocyte
    "CL:0000235",  # macrophage
    "CL:0000451",  # dendritic cell
    "CL:0000576",  # monocyte
    "CL:0000094",  # granulocyte
    "CL:0000097",  # mast cell
    "CL:0000764",  # erythroid lineage cell
    "CL:0000556",  # megakaryocyte
    "CL:0008001",  # hematopoietic precursor cell
    "CL:0000115",  # endothelial cell
    "CL:0000057",  # fibroblast
    "CL:0000669",  # pericyte
    "CL:0000192",  # smooth muscle cell
    "CL:0000746",  # cardiac muscle cell
    "CL:0008024",  # pancreatic endocrine cell
    "CL:0002064",  # pancreatic acinar cell
    "CL:0002079",  # pancreatic ductal cell
    "CL:1000494",  # nephron tubule epithelial cell
    "CL:0000653",  # podocyte
    "CL:0000138",  # chondrocyte
    "CL:0000214",  # synovial cell
    "CL:0000136",  # adipocyte
    "CL:0000077",  # mesothelial cell
    "CL:0000540",  # neuron
    "CL:0000125",  # glial cell
)
"""The broadest terms that still name a cell type; what is above them is too general for a label."""

JOINT = {"CL:0000542": ("T or NK cell", ("CL:0000084", "CL:0000623"))}
"""Terms that are too general alone, with what they are called where all cells are of some types.

T and natural killer cells share their cytotoxic programme and often a cluster; the
closest term of the Cell Ontology above both is lymphocyte.
"""


@dataclass(frozen=True)
class Consensus:
    """The chosen term, its label, and the share of the votes that it covers."""

    term_id: str
    label: str
    share: float
    is_majority: bool


def consensus(
    votes: Mapping[str, int],
    *,
    majority: float = 0.5,
    coverage: float = 0.7,
    allowed: Collection[str] | None = None,
) -> Consensus | None:
    """The term with at least `majority` of the votes, else the closest common ancestor.

    The ancestor must cover at least `coverage` of the votes, not be too general
    and, where given, be in `allowed`; the most specific one is taken. None when
    there is no such term, nor a joint name of types (`JOINT`) that covers as many.
    Votes for what is not a Cell Ontology term count in the
    total only.

    >>> consensus({"CL:0000897": 4, "CL:0000895": 4, "CL:0000236": 1}).label
    'CD4-positive, alpha-beta T cell'
    """
    known = terms("CL")
    total = sum(votes.values())
    cast = {term: n for term, n in votes.items() if n > 0 and term in known}
    if not cast:
        return None
    best = min(cast, key=lambda term: (-cast[term], term))
    if cast[best] >= majority * total and (best not in too_general() or best in JOINT):
        return Consensus(best, name_of(best), cast[best] / total, True)
    covered: dict[str, int] = {}
    for term, n in cast.items():
        for above in {term, *known[term].get("ancestors", {})}:
            if above in known:
                covered[above] = covered.get(above, 0) + n
    enough = [
        term
        for term, n in covered.items()
        if n >= coverage * total
        and term not in too_general()
        and (allowed is None or term in allowed)
    ]
    if not enough:
        return _joint(cast, coverage * total, total)
    chosen = min(enough, key=lambda term: (-_depth(term), -covered[term], term))
    return Consensus(chosen, str(known[chosen]["label"]), covered[chosen] / total, False)


def is_label(term: str) -> bool:
    """Whether a term is a current one of the Cell Ontology and names a type.

    >>> is_label("CL:0000236"), is_label("CL:0000542"), is_label("unknown")
    (True, False, False)
    """
    known = terms("CL").get(term)
    return known is not None and not known.get("deprecated") and term not in too_general()


def name_of(term: str) -> str:
    """What cells of a Cell Ontology term are called: its label, or the joint name of types.

    >>> name_of("CL:0000236"), name_of("CL:0000542")
    ('B cell', 'T or NK cell')
    """
    return JOINT[term][0] if term in JOINT else str(terms("CL")[term]["label"])


def is_of_type(term: str, kind: str) -> bool:
    """Whether a term is a type or below it; of a joint name, whether it is of one of its types.

    >>> is_of_type("CL:0000084", "CL:0000542"), is_of_type("CL:0000236", "CL:0000542")
    (True, False)
    """
    return term == kind or is_under(term, JOINT[kind][1] if kind in JOINT else (kind,))


def joint_term(one: str, other: str) -> str:
    """The term whose joint name covers both terms; '' where they have none or are one type's.

    >>> joint_term("CL:0000084", "CL:0000623"), joint_term("CL:0000084", "CL:0000236")
    ('CL:0000542', '')
    """
    for term, (_, members) in JOINT.items():
        places = [[is_under(name, (member,)) for member in members] for name in (one, other)]
        if any(places[0]) and any(places[1]) and places[0] != places[1]:
            return term
    return ""


def _joint(votes: Mapping[str, int], least: float, total: int) -> Consensus | None:
    for term, (name, members) in JOINT.items():
        n = sum(n for vote, n in votes.items() if vote == term or is_under(vote, members))
        if n >= least:
            return Consensus(term, name, n / total, False)
    return None


@lru_cache(maxsize=1)
def too_general() -> frozenset[str]:
    """Terms above the umbrella terms ('lymphocyte', 'epithelial cell', 'cell', …)."""
    known = terms("CL")
    above = {ancestor for term in UMBRELLA for ancestor in known[term].get("ancestors", {})}
    return frozenset(above - set(UMBRELLA))


def _depth(term: str) -> int:
    """Number of terms above: the more there are, the more specific is the term."""
    return len(terms("CL")[term].get("ancestors", {}))
