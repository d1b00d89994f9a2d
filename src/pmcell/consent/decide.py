"""Decide whether a donor's data may be used: a pure function of ledger, use, permit and day."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING

from pmcell.consent.entries import CONSENT, Entry
from pmcell.consent.order import Numbered, contradictions, ends, forestalls, numbered
from pmcell.consent.uses import Permit, Use, care_refusals, refusals
from pmcell.errors import DataError

if TYPE_CHECKING:
    from pmcell.consent.ledger import Ledger

REASONS = {
    "absent": "no consent is recorded",
    "withdrawn": "the consent was withdrawn",
    "opted_out": "opted out before the permit was approved",
    "expired": "the consent has ended",
    "not_yet": "the consent does not hold yet",
    "purpose": "the consent does not cover the purpose",
    "data": "the consent does not cover the kind of data",
    "recipient": "the consent does not cover the recipient",
    "unlinked": "the key that links the donor to the ledger was erased or never made",
}
"""Why a donor is dropped, and what is said of it; never who."""


class ContradictionError(DataError):
    """Two entries of one person say opposite things and nothing tells which came last."""

    def __init__(self, message: str) -> None:
        super().__init__(message, reason="consent_contradiction")


@dataclass(frozen=True)
class Decision:
    """Whether a donor may be used; why not; and on which visit days, all where it is empty."""

    allowed: bool
    reason: str = ""
    visit_days: tuple[tuple[int, int], ...] = ()


def decide(ledger: Ledger, subject: str, *, use: Use, permit: Permit | None, day: date) -> Decision:
    """Say whether a person's data may be used for `use` on `day`.

    Entries are taken in the order in which they take effect; those of one moment, and a day beside
    a time of it, in the order in which they were recorded. Those that were recorded together have
    no order: the decision is the same for every one. An entry of a later day counts for nothing,
    and a consent to come that was on file when the person took it back never will.

    Parameters
    ----------
    ledger
        The verified ledger.
    subject
        Who, as the ledger names them; an empty text for one whom no key links to it.
    use, permit
        What the data are to be used for, and the decision that allows the study.
    day
        The day, in UTC, for which it is asked.

    Raises
    ------
    ContradictionError
        When two entries were recorded together, take effect together, and disagree.
    """
    if not subject:
        return Decision(False, "unlinked")
    entries = ledger.of(subject)
    check_contradictions(entries)
    now = [item for item in _in_order(entries) if item[1].day <= day]
    opted_out = _opted_out(now)
    if opted_out is not None and (permit is None or permit.approved_on >= opted_out):
        return Decision(False, "opted_out")
    grants = _grants(now, by_law=_basis(ledger, [entry for _, entry in now]) == "law")
    if grants:
        return _best(_judge(grant, use, day) for grant in grants)
    if any(entry.act == "withdraw" for _, entry in now):
        return Decision(False, "withdrawn")
    return Decision(False, "not_yet" if any(entry.act == "give" for entry in entries) else "absent")


def next_change(entries: Iterable[Entry], day: date) -> date | None:
    """The first day after `day` on which an entry begins or a consent has ended."""
    days = [
        found
        for entry in entries
        for found in (
            entry.day,
            date.fromisoformat(entry.expires) + timedelta(days=1) if entry.expires else entry.day,
        )
        if found > day
    ]
    return min(days, default=None)


def check_contradictions(entries: Sequence[Entry]) -> None:
    """Raise `ContradictionError` for two entries that nothing puts in an order."""
    found = {
        (min(one.instant, other.instant).date(), " and ".join(sorted((one.act, other.act))))
        for one, other in contradictions(entries)
    }
    if found:
        day = min(found)[0]
        acts = sorted(acts for when, acts in found if when == day)
        raise ContradictionError(
            f"entries of one person must not disagree about one moment; on {day} the ledger holds "
            f"{'; '.join(acts)}, recorded together. Ask the person, then add an entry of a later "
            "day that says what holds."
        )


def _in_order(entries: Sequence[Entry]) -> list[Numbered]:
    """Entries as they take effect, then as they were recorded, then by what they say."""
    return sorted(
        numbered(entries),
        key=lambda item: (item[1].instant, item[0], json.dumps(item[1].as_dict(), sort_keys=True)),
    )


def _basis(ledger: Ledger, entries: Sequence[Entry]) -> str:
    """The basis of the policy under which a person's latest entry stands; else of the newest.

    Where several are latest, under policies of both bases, only who consented is in.
    """
    if not entries:
        return ledger.policies[ledger.current_policy].basis
    last = (entries[-1].instant, entries[-1].recorded_at)
    bases = {
        ledger.policies[entry.policy].basis
        for entry in entries
        if (entry.instant, entry.recorded_at) == last
    }
    return "law" if bases == {"law"} else "consent"


def _grants(now: Sequence[Numbered], *, by_law: bool) -> list[tuple[Entry, ...]]:
    """Each consent with what narrowed it; by law there is one to begin with."""
    acts = {act: [item for item in now if item[1].act == act] for act in CONSENT}
    is_open = by_law and not acts["withdraw"]
    grants = [tuple(entry for _, entry in acts["narrow"])] if is_open else []
    for give in acts["give"]:
        if not any(ends(withdrawal, give) for withdrawal in acts["withdraw"]):
            narrowed = (entry for number, entry in acts["narrow"] if ends((number, entry), give))
            grants.append((give[1], *narrowed))
    return grants


def _opted_out(now: Sequence[Numbered]) -> date | None:
    """The day since which a person has opted out, without having opted in again.

    Of the day in UTC and the one where it was written the earlier: a permit says a day alone.
    """
    out = [item for item in now if item[1].act == "opt_out"]
    into = [
        item
        for item in now
        if item[1].act == "opt_in" and not any(forestalls(other, item) for other in out)
    ]
    days = [min(item[1].days) for item in out if all(ends(item, other) for other in into)]
    return min(days, default=None)


def _judge(grant: Sequence[Entry], use: Use, day: date) -> Decision:
    """What one consent says: all of its entries must allow the use."""
    low, high, is_bounded = -(10**9), 10**9, False
    for entry in grant:
        if entry.expires and date.fromisoformat(entry.expires) < day:
            return Decision(False, "expired")
        if refusals(entry.purposes, use) or care_refusals(entry.purposes, use):
            return Decision(False, "purpose")
        if entry.data and not set(use.data) <= set(entry.data):
            return Decision(False, "data")
        if entry.recipients and use.recipient not in entry.recipients:
            return Decision(False, "recipient")
        if entry.visit_days:
            low, high = max(low, entry.visit_days[0]), min(high, entry.visit_days[1])
            is_bounded = True
    if low > high:
        return Decision(False, "data")
    return Decision(True, visit_days=((low, high),) if is_bounded else ())


def _best(decisions: Iterable[Decision]) -> Decision:
    """What several consents allow together; the last one's reason where none does."""
    found = list(decisions)
    allowed = [decision for decision in found if decision.allowed]
    if not allowed:
        return found[-1]
    if any(not decision.visit_days for decision in allowed):
        return Decision(True)
    return Decision(True, visit_days=tuple(sorted({d.visit_days[0] for d in allowed})))
