"""A withdrawal from its first word to its receipt: each stage can be interrupted and goes on.

Before the entry is in the ledger nothing has changed; from then on every stage can
be done again, and the journal says where to go on. The journal names the person,
so it is its owner's alone, and is gone once the receipt is signed.
"""

from __future__ import annotations

import base64
import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pmcell.consent.entries import Entry, entry_of
from pmcell.consent.ledger import (
    add_entries,
    finish_append,
    is_recorded,
    is_unfinished,
    read_ledger,
)
from pmcell.consent.removal.needles import Needles
from pmcell.consent.removal.scan import ScanReport
from pmcell.errors import DataError
from pmcell.io.atomic import read_json, sha256_file, write_json
from pmcell.io.crypt.keys import fingerprint
from pmcell.io.modes import private_files
from pmcell.io.stamps import FOLDER as STAMPS
from pmcell.schema import UNKNOWN

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

FOLDER = "withdrawals"
TOMBSTONES = "tombstones"
MANIFEST = "manifest.json"
TAKEN_DOWN = ".taken_down"
"""Ends the name of a release that is being removed."""
STAGES = (
    *("noted", "recorded", "taken_down", "rebuilt"),
    *("proved", "scanned", "erased", "receipt"),
)
RECEIPT_FORMAT = "pmcell withdrawal receipt 2"
STAYS: tuple[tuple[str, str], ...] = (
    (
        "copies that others downloaded of earlier releases",
        "they are out of this installation's reach; who holds one can compare it with the next",
    ),
    (
        "results under permits that were approved before",
        "what was finished under them stays lawful where the policy or the law says so",
    ),
    ("the submitted file and tables", "they are the steward's; no step reads the donor from them"),
    (
        "entries of the consent ledger",
        "under a name that only the donor's key of the ledger links to the person: it shows that "
        "they withdrew; erasing that key ends it",
    ),
    (
        "the register of releases, where access is not open",
        "keyed hashes, needed so that no two releases together tell of one person",
    ),
)
"""What a withdrawal does not reach, and why; backups beside it, until a day."""
PSEUDONYM_KEYS: Mapping[str, str] = {
    "erased": "erased: nobody can make the donor's pseudonyms from their id with this file; its "
    "backups must be erased, too",
    "none": "none was made: access to the cohort is open",
    "shared": "stays: one key is for all donors; `pmcell pseudonyms migrate` gives each their own",
}
"""What became of the key with which a donor's pseudonyms were made."""
DOWNLOADS = "unknown: downloads of a release are not counted here"


@dataclass(frozen=True)
class Known:
    """What is known before a withdrawal of what it is to reach, and of what it does not.

    Attributes
    ----------
    pseudonym_key
        What becomes of the donor's key; a name of `PSEUDONYM_KEYS`.
    n_corrections
        Records of corrections of the donor's rows, which are erased.
    older_releases
        Releases before the one that is there, that held the donor or may have.
    sealed_for
        Recipients of encrypted packages of the cohort.
    backups_kept_days
        Days after which backups are overwritten; None where nobody said.
    """

    pseudonym_key: str = "none"
    n_corrections: int = 0
    older_releases: tuple[Mapping[str, Any], ...] = ()
    sealed_for: tuple[str, ...] = ()
    backups_kept_days: int | None = None


@dataclass
class Journal:
    """Where a withdrawal stands, and what it needs to go on."""

    path: Path
    cohort_id: str
    entry: dict[str, Any]
    stage: str = ""
    needles: dict[str, Any] = field(default_factory=dict)
    gone: dict[str, str] = field(default_factory=dict)
    release: dict[str, Any] = field(default_factory=dict)
    known: Known = field(default_factory=Known)
    proof: dict[str, Any] = field(default_factory=dict)
    scan: dict[str, Any] = field(default_factory=dict)

    def reach(self, stage: str) -> None:
        """Write that a stage is done."""
        self.stage = stage
        with private_files():
            write_json(self.path, {**asdict(self), "path": self.path.name})

    def is_past(self, stage: str) -> bool:
        """Whether a stage is done."""
        return bool(self.stage) and STAGES.index(self.stage) >= STAGES.index(stage)


@dataclass(frozen=True)
class Work:
    """What the stages call: the study's own steps, which the tests replace.

    `rebuild` runs the workflow, `prove` compares it with a clean build, `search` scans, `erase`
    forgets the key of the donor's pseudonyms and the records of their corrections, or has before.
    """

    study: Path
    results: Path
    cohort: Path
    rebuild: Callable[[], None]
    prove: Callable[[], Mapping[str, Any]]
    search: Callable[[Needles], ScanReport]
    erase: Callable[[], None]


