"""Entries of a consent ledger: their fields, what each must hold, and all that is wrong with one.

Five acts. A person's `give` allows uses; `narrow` says what remains allowed;
`withdraw` ends every consent; `opt_out` forbids uses under permits that are
approved from its day on, whatever the basis (Regulation (EU) 2025/327, Art. 71),
and `opt_in` ends that. Two records are not of a person: the policy under which
entries stand.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from datetime import UTC, date, datetime, timedelta
from types import MappingProxyType
from typing import Any

from pmcell.consent.unclear import DISEASE_FIX, MONDO_ID, unclear
from pmcell.consent.uses import DPV_PURPOSES
from pmcell.errors import Fault
from pmcell.registry.cohorts.keys import COHORT_FILE
from pmcell.registry.terms.vocabulary import (
    DUO,
    DUO_CODES,
    DUO_DISEASE_SPECIFIC,
    DUO_PERMISSIONS,
)
from pmcell.settings.study import DATA_KINDS
from pmcell.spelling import did_you_mean

ACTS = ("give", "narrow", "withdraw", "opt_out", "opt_in")
PERMITTING = ("give", "opt_in")
SCOPED = ("give", "narrow")
CONSENT = (*SCOPED, "withdraw")
"""Acts of which one moment can hold one kind alone."""
BASES = ("consent", "law")
COLUMNS: Mapping[str, str] = MappingProxyType(
    {
        "donor_id": "the donor, as in donors.tsv",
        "act": f"what the person did: {', '.join(ACTS)}",
        "effective_from": "day, or time with its offset, from which it holds",
        "policy": "the policy of the ledger under which it stands",
        "purposes": "DUO or DPV terms, separated by semicolons",
        "data": f"kinds of data: {', '.join(DATA_KINDS)}; empty for all",
        "visit_days": "first and last visit day, such as 0..28; empty for all",
        "recipients": "who may receive data, separated by semicolons; empty for all",
        "expires": "last day on which it holds; empty for no end",
        "evidence": "sha256 of the signed form, or of the document that shows it",
    }
)
REQUIRED = ("donor_id", "act", "effective_from", "policy")
MAX_TEXT = 200
MAX_OFFSET = timedelta(hours=14)
_SHA256 = re.compile(r"(sha256:)?[0-9a-f]{64}")
_DAYS = re.compile(r"(-?\d{1,6})\.\.(-?\d{1,6})")
_UNSEEN = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u0335-\u0338\u200b\u2028\u2029\u202a-\u202e\u2060\u2066-\u2069\ufeff]"
)
"""Signs that are not seen, or that strike out the letter before them."""


@dataclass(frozen=True)
class Entry:
    """One act of a person, as the ledger holds it.

    `subject` stands for the person (see `subjects`). `effective_from` is a day, or a time with its
    offset from UTC.
    Empty `data`, `recipients` and `visit_days` mean all; `expires` is the last day.
    """

    act: str
    subject: str
    effective_from: str
    policy: str
    recorded_at: str
    purposes: tuple[str, ...] = ()
    data: tuple[str, ...] = ()
    visit_days: tuple[int, int] | tuple[()] = ()
    recipients: tuple[str, ...] = ()
    expires: str = ""
    evidence: str = ""
    agreement: str = ""

    def as_dict(self) -> dict[str, Any]:
        """The entry as JSON values, without what is empty."""
        values = {item.name: getattr(self, item.name) for item in fields(self)}
        plain = {name: list(v) if isinstance(v, tuple) else v for name, v in values.items()}
        return {"kind": "entry", **{name: value for name, value in plain.items() if value}}

    @property
    def instant(self) -> datetime:
        """When it begins to hold, in UTC; a day begins at its midnight."""
        return instant_of(self.effective_from)

    @property
    def day(self) -> date:
        """The day in UTC from which it holds."""
        return self.instant.date()

    @property
    def is_day(self) -> bool:
        """Whether it says a day, and not when in it."""
        return len(self.effective_from) == len("2026-03-01")

    @property
    def days(self) -> frozenset[date]:
        """The day in UTC, and the one where it was written."""
        return frozenset({self.day, date.fromisoformat(self.effective_from[:10])})

    def says_as(self, other: Entry) -> bool:
        """Whether another entry says the same, whenever and with whatever signature."""
        mine, theirs = (
            replace(one, effective_from="", recorded_at="", agreement="") for one in (self, other)
        )
        return mine == theirs and (self.instant, self.is_day) == (other.instant, other.is_day)


@dataclass(frozen=True)
class Policy:
    """What entries stand under: the basis, and the committee whose signature widening acts need.

    With basis `consent` only who gave it is in; with `law` everyone is who did not opt out or
    withdraw. `committee` is an Ed25519 public key in base64, empty where nobody need agree.
    """

    policy: str
    basis: str
    recorded_at: str
    title: str = ""
    committee: str = ""
    text_sha256: str = ""

    def as_dict(self) -> dict[str, Any]:
        """The policy as JSON values, without what is empty."""
        values = {item.name: getattr(self, item.name) for item in fields(self)}
        return {"kind": "policy", **{name: value for name, value in values.items() if value}}


def disagree(first: Entry, second: Entry) -> bool:
    """Whether two entries of one person and one moment cannot both be meant."""
    if first is second:
        return False
    pair = {first.act, second.act}
    if pair == {"give"}:
        # Which end holds, nobody says.
        return first.expires != second.expires and replace(
            first, expires=second.expires, evidence=second.evidence
        ).says_as(second)
    consent = pair <= set(CONSENT) and len(pair) == 2
    return consent or pair == {"opt_out", "opt_in"}


def instant_of(text: str) -> datetime:
    """A day (its midnight in UTC) or a time with an offset, in UTC; `ValueError` for others.

    >>> instant_of("2026-03-01T00:30:00+02:00").isoformat()
    '2026-02-28T22:30:00+00:00'
    """
    if re.fullmatch(r"\d{4}-\d{2}-\d{2}", text):
        return datetime.combine(date.fromisoformat(text), datetime.min.time(), UTC)
    found = datetime.fromisoformat(text)
    offset = found.utcoffset()
    if offset is None or abs(offset) > MAX_OFFSET:
        raise ValueError("a time without its offset from UTC, which is at most 14 hours")
    try:
        return found.astimezone(UTC)
    except OverflowError as error:
        raise ValueError("a time outside the years 1 to 9999") from error


def day_of(text: str) -> date:
    """A day written as YYYY-MM-DD; `ValueError` for anything else."""
    if not re.fullmatch(r"\d{4}-\d{2}-\d{2}", text):
        raise ValueError("no day")
    return date.fromisoformat(text)


def days_of(text: str) -> tuple[int, int] | None:
    """First and last visit day, written as 0..28; None for anything else."""
    days = _DAYS.fullmatch(text.replace(" ", ""))
    return (int(days.group(1)), int(days.group(2))) if days else None


def parse_row(
    cells: Mapping[str, str], *, file: str, row: int | None, recorded_at: str
) -> tuple[Entry | None, list[Fault]]:
    """An entry from texts by column, its subject still the donor's id; and all its faults.

    Parameters
    ----------
    cells
        Texts by the names of `COLUMNS`; missing ones are empty.
    file, row
        Where they stand, for the faults.
    recorded_at
        When they are entered, in UTC.
    """
    given = {name: cells.get(name, "").strip() for name in COLUMNS}
    values: dict[str, Any] = {
        **given,
        "purposes": _purposes(given["purposes"]),
        "data": _listed(given["data"]),
        "recipients": _listed(given["recipients"]),
    }
    values["visit_days"] = days_of(given["visit_days"]) or ()
    faults = [
        Fault(file, must, found, fix, row=row, column=column, reason="consent")
        for wrong in (_wrong(given, values), unclear(given, values, recorded_at))
        for column, must, found, fix in wrong
    ]
    if faults:
        return None, faults
    evidence = given["evidence"]
    is_day = len(given["effective_from"]) == len("2026-03-01")
    effective = given["effective_from"]
    entry = Entry(
        act=given["act"],
        subject=given["donor_id"],
        effective_from=effective if is_day else datetime.fromisoformat(effective).isoformat(),
        policy=given["policy"],
        recorded_at=recorded_at,
        purposes=values["purposes"],
        data=values["data"],
        visit_days=values["visit_days"],
        recipients=values["recipients"],
        expires=given["expires"],
        evidence=f"sha256:{evidence.removeprefix('sha256:')}" if evidence else "",
    )
    return entry, []


def entry_of(raw: Mapping[str, Any]) -> Entry:
    """An entry as a ledger holds it; `ValueError` where it is none."""
    known = {item.name for item in fields(Entry)}
    values = {name: value for name, value in raw.items() if name != "kind"}
    if values.keys() - known or raw.get("act") not in ACTS:
        raise ValueError("fields that an entry does not have, or no act")
    for name in ("purposes", "data", "visit_days", "recipients"):
        values[name] = tuple(values.get(name, ()))
    entry = Entry(**values)
    texts = {
        "donor_id": "subject",
        "act": entry.act,
        "effective_from": entry.effective_from,
        "policy": entry.policy,
        "visit_days": "..".join(map(str, entry.visit_days)),
        "expires": entry.expires,
        "evidence": entry.evidence,
    }
    wrong = list(_wrong({name: texts.get(name, "") for name in COLUMNS}, vars(entry)))
    if wrong or not entry.subject:
        raise ValueError("; ".join(f"{column} {must}" for column, must, *_ in wrong) or "nobody")
    return entry


def policy_of(raw: Mapping[str, Any]) -> Policy:
    """A policy as a ledger holds it; `ValueError` where it is none."""
    values = {name: value for name, value in raw.items() if name != "kind"}
    if values.keys() - {item.name for item in fields(Policy)} or raw.get("basis") not in BASES:
        raise ValueError("fields that a policy does not have, or no basis")
    return Policy(**values)


def _listed(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(part.strip() for part in text.split(";") if part.strip()))


def _purposes(text: str) -> tuple[str, ...]:
    """Terms, with DUO's shorthand (GRU, 'DS MONDO:…') replaced by its id."""
    found = []
    for term in _listed(text):
        code, _, rest = term.partition(" ")
        found.append(" ".join(filter(None, [DUO_CODES.get(code.upper(), code), rest.strip()])))
    return tuple(found)


