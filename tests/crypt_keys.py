"""Key pairs for tests, each file marked as a test key."""

from __future__ import annotations

import base64
import os
from dataclasses import dataclass
from pathlib import Path

from pmcell.io.crypt.keys import TEST_MARK


@dataclass(frozen=True)
class Keys:
    """Paths of key files; `private_bytes` is the recipient's key itself."""

    public: Path
    private: Path
    private_bytes: bytes
    other: Path
    other_private: Path
    stranger: Path
    signing: Path
    signer: Path
    other_signer: Path


def make_keys(folder: Path) -> Keys:
    """Write Crypt4GH pairs of two recipients and a stranger, and two signers' pairs."""
    public, private, raw = _crypt4gh_pair(folder, "region")
    other, other_private, _ = _crypt4gh_pair(folder, "escrow")
    _, stranger, _ = _crypt4gh_pair(folder, "stranger")
    signing, signer = _ed25519_pair(folder, "signer")
    _, other_signer = _ed25519_pair(folder, "forger")
    return Keys(public, private, raw, other, other_private, stranger, signing, signer, other_signer)


def _crypt4gh_pair(folder: Path, name: str) -> tuple[Path, Path, bytes]:
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

    raw = os.urandom(32)
    public_raw = X25519PrivateKey.from_private_bytes(raw).public_key().public_bytes_raw()
    none = len(b"none").to_bytes(2, "big") + b"none"
    unlocked = b"c4gh-v1" + none + none + len(raw).to_bytes(2, "big") + raw
    public = _pem(folder / f"{name}.pub", "CRYPT4GH PUBLIC KEY", public_raw)
    private = _pem(folder / f"{name}.sec", "CRYPT4GH PRIVATE KEY", unlocked)
    return public, private, raw


def _pem(path: Path, kind: str, body: bytes) -> Path:
    text = base64.b64encode(body).decode()
    path.write_text(f"{TEST_MARK}\n-----BEGIN {kind}-----\n{text}\n-----END {kind}-----\n")
    path.chmod(0o600)
    return path


def _ed25519_pair(folder: Path, name: str) -> tuple[Path, Path]:
    from cryptography.hazmat.primitives import serialization as form
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    key = Ed25519PrivateKey.generate()
    secret = key.private_bytes(
        form.Encoding.PEM, form.PrivateFormat.PKCS8, form.NoEncryption()
    ).decode()
    public = key.public_key().public_bytes(
        form.Encoding.PEM, form.PublicFormat.SubjectPublicKeyInfo
    )
    signing, signer = folder / f"{name}.pem", folder / f"{name}.pub.pem"
    signing.write_text(f"{TEST_MARK}\n{secret}")
    signing.chmod(0o600)
    signer.write_bytes(public)
    return signing, signer
