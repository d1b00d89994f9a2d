"""Crypt4GH files (GA4GH 1.0): encrypt for several recipients, read any part without decrypting all.

Crypt4GH authenticates each segment of 64 KiB but neither their number nor
their order (hts-specs#649): a file that lost, swapped or repeated segments is
accepted by every reader. Open a file only after its ciphertext digest was
compared with one that came by a trusted way: `publish/sealed/sealed.py` does.
"""

from __future__ import annotations

import io
import os
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

from pmcell.errors import DataError

SEGMENT = 65_536
NONCE, TAG = 12, 16
CIPHER_SEGMENT = NONCE + SEGMENT + TAG
CACHED_SEGMENTS = 64


def encrypt_file(source: Path, temporary: Path, recipients: Sequence[bytes]) -> bytes:
    """Encrypt `source` into `temporary` so that each recipient's key alone decrypts it.

    `temporary` is the path that the caller's `atomic_path` gave. The sender's
    key is made for this file and forgotten. Returns the session key, with
    which `Crypt4ghReader` reads the file back at once; keep it nowhere.
    """
    from crypt4gh import header
    from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

    from pmcell.io.crypt.keys import quiet

    quiet()
    session_key = os.urandom(32)
    cipher = ChaCha20Poly1305(session_key)
    keys = [(0, os.urandom(32), recipient) for recipient in recipients]
    packets = header.encrypt(header.make_packet_data_enc(0, session_key), keys)
    with source.open("rb") as plain, temporary.open("wb") as encrypted:
        encrypted.write(header.serialize(packets))
        while segment := plain.read(SEGMENT):
            nonce = os.urandom(NONCE)
            encrypted.write(nonce + cipher.encrypt(nonce, segment, None))
    return session_key


def open_crypt4gh(stream: BinaryIO, private_key: bytes) -> Crypt4ghReader:
    """Read the open encrypted file `stream` with the 32 bytes of a private key.

    `DataError` when the file was not encrypted to the key.
    """
    from crypt4gh import header

    from pmcell.io.crypt.keys import quiet

    quiet()
    try:
        session_keys, edits = header.deconstruct(stream, [(0, private_key, None)])
    except Exception as error:  # the library raises whatever its parser does
        raise DataError(
            "the file must be Crypt4GH and encrypted to this key; its header does not open "
            f"({type(error).__name__}). Ask the sender which keys it was encrypted to.",
            reason="not_for_this_key",
        ) from error
    if edits is not None or len(session_keys) != 1:
        raise DataError(
            "the file must be encrypted whole with one session key; it has an edit list or "
            "several keys. Decrypt it with crypt4gh.",
            reason="unsupported_crypt4gh",
        )
    return Crypt4ghReader(stream, session_keys[0])


class Crypt4ghReader(io.RawIOBase):
    """The plaintext of an encrypted file as a seekable stream; nothing is written anywhere.

    `stream` stands behind the header. A few decrypted segments are kept in
    memory. `DataError` when a segment was changed.
    """

    def __init__(self, stream: BinaryIO, session_key: bytes) -> None:
        from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

        super().__init__()
        self._stream = stream
        self._cipher = ChaCha20Poly1305(session_key)
        self._start = stream.tell()
        full, rest = divmod(stream.seek(0, io.SEEK_END) - self._start, CIPHER_SEGMENT)
        if 0 < rest <= NONCE + TAG:
            raise DataError("the encrypted file ends inside a segment", reason="truncated")
        self._size = full * SEGMENT + max(0, rest - NONCE - TAG)
        self._position = 0
        self._segments: OrderedDict[int, bytes] = OrderedDict()

    def readable(self) -> bool:
        """Always."""
        return True

    def seekable(self) -> bool:
        """Always."""
        return True

    def tell(self) -> int:
        """Position in the plaintext."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a position of the plaintext; past the end reads are empty."""
        if whence not in (io.SEEK_SET, io.SEEK_CUR, io.SEEK_END):
            raise ValueError(f"whence must be 0, 1 or 2, got {whence}")
        position = (0, self._position, self._size)[whence] + offset
        if position < 0:
            raise ValueError(f"position must be at least 0, got {position}")
        self._position = position
        return position

    def readinto(self, buffer: object) -> int:
        """Fill `buffer` from the position on; the number of bytes read, 0 at the end."""
        view = memoryview(buffer).cast("B")  # type: ignore[arg-type]
        wanted = max(0, min(len(view), self._size - self._position))
        done = 0
        while done < wanted:
            number, offset = divmod(self._position, SEGMENT)
            part = self._segment(number)[offset : offset + wanted - done]
            view[done : done + len(part)] = part
            done += len(part)
            self._position += len(part)
        return wanted

    def close(self) -> None:
        """Close the encrypted file and forget what was decrypted."""
        if not self.closed:
            self._segments.clear()
            self._stream.close()
        super().close()

    def _segment(self, number: int) -> bytes:
        from cryptography.exceptions import InvalidTag

        if number in self._segments:
            self._segments.move_to_end(number)
            return self._segments[number]
        self._stream.seek(self._start + number * CIPHER_SEGMENT)
        cipher = self._stream.read(CIPHER_SEGMENT)
        try:
            plain = self._cipher.decrypt(cipher[:NONCE], cipher[NONCE:], None)
        except (InvalidTag, ValueError) as error:
            raise DataError(
                f"segment {number} of the encrypted file was changed: fetch the file again",
                reason="changed",
            ) from error
        while len(self._segments) >= CACHED_SEGMENTS:
            self._segments.popitem(last=False)
        self._segments[number] = plain
        return plain
