"""A cohort folder, keys and a ledger, as the tests of consent share them."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from cryptography.hazmat.primitives import serialization
from ledgers import KEY


@pytest.fixture
def keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Files of the signing key and of donors' keys, named as the commands expect."""
    folder = tmp_path / "keys"
    folder.mkdir(mode=0o700)
    pem = KEY.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    path = folder / "sign"
    path.write_bytes(pem)
    path.chmod(0o600)
    monkeypatch.setenv("PMCELL_SIGNING_KEY_FILE", str(path))
    monkeypatch.setenv("PMCELL_DONOR_KEYS_FILE", str(folder / "donors.json"))
    monkeypatch.delenv("PMCELL_SIGNER_PUBLIC_KEY_FILE", raising=False)
    return folder
