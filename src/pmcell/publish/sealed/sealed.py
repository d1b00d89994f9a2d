"""Sealed packages: Crypt4GH files with a signed manifest of what they hold.

`manifest.json` gives, for each file, SHA-256 and length of plaintext and
ciphertext, and for the package the fingerprints of the recipients' keys and of
the signer's; an Ed25519 signature covers all of it. That is what Crypt4GH
lacks: with it a missing, swapped or repeated segment is found. The digests of
plaintexts confirm no guess, because every file holds keyed pseudonyms.
"""

from __future__ import annotations

import hashlib
import os
import re
import shlex
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from pmcell.errors import DataError, Fault, FaultsError, UsageError
from pmcell.io.atomic import atomic_path, remove_leftovers, write_json
from pmcell.io.crypt.crypt4gh import Crypt4ghReader, encrypt_file, open_crypt4gh
from pmcell.io.crypt.keys import fingerprint
from pmcell.io.crypt.signed_json import read_signed, sign_document
from pmcell.io.modes import private_files
from pmcell.schema.ids import ID_PATTERN as ID

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
MAX_NAME_BYTES, MAX_PARTS = 200, 8
MAX_MANIFEST_BYTES = 16 << 20
MAX_FILES, MAX_FAULTS = 10_000, 20
SHA256 = re.compile(r"[0-9a-f]{64}")

REFETCH = "Do not use the package; fetch it again, and ask the signer if it happens again."
CHUNK = 1 << 22


