"""Consent records in the form of ISO/IEC TS 27560:2023, as JSON-LD with terms of DPV.

The structure follows the guide of the W3C Data Privacy Vocabularies group
(https://w3id.org/dpv/guides/consent-27560): a record of one consent, its state,
what it allows, who controls and who may receive. It holds no name: the subject
is called what the file's reader calls them.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pmcell.consent.entries import SCOPED, Entry
from pmcell.consent.ledger import Ledger
from pmcell.consent.uses import DPV_PURPOSES
from pmcell.registry.cohorts.registration import Registration
from pmcell.registry.terms.vocabulary import DUO
from pmcell.schema import UNKNOWN

SHAPES = Path(__file__).parent / "shapes" / "consent-record.ttl"
"""SHACL shapes that every record conforms to."""
DPV = "https://w3id.org/dpv#"
CONTEXT: Mapping[str, Any] = {
    "dpv": DPV,
    "eu-ehds": "https://w3id.org/dpv/legal/eu/ehds#",
    "dct": "http://purl.org/dc/terms/",
    "DUO": "http://purl.obolibrary.org/obo/DUO_",
    "MONDO": "http://purl.obolibrary.org/obo/MONDO_",
    "xsd": "http://www.w3.org/2001/XMLSchema#",
}
STATUS: Mapping[str, str] = {
    "give": "dpv:ConsentGiven",
    "narrow": "dpv:ConsentGiven",
    "withdraw": "dpv:ConsentWithdrawn",
    "opt_out": "dpv:ConsentRefused",
    "opt_in": "dpv:ConsentRenewed",
}
DATA: Mapping[str, str] = {
    "transcriptome": "eu-ehds:TranscriptomicData",
    "proteome": "eu-ehds:ProteomicData",
    "clinical": "eu-ehds:ElectronicHealthRecord",
}


def as_records(
    ledger: Ledger, registration: Registration, subjects: Mapping[str, str]
) -> dict[str, Any]:
    """One record an entry of some people, as a JSON-LD document.

    Parameters
    ----------
    ledger, registration
        The verified ledger and the cohort's registration, which names the controller.
    subjects
        What the ledger calls them, and what the records are to call them.
    """
    graph = [
        _record(registration, entry, f"{subject}-{number}", name, ledger)
        for subject, name in subjects.items()
        for number, entry in enumerate(ledger.of(subject), start=1)
    ]
    return {"@context": dict(CONTEXT), "@graph": graph}


def _record(
    registration: Registration, entry: Entry, number: str, name: str, ledger: Ledger
) -> dict[str, Any]:
    controller = registration.steward.get("organisation", UNKNOWN)
    record: dict[str, Any] = {
        "@id": f"urn:pmcell:consent:{number}",
        "@type": "dpv:ConsentRecord",
        "dct:identifier": number,
        "dct:conformsTo": "ISO/IEC TS 27560:2023",
        "dpv:hasDataSubject": {"@type": "dpv:DataSubject", "dct:identifier": name},
        "dpv:hasDataController": {"@type": "dpv:DataController", "dct:title": controller},
        "dpv:hasConsentStatus": {"@id": STATUS[entry.act]},
        "dct:created": {"@type": "xsd:dateTime", "@value": entry.recorded_at},
        "dct:valid": _when(entry.effective_from),
        "dpv:hasNotice": {
            "@type": "dpv:ConsentNotice",
            "dct:identifier": entry.policy,
            "dct:title": ledger.policies[entry.policy].title or entry.policy,
        },
        "dpv:hasLegalBasis": {"@id": _basis(ledger.policies[entry.policy].basis)},
    }
    if entry.act in SCOPED:
        record["dpv:hasPurpose"] = [_purpose(term) for term in entry.purposes]
        kinds = entry.data or tuple(DATA)
        record["dpv:hasPersonalData"] = [{"@id": DATA[kind]} for kind in kinds]
    if entry.recipients:
        record["dpv:hasRecipient"] = [
            {"@type": "dpv:Recipient", "dct:title": recipient} for recipient in entry.recipients
        ]
    if entry.expires:
        record["dpv:hasExpiry"] = {"@type": "xsd:date", "@value": entry.expires}
    if entry.evidence:
        record["dpv:hasRecordOfActivity"] = {"dct:identifier": entry.evidence}
    return record


def _when(text: str) -> dict[str, str]:
    return {"@type": "xsd:dateTime" if "T" in text else "xsd:date", "@value": text}


def _basis(basis: str) -> str:
    return "dpv:Consent" if basis == "consent" else "dpv:LegalObligation"


def _purpose(term: str) -> dict[str, Any]:
    if term in DPV_PURPOSES:
        return {"@id": term}
    code, _, disease = term.partition(" ")
    found: dict[str, Any] = {"@id": code, "@type": "dpv:Purpose", "dct:title": DUO[code]}
    if disease:
        # One disease a term: the restriction, not the term, is about it.
        found = {
            "@type": "dpv:Purpose",
            "dct:title": DUO[code],
            "dct:isVersionOf": {"@id": code},
            "dct:subject": {"@id": disease},
        }
    return found
