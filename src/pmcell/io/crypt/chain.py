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

import fcntl
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from pmcell.errors import FaultsError, UsageError
from pmcell.io.atomic import write_text
from pmcell.io.crypt.chain_form import (
    Head,
    against_head,
    against_witness,
    canonical,
    digest_of,
    error_of,
    head_path,
    is_begun,
    origin_of,
    pending_path,
    read_heads,
    signed_head,
    walk,
)
from pmcell.io.crypt.keys import fingerprint

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import (
        Ed25519PrivateKey,
        Ed25519PublicKey,
    )

MAX_FAULTS = 20
"""Faults that are listed; one edit breaks at most two lines, a reordering every line after it."""


@dataclass(frozen=True)
class Chain:
    """A chain that was verified: its entries in order, and its head.

    `was_interrupted` says that the last append was signed but not finished: its
    entries count, and the next append writes them.
    """

    entries: tuple[dict[str, Any], ...]
    head: Head
    was_interrupted: bool = False


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
    exists = is_begun(path)
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
        signed = signed_head(head, key)
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
            raise error_of(path, "must be there: its signed head is", "no such file", "cut")
        raise UsageError(f"{path.name} must be a chain of records; there is none at {path}")
    with path.open("rb") as stream, _locked(stream, fcntl.LOCK_SH):
        data = stream.read()
        head, pending = read_heads(path, chain, signers)
    was_interrupted = False
    if pending is not None and (head is None or pending.head.n > head.n):
        begun, whole = head.bytes if head else 0, b"".join(pending.lines)
        if data[begun:] == whole[: len(data) - begun]:
            data, head, was_interrupted = data[:begun] + whole, pending.head, True
    if head is None:
        raise error_of(head_path(path), "must be there, signed", "no such file", "head_missing")
    faults, entries, digests = walk(path, data, chain)
    faults += against_head(path, data, digests, head, has_faults=bool(faults))
    if witness is not None and not faults:
        faults += against_witness(path, digests, head, witness)
    if faults:
        raise FaultsError(faults[:MAX_FAULTS])
    return Chain(tuple(entries), head, was_interrupted)


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
    last = before.sha256 if before else origin_of(chain)
    lines = []
    for entry in entries:
        n += 1
        line = canonical({"seq": n, "prev": last, "entry": dict(entry)}) + b"\n"
        last, size = digest_of(line), size + len(line)
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
    head, pending = read_heads(path, chain, [key])
    stream.seek(0, os.SEEK_END)
    size = stream.tell()
    if pending is not None and (head is None or pending.head.n > head.n):
        begun = head.bytes if head else 0
        stream.seek(begun)
        if stream.read() == b"".join(pending.lines)[: max(size - begun, 0)] and size >= begun:
            _finish(path, stream, begun, pending.lines, pending.signed)
            head, size = pending.head, pending.head.bytes
    if head is None:
        raise error_of(head_path(path), "must be there, signed", "no such file", "head_missing")
    if size != head.bytes:
        found = f"{size} bytes"
        raise error_of(path, f"must have the {head.bytes} bytes that its head signs", found, "cut")
    if head.n and digest_of(_last_line(stream, size)) != head.sha256:
        raise error_of(path, "must end with the line that its head signs", "another line", "edited")
    return head


def _last_line(stream: IO[bytes], size: int) -> bytes:
    block, start = b"", size
    while start > 0 and b"\n" not in block[:-1]:
        step = min(max(4096, len(block)), start)
        start -= step
        stream.seek(start)
        block = stream.read(size - start)
    return block[block.rfind(b"\n", 0, -1) + 1 :]