def archive_name(name: str) -> str:
    """`name`, if EGA and FEGA accept it as a relative path; `UsageError` if not.

    It has no part that leads upwards or is hidden, so it names a file below the
    folder it is joined to.
    """
    parts = name.split("/")
    is_sound = (
        name.isprintable()
        and not FORBIDDEN.search(name)
        and all(part and not part.startswith((".", "~")) for part in parts)
        and all(len(part.encode("utf-8", "replace")) <= MAX_NAME_BYTES for part in parts)
        and len(parts) <= MAX_PARTS
    )
    if not is_sound:
        raise UsageError(
            f"a file of a sealed package must have a name that EGA accepts: a relative path of at "
            f"most {MAX_PARTS} parts, none hidden, of at most {MAX_NAME_BYTES} bytes each, without "
            f"spaces and # ? ( ) [ ] \\ = + < > : ; \" ' , * ^ | &; found {name[:300]!r}"
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
        write_json(self._folder / MANIFEST, sign_document(value, self._signing_key))


def read_manifest(folder: Path, signer: Ed25519PublicKey) -> dict[str, Any]:
    """The manifest of a package, if `signer` signed it; `DataError` if not."""
    path = folder / MANIFEST
    if path.is_symlink() or not path.is_file():
        raise UsageError(f"a sealed package must hold {MANIFEST}; {folder.name!r} does not")
    if path.stat().st_size > MAX_MANIFEST_BYTES:
        raise DataError(
            f"{MANIFEST} must have at most {MAX_MANIFEST_BYTES:,} bytes; it has "
            f"{path.stat().st_size:,}. {REFETCH}",
            reason="manifest",
        )
    value = read_signed(path, signer, name=MANIFEST, fix=REFETCH)
    if value.get("format") != FORMAT:
        raise DataError(
            f"{MANIFEST} must have format {FORMAT}; found {_shown(value.get('format'))}. "
            "Open it with the version of pmcell that made it.",
            reason="manifest",
        )
    faults = [
        Fault(MANIFEST, must, _shown(found), REFETCH, column=place, reason="manifest")
        for place, must, found in _misshapen(value)
    ]
    if faults:
        raise FaultsError(faults[:MAX_FAULTS])
    return dict(value)


def _misshapen(manifest: Mapping[str, Any]) -> Iterator[tuple[str, str, Any]]:
    """Where a signed manifest has another shape than ours: place, what must hold, what was found.

    A signature says who wrote it, not that it is sound: names end in paths.
    """
    cohort_id, files = manifest.get("cohort_id"), manifest.get("files")
    if not isinstance(cohort_id, str) or not re.fullmatch(ID, cohort_id):
        yield "cohort_id", "must be the id of a cohort", cohort_id
    recipients = manifest.get("recipients")
    if not isinstance(recipients, dict) or not all(
        isinstance(item, str) for item in recipients.values()
    ):
        yield "recipients", "must map names to fingerprints", recipients
    if not isinstance(files, dict) or len(files) > MAX_FILES:
        found = f"{len(files)} files" if isinstance(files, dict) else files
        yield "files", f"must map names to at most {MAX_FILES:,} files", found
        return
    folded: dict[str, str] = {}
    taken: set[str] = set()
    for name, entry in files.items():
        try:
            archive_name(name)
        except UsageError:
            yield "files", "must have names that EGA accepts, each below the package", name
            continue
        if not isinstance(entry, dict) or entry.get("name") != f"{name}{SUFFIX}":
            yield f"files.{name}", f"must be kept as {name}{SUFFIX}", entry
            continue
        for field in ("plaintext", "ciphertext"):
            digest, size = entry.get(f"{field}_sha256"), entry.get(f"{field}_size")
            if not isinstance(digest, str) or not SHA256.fullmatch(digest):
                yield f"files.{name}.{field}_sha256", "must be a SHA-256 in hexadecimal", digest
            if not isinstance(size, int) or isinstance(size, bool) or size < 0:
                yield f"files.{name}.{field}_size", "must be a number of bytes", size
        parts = name.casefold().split("/")
        for n_parts in range(1, len(parts) + 1):
            place = "/".join(parts[:n_parts])
            kind = "file" if n_parts == len(parts) else "folder"
            if folded.setdefault(place, kind) != kind or (kind == "file" and place in taken):
                yield "files", "must have names that no disk takes for the same", name
        taken.add(name.casefold())


def _shown(found: Any) -> str:
    """What was found, short enough for a message."""
    text = repr(found)
    return text if len(text) <= 200 else f"{text[:200]}…"


def package_faults(folder: Path, manifest: Mapping[str, Any]) -> list[Fault]:
    """Files of the package that are missing, changed or not listed; needs no private key."""
    faults = []
    listed = {entry["name"]: entry for entry in manifest["files"].values()}
    present, others = _present(folder)
    for name, entry in sorted(listed.items()):
        must = "must be the encrypted file that the signed manifest lists"
        if name not in present:
            found = others.pop(name, "no such file")
            faults.append(Fault(name, must, found, REFETCH, reason="missing"))
        elif _digest(folder / name) != (entry["ciphertext_sha256"], entry["ciphertext_size"]):
            faults.append(Fault(name, must, "other bytes", REFETCH, reason="changed"))
    for name in sorted(present - set(listed) - {MANIFEST}):
        must = "must be listed in the signed manifest"
        faults.append(Fault(name, must, "not listed", "Take it out.", reason="extra"))
    for name, kind in sorted(others.items()):
        must = "must be a regular file or folder"
        faults.append(Fault(name, must, kind, "Take it out.", reason="not_a_file"))
    return faults


def _present(folder: Path) -> tuple[set[str], dict[str, str]]:
    """Names of the regular files below a folder, and of all that is neither file nor folder.

    No link is followed: what lies behind one is not in the package.
    """
    files: set[str] = set()
    others: dict[str, str] = {}
    for place, folders, names in os.walk(folder):
        for item in (Path(place, name) for name in (*folders, *names)):
            name, mode = item.relative_to(folder).as_posix(), item.lstat().st_mode
            if stat.S_ISREG(mode):
                files.add(name)
            elif not stat.S_ISDIR(mode):
                others[name] = "a link" if stat.S_ISLNK(mode) else "a device or pipe"
    return files, others


def open_member(folder: Path, manifest: Mapping[str, Any], name: str, key: bytes) -> Crypt4ghReader:
    """A file of a package as a seekable stream of plaintext; its ciphertext is compared first."""
    entry = manifest["files"].get(name)
    if entry is None:
        known = ", ".join(sorted(manifest["files"]))
        raise UsageError(f"the package has no file {name!r}; it has {known}")
    # The same open file is compared and read, so it cannot be exchanged in between.
    stream = _open_regular(folder / archive_name(entry["name"]))
    found = _digest_stream(stream)
    stream.seek(0)
    if found != (entry["ciphertext_sha256"], entry["ciphertext_size"]):
        stream.close()
        must = "must be the encrypted file that the signed manifest lists"
        raise FaultsError([Fault(entry["name"], must, "other bytes", REFETCH, reason="changed")])
    return open_crypt4gh(stream, key)


def extract_all(folder: Path, manifest: Mapping[str, Any], key: bytes, out: Path) -> None:
    """Decrypt every file of a package to its name below `out`, for its owner's eyes alone.

    Nothing that is there is replaced, and nothing is written outside `out`.

    Raises
    ------
    UsageError
        Before anything is written, with each name that is there already or would
        be reached through a link; when others may write in `out`.
    DataError
        When a file was changed, or was not encrypted to `key`.
    """
    targets = {name: out / archive_name(name) for name in sorted(manifest["files"])}
    _refuse_taken(out, targets)
    with private_files():
        out.mkdir(parents=True, exist_ok=True)
        for name, target in targets.items():
            remove_leftovers(target)
            extract(folder, manifest, name, key, target)


def _refuse_taken(out: Path, targets: Mapping[str, Path]) -> None:
    if os.path.lexists(out) and not out.is_dir():
        raise UsageError(f"--out must be a folder; {out} is something else. Name another.")
    if out.is_dir() and out.stat().st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise UsageError(
            f"--out must be a folder in which you alone can write; others can write in {out}. "
            f"Do: chmod go-w {shlex.quote(str(out))}, or name a new folder."
        )
    taken = []
    for name, target in targets.items():
        above = [path for path in target.parents if path != out and path.is_relative_to(out)]
        is_through_link = any(
            os.path.lexists(p) and (p.is_symlink() or not p.is_dir()) for p in above
        )
        if is_through_link or os.path.lexists(target):
            taken.append(name)
    if taken:
        more = f" and {len(taken) - 3} more" if len(taken) > 3 else ""
        raise UsageError(
            f"--out must hold none of the package's files, and no link in their place; {out} holds "
            f"{', '.join(taken[:3])}{more}. Nothing was written. Name a new folder."
        )


def extract(folder: Path, manifest: Mapping[str, Any], name: str, key: bytes, target: Path) -> None:
    """Decrypt one file to `target`, which appears only when digest and length are as signed.

    It is its owner's alone; a file that is there is not replaced.
    """
    entry = manifest["files"][name]
    try:
        with private_files(), atomic_path(target, replace=False) as temporary:
            reader = open_member(folder, manifest, name, key)
            with reader, temporary.open("wb") as stream:
                while chunk := reader.read(CHUNK):
                    stream.write(chunk)
            if _digest(temporary) != (entry["plaintext_sha256"], entry["plaintext_size"]):
                must = "must decrypt to the plaintext that was signed"
                raise FaultsError(
                    [Fault(entry["name"], must, "another", REFETCH, reason="plaintext")]
                )
    except FileExistsError as error:
        raise UsageError(f"{target} is there already: it is not replaced. Name another.") from error


def _open_regular(path: Path) -> BinaryIO:
    """Open a file that is no link, and waits for nobody."""
    try:
        stream = os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb")
    except OSError as error:
        must = "must be a file of the package"
        found = str(error.strerror)
        raise FaultsError([Fault(path.name, must, found, REFETCH, reason="missing")]) from error
    if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
        stream.close()
        must = "must be a regular file"
        raise FaultsError([Fault(path.name, must, "a device or pipe", REFETCH, reason="missing")])
    return stream


def _read_back(path: Path, session_key: bytes, n_recipients: int) -> tuple[str, int]:
    """Digest and length of what the file decrypts to."""
    from crypt4gh import header

    with path.open("rb") as stream:
        if len(list(header.parse(stream))) != n_recipients:
            raise DataError(
                "the header must have one packet a recipient", reason="encryption_failed"
            )
        return _digest_stream(Crypt4ghReader(stream, session_key))


def _digest(path: Path) -> tuple[str, int]:
    with path.open("rb") as stream:
        return _digest_stream(stream)


def _digest_stream(stream: BinaryIO | Crypt4ghReader) -> tuple[str, int]:
    digest, size = hashlib.sha256(), 0
    while chunk := stream.read(CHUNK):
        digest.update(chunk)
        size += len(chunk)
    return digest.hexdigest(), size
