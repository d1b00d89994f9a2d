"""The consent ledger of a cohort: policies and entries, append-only, verified whole when read."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pmcell.consent.entries import PERMITTING, Entry, Policy, disagree, entry_of, policy_of
from pmcell.consent.order import is_one_moment
from pmcell.errors import Fault, FaultsError, UsageError
from pmcell.io.crypt.chain import append, read_chain
from pmcell.io.crypt.chain_form import Head, is_begun, pending_path
from pmcell.io.modes import private_files
from pmcell.registry.cohorts.registered import LEDGER_FILE

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import (
        Ed25519PrivateKey,
        Ed25519PublicKey,
    )


@dataclass(frozen=True)
class Ledger:
    """A ledger that was verified: its policies, and entries by subject in recorded order."""

    cohort_id: str
    head: Head
    policies: Mapping[str, Policy]
    current_policy: str
    by_subject: Mapping[str, tuple[Entry, ...]] = field(default_factory=dict)
    was_interrupted: bool = False

    def of(self, subject: str) -> tuple[Entry, ...]:
        """The entries of one person, as they were recorded; none for one whom it does not know."""
        return self.by_subject.get(subject, ())

    @property
    def entries(self) -> list[Entry]:
        """All entries, grouped by person."""
        return [entry for entries in self.by_subject.values() for entry in entries]


def ledger_path(folder: Path) -> Path:
    """Where the ledger of a cohort lies."""
    return folder / LEDGER_FILE


def chain_name(cohort_id: str) -> str:
    """Name of a cohort's chain: the ledger of one cohort does not pass for another's."""
    return f"consent {cohort_id}"


def read_ledger(
    folder: Path, *, signers: Sequence[Ed25519PublicKey], witness: Head | None = None
) -> Ledger:
    """Verify and read the ledger of a cohort folder.

    Raises
    ------
    FaultsError
        When the chain does not verify, or a record is no entry, names a policy that the ledger
        does not have, or lacks the signature of the committee that had to agree.
    UsageError
        When there is no ledger.
    """
    path = ledger_path(folder)
    chain = read_chain(path, chain=chain_name(folder.name), signers=signers, witness=witness)
    policies: dict[str, Policy] = {}
    by_subject: dict[str, list[Entry]] = {}
    faults: list[Fault] = []
    current = ""
    for row, raw in enumerate(chain.entries, start=1):
        try:
            if raw.get("kind") == "policy":
                policy = policy_of(raw)
                policies[policy.policy], current = policy, policy.policy
                continue
            entry = entry_of(raw)
        except (ValueError, TypeError) as error:
            faults.append(_fault(path, "must be an entry of a consent ledger", str(error), row))
            continue
        if entry.policy not in policies:
            must = "must stand under a policy of the ledger"
            faults.append(_fault(path, must, repr(entry.policy), row))
        elif not is_agreed(entry, policies[entry.policy]):
            must = "must carry the signature of the committee of its policy"
            found = "none that verifies" if entry.agreement else "no signature"
            faults.append(_fault(path, must, found, row))
        by_subject.setdefault(entry.subject, []).append(entry)
    if not current and not faults:
        faults.append(_fault(path, "must begin with its policy", "no policy", 1))
    if faults:
        raise FaultsError(faults)
    whole = {subject: tuple(entries) for subject, entries in by_subject.items()}
    return Ledger(folder.name, chain.head, policies, current, whole, chain.was_interrupted)


def begin_ledger(
    folder: Path, policy: Policy, entries: Sequence[Entry], *, key: Ed25519PrivateKey
) -> Head:
    """Begin the ledger of a cohort with its policy, and the entries that are there already.

    `UsageError` where it has one; one that was interrupted while it was begun alike is finished.
    """
    if has_ledger(folder):
        ledger = read_ledger(folder, signers=[key.public_key()])
        begun = replace(ledger.policies[ledger.current_policy], recorded_at="")
        is_same = begun == replace(policy, recorded_at="") and _are_recorded(ledger, entries)
        if is_same and is_unfinished(folder):
            return finish_append(folder, key)
        raise UsageError(f"{folder.name} has a ledger already; add to it: consent add")
    faults = entry_faults(entries, {policy.policy: policy}, file=ledger_path(folder).name)
    if faults:
        raise FaultsError(faults)
    records = [policy.as_dict(), *(entry.as_dict() for entry in entries)]
    with private_files():
        name = chain_name(folder.name)
        return append(ledger_path(folder), records, chain=name, key=key, create=True)


def has_ledger(folder: Path) -> bool:
    """Whether a ledger was begun."""
    return is_begun(ledger_path(folder))


def is_unfinished(folder: Path) -> bool:
    """Whether the last append to a ledger was interrupted, though it may be recorded whole."""
    return pending_path(ledger_path(folder)).exists()


def finish_append(folder: Path, key: Ed25519PrivateKey) -> Head:
    """Finish an append that was interrupted."""
    with private_files():
        return append(ledger_path(folder), [], chain=chain_name(folder.name), key=key)


def add_policy(folder: Path, policy: Policy, *, key: Ed25519PrivateKey) -> Head:
    """Append a policy, under which later entries stand; `UsageError` for one that is there."""
    ledger = read_ledger(folder, signers=[key.public_key()])
    if policy.policy in ledger.policies:
        raise UsageError(f"policy {policy.policy!r} must be new; the ledger has it")
    with private_files():
        name = chain_name(folder.name)
        return append(ledger_path(folder), [policy.as_dict()], chain=name, key=key)


def add_entries(
    folder: Path,
    entries: Sequence[Entry],
    *,
    key: Ed25519PrivateKey,
    file: str = "entry",
    rows: Sequence[int] | None = None,
) -> Head:
    """Append entries, all or none; `FaultsError` with all that is wrong with them together.

    The ledger is verified before: nothing is added to one that does not verify. Where adding the
    same entries was interrupted, it is finished.
    """
    ledger = read_ledger(folder, signers=[key.public_key()])
    if is_unfinished(folder) and _are_recorded(ledger, entries):
        return finish_append(folder, key)
    faults = entry_faults(entries, ledger.policies, file=file, rows=rows, before=ledger)
    if faults:
        raise FaultsError(faults)
    with private_files():
        return append(
            ledger_path(folder),
            [entry.as_dict() for entry in entries],
            chain=chain_name(folder.name),
            key=key,
        )


def entry_faults(
    entries: Sequence[Entry],
    policies: Mapping[str, Policy],
    *,
    file: str,
    rows: Sequence[int] | None = None,
    before: Ledger | None = None,
) -> list[Fault]:
    """What is wrong with entries beside each other, and under the policies of a ledger."""
    faults: list[Fault] = []
    current = list(policies)[-1] if policies else ""
    committee = policies[current].committee if policies else ""
    places = rows or range(1, len(entries) + 1)
    seen: dict[tuple[str, date], list[tuple[int, Entry]]] = {}
    for row, entry in zip(places, entries, strict=True):

        def add(column: str, must: str, found: str, fix: str, row: int = row) -> None:
            faults.append(Fault(file, must, found, fix, row=row, column=column, reason="consent"))

        if entry.policy not in policies:
            known = ", ".join(policies)
            fix = f"Write one of {known}; a new one: pmcell consent policy."
            add("policy", "must be a policy of the ledger", repr(entry.policy[:60]), fix)
        elif entry.act in PERMITTING and policies[entry.policy].committee not in ("", committee):
            must = "must stand under a policy whose committee still agrees"
            found, fix = f"{entry.policy!r}, which a later policy replaced", f"Use {current!r}."
            add("policy", must, found, fix)
        elif not is_agreed(entry, policies[entry.policy]):
            must = f"must be agreed by the committee of policy {entry.policy!r}"
            found = "a signature that does not verify" if entry.agreement else "no signature"
            fix = "Write it with --draft FILE, let the committee run `pmcell consent agree FILE`."
            add("act", must, found, fix)
        days = [seen.setdefault((entry.subject, day), []) for day in entry.days]
        for other, second in dict.fromkeys(item for day in days for item in day):
            if disagree(second, entry) and is_one_moment(second, entry):
                must = "must not disagree with another entry of the person and moment"
                found = f"{entry.act}, and {second.act} in row {other}"
                fix = "Ask the person; write the one that came last, or the time of both."
                add("act", must, found, fix)
            elif second.says_as(entry):
                add("act", "must be written once", f"row {other} again", "Remove one.")
        for day in days:
            day.append((row, entry))
        if before is not None and is_recorded(before, entry):
            fix = "Remove it: the ledger has it."
            add("act", "must not be in the ledger already", "the same entry", fix)
    return faults


def _are_recorded(ledger: Ledger, entries: Sequence[Entry]) -> bool:
    return all(is_recorded(ledger, entry) for entry in entries)


def is_recorded(ledger: Ledger, entry: Entry) -> bool:
    """Whether the ledger holds the entry, whenever it was recorded, and nothing undid it since."""
    same = [old for old in ledger.of(entry.subject) if old.instant == entry.instant]
    return bool(same) and same[-1].says_as(entry)


def agreement_message(entry: Entry) -> bytes:
    """What a committee signs: the entry without its signature."""
    value = replace(entry, agreement="").as_dict()
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode("ascii")


def agree(entry: Entry, key: Ed25519PrivateKey) -> Entry:
    """The entry with the signature of a committee."""
    signature = base64.b64encode(key.sign(agreement_message(entry))).decode("ascii")
    return replace(entry, agreement=signature)


def is_agreed(entry: Entry, policy: Policy) -> bool:
    """Whether an entry needs no second signature, or has one that verifies.

    What takes something back never needs one.
    """
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    if not policy.committee or entry.act not in PERMITTING:
        return True
    try:
        key = Ed25519PublicKey.from_public_bytes(base64.b64decode(policy.committee, validate=True))
        key.verify(base64.b64decode(entry.agreement, validate=True), agreement_message(entry))
    except (InvalidSignature, ValueError):
        return False
    return True


def now_text(now: datetime | None = None) -> str:
    """A moment as the ledger writes it: UTC, to the microsecond: no two appends share one."""
    return (now or datetime.now(UTC)).astimezone(UTC).isoformat(timespec="microseconds")


def with_subjects(entries: Iterable[Entry], subject: Any) -> list[Entry]:
    """Entries whose donors' ids are replaced by what the ledger calls them."""
    return [replace(entry, subject=subject(entry.subject)) for entry in entries]


def _fault(path: Path, must: str, found: str, row: int) -> Fault:
    fix = "It was written past pmcell: restore the ledger from a backup."
    return Fault(path.name, must, found, fix, row=row, reason="consent_ledger")