def _wrong(
    given: Mapping[str, str], values: Mapping[str, Any]
) -> Iterator[tuple[str, str, str, str]]:
    """Column, what must hold, what was found and what to do, for each thing that is wrong."""
    for name in REQUIRED:
        if not given[name]:
            yield name, "must be given", "nothing", f"Write {COLUMNS[name]}."
    for name, text in given.items():
        if len(text) > MAX_TEXT and name not in ("purposes", "recipients"):
            yield name, f"must have at most {MAX_TEXT} letters", f"{len(text)}", "Shorten it."
        if _UNSEEN.search(text):
            yield name, "must be text that can be seen", ascii(text[:40]), "Type it anew."
    act = given["act"]
    if act and act not in ACTS:
        fix = did_you_mean(act, ACTS) or f"Write one of {', '.join(ACTS)}."
        yield "act", "must be an act", repr(act[:40]), fix
    yield from _wrong_days(given)
    yield from _wrong_purposes(act, values["purposes"])
    for name in ("purposes", "data", "recipients"):
        if given[name] and not values[name]:
            must, found = "must name something, or be empty for all", repr(given[name][:40])
            yield name, must, found, "Write what is meant."
    for kind in values["data"]:
        if kind not in DATA_KINDS:
            fix = did_you_mean(kind, DATA_KINDS) or f"Write of {', '.join(DATA_KINDS)}."
            yield "data", "must be kinds of data", repr(kind[:40]), fix
    if given["visit_days"] and not values["visit_days"]:
        fix = "Write the first and last day since the donor's first visit, such as 0..28."
        yield "visit_days", "must be two days", repr(given["visit_days"][:40]), fix
    if values["visit_days"] and values["visit_days"][0] > values["visit_days"][1]:
        found = given["visit_days"]
        yield "visit_days", "must not end before it begins", found, "Exchange the two."
    if given["evidence"] and not _SHA256.fullmatch(given["evidence"]):
        fix = "Write what `sha256sum FORM` prints; the form itself stays with the steward."
        yield "evidence", "must be a SHA-256 digest", repr(given["evidence"][:20]), fix
    if act in ACTS and act not in SCOPED:
        for name in ("purposes", "data", "visit_days", "recipients", "expires"):
            if values[name]:
                fix = "Leave it empty; to end a part of a consent write `narrow` and what remains."
                yield name, f"must be empty for {act}, which is for everything", "a value", fix


