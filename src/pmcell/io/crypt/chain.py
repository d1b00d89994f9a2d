"""Append-only records: JSON lines, each bound to the one before, under a signed head.

A line holds its number, the SHA-256 of the line before it, and an entry. The
head says how many lines there are and what the last one's digest is, signed
with Ed25519: the chain alone could not tell a cut tail. Both can still be put
back together to an older state, so whoever must notice that keeps a copy of a
head elsewhere and hands it to `read_chain` as `witness`.

An append is written ahead: the new lines and the new head, signed, stand in
`NAME.pending` before the first byte of them is added. A crash at any moment
leaves the old chain or the new one, and a line that it tore is told from one
that somebody cut: only the torn one begins a line of the pending ones.
"""

from __future__ import annotations

import base64
import builtins
import fcntl
import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from pmcell.errors import DataError, Fault, FaultsError, UsageError
from pmcell.io.atomic import write_text
from pmcell.io.crypt.keys import fingerprint

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import (
        Ed25519PrivateKey,
        Ed25519PublicKey,
    )

FORMAT = "pmcell chain 1"
HEAD_SUFFIX, PENDING_SUFFIX = ".head.json", ".pending"
MAX_FAULTS = 20
"""Faults that are listed; one edit breaks at most two lines, a reordering every line after it."""
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
        return _canonical(asdict(self))


@dataclass(frozen=True)
class Chain:
    """A chain that was verified: its entries in order, and its head.

    `was_interrupted` says that the last append was signed but not finished: its
    entries count, and the next append writes them.
    """

    entries: tuple[dict[str, Any], ...]
    head: Head
    was_interrupted: bool = False


def head_path(path: Path) -> Path:
    """Where the signed head of a chain lies."""
    return path.with_name(path.name + HEAD_SUFFIX)


def pending_path(path: Path) -> Path:
    """Where an append stands while it is being written."""
    return path.with_name(path.name + PENDING_SUFFIX)


def append(
    path: Path | str,
    entries: Sequence[Mapping[str, Any]],
    *,
    chain: str,
    key: Ed25519PrivateKey,
    create: bool = False,
) -> Head:
    """Add entries to the end of a chain, all or none of them, and sign its new head.

    Parameters
    ----------
    path
        The chain's file. One writer at a time: others wait for its lock.
    entries
        JSON objects; at least one, unless the chain is created by this.
    chain
        Name of the chain, which every line hangs on: no other chain passes for it.
    key
        The key that signs; it must be the one that signed the chain so far.
    create
        Begin a chain that is not there. Without it a missing one is an error, so that
        nobody gets rid of a chain by deleting it.

    Returns
    -------
    Head
        The new head, on disk when the function returns.

    Raises
    ------
    DataError
        When the chain does not end as its head says, or the head is not signed by `key`.
    UsageError
        When there is no chain, or `create` finds one.
    """
    path = Path(path)
    # An empty file is what a process leaves that was killed before it began a chain.
    has_lines = path.exists() and path.stat().st_size > 0
    exists = has_lines or head_path(path).exists() or pending_path(path).exists()
    if create and exists:
        raise UsageError(f"{path.name} must not be there yet; it is. Add to it instead")
    if not create and not exists:
        raise UsageError(f"{path.name} must be a chain of records; there is none at {path}")
    signer = fingerprint(key.public_key().public_bytes_raw())
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+b") as stream, _locked(stream, fcntl.LOCK_EX):
        if create and os.fstat(stream.fileno()).st_size:
            raise UsageError(f"{path.name} must not be there yet; another process made it")
        before = None if create else _recovered(path, stream, chain, key.public_key())
        lines, head = _next(before, entries, chain, signer)
        signed = _signed(head, key)
        write_text(
            pending_path(path),
            json.dumps({**signed, "lines": [line.decode("ascii") for line in lines]}),
        )
        _finish(path, stream, before.bytes if before else 0, lines, signed)
    return head


