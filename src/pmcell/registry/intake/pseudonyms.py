"""Keyed pseudonyms of people, samples and barcodes of cohorts that are not open.

HMAC-SHA256 with a secret key: without the key nobody can test a guess, with it
the steward can find the same pseudonym again. Kind, cohort and identifier
enter with their lengths, so no two of them can run together.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
from pathlib import Path

from pmcell.errors import UsageError
from pmcell.io.crypt.keys import key_file

KEY_VARIABLE = "PMCELL_PSEUDONYM_KEY_FILE"
MIN_KEY_BYTES = 32
PSEUDONYM_BYTES = 15
"""120 bits: 24 letters, and no chance collision among a billion cells."""


def pseudonym(key: bytes, kind: str, cohort_id: str, identifier: str) -> str:
    """24 letters and digits (a-z, 2-7) that stand for `identifier` of `kind` in the cohort.

    >>> pseudonym(b"k" * 32, "donor", "a", "bc") == pseudonym(b"k" * 32, "donor", "ab", "c")
    False
    """
    message = b"".join(
        len(part).to_bytes(8, "big") + part
        for part in (text.encode("utf-8") for text in (kind, cohort_id, identifier))
    )
    digest = hmac.new(key, message, hashlib.sha256).digest()
    return base64.b32encode(digest[:PSEUDONYM_BYTES]).decode("ascii").lower()


def load_key() -> bytes:
    """The key in the file named by `PMCELL_PSEUDONYM_KEY_FILE`; `UsageError` if it is unusable."""
    name = os.environ.get(KEY_VARIABLE, "")
    make = (
        "Make one with: head -c 32 /dev/urandom > KEY; chmod 600 KEY, and keep it outside the "
        "study folder."
    )
    if not name:
        raise UsageError(
            f"cohorts that are not open need a pseudonym key: {KEY_VARIABLE} must name its file; "
            f"it is not set. {make}"
        )
    path = key_file(Path(name), "the pseudonym key", secret=True, make=make)
    key = path.read_bytes()
    if len(key) < MIN_KEY_BYTES:
        raise UsageError(
            f"the pseudonym key must have at least {MIN_KEY_BYTES} bytes, {name!r} has "
            f"{len(key)}. {make}"
        )
    return key