def _wrong_days(given: Mapping[str, str]) -> Iterator[tuple[str, str, str, str]]:
    begins = None
    if given["effective_from"]:
        try:
            begins = instant_of(given["effective_from"]).date()
        except ValueError:
            found = repr(given["effective_from"][:40])
            must = "must be a day (2026-03-01) or a time with its offset (2026-03-01T09:00+01:00)"
            yield "effective_from", must, found, "Write the day on which the person acted."
    if given["expires"]:
        try:
            ends = day_of(given["expires"])
        except ValueError:
            found = repr(given["expires"][:40])
            yield "expires", "must be a day (2030-12-31), the last", found, "Write it so."
            return
        if begins is not None and ends < begins:
            found = f"{given['expires']}, before {given['effective_from']}"
            yield "expires", "must not lie before effective_from", found, "Correct one of them."


def _wrong_purposes(act: str, purposes: tuple[str, ...]) -> Iterator[tuple[str, str, str, str]]:
    permissions = 0
    for term in purposes:
        code, _, disease = term.partition(" ")
        if term in DPV_PURPOSES:
            permissions += 1
        elif code not in DUO:
            fix = did_you_mean(code, [*DUO, *DPV_PURPOSES]) or (
                f"Write DUO ids as in data_use of {COHORT_FILE}, or {', '.join(DPV_PURPOSES)}."
            )
            yield "purposes", "must be terms of DUO or DPV", repr(term[:60]), fix
        elif code == DUO_DISEASE_SPECIFIC and not MONDO_ID.fullmatch(disease):
            permissions += 1
            yield (
                "purposes",
                "must name the disease (MONDO) of its term",
                repr(term[:60]),
                DISEASE_FIX,
            )
        elif code != DUO_DISEASE_SPECIFIC and disease:
            yield "purposes", "must be a term alone", repr(term[:60]), f"Write {code}."
        else:
            permissions += code in DUO_PERMISSIONS
    if act in SCOPED and not permissions:
        found = ", ".join(purposes) or "nothing"
        fix = (
            "Write what the form says, such as DUO:0000042 (general research use)."
            if act == "give"
            else "Write what remains allowed, also where the purposes stay as they were."
        )
        yield "purposes", "must hold a permission", found[:60], fix