def read_chain(
    path: Path | str,
    *,
    chain: str,
    signers: Sequence[Ed25519PublicKey],
    witness: Head | None = None,
) -> Chain:
    """Verify a chain and return what it holds; nothing is written.

    Parameters
    ----------
    path
        The chain's file, beside which its head lies.
    chain
        The name that the chain must have.
    signers
        Public keys that may have signed the head.
    witness
        A head that was noted elsewhere: the chain must still contain it.

    Raises
    ------
    FaultsError
        With every line that was edited, moved, repeated or cut off, as far as it can be told;
        with a head that is missing, not signed by any of `signers`, or of other lines.
    UsageError
        When there is no such chain.
    """
    path = Path(path)
    if not path.is_file():
        if head_path(path).exists():
            raise _error(path, "must be there: its signed head is", "no such file", "cut")
        raise UsageError(f"{path.name} must be a chain of records; there is none at {path}")
    with path.open("rb") as stream, _locked(stream, fcntl.LOCK_SH):
        data = stream.read()
        head, pending = _read_heads(path, chain, signers)
    was_interrupted = False
    if pending is not None and (head is None or pending.head.n > head.n):
        begun, whole = head.bytes if head else 0, b"".join(pending.lines)
        if data[begun:] == whole[: len(data) - begun]:
            data, head, was_interrupted = data[:begun] + whole, pending.head, True
    if head is None:
        raise _error(head_path(path), "must be there, signed", "no such file", "head_missing")
    faults, entries, digests = _walk(path, data, chain)
    faults += _against_head(path, data, digests, head, has_faults=bool(faults))
    if witness is not None and not faults:
        faults += _against_witness(path, digests, head, witness)
    if faults:
        raise FaultsError(faults[:MAX_FAULTS])
    return Chain(tuple(entries), head, was_interrupted)


@dataclass(frozen=True)
class _Pending:
    head: Head
    lines: tuple[bytes, ...]
    signed: Mapping[str, Any]


@contextmanager
def _locked(stream: IO[bytes], kind: int) -> Iterator[None]:
    """Hold the file's lock; it goes with the process, however that ends."""
    fcntl.flock(stream, kind)
    try:
        yield
    finally:
        fcntl.flock(stream, fcntl.LOCK_UN)


def _next(
    before: Head | None, entries: Sequence[Mapping[str, Any]], chain: str, signer: str
) -> tuple[list[bytes], Head]:
    n, size = (before.n, before.bytes) if before else (0, 0)
    last = before.sha256 if before else _origin(chain)
    lines = []
    for entry in entries:
        n += 1
        line = _canonical({"seq": n, "prev": last, "entry": dict(entry)}) + b"\n"
        last, size = _digest(line), size + len(line)
        lines.append(line)
    return lines, Head(chain, n, size, last, signer)


def _finish(
    path: Path, stream: IO[bytes], begun: int, lines: Sequence[bytes], signed: Mapping[str, Any]
) -> None:
    """Write the pending lines from where the old chain ended, then the head."""
    stream.truncate(begun)
    stream.write(b"".join(lines))
    stream.flush()
    os.fsync(stream.fileno())
    write_text(head_path(path), json.dumps(signed, indent=2, sort_keys=True) + "\n")
    pending_path(path).unlink(missing_ok=True)


def _recovered(path: Path, stream: IO[bytes], chain: str, key: Ed25519PublicKey) -> Head:
    """The head as it is once an append that was interrupted is finished; the end is compared."""
    head, pending = _read_heads(path, chain, [key])
    stream.seek(0, os.SEEK_END)
    size = stream.tell()
    if pending is not None and (head is None or pending.head.n > head.n):
        begun = head.bytes if head else 0
        stream.seek(begun)
        if stream.read() == b"".join(pending.lines)[: max(size - begun, 0)] and size >= begun:
            _finish(path, stream, begun, pending.lines, pending.signed)
            head, size = pending.head, pending.head.bytes
    if head is None:
        raise _error(head_path(path), "must be there, signed", "no such file", "head_missing")
    if size != head.bytes:
        found = f"{size} bytes"
        raise _error(path, f"must have the {head.bytes} bytes that its head signs", found, "cut")
    if head.n and _digest(_last_line(stream, size)) != head.sha256:
        raise _error(path, "must end with the line that its head signs", "another line", "edited")
    return head


def _last_line(stream: IO[bytes], size: int) -> bytes:
    block, start = b"", size
    while start > 0 and b"\n" not in block[:-1]:
        step = min(max(4096, len(block)), start)
        start -= step
        stream.seek(start)
        block = stream.read(size - start)
    return block[block.rfind(b"\n", 0, -1) + 1 :]


