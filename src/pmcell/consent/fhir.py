"""Consent resources of FHIR R4 and R5, read with every fault at once.

What a resource says and pmcell does not understand could be a limit, so it is a
fault and never passed over: a resource is taken whole or not at all. Sources:
HL7 FHIR R4 4.0.1 and R5 5.0.0, resource Consent; codes of purposes from DUO, DPV
and HL7's ActReason.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pmcell.consent.data_period import meet, visit_days_of
from pmcell.consent.entries import ACTS, SCOPED, Entry, days_of, parse_row
from pmcell.consent.fhir_files import (
    as_list,
    changed_meanings,
    codings_of,
    is_of,
    patients_of,
    read_resources,
)
from pmcell.errors import Fault, FaultsError
from pmcell.registry.terms.vocabulary import DUO

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
SCOPES = frozenset({"research", "patient-privacy"})
"""Scopes of FHIR's consents that are about the use of data."""
OPTING = frozenset({"OPTIN", "OPTOUT"})
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
    resources = read_resources(path, faults)
    patients = patients_of(resources)
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
        for where in changed_meanings(item, "Consent"):
            must = "must hold no extension that changes its meaning, and no value that is missing"
            self._add(where, must, "one", "Write the consent as a table, with what it says.")
        self._check_scope(item)
        is_r5 = bool({"subject", "decision", "grantor"} & item.keys()) or isinstance(
            item.get("provision"), list
        )
        if is_r5 and {"patient", "dateTime"} & item.keys():
            must = "must be of one version of FHIR"
            self._add("Consent", must, "keys of R4 and of R5", "Export it anew.")
            return
        for check in as_list(item.get("verification")):
            if isinstance(check, Mapping) and check.get("verified") is False:
                must = "must not be one that failed its verification"
                self._add("verification", must, "verified: false", "Ask where it comes from.")
        donor = self._donor(item.get("subject" if is_r5 else "patient"))
        status = item.get("status")
        tags = as_list(
            (item.get("meta") or {}).get("tag") if isinstance(item.get("meta"), Mapping) else None
        )
        tag = next((t.get("code") for t in tags if is_of(t, ACT_SYSTEM)), None)
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
            nested = as_list(item.get("provision"))
        else:
            root = dict(item.get("provision") or {})
            nested = as_list(root.pop("provision", None))
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
        rule = self._rule(item)
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

    def _check_scope(self, item: Mapping[str, Any]) -> None:
        """A consent to be treated is none to research."""
        codes = {str(coding.get("code")) for coding in codings_of(item.get("scope"))}
        if codes and not codes & SCOPES:
            must = f"must be one of {', '.join(sorted(SCOPES))}"
            self._add("scope", must, ", ".join(sorted(codes))[:80], "Remove the resource.")

    def _rule(self, item: Mapping[str, Any]) -> set[Any]:
        """What `policyRule` says of opting; another rule could be a limit."""
        said = item.get("policyRule")
        codings = codings_of(said)
        rule = {coding.get("code") for coding in codings if is_of(coding, ACT_CODE)}
        if said is not None and (len(rule) != 1 or len(codings) > 1 or not rule <= OPTING):
            must = f"must be one of {', '.join(sorted(OPTING))} of ActCode"
            found = ", ".join(sorted(map(str, rule))) or "another rule"
            self._add("policyRule", must, found, "Write the consent as a table, with what it says.")
        return rule

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
        for key in sorted(root.keys() - {"type", "period", "id"}) if details else ():
            must = "must stand in the provision that it limits"
            fix = "Write it into each of the provisions that are permitted."
            self._add(f"provision.{key}", must, "a value beside provisions", fix)
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
            period = _within(_period(part.get("period")), begin_root)
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
        actions = {c.get("code") for a in as_list(part.get("action")) for c in codings_of(a)}
        if part.get("action") and not actions >= {"use"}:
            must = f"must permit the action use (beside {', '.join(sorted(USE_ACTIONS))})"
            found = ", ".join(sorted(map(str, actions))) or "words alone"
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
        for extension in as_list(part.get("modifierExtension")):
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
        for coding in as_list(part.get("purpose")):
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
        for coding in as_list(part.get("class")):
            if is_of(coding, DATA_SYSTEM):
                yield str(coding.get("code"))
            else:
                must = f"must be kinds of data ({DATA_SYSTEM})"
                self._add("provision.class", must, "another code", "Write the consent as a table.")

    def _recipients(self, part: Mapping[str, Any]) -> Iterator[str]:
        for actor in as_list(part.get("actor")):
            actor = actor if isinstance(actor, Mapping) else {}
            roles = {coding.get("code") for coding in codings_of(actor.get("role"))}
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
        reference = str(who.get("reference") or "")
        known = self._patients.get(reference)
        if not isinstance(identifier, Mapping) or not identifier.get("value"):
            return known or reference.removeprefix("Patient/")
        name = str(identifier["value"])
        if known is not None and known != name:
            must = "must name one patient by reference and identifier"
            self._add("patient", must, "two", "Export it anew, of one person.")
        return name

    def _policy_of(self, item: Mapping[str, Any], *, is_r5: bool) -> str:
        if is_r5:
            basis = item.get("policyBasis")
            return str((basis.get("url") if isinstance(basis, Mapping) else "") or self._policy)
        uris = [p.get("uri") for p in as_list(item.get("policy")) if isinstance(p, Mapping)]
        return str(next((uri for uri in uris if uri), self._policy))


def _within(inner: Mapping[str, str], outer: Mapping[str, str]) -> dict[str, str]:
    """The period that lies in both, of which each may be open."""
    found = {**outer, **inner}
    for key, choose in (("start", max), ("end", min)):
        if key in inner and key in outer:
            found[key] = choose(inner[key], outer[key])
    return found


def _period(value: Any) -> dict[str, str]:
    if not isinstance(value, Mapping):
        return {}
    return {key: str(value[key]) for key in ("start", "end") if value.get(key)}


def _begins(period: Mapping[str, str]) -> dict[str, str]:
    return {"effective_from": period["start"]} if period.get("start") else {}
