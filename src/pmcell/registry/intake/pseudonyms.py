"""Keyed pseudonyms of people, samples and barcodes of cohorts that are not open.

HMAC-SHA256 with a secret key: without the key nobody can test a guess, with it
the steward can find the same pseudonym again. Kind, cohort and identifier
enter with their lengths, so no two of them can run together. The key is the donor's
own (`pmcell.registry.intake.keyring`), or, in studies that were begun so, one key of
bytes for all; `pmcell pseudonyms migrate` goes from the second to the first.
"""

from __future__ import annotations

import base64
import fcntl
import hashlib
import hmac
import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

from pmcell.errors import UsageError
from pmcell.io.crypt.keys import key_file
from pmcell.registry.intake.keyring import (
    MAX_BYTES,
    Keyring,
    framed,
    parse_keyring,
    write_keyring,
)

KEY_VARIABLE = "PMCELL_PSEUDONYM_KEY_FILE"
MIN_KEY_BYTES = 32
PSEUDONYM_BYTES = 15
"""120 bits: 24 letters, and no chance collision among a billion cells."""


Keys: TypeAlias = bytes | Keyring
"""A key for all, or one for each donor."""


def pseudonym(
    key: Keys, kind: str, cohort_id: str, identifier: str, *, donor: str | None = None
) -> str:
    """24 letters and digits (a-z, 2-7) that stand for `identifier` of `kind` in the cohort.

    `donor` is whose sample or cell it is, by the submitted id; it is needed where each donor
    has a key.

    >>> pseudonym(b"k" * 32, "donor", "a", "bc") == pseudonym(b"k" * 32, "donor", "ab", "c")
    False
    """
    if isinstance(key, Keyring):
        owner = identifier if kind == "donor" else donor
        if owner is None:
            raise ValueError(f"the pseudonym of a {kind} needs the donor whose it is")
        key = key.key_of(cohort_id, owner)
    digest = hmac.new(key, framed(kind, cohort_id, identifier), hashlib.sha256).digest()
    return base64.b32encode(digest[:PSEUDONYM_BYTES]).decode("ascii").lower()


MAKE = (
    "Make one with: pmcell pseudonyms new, then pmcell pseudonyms add COHORT_FOLDER, and keep "
    "it outside the study folder."
)


def load_keyring() -> Keyring:
    """Return the keys of the donors; `UsageError` where the file holds one key for all."""
    ring = load_key()
    if not isinstance(ring, Keyring):
        raise UsageError(
            "the file must have one key a donor; it holds one key for all, with which nobody can "
            "be erased. Do: pmcell pseudonyms migrate FOLDER... --out NEW"
        )
    return ring


def change_keyring(change: Callable[[Keyring], Keyring]) -> tuple[Keyring, Keyring]:
    """Change the file under a lock, whole or not at all; the keys before and after."""
    path = key_path()
    load_keyring()
    # The folder is locked: the file itself is replaced by each change.
    lock = os.open(path.absolute().parent, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        before = load_keyring()
        after = change(before)
        if after != before:
            write_keyring(path, after)
    finally:
        os.close(lock)
    return before, after


def key_path() -> Path:
    """The file that `PMCELL_PSEUDONYM_KEY_FILE` names; `UsageError` where it names none."""
    name = os.environ.get(KEY_VARIABLE, "")
    if not name:
        raise UsageError(
            f"cohorts that are not open need a pseudonym key: {KEY_VARIABLE} must name its file; "
            f"it is not set. {MAKE}"
        )
    return Path(name)


def load_key() -> Keys:
    """The keys in the file named by `PMCELL_PSEUDONYM_KEY_FILE`; `UsageError` if it is unusable."""
    name, make = str(key_path()), MAKE
    purpose = "the pseudonym key"
    path = key_file(Path(name), purpose, secret=True, make=make, max_bytes=MAX_BYTES)
    key = path.read_bytes()
    ring = parse_keyring(key, name)
    if ring is not None:
        return ring
    if len(key) < MIN_KEY_BYTES:
        raise UsageError(
            f"the pseudonym key must have at least {MIN_KEY_BYTES} bytes, {name!r} has "
            f"{len(key)}. {make}"
        )
    return key