def journal_path(study: Path, subject: str) -> Path:
    """Where the journal of a person's withdrawal lies."""
    return study / FOLDER / f"{subject[:24]}.json"


def receipt_path(study: Path, subject: str) -> Path:
    """Where the receipt of a person's withdrawal lies."""
    return study / FOLDER / f"{subject[:24]}.receipt.json"


def open_journal(study: Path, subject: str) -> Journal | None:
    """The journal of a withdrawal that was interrupted; None where there is none."""
    path = journal_path(study, subject)
    if not path.exists():
        return None
    try:
        value = read_json(path)
        return Journal(**{**value, "path": path, "known": Known(**value.get("known", {}))})
    except (ValueError, TypeError) as error:
        raise DataError(
            f"{path} must be the journal of a withdrawal; it cannot be read. Remove it and "
            "withdraw again: what is recorded in the ledger stays.",
            reason="withdrawal_journal",
        ) from error


def artefacts(results: Path, cohort_id: str) -> dict[str, str]:
    """Every file that was made of a cohort, by the provenance of the results, with its SHA-256.

    Those are what the cohort's intake wrote, what was made of that, and so on, and all of the
    release and of the sealed packages.
    """
    made: dict[str, tuple[str, set[str]]] = {}
    for stamp in sorted(results.glob(f"**/{STAMPS}/*.json")):
        value = read_json(stamp)
        made[str(value["result"])] = (str(value["sha256"]), set(value["inputs"]))
    touched = {name for name in made if name.startswith(f"cohorts/{cohort_id}/")}
    before = 0
    while len(touched) > before:
        before = len(touched)
        touched |= {name for name, (_, inputs) in made.items() if inputs & touched}
    found = {name: made[name][0] for name in touched}
    folders = [results / "release", results / "controlled", *added_releases(results, cohort_id)]
    for folder in folders:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                found[str(path.relative_to(results))] = sha256_file(path)
    return dict(sorted(found.items()))


def withdraw(journal: Journal, work: Work, *, key: Ed25519PrivateKey, day: str) -> dict[str, Any]:
    """Do what is left of a withdrawal; the signed receipt.

    Parameters
    ----------
    journal
        A new one (stage `noted`), or that of a withdrawal that was interrupted.
    work
        The study's own steps.
    key
        Signs the ledger and the receipt.
    day
        The day of the receipt.

    Raises
    ------
    DataError
        When the rebuilt results are not those of a clean build, or the scan finds the person or
        could not read a file. The ledger keeps the entry; called again, it goes on from there.
    """
    entry = entry_of(journal.entry)
    if not journal.is_past("recorded"):
        record(work.cohort, entry, key=key)
        journal.reach("recorded")
    if not journal.is_past("taken_down"):
        take_down(work.study, work.results, journal.release, day=day)
        for place in added_releases(work.results, journal.cohort_id):
            remove_release(work.study, place, _facts_of(place / MANIFEST), day=day)
        journal.reach("taken_down")
    if not journal.is_past("rebuilt"):
        work.rebuild()
        journal.reach("rebuilt")
    if not journal.is_past("proved"):
        journal.proof = dict(work.prove())
        journal.reach("proved")
    if not journal.is_past("scanned"):
        journal.scan = _searched(work, journal)
        journal.reach("scanned")
    if not journal.is_past("erased"):
        # Last: until the donor is found nowhere, the steward may have to look for them.
        work.erase()
        journal.reach("erased")
    ledger = read_ledger(work.cohort, signers=[key.public_key()])
    receipt = sign_receipt(
        {
            "format": RECEIPT_FORMAT,
            "subject": entry.subject,
            "cohort_id": journal.cohort_id,
            "effective_from": entry.effective_from,
            "issued_on": day,
            "ledger_head": asdict(ledger.head),
            "gone": _gone(work.results, journal),
            "erased": erased(journal.known),
            "stays": [{"what": what, "why": why} for what, why in stays(journal.known, day)],
            "backups_gone_by": backups_gone_by(journal.known, day),
            "superseded_release": journal.release,
            "older_releases": list(journal.known.older_releases),
            "copies": {"sealed_for": list(journal.known.sealed_for), "downloaded": DOWNLOADS},
            "proof": journal.proof,
            "scan": journal.scan,
        },
        key,
    )
    with private_files():
        write_json(receipt_path(work.study, entry.subject), receipt)
    journal.path.unlink(missing_ok=True)
    return receipt