def _read_heads(
    path: Path, chain: str, signers: Sequence[Ed25519PublicKey]
) -> tuple[Head | None, _Pending | None]:
    head = _read_signed(head_path(path), chain, signers)
    pending = _read_signed(pending_path(path), chain, signers)
    if pending is None:
        return (head[0] if head else None), None
    found, raw = pending
    lines = raw.pop("lines", None)
    if not isinstance(lines, list) or not all(isinstance(line, str) for line in lines):
        must = "must hold the lines of an append"
        raise _error(pending_path(path), must, "none", "head_replaced")
    encoded = tuple(line.encode("utf-8") for line in lines)
    if not _are_signed(encoded, found):
        must = "must hold the lines that its head signs"
        raise _error(pending_path(path), must, "other lines", "head_replaced")
    return (head[0] if head else None), _Pending(found, encoded, raw)


def _are_signed(lines: Sequence[bytes], head: Head) -> bool:
    """Whether each of the pending lines hangs on the one before, and the last is the head's."""
    last = head.sha256
    for line in reversed(lines):
        item = _parsed(line)
        if _digest(line) != last or item is None:
            return False
        last = item["prev"]
    return bool(lines) or head.n == 0


def _read_signed(
    path: Path, chain: str, signers: Sequence[Ed25519PublicKey]
) -> tuple[Head, dict[str, Any]] | None:
    from cryptography.exceptions import InvalidSignature

    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        head = Head(**{name: raw[name] for name in Head.__dataclass_fields__})
        signature = base64.b64decode(raw["signature"], validate=True)
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        must = "must be the signed head of a chain"
        raise _error(path, must, f"{type(error).__name__}: {error}", "head_replaced") from error
    if head.format != FORMAT or head.chain != chain:
        found = f"the head of {head.chain!r} ({head.format})"
        raise _error(path, f"must be the head of {chain!r} ({FORMAT})", found, "head_replaced")
    by_name = {fingerprint(key.public_bytes_raw()): key for key in signers}
    if head.signer not in by_name:
        must = f"must be signed by {' or '.join(by_name) or 'a key that is trusted'}"
        fix = "Name the right public key, or restore the head from a backup."
        raise _error(path, must, f"a head by {head.signer}", "wrong_key", fix)
    try:
        by_name[head.signer].verify(signature, head.message())
    except InvalidSignature as error:
        found = "a signature of something else"
        raise _error(path, "must be as it was signed", found, "head_replaced") from error
    return head, raw


def _walk(
    path: Path, data: bytes, chain: str
) -> tuple[list[Fault], list[dict[str, Any]], list[str]]:
    """Every line against its number and the line before; faults, entries and digests."""
    faults: list[Fault] = []
    entries: list[dict[str, Any]] = []
    digests: list[str] = []
    seen: dict[int, int] = {}
    last = _origin(chain)
    lines = data.split(b"\n")
    if lines.pop():
        faults.append(_fault(path, "must end with a whole line", "a part of one", "cut", None))
    for row, raw in enumerate(lines, start=1):
        line = raw + b"\n"
        digest = _digest(line)
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
        item = json.loads(raw)
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


def _against_head(
    path: Path, data: bytes, digests: Sequence[str], head: Head, *, has_faults: bool
) -> list[Fault]:
    last = digests[-1] if digests else _origin(head.chain)
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


def _against_witness(
    path: Path, digests: Sequence[str], head: Head, witness: Head
) -> Iterator[Fault]:
    is_there = (
        witness.n <= len(digests)
        and (digests[witness.n - 1] if witness.n else _origin(head.chain)) == witness.sha256
    )
    if not is_there:
        must = f"must still contain record {witness.n}, which was noted elsewhere"
        found = f"a chain of {head.n} records without it: an older state was put back"
        yield _fault(path, must, found, "rolled_back", None)


def _signed(head: Head, key: Ed25519PrivateKey) -> dict[str, Any]:
    signature = base64.b64encode(key.sign(head.message())).decode("ascii")
    return {**asdict(head), "signature": signature}


def _origin(chain: str) -> str:
    return _digest(f"{FORMAT}\n{chain}\n".encode())


def _digest(line: bytes) -> str:
    return hashlib.sha256(line).hexdigest()


def _canonical(value: Any) -> bytes:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return text.encode("ascii")


def _fault(path: Path, must: str, found: str, reason: str, row: int | None) -> Fault:
    return Fault(path.name, must, found, RESTORE, row=row, reason=f"chain_{reason}")


def _error(path: Path, must: str, found: str, reason: str, fix: str = RESTORE) -> DataError:
    return FaultsError([Fault(path.name, must, found, fix, reason=f"chain_{reason}")])
