"""Consent resources of FHIR R4 and R5: read with every fault at once, and written as R4.

What a resource says and pmcell does not understand could be a limit, so it is a
fault and never passed over: a resource is taken whole or not at all. Sources:
HL7 FHIR R4 4.0.1 and R5 5.0.0, resource Consent; codes of purposes from DUO, DPV
and HL7's ActReason.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pmcell.consent.data_period import meet, period_of, visit_days_of
from pmcell.consent.entries import ACTS, SCOPED, Entry, days_of, parse_row
from pmcell.consent.ledger import Ledger
from pmcell.errors import Fault, FaultsError, UsageError
from pmcell.registry.terms.vocabulary import DUO

SUFFIXES = (".json", ".ndjson", ".jsonl")
MAX_BYTES = 200_000_000
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
RESEARCH: Mapping[str, str] = MappingProxyType({"HRESCH": "DUO:0000006", "BIORCH": "DUO:0000006"})
CATEGORIES = ("59284-0", "57016-8")
"""LOINC codes of a document of consent and of privacy policy."""
RECIPIENT_ROLES = ("IRCP", "PRCP")
USE_ACTIONS = {"access", "use"}
NOT_CONSENT = ("draft", "proposed", "entered-in-error", "not-done", "unknown", "rejected")
_OF_RESOURCE = frozenset(
    (
        *("resourceType", "id", "meta", "text", "language", "identifier", "status", "scope"),
        *("category", "patient", "subject", "dateTime", "date", "performer", "organization"),
        *("controller", "manager", "grantor", "grantee", "sourceAttachment", "sourceReference"),
        *("policy", "policyRule", "policyBasis", "policyText", "regulatoryBasis"),
        *("verification", "decision", "period", "provision"),
    )
)
_OF_PROVISION = frozenset(
    (
        *("id", "type", "period", "actor", "action", "purpose", "provision", "class"),
        "modifierExtension",
        "dataPeriod",
    )
)
"""Keys that are read, or that limit nothing."""


def read_consents(
    path: Path,
    *,
    policy: str,
    recorded_at: str,
    first_visits: Mapping[str, date] | None = None,
) -> tuple[list[Entry], list[int]]:
    """Entries of a file of Consent resources, their subjects still donors' ids, and their rows.

    Parameters
    ----------
    path
        A Bundle, one resource, a list of them, or one a line (NDJSON).
    policy
        The policy under which resources stand that name none.
    recorded_at
        When they are entered.
    first_visits
        Day of each donor's first visit, from which periods of data are counted.

    Returns
    -------
    tuple
        Entries, and the number of the resource in the file that each comes from (from 1).
    """
    faults: list[Fault] = []
    entries: list[Entry] = []
    rows: list[int] = []
    resources = _resources(path, faults)
    patients = _patients(resources)
    n_consents = 0
    for number, (_, resource) in enumerate(resources, start=1):
        if resource.get("resourceType") != "Consent":
            continue
        n_consents += 1
        reader = _Reader(path.name, number, patients, policy, first_visits or {})
        for cells in reader.rows(resource):
            entry, wrong = parse_row(cells, file=path.name, row=number, recorded_at=recorded_at)
            reader.faults += wrong
            if entry is not None:
                entries.append(entry)
                rows.append(number)
        faults += reader.faults
    if not n_consents and not faults:
        found = f"{len(resources)} other resources"
        faults.append(Fault(path.name, "must hold Consent resources", found, "Export them anew."))
    if faults:
        raise FaultsError(faults)
    return entries, rows


def _resources(path: Path, faults: list[Fault]) -> list[tuple[str, Mapping[str, Any]]]:
    """Each resource with its full URL, in the order of the file."""
    if path.stat().st_size > MAX_BYTES:
        raise UsageError(f"{path.name} must be below {MAX_BYTES:,} bytes; import it in parts")
    raw = path.read_bytes()
    try:
        text = raw.decode("utf-8-sig")
        if path.suffix == ".json":
            values = [json.loads(text)]
        else:
            values = [json.loads(line) for line in text.split("\n") if line.strip()]
    except (ValueError, RecursionError) as error:
        must, fix = "must be JSON in UTF-8 (one resource a line in .ndjson)", "Export it anew."
        faults.append(Fault(path.name, must, str(error)[:100], fix, reason="not_json"))
        return []
    found: list[tuple[str, Mapping[str, Any]]] = []
    for value in values:
        for item in value if isinstance(value, list) else [value]:
            if isinstance(item, Mapping) and item.get("resourceType") == "Bundle":
                inside = item.get("entry") or []
                for part in inside if isinstance(inside, list) else []:
                    if isinstance(part, Mapping) and isinstance(part.get("resource"), Mapping):
                        found.append((str(part.get("fullUrl", "")), part["resource"]))
                    else:
                        found.append(("", {}))
            else:
                found.append(("", item if isinstance(item, Mapping) else {}))
    for number, (_, item) in enumerate(found, start=1):
        if not isinstance(item.get("resourceType"), str):
            must, fix = "must be a FHIR resource", "Export it anew."
            found_text = "something without resourceType"
            faults.append(Fault(path.name, must, found_text, fix, row=number, reason="consent"))
    return found


def _patients(resources: Sequence[tuple[str, Mapping[str, Any]]]) -> dict[str, str]:
    """What references to patients of the file stand for: their first identifier, else their id."""
    known = {}
    for url, item in resources:
        if item.get("resourceType") == "Patient":
            identifiers = [i for i in _list(item.get("identifier")) if isinstance(i, Mapping)]
            name = next((str(i["value"]) for i in identifiers if i.get("value")), item.get("id"))
            for reference in (url, f"Patient/{item.get('id')}"):
                known[reference] = str(name)
    return known


class _Reader:
    """One Consent resource: what it says as rows of a consent table, and what is wrong with it."""

    def __init__(
        self,
        file: str,
        row: int,
        patients: Mapping[str, str],
        policy: str,
        first_visits: Mapping[str, date],
    ) -> None:
        self._file, self._row, self._patients, self._policy = file, row, patients, policy
        self._first_visits = first_visits
        self.faults: list[Fault] = []

    def _add(self, column: str, must: str, found: str, fix: str) -> None:
        row = self._row
        fault = Fault(self._file, must, found, fix, row=row, column=column, reason="consent")
        self.faults.append(fault)

    def rows(self, item: Mapping[str, Any]) -> Iterator[dict[str, str]]:
        for key in sorted(item.keys() - _OF_RESOURCE):
            must = "must hold nothing that limits a consent in a way that is not understood"
            self._add(key, must, "a value", "Write the consent as a table, with what it says.")
        is_r5 = bool({"subject", "decision", "grantor"} & item.keys()) or isinstance(
            item.get("provision"), list
        )
        if is_r5 and {"patient", "dateTime"} & item.keys():
            must = "must be of one version of FHIR"
            self._add("Consent", must, "keys of R4 and of R5", "Export it anew.")
            return
        for check in _list(item.get("verification")):
            if isinstance(check, Mapping) and check.get("verified") is False:
                must = "must not be one that failed its verification"
                self._add("verification", must, "verified: false", "Ask where it comes from.")
        donor = self._donor(item.get("subject" if is_r5 else "patient"))
        status = item.get("status")
        tags = _list(
            (item.get("meta") or {}).get("tag") if isinstance(item.get("meta"), Mapping) else None
        )
        tag = next((t.get("code") for t in tags if _is(t, ACT_SYSTEM)), None)
        if tag is None and status not in ("active", "inactive"):
            known = f"; {status} is no consent yet, or never was" if status in NOT_CONSENT else ""
            fix = f"Remove the resource, or give the state that holds{known}."
            self._add("status", "must be active or inactive", repr(status), fix)
            return
        common = {
            "donor_id": donor,
            "policy": self._policy_of(item, is_r5=is_r5),
            "effective_from": str(item.get("date" if is_r5 else "dateTime") or ""),
        }
        if is_r5:
            root = {"type": item.get("decision"), "period": item.get("period") or {}}
            nested = _list(item.get("provision"))
        else:
            root = dict(item.get("provision") or {})
            nested = _list(root.pop("provision", None))
        yield from self._acts(item, common, root, nested, tag, str(status), is_r5=is_r5)

    def _acts(
        self,
        item: Mapping[str, Any],
        common: dict[str, str],
        root: Mapping[str, Any],
        nested: Sequence[Any],
        tag: Any,
        status: str,
        *,
        is_r5: bool,
    ) -> Iterator[dict[str, str]]:
        rule = {c.get("code") for c in _codings(item.get("policyRule")) if _is(c, ACT_CODE)}
        basis = _period(root.get("period"))
        if tag is not None and tag not in SCOPED:
            if tag not in ACTS:
                self._add("meta.tag", f"must be of {', '.join(ACTS)}", repr(tag), "Correct it.")
            yield {**common, **_begins(basis), "act": str(tag)}
        elif status == "inactive" and tag is None:
            updated = (item.get("meta") or {}).get("lastUpdated")
            if not updated:
                must = "must say since when it is inactive"
                self._add("meta.lastUpdated", must, "nothing", "Add it.")
                return
            yield {**common, "act": "withdraw", "effective_from": str(updated)}
        elif rule & {"OPTOUT", "OPTIN"}:
            act = "opt_out" if "OPTOUT" in rule else "opt_in"
            yield {**common, **_begins(basis), "act": act}
        elif root.get("type") == "deny" and not nested:
            yield {**common, **_begins(basis), "act": "withdraw"}
        elif root.get("type") not in ("deny", "permit"):
            where = "decision" if is_r5 else "provision.type"
            self._add(where, "must be deny or permit", repr(root.get("type")), "Say which.")
        else:
            yield from self._scoped(common, root, nested, str(tag or "give"), is_r5=is_r5)

    def _scoped(
        self,
        common: dict[str, str],
        root: Mapping[str, Any],
        nested: Sequence[Any],
        act: str,
        *,
        is_r5: bool,
    ) -> Iterator[dict[str, str]]:
        kind = root["type"]
        begin_root = _period(root.get("period"))
        # In R5 a provision is an exception to the decision, unless it only details a permit.
        details = [part for part in nested if isinstance(part, Mapping)]
        if len(details) < len(nested):
            self._add("provision", "must be objects", "something else", "Export it anew.")
        if kind == "permit" and not is_r5 and details:
            must = "must not have exceptions to what it permits"
            fix = "Write a consent that denies, with the provisions that are permitted."
            self._add("provision.provision", must, f"{len(details)}", fix)
            return
        parts = [root] if kind == "permit" and not details else details
        if is_r5 and kind == "permit" and details:
            must = "must not have exceptions to what it permits"
            fix = "Give decision deny, and what is permitted as its provisions."
            self._add("provision", must, f"{len(details)}", fix)
            return
        for part in parts:
            if not is_r5 and part.get("type") != "permit":
                found = repr(part.get("type"))
                self._add("provision.type", "must be permit below a deny", found, "Say which.")
                continue
            period = {**begin_root, **_period(part.get("period"))}
            yield {
                **common,
                **_begins(period),
                "act": act,
                **self._scope(part, period, common["donor_id"]),
            }

    def _scope(
        self, part: Mapping[str, Any], period: Mapping[str, str], donor: str
    ) -> dict[str, str]:
        for key in sorted(part.keys() - _OF_PROVISION):
            must = "must hold nothing that limits a consent in a way that is not understood"
            fix = "Write the consent as a table, with what it says."
            self._add(f"provision.{key}", must, "a value", fix)
        if part.get("provision"):
            must = "must have no provisions below the second level"
            self._add("provision.provision", must, "some", "Write the consent as a table.")
        actions = {c.get("code") for a in _list(part.get("action")) for c in _codings(a)}
        if actions and not actions >= {"use"}:
            must = f"must permit the action use (beside {', '.join(sorted(USE_ACTIONS))})"
            found = ", ".join(map(str, sorted(map(str, actions))))
            self._add("provision.action", must, found, "Remove it if it is not about use.")
        return {
            "purposes": "; ".join(self._purposes(part)),
            "data": "; ".join(self._data(part)),
            "visit_days": self._visit_days(part, donor),
            "recipients": "; ".join(self._recipients(part)),
            "expires": str(period.get("end", ""))[:10],
        }

    def _visit_days(self, part: Mapping[str, Any], donor: str) -> str:
        """Visit days that the provision names, in days or in dates; those of both where both do."""
        days, said = None, ""
        for extension in _list(part.get("modifierExtension")):
            if isinstance(extension, Mapping) and extension.get("url") == VISIT_DAYS_URL:
                said = str(extension.get("valueString", ""))
                days = days_of(said)
            else:
                must = "must hold no extension that changes its meaning"
                self._add("provision.modifierExtension", must, "one", "Write it as a table.")
        if "dataPeriod" not in part:
            return said
        where, period = "provision.dataPeriod", part["dataPeriod"]
        first = self._first_visits.get(donor)
        if not isinstance(period, Mapping) or not {"start", "end"} & period.keys():
            self._add(where, "must have a start or an end", "neither", "Export it anew.")
        elif period.keys() - {"start", "end", "id"}:
            self._add(where, "must have a start and an end alone", "more", "Export it anew.")
        elif first is None:
            must = "must be counted from the donor's first visit: no visit has a date here"
            fix = "Give --first-visits FILE with the donor's, or write a table with visit_days."
            self._add(where, must, "no first visit of this donor", fix)
        else:
            try:
                both = meet(days, visit_days_of(period, first))
            except ValueError as error:
                must, fix = "must be a period of FHIR with a day in it", "Export it anew."
                self._add(where, must, str(error), fix)
                return said
            if both is not None and both[0] <= both[1] and (days is not None or not said):
                return f"{both[0]}..{both[1]}"
            self._add(where, "must share days with visit-days", "none", "Correct one of them.")
        return said

    def _purposes(self, part: Mapping[str, Any]) -> Iterator[str]:
        for coding in _list(part.get("purpose")):
            system = coding.get("system") if isinstance(coding, Mapping) else None
            code = str(coding.get("code") or "") if isinstance(coding, Mapping) else ""
            bare = code.split(" ")[0].replace("_", ":")
            if bare in DUO:
                yield " ".join([bare, *code.split(" ")[1:]])
            elif system in DPV_SYSTEMS:
                yield DPV_SYSTEMS[str(system)] + code
            elif system == ACT_REASON and code in RESEARCH:
                yield RESEARCH[code]
            else:
                must = "must be terms of DUO, DPV, or HRESCH of ActReason"
                self._add("provision.purpose", must, f"{system} {code}"[:80], "Map it to DUO.")

    def _data(self, part: Mapping[str, Any]) -> Iterator[str]:
        for coding in _list(part.get("class")):
            if _is(coding, DATA_SYSTEM):
                yield str(coding.get("code"))
            else:
                must = f"must be kinds of data ({DATA_SYSTEM})"
                self._add("provision.class", must, "another code", "Write the consent as a table.")

    def _recipients(self, part: Mapping[str, Any]) -> Iterator[str]:
        for actor in _list(part.get("actor")):
            actor = actor if isinstance(actor, Mapping) else {}
            roles = {coding.get("code") for coding in _codings(actor.get("role"))}
            reference = actor.get("reference")
            who = reference if isinstance(reference, Mapping) else {}
            identifier = who.get("identifier")
            value = identifier.get("value") if isinstance(identifier, Mapping) else None
            name = value or who.get("display") or who.get("reference")
            if not roles & set(RECIPIENT_ROLES) or not name:
                must = f"must be recipients (role {' or '.join(RECIPIENT_ROLES)}) with a name"
                found = ", ".join(sorted(map(str, roles))) or "no role"
                self._add("provision.actor", must, found, "Write the consent as a table.")
            else:
                yield str(name)

    def _donor(self, who: Any) -> str:
        who = who if isinstance(who, Mapping) else {}
        identifier = who.get("identifier")
        if isinstance(identifier, Mapping) and identifier.get("value"):
            return str(identifier["value"])
        reference = str(who.get("reference") or "")
        return self._patients.get(reference, reference.removeprefix("Patient/"))

    def _policy_of(self, item: Mapping[str, Any], *, is_r5: bool) -> str:
        if is_r5:
            basis = item.get("policyBasis")
            return str((basis.get("url") if isinstance(basis, Mapping) else "") or self._policy)
        uris = [p.get("uri") for p in _list(item.get("policy")) if isinstance(p, Mapping)]
        return str(next((uri for uri in uris if uri), self._policy))


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
                    "system": "http://terminology.hl7.org/CodeSystem/consentscope",
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


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def _codings(concept: Any) -> list[Mapping[str, Any]]:
    if not isinstance(concept, Mapping):
        return []
    return [coding for coding in _list(concept.get("coding")) if isinstance(coding, Mapping)]


def _is(coding: Any, system: str) -> bool:
    return isinstance(coding, Mapping) and coding.get("system") == system


def _period(value: Any) -> dict[str, str]:
    if not isinstance(value, Mapping):
        return {}
    return {key: str(value[key]) for key in ("start", "end") if value.get(key)}


def _begins(period: Mapping[str, str]) -> dict[str, str]:
    return {"effective_from": period["start"]} if period.get("start") else {}
