"""The signed validation file without which nothing is interpreted for a person's care.

An in-house device (Regulation (EU) 2017/746, Article 5(5)) is answered for by the laboratory
that made it. Its file says for which release, from when to when, for which use, and what was
measured; an Ed25519 signature covers all of it. It is refused when anything is missing, when
another key signed it, when it is for another release, or when it is not valid on the day of
the report or today.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pmcell.dossier.model import Claim, Validation
from pmcell.errors import DataError, Fault, FaultsError, UsageError
from pmcell.io.crypt.keys import fingerprint
from pmcell.io.crypt.signed_json import read_signed, sign_document

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import (
        Ed25519PrivateKey,
        Ed25519PublicKey,
    )

FORMAT = "pmcell-validation-1"
VALIDATOR_KEY = "PMCELL_VALIDATOR_PUBLIC_KEY_FILE"
"""Environment variable with the file of the laboratory's public key."""
MAX_BYTES = 1 << 20
TEXTS = ("device", "institution", "intended_use")
DAYS = ("valid_from", "valid_until")
ASK = "Ask the laboratory that validated the device for a new file; or use --mode research."
_SHA256 = re.compile(r"[0-9a-f]{64}")


def read_validation(
    path: Path | str,
    *,
    signer: Ed25519PublicKey,
    content_sha256: str,
    days: tuple[date, ...],
) -> Validation:
    """The validation in a file.

    Parameters
    ----------
    path
        The file, as `sign_validation` makes its content.
    signer
        Key of the laboratory, which came by another way than the file.
    content_sha256
        Digest of the release's content, from its manifest.
    days
        Days on which it must be valid: today, and that of the report.

    Raises
    ------
    UsageError
        There is no such file.
    DataError
        It is not signed by this key; `FaultsError` names all else that is wrong with it.
    """
    file = Path(path)
    if not file.is_file():
        raise UsageError(f"--validation must be a file; there is none at {str(path)!r}. {ASK}")
    if file.stat().st_size > MAX_BYTES:
        raise DataError(
            f"--validation {file.name} must have at most {MAX_BYTES:,} bytes; it has "
            f"{file.stat().st_size:,}. {ASK}",
            reason="signature",
        )
    value = read_signed(file, signer, name=f"--validation {file.name}", fix=ASK)
    faults = list(_faults(value, file.name, content_sha256, days))
    if faults:
        raise FaultsError(faults)
    claims = tuple(
        Claim(
            str(item["what"]),
            float(item["value"]),
            float(item["low"]),
            float(item["high"]),
            int(item["n"]),
        )
        for item in value["performance"]
    )
    return Validation(
        device=str(value["device"]),
        institution=str(value["institution"]),
        intended_use=str(value["intended_use"]),
        valid_from=str(value["valid_from"]),
        valid_until=str(value["valid_until"]),
        signer=fingerprint(signer.public_bytes_raw()),
        claims=claims,
    )


def sign_validation(document: Mapping[str, Any], key: Ed25519PrivateKey) -> dict[str, Any]:
    """The content of a validation file.

    Parameters
    ----------
    document
        `device`, `institution`, `intended_use` (texts), `release_content_sha256`,
        `valid_from`, `valid_until` (YYYY-MM-DD), and `performance`: a list of `what`, `value`,
        `low`, `high` (its interval) and `n`.
    key
        The laboratory's private key.

    Returns
    -------
    dict
        The document with its format and signature.
    """
    return sign_document({"format": FORMAT, **document}, key)


def as_day(text: object) -> date | None:
    """A day written YYYY-MM-DD; None for anything else.

    >>> as_day("2026-11-30"), as_day("2026-02-30"), as_day("20261130")
    (datetime.date(2026, 11, 30), None, None)
    """
    if not isinstance(text, str) or not re.fullmatch(r"\d{4}-\d{2}-\d{2}", text, re.ASCII):
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def _faults(
    value: Mapping[str, Any], file: str, content_sha256: str, days: tuple[date, ...]
) -> Any:
    def fault(column: str, must: str, found: object) -> Fault:
        return Fault(file, must, repr(found)[:200], ASK, column=column, reason="validation")

    if value.get("format") != FORMAT:
        yield fault("format", f"must be {FORMAT}", value.get("format"))
    for name in TEXTS:
        if not isinstance(value.get(name), str) or not value[name].strip():
            yield fault(name, "must be a text", value.get(name))
    release = value.get("release_content_sha256")
    if not isinstance(release, str) or not _SHA256.fullmatch(release):
        yield fault("release_content_sha256", "must be a SHA-256 in hexadecimal", release)
    elif release != content_sha256:
        must = f"must be that of this release, {content_sha256}"
        yield fault("release_content_sha256", must, release)
    first, last = (as_day(value.get(name)) for name in DAYS)
    for name, day in zip(DAYS, (first, last), strict=True):
        if day is None:
            yield fault(name, "must be a day as YYYY-MM-DD", value.get(name))
    for day in sorted(set(days)):
        if first is not None and day < first:
            yield fault("valid_from", f"must not be after {day}", value["valid_from"])
        if last is not None and day > last:
            yield fault("valid_until", f"must not be before {day}: it has expired", str(last))
    yield from _claim_faults(value.get("performance"), fault)


def _claim_faults(claims: Any, fault: Any) -> Any:
    if not isinstance(claims, list) or not claims:
        yield fault("performance", "must be a list of what was measured, with at least one", claims)
        return
    for number, item in enumerate(claims):
        place = f"performance[{number}]"
        if not isinstance(item, Mapping) or not isinstance(item.get("what"), str):
            yield fault(place, "must have 'what', a text", item)
            continue
        numbers = [item.get(name) for name in ("value", "low", "high")]
        if not all(_is_number(number_) for number_ in numbers):
            yield fault(place, "must have the numbers 'value', 'low' and 'high'", item)
        n = item.get("n")
        if not isinstance(n, int) or isinstance(n, bool) or n < 1:
            yield fault(place, "must have 'n', a whole number from 1", n)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
