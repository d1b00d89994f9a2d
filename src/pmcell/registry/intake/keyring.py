"""A private file with a key for each donor: without their key nobody finds a donor again.

The pseudonyms of a donor, of their samples and of their cells are made with the donor's own
key, which was drawn and is written nowhere else. Erasing it cuts the link from the person to
everything that was ever made with it, also for whoever holds the file. Donors stand in the
file under a tag (HMAC of cohort and id with the file's index key), so it names nobody.

A key is drawn once, by `add_donors`, never by a step: results depend on the file alone.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pmcell.errors import UsageError
from pmcell.io.atomic import write_json
from pmcell.io.json_text import parse_json
from pmcell.io.modes import private_files

FORMAT = "pmcell pseudonym keys 1"
KEY_BYTES = 32
MAX_BYTES = 1 << 28
"""Size of a file of keys: about 100 bytes a donor."""
ERASED = ""
"""What stands in the place of a key that was erased."""


@dataclass(frozen=True)
class Keyring:
    """Keys of donors by tag; an erased one is ''.

    Attributes
    ----------
    index_key
        Secret with which a donor's tag is made.
    keys
        Keys as hexadecimal text, by tag.
    """

    index_key: bytes
    keys: Mapping[str, str]

    def tag(self, cohort_id: str, donor: str) -> str:
        """Return what a donor stands under in the file."""
        message = framed("tag", cohort_id, donor)
        return hmac.new(self.index_key, message, hashlib.sha256).hexdigest()[:32]

    def key_of(self, cohort_id: str, donor: str) -> bytes:
        """Return a donor's key.

        Raises
        ------
        UsageError
            The donor has none yet, or it was erased. The message does not name the donor.
        """
        found = self.keys.get(self.tag(cohort_id, donor))
        if found is None:
            raise UsageError(
                f"every donor of {cohort_id} must have a key in the file of pseudonym keys; at "
                "least one has none. Do: pmcell pseudonyms add COHORT_FOLDER"
            )
        if found == ERASED:
            raise UsageError(
                f"a donor of {cohort_id} must not be taken in after their key was erased; one is "
                "still registered. Remove the rows of withdrawn donors from donors.tsv, "
                "samples.tsv and the matrix, or let the consent ledger leave them out"
            )
        return bytes.fromhex(found)

    def has_key(self, cohort_id: str, donor: str) -> bool:
        """Whether a donor has a key that was not erased."""
        return self.keys.get(self.tag(cohort_id, donor), ERASED) != ERASED

    @property
    def n_keys(self) -> int:
        """Donors that have a key."""
        return sum(key != ERASED for key in self.keys.values())

    @property
    def n_erased(self) -> int:
        """Donors whose key was erased."""
        return len(self.keys) - self.n_keys


def new_keyring() -> Keyring:
    """Return one without donors."""
    return Keyring(os.urandom(KEY_BYTES), {})


def add_donors(ring: Keyring, cohort_id: str, donors: Iterable[str]) -> Keyring:
    """Draw a key for each donor who has none; an erased one stays erased."""
    fresh = {ring.tag(cohort_id, donor): os.urandom(KEY_BYTES).hex() for donor in donors}
    return replace(ring, keys={**fresh, **ring.keys})


def erase_donor(ring: Keyring, cohort_id: str, donor: str) -> Keyring:
    """Forget a donor's key for good; `UsageError` where there is none."""
    tag = ring.tag(cohort_id, donor)
    if tag not in ring.keys:
        raise UsageError(
            f"DONOR must have a key for {cohort_id}; there is none under this id. The id is the "
            "one of donors.tsv, not a pseudonym"
        )
    return replace(ring, keys={**ring.keys, tag: ERASED})


def rotate(ring: Keyring, cohort_id: str | None = None, donors: Iterable[str] = ()) -> Keyring:
    """Draw new keys: for all donors of the file, or for those given; erased ones stay erased."""
    tags = ring.keys if cohort_id is None else {ring.tag(cohort_id, donor) for donor in donors}
    fresh = {
        tag: os.urandom(KEY_BYTES).hex() for tag in tags if ring.keys.get(tag, ERASED) != ERASED
    }
    return replace(ring, keys={**ring.keys, **fresh})


def write_keyring(path: Path, ring: Keyring, *, replace_file: bool = True) -> None:
    """Write the file, readable by its owner alone, whole or not at all."""
    if not replace_file:
        refuse_there(path)
    value = {"format": FORMAT, "index_key": ring.index_key.hex(), "donors": dict(ring.keys)}
    with private_files():
        write_json(path, value)
    path.chmod(0o600)


def refuse_there(path: Path) -> None:
    """`UsageError` where a file of keys is to begin and something is there."""
    if path.exists():
        raise UsageError(
            f"the file of pseudonym keys must not be there yet; {str(path)!r} is. To add donors: "
            "pmcell pseudonyms add COHORT_FOLDER"
        )


def parse_keyring(raw: bytes, name: str) -> Keyring | None:
    """Return the keys that a file holds, None where it is no such file (an older key of bytes).

    Raises
    ------
    UsageError
        It is one, but damaged.
    """
    if not raw.lstrip().startswith(b"{"):
        return None
    try:
        value: Any = parse_json(raw)
        is_ring = isinstance(value, dict) and value.get("format") == FORMAT
        index_key = bytes.fromhex(value["index_key"]) if is_ring else b""
        keys = {str(tag): str(key) for tag, key in value["donors"].items()} if is_ring else {}
        lengths = {len(bytes.fromhex(key)) for key in keys.values() if key != ERASED}
        is_sound = is_ring and len(index_key) == KEY_BYTES and lengths <= {KEY_BYTES}
    except (ValueError, KeyError, TypeError, AttributeError):
        is_sound = False
    if not is_sound:
        raise UsageError(
            f"the file of pseudonym keys {name!r} must be as `pmcell pseudonyms` wrote it "
            f"({FORMAT}); it is damaged. Restore it from its backup: other keys would give every "
            "donor another name"
        )
    return Keyring(index_key, keys)


def framed(*parts: str) -> bytes:
    """Texts with their lengths, so that no two of them run together."""
    encoded = [part.encode("utf-8") for part in parts]
    return b"".join(len(part).to_bytes(8, "big") + part for part in encoded)
