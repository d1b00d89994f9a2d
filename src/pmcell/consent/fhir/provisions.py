"""What a provision of FHIR permits, as cells of a consent table, and what is wrong with it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import date, timedelta
from typing import Any

from pmcell.consent.data_period import meet, visit_days_of
from pmcell.consent.entries import days_of, instant_of
from pmcell.consent.fhir.codes import (
    ACT_REASON,
    ACTION_SYSTEM,
    DATA_SYSTEM,
    DPV_SYSTEMS,
    DUO_SYSTEM,
    OF_PROVISION,
    RECIPIENT_ROLES,
    RESEARCH,
    USE_ACTIONS,
    VISIT_DAYS_URL,
)
from pmcell.consent.fhir.files import as_list, codings_of, is_of
from pmcell.consent.fhir.sayings import LIMITS
from pmcell.registry.terms.vocabulary import DUO

AddFault = Callable[[str, str, str, str], None]
"""Keeps a fault: where, what must hold, what was found, and the fix."""
_OF_DUO = re.compile(r"(?i)duo|obo")
_LABELS = {label.lower(): code for code, label in DUO.items()}
NO_RECIPIENTS = ("Group", "Patient", "RelatedPerson")
"""Who is no name of one who receives data: several, or the person."""
AS_TABLE = "Write the consent as a table, with what it says."


def scope_of(
    part: Mapping[str, Any], period: Mapping[str, str], first: date | None, add: AddFault
) -> dict[str, str]:
    """Cells of what a provision permits, within a period; `first` is the donor's first visit."""
    for key in sorted(part.keys() - OF_PROVISION):
        must = "must hold nothing that limits a consent in a way that is not understood"
        add(f"provision.{key}", must, "a value", AS_TABLE)
    if part.get("provision"):
        add(
            "provision.provision",
            "must have no provisions below the second level",
            "some",
            AS_TABLE,
        )
    codings = [c for a in as_list(part.get("action")) for c in codings_of(a)]
    actions = {c.get("code") for c in codings if c.get("system") in (None, ACTION_SYSTEM)}
    if part.get("action") and not actions >= {"use"}:
        must = f"must permit the action use (beside {', '.join(sorted(USE_ACTIONS))})"
        found = ", ".join(sorted(map(str, actions))) or "words alone, or codes of others"
        add("provision.action", must, found, "Remove it if it is not about use.")
    return {
        "purposes": "; ".join(_purposes(part, add)),
        "data": "; ".join(_data(part, add)),
        "visit_days": _visit_days(part, first, add),
        "recipients": "; ".join(_recipients(part, add)),
        "expires": period.get("end", ""),
    }


def last_day(end: str) -> str:
    """The last whole day in UTC of a period that ends with a day or a time.

    >>> last_day("2030-12-31"), last_day("2030-12-31T23:59:59Z"), last_day("2030-12-31T09:00+02:00")
    ('2030-12-31', '2030-12-31', '2030-12-30')
    """
    if "T" not in end:
        return end
    return ((instant_of(end) + timedelta(seconds=1)).date() - timedelta(days=1)).isoformat()


def period_of(value: Any, where: str, add: AddFault) -> dict[str, str]:
    """Start of a period and its last day; a period that cannot be read whole is a fault."""
    if value is None:
        return {}
    if not isinstance(value, Mapping) or value.keys() - {"start", "end", "id"}:
        add(where, "must be a period with start and end alone", repr(value)[:60], "Export it anew.")
        return {}
    found = {}
    for key in ("start", "end"):
        if key not in value:
            continue
        try:
            instant_of(str(value[key]).strip())
            found[key] = str(value[key]).strip()
        except ValueError:
            must, fix = "must be a day or a time with its offset", "Write the whole day."
            add(f"{where}.{key}", must, repr(value[key])[:60], fix)
    if "end" in found:
        found["end"] = last_day(found["end"])
    return found


def within(inner: Mapping[str, str], outer: Mapping[str, str]) -> dict[str, str]:
    """The period that lies in both, of which each may be open."""
    found = {**outer, **inner}
    for key, choose in (("start", max), ("end", min)):
        if key in inner and key in outer:
            found[key] = choose(inner[key], outer[key], key=instant_of)
    return found


def begins(period: Mapping[str, str]) -> dict[str, str]:
    """The cell of the day from which a period holds, where it says one."""
    return {"effective_from": period["start"]} if period.get("start") else {}


