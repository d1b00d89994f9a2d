"""The receipt of a withdrawal: what is gone, what stays and why, signed, and in words."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from pmcell.consent.removal.scan import ScanReport
from pmcell.io.crypt.keys import fingerprint
from pmcell.schema import UNKNOWN

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

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


def _message(body: Mapping[str, Any]) -> bytes:
    return json.dumps(body, sort_keys=True, separators=(",", ":")).encode("ascii")


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
