"""Who an entry is about: an HMAC under a key of the donor's own, kept apart from the ledger.

The ledger is never rewritten, so nothing in it may name a person for good. Each
donor has 32 random bytes in a private file; with them the steward finds the
donor's entries, and once they are erased nobody does, while the chain still
verifies.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from pmcell.errors import DataError, UsageError
from pmcell.io.atomic import write_json
from pmcell.io.crypt.keys import key_file
from pmcell.io.json_text import parse_json
from pmcell.io.modes import umask_of

KEYS_VARIABLE = "PMCELL_DONOR_KEYS_FILE"
FORMAT = "pmcell donor keys 1"
KEY_BYTES = 32
MAKE = (
    f"Let {KEYS_VARIABLE} name a file outside the study folder; `pmcell consent init` makes it. "
    "Keep a backup: without the keys nobody can tell whose entries are whose."
)


@dataclass(frozen=True)
class DonorKeys:
    """The keys of a cohort's donors, by submitted donor id."""

    cohort_id: str
    keys: Mapping[str, bytes]

    def subject(self, donor_id: str) -> str:
        """What the ledger calls a donor; empty where there is no key."""
        key = self.keys.get(donor_id)
        return subject_of(key, self.cohort_id, donor_id) if key else ""

    def donor(self, subject: str) -> str:
        """The donor whom the ledger calls `subject`; empty where no key says."""
        found = (donor for donor in self.keys if self.subject(donor) == subject)
        return next(found, "")


def subject_of(key: bytes, cohort_id: str, donor_id: str) -> str:
    """HMAC-SHA256 of the cohort and the donor, in hexadecimal.

    >>> subject_of(b"k" * 32, "a", "bc") == subject_of(b"k" * 32, "ab", "c")
    False
    """
    parts = (text.encode("utf-8") for text in (cohort_id, donor_id))
    message = b"".join(len(part).to_bytes(8, "big") + part for part in parts)
    return hmac.new(key, message, hashlib.sha256).hexdigest()


def keys_path() -> Path:
    """The file that `PMCELL_DONOR_KEYS_FILE` names; it need not be there yet."""
    name = os.environ.get(KEYS_VARIABLE, "")
    if not name:
        raise UsageError(
            f"{KEYS_VARIABLE} must name the file of donors' keys; it is not set. {MAKE}"
        )
    return Path(name)


def read_keys(cohort_id: str, *, path: Path | None = None) -> DonorKeys:
    """The keys of a cohort's donors; `UsageError` where there is no file that may be used."""
    place = key_file(path or keys_path(), "the file of donors' keys", secret=True, make=MAKE)
    raw = _read(place)
    return DonorKeys(
        cohort_id,
        {donor: bytes.fromhex(key) for donor, key in raw[cohort_id].items()}
        if cohort_id in raw
        else {},
    )


def add_keys(cohort_id: str, donors: Iterable[str], *, path: Path | None = None) -> DonorKeys:
    """Give every one of `donors` a key who has none; the file is made where there is none."""
    place = path or keys_path()
    raw = _read(key_file(place, "the file of donors' keys", secret=True)) if place.exists() else {}
    own = raw.setdefault(cohort_id, {})
    missing = [donor for donor in donors if donor not in own]
    if missing or not place.exists():
        own |= {donor: secrets.token_hex(KEY_BYTES) for donor in missing}
        with umask_of(0o077):
            write_json(place, {"format": FORMAT, "cohorts": raw})
    return read_keys(cohort_id, path=place)


def erase_key(cohort_id: str, donor_id: str, *, path: Path | None = None) -> bool:
    """Forget the key of one donor for good; whether there was one."""
    place = key_file(path or keys_path(), "the file of donors' keys", secret=True, make=MAKE)
    raw = _read(place)
    if raw.get(cohort_id, {}).pop(donor_id, None) is None:
        return False
    with umask_of(0o077):
        write_json(place, {"format": FORMAT, "cohorts": raw})
    return True


def _read(path: Path) -> dict[str, dict[str, str]]:
    must = f"{path.name} must hold donors' keys ({FORMAT})"
    try:
        raw = parse_json(path.read_text(encoding="utf-8"))
        cohorts = raw["cohorts"]
        whole = raw["format"] == FORMAT and all(
            len(bytes.fromhex(key)) == KEY_BYTES for own in cohorts.values() for key in own.values()
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(
            f"{must}; it cannot be read ({type(error).__name__}). Restore it from a backup.",
            reason="donor_keys",
        ) from error
    if not whole:
        raise DataError(f"{must}; it holds others. Restore it from a backup.", reason="donor_keys")
    return dict(cohorts)