def _visit_days(part: Mapping[str, Any], first: date | None, add: AddFault) -> str:
    """Visit days that the provision names, in days or in dates; those of both where both do."""
    days, said = None, ""
    for extension in as_list(part.get("modifierExtension")):
        if isinstance(extension, Mapping) and extension.get("url") == VISIT_DAYS_URL:
            said = str(extension.get("valueString", ""))
            days = days_of(said)
        else:
            must = "must hold no extension that changes its meaning"
            add("provision.modifierExtension", must, "one", "Write it as a table.")
    if "dataPeriod" not in part:
        return said
    where, period = "provision.dataPeriod", part["dataPeriod"]
    if not isinstance(period, Mapping) or not {"start", "end"} & period.keys():
        add(where, "must have a start or an end", "neither", "Export it anew.")
    elif period.keys() - {"start", "end", "id"}:
        add(where, "must have a start and an end alone", "more", "Export it anew.")
    elif first is None:
        must = "must be counted from the donor's first visit: no visit has a date here"
        fix = "Give --first-visits FILE with the donor's, or write a table with visit_days."
        add(where, must, "no first visit of this donor", fix)
    else:
        try:
            both = meet(days, visit_days_of(period, first))
        except ValueError as error:
            must, fix = "must be a period of FHIR with a day in it", "Export it anew."
            add(where, must, str(error), fix)
            return said
        if both is not None and both[0] <= both[1] and (days is not None or not said):
            return f"{both[0]}..{both[1]}"
        add(where, "must share days with visit-days", "none", "Correct one of them.")
    return said


def _purposes(part: Mapping[str, Any], add: AddFault) -> Iterator[str]:
    for coding in as_list(part.get("purpose")):
        system = coding.get("system") if isinstance(coding, Mapping) else None
        code = str(coding.get("code") or "") if isinstance(coding, Mapping) else ""
        bare = code.split(" ")[0].replace("_", ":")
        if bare in DUO:
            display = str(coding.get("display") or "").strip()
            other = _LABELS.get(display.lower(), bare)
            if system is not None and not _OF_DUO.search(str(system)):
                must = "must be of DUO, as its code is"
                add("provision.purpose", must, str(system)[:80], f"Write {DUO_SYSTEM}.")
            if display.lower() != DUO[bare].lower() and other == bare and LIMITS.search(display):
                other = repr(display[:60])
            if other != bare:
                must = "must say the same by code and display"
                add("provision.purpose", must, f"{bare}, and {other}", "Correct one of them.")
            yield " ".join([bare, *code.split(" ")[1:]])
        elif system in DPV_SYSTEMS:
            yield DPV_SYSTEMS[str(system)] + code
        elif system == ACT_REASON and code in RESEARCH:
            yield RESEARCH[code]
        else:
            must = "must be terms of DUO, DPV, or HRESCH of ActReason"
            add("provision.purpose", must, f"{system} {code}"[:80], "Map it to DUO.")


def _data(part: Mapping[str, Any], add: AddFault) -> Iterator[str]:
    for coding in as_list(part.get("class")):
        if is_of(coding, DATA_SYSTEM):
            yield str(coding.get("code"))
        else:
            must = f"must be kinds of data ({DATA_SYSTEM})"
            add("provision.class", must, "another code", AS_TABLE)


def _recipients(part: Mapping[str, Any], add: AddFault) -> Iterator[str]:
    for actor in as_list(part.get("actor")):
        actor = actor if isinstance(actor, Mapping) else {}
        roles = {coding.get("code") for coding in codings_of(actor.get("role"))}
        reference = actor.get("reference")
        who = reference if isinstance(reference, Mapping) else {}
        identifier = who.get("identifier")
        value = identifier.get("value") if isinstance(identifier, Mapping) else None
        name = str(value or who.get("display") or who.get("reference") or "").strip()
        kind = str(who.get("type") or str(who.get("reference") or "").partition("/")[0])
        if kind in NO_RECIPIENTS or ";" in name:
            must = "must be organisations or people who receive data, each by a name"
            add("provision.actor", must, repr(name[:60]), AS_TABLE)
        if not roles & set(RECIPIENT_ROLES) or not name:
            must = f"must be recipients (role {' or '.join(RECIPIENT_ROLES)}) with a name"
            found = ", ".join(sorted(map(str, roles))) or "no role"
            add("provision.actor", must, found, AS_TABLE)
        else:
            yield name