def erased(known: Known) -> dict[str, Any]:
    """What a withdrawal erases beside results."""
    return {
        "pseudonym_key": PSEUDONYM_KEYS[known.pseudonym_key],
        "n_corrections": known.n_corrections,
    }


def backups_gone_by(known: Known, day: str) -> str:
    """The day by which backups of `day` are overwritten; `unknown` where nobody said."""
    if known.backups_kept_days is None:
        return UNKNOWN
    return (date.fromisoformat(day) + timedelta(days=known.backups_kept_days)).isoformat()


def stays(known: Known, day: str) -> list[tuple[str, str]]:
    """What a withdrawal of `day` does not reach, and why."""
    until = backups_gone_by(known, day)
    when = (
        "until they are overwritten, on a day that nobody said (`backups_kept_days` is not set)"
        if until == UNKNOWN
        else f"until {until}, when the last of them is overwritten"
    )
    found = [*STAYS, ("backups", f"{when}; whoever keeps them must not restore the donor")]
    if known.older_releases:
        versions = ", ".join(str(item["version"]) for item in known.older_releases)
        why = "they are superseded; who holds one is to delete it"
        found.insert(1, (f"copies of {len(known.older_releases)} older releases ({versions})", why))
    if known.sealed_for:
        names = ", ".join(known.sealed_for)
        found.insert(1, (f"packages that were encrypted for {names}", "ask them to delete theirs"))
    return found


def record(cohort: Path, entry: Entry, *, key: Ed25519PrivateKey) -> None:
    """Add the entry to the ledger, unless it is there: from before an interruption, or that day."""
    ledger = read_ledger(cohort, signers=[key.public_key()])
    if entry not in ledger.of(entry.subject) and not is_recorded(ledger, entry):
        add_entries(cohort, [entry], key=key)
    elif is_unfinished(cohort):
        finish_append(cohort, key)


def take_down(study: Path, results: Path, release: Mapping[str, Any], *, day: str) -> None:
    """Put a tombstone in the place of the release that is superseded, and remove it.

    The tombstone says which release it was, since when it is down and why, and of nobody.
    """
    for left in results.glob(f".*{TAKEN_DOWN}"):
        shutil.rmtree(left, ignore_errors=True)
    if release:
        remove_release(study, results / "release", release, day=day)


def added_releases(results: Path, cohort_id: str) -> list[Path]:
    """Other releases beside `release` that hold a cohort, as `pmcell release add` writes them.

    They share files with it.
    """
    places = [path.parent for path in sorted(results.glob(f"[!.]*/{MANIFEST}"))]
    return [
        place
        for place in places
        if place != results / "release" and cohort_id in read_json(place / MANIFEST)["cohorts"]
    ]


def remove_release(study: Path, place: Path, release: Mapping[str, Any], *, day: str) -> None:
    """Write the tombstone of a release, then remove its folder where it still holds it."""
    away = _away(place)
    stone = study / TOMBSTONES / f"{release['content_sha256'][:16]}.json"
    if not stone.exists():
        said = {
            **release,
            "state": "taken down",
            "taken_down_on": day,
            "why": "superseded after the withdrawal of consent; do not use copies of it",
        }
        write_json(stone, said)
    manifest = place / MANIFEST
    if (
        manifest.is_file()
        and read_json(manifest).get("content_sha256") == release["content_sha256"]
    ):
        place.rename(away)
        shutil.rmtree(away)


def _away(place: Path) -> Path:
    return place.with_name(f".{place.name}{TAKEN_DOWN}")


def release_facts(results: Path) -> dict[str, Any]:
    """What identifies the release that is there; nothing where there is none."""
    return _facts_of(results / "release" / MANIFEST)


def _facts_of(manifest: Path) -> dict[str, Any]:
    if not manifest.is_file():
        return {}
    value = read_json(manifest)
    keys = ("content_sha256", "version", "title", "identifier")
    facts = {name: value[name] for name in keys if value.get(name)}
    return {**facts, "cohorts": sorted(value["cohorts"])} if value.get("cohorts") else facts


