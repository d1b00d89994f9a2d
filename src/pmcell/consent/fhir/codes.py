"""Codes and keys of FHIR's consents that are read and written."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

ACT_SYSTEM = "urn:pmcell:consent-act"
DATA_SYSTEM = "urn:pmcell:data-kind"
SUBJECT_SYSTEM = "urn:pmcell:consent-subject"
VISIT_DAYS_URL = "urn:pmcell:visit-days"
DUO_SYSTEM = "http://purl.obolibrary.org/obo/duo.owl"
DPV_SYSTEMS: Mapping[str, str] = MappingProxyType(
    {"https://w3id.org/dpv#": "dpv:", "https://w3id.org/dpv/legal/eu/ehds#": "eu-ehds:"}
)
ACT_REASON = "http://terminology.hl7.org/CodeSystem/v3-ActReason"
ACT_CODE = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
PARTICIPATION = "http://terminology.hl7.org/CodeSystem/v3-ParticipationType"
SCOPE_SYSTEM = "http://terminology.hl7.org/CodeSystem/consentscope"
ACTION_SYSTEM = "http://terminology.hl7.org/CodeSystem/consentaction"
RESEARCH: Mapping[str, str] = MappingProxyType({"HRESCH": "DUO:0000006", "BIORCH": "DUO:0000006"})
CATEGORIES = ("59284-0", "57016-8")
"""LOINC codes of a document of consent and of privacy policy."""
NOT_OF_DATA = frozenset({"acd", "dnr", "emrgonly", "hcd", "polst"})
"""Categories of HL7 for what is to be done with a person, not with data."""
RECIPIENT_ROLES = ("IRCP", "PRCP")
SCOPES = frozenset({"research", "patient-privacy"})
"""Scopes of FHIR's consents that are about the use of data."""
OPTING = frozenset({"OPTIN", "OPTOUT"})
USE_ACTIONS = {"access", "use"}
CONFIDENTIALITY = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality"
NOT_CONSENT = ("draft", "proposed", "entered-in-error", "not-done", "unknown", "rejected")
NOT_IN_FORCE = frozenset(
    (
        *("entered-in-error", "superseded", "revoked", "withdrawn", "rejected", "cancelled"),
        *("terminated", "stopped", "retired", "ineligible", "not-registered", "disputed"),
        *("preliminary", "in-progress"),
    )
)
"""States of documents, contracts and people in studies beside which no consent is taken in."""
OF_DOCUMENT = frozenset(("DocumentReference", "DocumentManifest", "Composition", "Binary"))
"""What holds or names consents and says nothing of them but by its state."""
OF_RESOURCE = frozenset(
    (
        *("resourceType", "id", "meta", "text", "language", "identifier", "status", "scope"),
        *("category", "patient", "subject", "dateTime", "date", "performer", "organization"),
        *("controller", "manager", "grantor", "sourceAttachment", "sourceReference"),
        *("policy", "policyRule", "policyBasis", "policyText", "regulatoryBasis"),
        *("verification", "decision", "period", "provision"),
    )
)
OF_PROVISION = frozenset(
    (
        *("id", "type", "period", "actor", "action", "purpose", "provision", "class"),
        "modifierExtension",
        "dataPeriod",
    )
)
"""Keys that are read, or that limit nothing."""
