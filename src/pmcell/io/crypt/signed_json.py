"""JSON documents with an Ed25519 signature in them, which covers all but itself, keys sorted."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pmcell.errors import DataError
from pmcell.io.crypt.keys import fingerprint
from pmcell.io.json_text import parse_json

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import (
        Ed25519PrivateKey,
        Ed25519PublicKey,
    )


def sign_document(value: Mapping[str, Any], key: Ed25519PrivateKey) -> dict[str, Any]:
    """Return the document with its signature."""
    signature = key.sign(signed_bytes(value))
    return {**value, "signature": base64.b64encode(signature).decode()}


def read_signed(path: Path, signer: Ed25519PublicKey, *, name: str, fix: str) -> dict[str, Any]:
    """Return the document of a file, if `signer` signed it.

    Raises
    ------
    DataError
        It is not signed by this key; the file is called `name`, and `fix` is what to do.
    """
    from cryptography.exceptions import InvalidSignature

    try:
        value: dict[str, Any] = parse_json(path.read_text(encoding="utf-8"))
        signature = base64.b64decode(value["signature"], validate=True)
        signer.verify(signature, signed_bytes(value))
    except (
        *(OSError, ValueError, KeyError, TypeError, AttributeError),
        InvalidSignature,
    ) as error:
        raise DataError(
            f"{name} must be signed by {fingerprint(signer.public_bytes_raw())}; it is not: it "
            f"was not signed, was changed, or someone else signed it. {fix}",
            reason="signature",
        ) from error
    return value


def signed_bytes(value: Mapping[str, Any]) -> bytes:
    """Return what the signature covers."""
    rest = {name: item for name, item in value.items() if name != "signature"}
    return json.dumps(rest, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()
