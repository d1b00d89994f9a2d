"""Sealed packages: Crypt4GH files with a signed manifest of what they hold.

`manifest.json` gives, for each file, SHA-256 and length of plaintext and
ciphertext, and for the package the fingerprints of the recipients' keys and of
the signer's; an Ed25519 signature covers all of it. That is what Crypt4GH
lacks: with it a missing, swapped or repeated segment is found. The digests of
plaintexts confirm no guess, because every file holds keyed pseudonyms.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from pmcell.errors import DataError, Fault, FaultsError, UsageError
from pmcell.io.atomic import atomic_path, write_json
from pmcell.io.crypt4gh import Crypt4ghReader, encrypt_file, open_crypt4gh
from pmcell.io.keys import fingerprint

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import (
        Ed25519PrivateKey,
        Ed25519PublicKey,
    )

MANIFEST = "manifest.json"
FORMAT = "pmcell-sealed-1"
SUFFIX = ".c4gh"
FORBIDDEN = re.compile(r"[#?()\[\]\\=+<>:;\"',*^|&\s]")
"""Characters that EGA and FEGA refuse in file names."""

REFETCH = "Do not use the package; fetch it again, and ask the signer if it happens again."
CHUNK = 1 << 22


def archive_name(name: str) -> str:
    """`name`, if EGA and FEGA accept it as a relative path; `UsageError` if not."""
    parts = name.split("/")
    if FORBIDDEN.search(name) or not all(parts) or any(part in (".", "..") for part in parts):
        raise UsageError(
            f"a file of a sealed package must have a name that EGA accepts; {name!r} holds a "
            "space or one of # ? ( ) [ ] \\ = + < > : ; \" ' , * ^ | &"
        )
    return name


class Sealer:
    """Encrypts files into a folder one by one; `close` signs the manifest.

    `recipients` maps names to public keys of 32 bytes; `about` is recorded in
    the manifest. Each file is written under a temporary name, decrypted back,
    compared by SHA-256 and length, and only then renamed.
    """

    def __init__(
        self,
        folder: Path,
        recipients: Mapping[str, bytes],
        signing_key: Ed25519PrivateKey,
        about: Mapping[str, Any],
    ) -> None:
        if not recipients:
            raise UsageError("a sealed package must have at least one recipient")
        self._folder, self._recipients = folder, dict(recipients)
        self._signing_key, self._about = signing_key, dict(about)
        self._files: dict[str, dict[str, Any]] = {}

    def add(self, source: Path, name: str) -> None:
        """Encrypt `source` to `<folder>/<name>.c4gh`."""
        plain = _digest(source)
        target = self._folder / f"{archive_name(name)}{SUFFIX}"
        with atomic_path(target) as temporary:
            session_key = encrypt_file(source, temporary, list(self._recipients.values()))
            if _read_back(temporary, session_key, len(self._recipients)) != plain:
                raise DataError(
                    f"{name} did not decrypt to what was encrypted: nothing was written. "
                    "The disk or memory may be failing.",
                    reason="encryption_failed",
                )
            cipher = _digest(temporary)
        self._files[name] = {
            "name": f"{name}{SUFFIX}",
            "plaintext_sha256": plain[0],
            "plaintext_size": plain[1],
            "ciphertext_sha256": cipher[0],
            "ciphertext_size": cipher[1],
        }

    def close(self) -> None:
        """Write the signed manifest; it is the last file of a package."""
        public = self._signing_key.public_key().public_bytes_raw()
        value = {
            "format": FORMAT,
            **self._about,
            "recipients": {name: fingerprint(key) for name, key in self._recipients.items()},
            "signer": fingerprint(public),
            "files": self._files,
        }
        signature = self._signing_key.sign(_signed_bytes(value))
        write_json(
            self._folder / MANIFEST, {**value, "signature": base64.b64encode(signature).decode()}
        )


def read_manifest(folder: Path, signer: Ed25519PublicKey) -> dict[str, Any]:
    """The manifest of a package, if `signer` signed it; `DataError` if not."""
    from cryptography.exceptions import InvalidSignature

    path = folder / MANIFEST
    if not path.is_file():
        raise UsageError(f"a sealed package must hold {MANIFEST}; {folder.name!r} does not")
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
        signature = base64.b64decode(value["signature"], validate=True)
        signer.verify(signature, _signed_bytes(value))
        known = value["format"] == FORMAT
    except (ValueError, KeyError, TypeError, AttributeError, InvalidSignature) as error:
        raise DataError(
            f"{MANIFEST} must be signed by {fingerprint(signer.public_bytes_raw())}; it is not. "
            "It was changed, or someone else signed it. " + REFETCH,
            reason="signature",
        ) from error
    if not known:
        raise DataError(f"{MANIFEST} must have format {FORMAT}; found {value['format']!r}")
    return dict(value)


def package_faults(folder: Path, manifest: Mapping[str, Any]) -> list[Fault]:
    """Files of the package that are missing, changed or not listed; needs no private key."""
    faults = []
    listed = {entry["name"]: entry for entry in manifest["files"].values()}
    for name, entry in sorted(listed.items()):
        path = folder / name
        must = "must be the encrypted file that the signed manifest lists"
        if path.is_symlink() or not path.is_file():
            faults.append(Fault(name, must, "no such file", REFETCH, reason="missing"))
        elif _digest(path) != (entry["ciphertext_sha256"], entry["ciphertext_size"]):
            faults.append(Fault(name, must, "other bytes", REFETCH, reason="changed"))
    present = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    for name in sorted(present - set(listed) - {MANIFEST}):
        must = "must be listed in the signed manifest"
        faults.append(Fault(name, must, "not listed", "Take it out.", reason="extra"))
    return faults


def open_member(folder: Path, manifest: Mapping[str, Any], name: str, key: bytes) -> Crypt4ghReader:
    """A file of a package as a seekable stream of plaintext; its ciphertext is compared first."""
    entry = manifest["files"].get(name)
    if entry is None:
        known = ", ".join(sorted(manifest["files"]))
        raise UsageError(f"the package has no file {name!r}; it has {known}")
    # The same open file is compared and read, so it cannot be exchanged in between.
    stream = (folder / archive_name(entry["name"])).open("rb")
    found = _digest_stream(stream)
    stream.seek(0)
    if found != (entry["ciphertext_sha256"], entry["ciphertext_size"]):
        stream.close()
        must = "must be the encrypted file that the signed manifest lists"
        raise FaultsError([Fault(entry["name"], must, "other bytes", REFETCH, reason="changed")])
    return open_crypt4gh(stream, key)


def extract(folder: Path, manifest: Mapping[str, Any], name: str, key: bytes, target: Path) -> None:
    """Decrypt one file to `target`, which appears only when digest and length are as signed."""
    entry = manifest["files"][name]
    with atomic_path(target) as temporary:
        reader = open_member(folder, manifest, name, key)
        with reader, temporary.open("wb") as stream:
            while chunk := reader.read(CHUNK):
                stream.write(chunk)
        if _digest(temporary) != (entry["plaintext_sha256"], entry["plaintext_size"]):
            must = "must decrypt to the plaintext that was signed"
            raise FaultsError([Fault(entry["name"], must, "another", REFETCH, reason="plaintext")])


def _read_back(path: Path, session_key: bytes, n_recipients: int) -> tuple[str, int]:
    """Digest and length of what the file decrypts to."""
    from crypt4gh import header

    with path.open("rb") as stream:
        if len(list(header.parse(stream))) != n_recipients:
            raise DataError(
                "the header must have one packet a recipient", reason="encryption_failed"
            )
        return _digest_stream(Crypt4ghReader(stream, session_key))


def _signed_bytes(value: Mapping[str, Any]) -> bytes:
    """What the signature covers: all of the manifest but the signature, keys sorted."""
    rest = {key: item for key, item in value.items() if key != "signature"}
    return json.dumps(rest, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()


def _digest(path: Path) -> tuple[str, int]:
    with path.open("rb") as stream:
        return _digest_stream(stream)


def _digest_stream(stream: BinaryIO | Crypt4ghReader) -> tuple[str, int]:
    digest, size = hashlib.sha256(), 0
    while chunk := stream.read(CHUNK):
        digest.update(chunk)
        size += len(chunk)
    return digest.hexdigest(), size