def sign_receipt(receipt: Mapping[str, Any], key: Ed25519PrivateKey) -> dict[str, Any]:
    """The receipt with the signer's fingerprint and an Ed25519 signature over all of it."""
    signer = fingerprint(key.public_key().public_bytes_raw())
    body = {**receipt, "signer": signer}
    signature = base64.b64encode(key.sign(_message(body))).decode("ascii")
    return {**body, "signature": signature}


def verify_receipt(receipt: Mapping[str, Any], key: Any) -> bool:
    """Whether a receipt is as its signer, whose Ed25519 public key is `key`, signed it."""
    from cryptography.exceptions import InvalidSignature

    body = {name: value for name, value in receipt.items() if name != "signature"}
    try:
        key.verify(
            base64.b64decode(str(receipt.get("signature", "")), validate=True), _message(body)
        )
    except (InvalidSignature, ValueError):
        return False
    return True


def as_text(receipt: Mapping[str, Any]) -> str:
    """The receipt for a person: what is gone, and what stays and why, side by side."""
    gone = [f"{item['file']}  {item['sha256'][:16]}" for item in receipt["gone"]]
    lines = [
        f"Withdrawal from {receipt['cohort_id']}, in force since {receipt['effective_from']}",
        "",
        f"GONE: {len(gone)} files as they were, by the first letters of their SHA-256",
        *(f"  {line}" for line in gone[:12]),
        *([f"  … and {len(gone) - 12} more, listed in the receipt"] if len(gone) > 12 else []),
        f"  the key of the donor's pseudonyms: {receipt['erased']['pseudonym_key']}",
        f"  records of corrections: {receipt['erased']['n_corrections']} erased",
        "",
        "STAYS, and why",
        *(f"  {item['what']}: {item['why']}" for item in receipt["stays"]),
        "",
        f"Downloads: {receipt['copies']['downloaded']}",
        *(
            f"Older release {item['version']} ({item['content_sha256'][:16]}): {item['state']}"
            for item in receipt["older_releases"]
        ),
        "",
        f"Proof: {receipt['proof'].get('said', 'none')}",
        f"Scan: {receipt['scan'].get('said', 'none')}",
    ]
    return "\n".join(lines)


def _searched(work: Work, journal: Journal) -> dict[str, Any]:
    cells = frozenset(bytes.fromhex(text) for text in journal.needles.get("cells", ()))
    needles = Needles(dict(journal.needles.get("texts", {})), cells)
    report = work.search(needles)
    if not report.is_clean:
        raise DataError(scan_sentence(report), reason="removal_scan")
    n = len(report.encrypted)
    hidden = f"; {n} encrypted files were made anew and not opened" if n else ""
    if report.left_out:
        hidden += f"; not searched: {', '.join(report.left_out)}"
    return {
        "n_files": report.n_files,
        "n_objects": report.n_objects,
        "n_bytes": report.n_bytes,
        "n_texts": len(needles.texts),
        "n_cells": len(needles.cells),
        "n_encrypted": len(report.encrypted),
        "not_searched": report.left_out,
        "said": f"{len(needles.texts)} names and {len(needles.cells)} cells looked for in "
        f"{report.n_files} files ({report.n_objects} objects): none found{hidden}",
    }


def scan_sentence(report: ScanReport, most: int = 20) -> str:
    """What a scan that is not clean found, for a person."""
    lines = [f"{file}: {kind} in {where}" for file, where, kind in report.hits[:most]]
    lines += [f"{file}: not read ({why})" for file, why in report.unread[:most]]
    n = len(report.hits) + len(report.unread)
    more = [f"… {n - len(lines)} more"] if n > len(lines) else []
    return "\n".join(
        [
            f"nothing of the person may be left and every file must be read; found {n}:",
            *(f"  - {line}" for line in [*lines, *more]),
            "Remove these files, or run again what makes them, then withdraw again: it goes on.",
        ]
    )


def _gone(results: Path, journal: Journal) -> list[dict[str, str]]:
    """The files whose former content is nowhere any more under its name."""
    gone = []
    for name, digest in journal.gone.items():
        path = results / name
        if not path.is_file() or sha256_file(path) != digest:
            gone.append({"file": name, "sha256": digest})
    return gone


def _message(body: Mapping[str, Any]) -> bytes:
    return json.dumps(body, sort_keys=True, separators=(",", ":")).encode("ascii")


def as_needles(texts: Mapping[str, str], cells: Sequence[bytes]) -> dict[str, Any]:
    """Needles as the journal keeps them."""
    return {"texts": dict(texts), "cells": sorted(cell.hex() for cell in cells)}
