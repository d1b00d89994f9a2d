"""The entries of a ledger as Consent resources of FHIR R4."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

from pmcell.consent.data_period import period_of
from pmcell.consent.entries import SCOPED, Entry
from pmcell.consent.fhir.codes import (
    ACT_SYSTEM,
    CATEGORIES,
    DATA_SYSTEM,
    DPV_SYSTEMS,
    DUO_SYSTEM,
    PARTICIPATION,
    RECIPIENT_ROLES,
    SCOPE_SYSTEM,
    SUBJECT_SYSTEM,
    VISIT_DAYS_URL,
)
from pmcell.consent.ledger import Ledger
from pmcell.registry.terms.vocabulary import DUO


def as_bundle(
    ledger: Ledger,
    subjects: Mapping[str, str],
    *,
    first_visits: Mapping[str, date] | None = None,
) -> dict[str, Any]:
    """The entries of some people as a Bundle of FHIR R4 Consent resources.

    A consent that later entries narrowed or ended is `inactive`; reading the bundle again gives
    the same entries, but for evidence and the committee's signatures.

    Parameters
    ----------
    ledger
        The verified ledger.
    subjects
        Whose entries: what the ledger calls them, and what the bundle is to call them.
    first_visits
        Day of the first visit by what the bundle calls them: with it a limit of visit days is
        written as `dataPeriod`, which others read; without it as an extension of ours, which
        makes others refuse the provision.
    """
    resources = [
        _consent(ledger, entry, number, name, (first_visits or {}).get(name))
        for subject, name in subjects.items()
        for number, entry in enumerate(ledger.of(subject))
    ]
    return {
        "resourceType": "Bundle",
        "type": "collection",
        "entry": [
            {"fullUrl": f"urn:uuid:{_uuid(item['id'])}", "resource": item} for item in resources
        ],
    }


def _uuid(text: str) -> str:
    import uuid

    return str(uuid.uuid5(uuid.NAMESPACE_URL, text))


def _consent(
    ledger: Ledger, entry: Entry, number: int, name: str, first: date | None
) -> dict[str, Any]:
    later = [
        other
        for position, other in enumerate(ledger.of(entry.subject))
        if (other.instant, position) > (entry.instant, number)
    ]
    ended = entry.act in SCOPED and any(other.act in ("narrow", "withdraw") for other in later)
    policy = ledger.policies[entry.policy]
    period = {"start": entry.effective_from, **({"end": entry.expires} if entry.expires else {})}
    root: dict[str, Any] = {"type": "permit" if entry.act == "opt_in" else "deny", "period": period}
    if entry.act in SCOPED:
        # Whoever reads no further than the first level takes it for a denial, not for a consent.
        root["provision"] = [{"type": "permit", "period": period, **_scope_of(entry, first)}]
    return {
        "resourceType": "Consent",
        "id": f"{entry.subject[:40]}-{number + 1}",
        "meta": {"tag": [{"system": ACT_SYSTEM, "code": entry.act}]},
        "status": "inactive" if ended else "active",
        "scope": {
            "coding": [
                {
                    "system": SCOPE_SYSTEM,
                    "code": "research",
                }
            ]
        },
        "category": [
            {"coding": [{"system": "http://loinc.org", "code": code}]} for code in CATEGORIES
        ],
        "patient": {"identifier": {"system": SUBJECT_SYSTEM, "value": name}},
        "dateTime": entry.effective_from,
        "policy": [{"uri": policy.policy}],
        "provision": root,
    }


def _scope_of(entry: Entry, first: date | None) -> dict[str, Any]:
    """What a consent is limited to, as keys of a provision."""
    scope: dict[str, Any] = {"purpose": [_purpose(term) for term in entry.purposes]}
    if entry.data:
        scope["class"] = [{"system": DATA_SYSTEM, "code": kind} for kind in entry.data]
    if entry.recipients:
        scope["actor"] = [
            {
                "role": {"coding": [{"system": PARTICIPATION, "code": RECIPIENT_ROLES[0]}]},
                "reference": {"identifier": {"value": recipient}, "display": recipient},
            }
            for recipient in entry.recipients
        ]
    if entry.visit_days and first is not None:
        scope["dataPeriod"] = period_of(entry.visit_days, first)
    elif entry.visit_days:
        begins, ends = entry.visit_days
        scope["modifierExtension"] = [{"url": VISIT_DAYS_URL, "valueString": f"{begins}..{ends}"}]
    return scope


def _purpose(term: str) -> dict[str, str]:
    for system, prefix in DPV_SYSTEMS.items():
        if term.startswith(prefix):
            return {"system": system, "code": term.removeprefix(prefix)}
    return {"system": DUO_SYSTEM, "code": term, "display": DUO[term.split(" ")[0]]}
