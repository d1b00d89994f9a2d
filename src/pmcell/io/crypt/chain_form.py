"""What a chain of records is made of: its lines, its signed head, and what contradicts them."""

from __future__ import annotations

import base64
import builtins
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pmcell.errors import DataError, Fault, FaultsError
from pmcell.io.crypt.keys import fingerprint
from pmcell.io.json_text import parse_json

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import (
        Ed25519PrivateKey,
        Ed25519PublicKey,
    )

FORMAT = "pmcell chain 1"
HEAD_SUFFIX, PENDING_SUFFIX = ".head.json", ".pending"
RESTORE = (
    "Restore the file and its head from a backup: what was recorded in it cannot be relied on."
)


@dataclass(frozen=True)
class Head:
    """What is signed of a chain: its name, how many lines it has, the digest of the last."""

    chain: str
    n: int
    bytes: int
    sha256: str
    signer: str
    format: str = FORMAT

    def message(self) -> builtins.bytes:
        """The bytes that are signed."""
        return canonical(asdict(self))


def head_path(path: Path) -> Path:
    """Where the signed head of a chain lies."""
    return path.with_name(path.name + HEAD_SUFFIX)


def pending_path(path: Path) -> Path:
    """Where an append stands while it is being written."""
    return path.with_name(path.name + PENDING_SUFFIX)


def is_begun(path: Path) -> bool:
    """Whether a chain was begun: an empty file is what a process leaves that was ended before."""
    has_lines = path.exists() and path.stat().st_size > 0
    return has_lines or head_path(path).exists() or pending_path(path).exists()


@dataclass(frozen=True)
class Pending:
    """An append that was begun: its head, its lines, and the head as it was signed."""

    head: Head
    lines: tuple[bytes, ...]
    signed: Mapping[str, Any]


def read_heads(
    path: Path, chain: str, signers: Sequence[Ed25519PublicKey]
) -> tuple[Head | None, Pending | None]:
    """The signed head of a chain and the append that was begun, as far as they are there."""
    head = _read_signed(head_path(path), chain, signers)
    pending = _read_signed(pending_path(path), chain, signers)
    if pending is None:
        return (head[0] if head else None), None
    found, raw = pending
    lines = raw.pop("lines", None)
    if not isinstance(lines, list) or not all(isinstance(line, str) for line in lines):
        must = "must hold the lines of an append"
        raise error_of(pending_path(path), must, "none", "head_replaced")
    encoded = tuple(line.encode("utf-8") for line in lines)
    if not _are_signed(encoded, found):
        must = "must hold the lines that its head signs"
        raise error_of(pending_path(path), must, "other lines", "head_replaced")
    return (head[0] if head else None), Pending(found, encoded, raw)


def _are_signed(lines: Sequence[bytes], head: Head) -> bool:
    """Whether each of the pending lines hangs on the one before, and the last is the head's."""
    last = head.sha256
    for line in reversed(lines):
        item = _parsed(line)
        if digest_of(line) != last or item is None:
            return False
        last = item["prev"]
    return bool(lines) or head.n == 0


def _read_signed(
    path: Path, chain: str, signers: Sequence[Ed25519PublicKey]
) -> tuple[Head, dict[str, Any]] | None:
    from cryptography.exceptions import InvalidSignature

    try:
        raw = parse_json(path.read_text(encoding="utf-8"))
        head = Head(**{name: raw[name] for name in Head.__dataclass_fields__})
        signature = base64.b64decode(raw["signature"], validate=True)
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        must = "must be the signed head of a chain"
        raise error_of(path, must, f"{type(error).__name__}: {error}", "head_replaced") from error
    if head.format != FORMAT or head.chain != chain:
        found = f"the head of {head.chain!r} ({head.format})"
        raise error_of(path, f"must be the head of {chain!r} ({FORMAT})", found, "head_replaced")
    by_name = {fingerprint(key.public_bytes_raw()): key for key in signers}
    if head.signer not in by_name:
        must = f"must be signed by {' or '.join(by_name) or 'a key that is trusted'}"
        fix = "Name the right public key, or restore the head from a backup."
        raise error_of(path, must, f"a head by {head.signer}", "wrong_key", fix)
    try:
        by_name[head.signer].verify(signature, head.message())
    except InvalidSignature as error:
        found = "a signature of something else"
        raise error_of(path, "must be as it was signed", found, "head_replaced") from error
    return head, raw


