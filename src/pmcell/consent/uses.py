"""What a study does with data, and which uses a cohort's Data Use Ontology terms allow.

The match follows the meaning of the terms (Lawson et al. 2021, Cell Genomics,
doi:10.1016/j.xgen.2021.100028, Table 1). A modifier that no program can check,
such as the approval of an ethics committee, must be stated as met.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from types import MappingProxyType

from pmcell.registry.terms.ontology import is_under
from pmcell.registry.terms.vocabulary import (
    DUO,
    DUO_CODES,
    DUO_DISEASE_SPECIFIC,
    DUO_MODIFIERS,
    DUO_PERMISSIONS,
)
from pmcell.settings.study import PURPOSES, UseSettings

ALL_RESEARCH = frozenset(purpose for purpose in PURPOSES if purpose != "clinical_care")

ALLOWS: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        DUO_CODES["NRES"]: frozenset(PURPOSES),
        DUO_CODES["GRU"]: ALL_RESEARCH,
        DUO_CODES["HMB"]: frozenset({"health_research", "disease_research", "methods_research"}),
        DUO_CODES["DS"]: frozenset({"disease_research", "methods_research"}),
        DUO_CODES["POA"]: frozenset({"ancestry_research"}),
    }
)
"""Purposes that each permission allows, before its modifiers; DS only for its disease."""

DPV_PURPOSES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "dpv:ScientificResearch": (DUO_CODES["GRU"],),
        "dpv:ResearchAndDevelopment": (DUO_CODES["GRU"],),
        "dpv:NonCommercialResearch": (DUO_CODES["GRU"], DUO_CODES["NCU"]),
        "eu-ehds:HealthcareScientificResearch": (DUO_CODES["HMB"],),
    }
)
"""Purposes of the Data Privacy Vocabulary 2.3 and the DUO terms that they are read as."""

CHECKED = frozenset(DUO_CODES[code] for code in ("NMDS", "NPOA", "NCU", "NPU", "NPUNCU", "CC"))
"""Modifiers that follow from what a study declares; the others are stated as met, or not."""


@dataclass(frozen=True)
class Permit:
    """A decision that let a study use data: its id, and the days from and to which it holds."""

    permit_id: str
    approved_on: date
    expires: date | None = None


@dataclass(frozen=True)
class Use:
    """One declared use of data, as `use` of the configuration says it."""

    purpose: str
    disease: str = ""
    data: tuple[str, ...] = ("transcriptome",)
    recipient: str = ""
    commercial: bool | None = None
    for_profit: bool | None = None
    conditions: frozenset[str] = frozenset()


def declared_use(settings: UseSettings) -> tuple[Use, Permit | None]:
    """The use and the permit that a configuration declares."""
    use = Use(
        purpose=settings.purpose,
        disease=settings.disease or "",
        data=settings.data,
        recipient=settings.recipient or "",
        commercial=settings.commercial,
        for_profit=settings.for_profit,
        conditions=frozenset(settings.conditions),
    )
    found = settings.permit
    if found is None:
        return use, None
    return use, Permit(found.id, found.approved_on, found.expires)


def refusals(terms: Sequence[str], use: Use) -> list[str]:
    """Why a use is not among those that DUO terms allow; empty where it is.

    Parameters
    ----------
    terms
        One permission and its modifiers, as `data_use` of cohort.yaml has them: a DUO id, for
        disease-specific research followed by a MONDO id. Terms of DPV are read as DUO's.
    use
        The declared use.

    Returns
    -------
    list of str
        A reason each, for a person. Terms without a permission allow nothing.

    Examples
    --------
    >>> refusals(["DUO:0000042"], Use("health_research"))
    []
    >>> refusals(["DUO:0000011"], Use("health_research"))
    ['DUO:0000011 (population origins or ancestry research only) does not cover health_research']
    """
    terms = in_duo(terms)
    permissions = [term for term in terms if term.split(" ")[0] in DUO_PERMISSIONS]
    if not permissions:
        return ["no permission is recorded"]
    reasons = [list(_against_permission(term, use)) for term in permissions]
    # Several permissions: what one of them allows is allowed, unless its modifiers say no.
    first = next((found for found in reasons if not found), reasons[0])
    modifiers = [term for term in terms if term in DUO_MODIFIERS]
    return [*first, *(reason for term in modifiers for reason in _against_modifier(term, use))]


def in_duo(terms: Sequence[str]) -> list[str]:
    """The terms with those of DPV replaced by the DUO terms that they are read as."""
    return list(dict.fromkeys(duo for term in terms for duo in DPV_PURPOSES.get(term, (term,))))


def _against_permission(term: str, use: Use) -> Iterator[str]:
    code, _, disease = term.partition(" ")
    name = f"{code} ({DUO[code]})"
    if use.purpose == "clinical_care" and code != DUO_CODES["NRES"]:
        # Care is a modifier's to allow, beside any permission.
        return
    if use.purpose not in ALLOWS[code]:
        yield f"{name} does not cover {use.purpose}"
    elif code == DUO_DISEASE_SPECIFIC:
        if not use.disease:
            yield f"{name} covers {disease} only, and the study declares no disease"
        elif not is_under(use.disease, (disease,)):
            yield f"{name} covers {disease} only, and {use.disease} is not below it"


def _against_modifier(term: str, use: Use) -> Iterator[str]:
    name = f"{term} ({DUO[term]})"
    if term == DUO_CODES["NMDS"] and use.purpose == "methods_research":
        yield f"{name} excludes methods_research"
    elif term == DUO_CODES["NPOA"] and use.purpose == "ancestry_research":
        yield f"{name} excludes ancestry_research"
    if term in (DUO_CODES["NCU"], DUO_CODES["NPUNCU"]) and use.commercial is not False:
        yield f"{name} needs `commercial: false`, and the study says {_said(use.commercial)}"
    if term in (DUO_CODES["NPU"], DUO_CODES["NPUNCU"]) and use.for_profit is not False:
        yield f"{name} needs `for_profit: false`, and the study says {_said(use.for_profit)}"
    if term not in CHECKED and term not in use.conditions:
        yield f"{name} must be met: state it in `conditions` once it is"


def care_refusals(terms: Sequence[str], use: Use) -> list[str]:
    """Why data may not be used for a person's care: only no restriction, or DUO:0000043, allow it.

    >>> care_refusals(["DUO:0000042"], Use("clinical_care"))
    ['no term allows clinical_care: DUO:0000043 (clinical care use) does']
    """
    found = {term.split(" ")[0] for term in in_duo(terms)}
    if use.purpose != "clinical_care" or found & {DUO_CODES["NRES"], DUO_CODES["CC"]}:
        return []
    return [f"no term allows clinical_care: {DUO_CODES['CC']} ({DUO[DUO_CODES['CC']]}) does"]


def _said(value: bool | None) -> str:
    return "nothing" if value is None else str(value).lower()