def walk(
    path: Path, data: bytes, chain: str
) -> tuple[list[Fault], list[dict[str, Any]], list[str]]:
    """Every line against its number and the line before; faults, entries and digests."""
    faults: list[Fault] = []
    entries: list[dict[str, Any]] = []
    digests: list[str] = []
    seen: dict[int, int] = {}
    last = origin_of(chain)
    lines = data.split(b"\n")
    if lines.pop():
        faults.append(_fault(path, "must end with a whole line", "a part of one", "cut", None))
    for row, raw in enumerate(lines, start=1):
        line = raw + b"\n"
        digest = digest_of(line)
        digests.append(digest)
        item = _parsed(raw)
        if item is None:
            faults.append(_fault(path, "must hold a record", "something else", "edited", row))
            last = digest
            continue
        seq = item["seq"]
        if seq in seen:
            found = f"number {seq}, which row {seen[seq]} has"
            faults.append(_fault(path, "must have a number of its own", found, "duplicate", row))
        elif seq != row:
            found = f"number {seq}"
            faults.append(_fault(path, f"must have number {row}", found, "reordered", row))
        elif item["prev"] != last:
            must = "must follow the record before it"
            found = "the digest of another one: one of the two was changed"
            faults.append(_fault(path, must, found, "edited", row))
        seen.setdefault(seq, row)
        entries.append(item["entry"])
        last = digest
    return faults, entries, digests


def _parsed(raw: bytes) -> dict[str, Any] | None:
    try:
        item = parse_json(raw)
    except ValueError:
        return None
    if not isinstance(item, dict) or item.keys() != {"seq", "prev", "entry"}:
        return None
    is_right = (
        type(item["seq"]) is int
        and isinstance(item["prev"], str)
        and isinstance(item["entry"], dict)
    )
    return item if is_right else None


def against_head(
    path: Path, data: bytes, digests: Sequence[str], head: Head, *, has_faults: bool
) -> list[Fault]:
    """What the lines contradict of the signed head."""
    last = digests[-1] if digests else origin_of(head.chain)
    if len(digests) < head.n:
        found = f"{len(digests)}: the last {head.n - len(digests)} were cut off"
        return [_fault(path, f"must hold the {head.n} records of its head", found, "cut", None)]
    if len(digests) > head.n:
        found = f"{len(digests)}: nobody signed those after row {head.n}"
        return [
            _fault(path, f"must hold the {head.n} records of its head", found, "unsigned", None)
        ]
    if not has_faults and (last != head.sha256 or len(data) != head.bytes):
        must = "must end with the record that its head signs"
        return [_fault(path, must, "another one", "edited", head.n or None)]
    return []


def against_witness(
    path: Path, digests: Sequence[str], head: Head, witness: Head
) -> Iterator[Fault]:
    """What the lines contradict of a head that was noted elsewhere."""
    is_there = (
        witness.n <= len(digests)
        and (digests[witness.n - 1] if witness.n else origin_of(head.chain)) == witness.sha256
    )
    if not is_there:
        must = f"must still contain record {witness.n}, which was noted elsewhere"
        found = f"a chain of {head.n} records without it: an older state was put back"
        yield _fault(path, must, found, "rolled_back", None)


def signed_head(head: Head, key: Ed25519PrivateKey) -> dict[str, Any]:
    """A head with its signature, as it is written."""
    signature = base64.b64encode(key.sign(head.message())).decode("ascii")
    return {**asdict(head), "signature": signature}


def origin_of(chain: str) -> str:
    """What the first line of a chain hangs on."""
    return digest_of(f"{FORMAT}\n{chain}\n".encode())


def digest_of(line: bytes) -> str:
    """SHA-256 of a line."""
    return hashlib.sha256(line).hexdigest()


def canonical(value: Any) -> bytes:
    """The one form in which a value is digested and signed."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return text.encode("ascii")


def _fault(path: Path, must: str, found: str, reason: str, row: int | None) -> Fault:
    return Fault(path.name, must, found, RESTORE, row=row, reason=f"chain_{reason}")


def error_of(path: Path, must: str, found: str, reason: str, fix: str = RESTORE) -> DataError:
    """The error of one fault."""
    return FaultsError([Fault(path.name, must, found, fix, reason=f"chain_{reason}")])
