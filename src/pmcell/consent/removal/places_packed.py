"""What is packed in bytes: whole files, streams within others, words of base64 and hexadecimal."""

from __future__ import annotations

import base64
import bz2
import hashlib
import lzma
import re
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np

from pmcell.consent.removal.place import Into, Place
from pmcell.core.byte_signs import long_words, signs

ZIP, GZIP, BZIP, XZ, LZMA, ZSTD, LZ4 = (
    b"PK\x03\x04", b"\x1f\x8b", b"BZh", b"\xfd7zXZ\x00", b"\x5d\x00\x00", b"\x28\xb5\x2f\xfd",
    b"\x04\x22\x4d\x18",
)  # fmt: skip
ZLIB = (b"\x78\x01", b"\x78\x5e", b"\x78\x9c", b"\x78\xda")
READERS: dict[bytes, tuple[str, Callable[[], Any]]] = {
    GZIP: ("gzip", partial(zlib.decompressobj, 31)),
    BZIP: ("bzip2", bz2.BZ2Decompressor),
    XZ: ("xz", lzma.LZMADecompressor),
    LZMA: ("lzma", lzma.LZMADecompressor),
}
"""Name and reader of what is packed whole, by how it begins."""
MAX_BYTES = 1 << 31
"""Of one member of an archive; a larger one is named as not read."""
_PLAIN, _OF_ADDRESSES = np.zeros((2, 256), dtype=bool)
_PLAIN[list(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")] = True
_OF_ADDRESSES[list(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-")] = True
"""Bytes that words of base64 are made of, plain and for addresses: no word has signs of both."""
MIN_WORD = 24
"""Letters of a word that is decoded; names in shorter ones are found as they are."""
MAX_KEPT = 128
"""Letters of a word that is remembered as it is, and not by its digest."""
MIN_PACKED = 36
"""Bytes of a word that are read as a stream without a header: digests have fewer."""
MAX_GAP = 16
"""Bytes between two lines of one text in base64: a line break, with an indent or quotes."""
MAX_STREAMS = 200_000
MAX_SHUFFLED, MAX_FREE = 64, 1 << 22
"""Bytes of a value, and of a stream in free space, up to which HDF5's shuffling is undone."""
FIRST_STEP, LAST_STEP = 256, 1 << 22
MIN_STREAM, MIN_BROKEN = 8, 256
"""Bytes that a stream must say, whole, and where it breaks off."""
HEADER = 30
"""Bytes of the header of a zip member before its name."""
BROKEN = (
    OSError, ValueError, EOFError, RuntimeError, zlib.error, lzma.LZMAError, MemoryError,
    OverflowError,
)  # fmt: skip
"""What readers raise where a stream is none, or breaks off."""


def packed_whole(data: bytes, where: str, depth: int, into: Into) -> Iterator[Place]:
    """A file that is packed as a whole, in one stream or more, and what stands behind them."""
    magic = next(magic for magic in READERS if data.startswith(magic))
    name, reader = READERS[magic]
    parts: list[bytes] = []
    while data.startswith(magic):
        stream = reader()
        parts.append(stream.decompress(data))
        if not stream.eof:
            raise EOFError
        data = stream.unused_data.lstrip(b"\0")
    yield from into(b"".join(parts), f"{where}/{name}", depth + 1)
    if data:
        yield from into(data, f"{where}/behind the end", depth + 1)


def streams(
    data: bytes, begins: list[tuple[int, str]], where: str, depth: int, into: Into
) -> Iterator[Place]:
    """Packed streams within other bytes: PNG, PDF, free space, what was put behind a file's end."""
    if len(begins) > MAX_STREAMS:
        yield Place(where, problem=f"more than {MAX_STREAMS} possible streams")
        return
    end = 0
    for start, kind in begins:
        if start < end:
            continue
        text, size = unpacked(data, start, kind)
        if text:
            # What lies within a stream that was read is no other stream.
            end = start + size
            yield from into(text, f"{where}/stream at {start}", depth + 1)
        if kind == "zip":
            size = int.from_bytes(data[start + 26 : start + 28], "little")
            name = data[start + HEADER : start + HEADER + size]
            yield Place(f"{where}/name at {start}", name)


def free_space(data: bytes, where: str, depth: int, into: Into) -> Iterator[Place]:
    """Streams in the bytes of an HDF5 file that no dataset holds, as they are and unshuffled."""
    for place in streams(data, signs(data, MAX_STREAMS + 1)[1], where, depth, into):
        yield place
        # The filter that HDF5 has before its packing: first bytes of all values, then second ones.
        for size in range(2, MAX_SHUFFLED + 1) if len(place.text) <= MAX_FREE else ():
            yield Place(f"{place.where}/in order", unshuffled(place.text, size))


def unshuffled(data: bytes, size: int) -> bytes:
    """Values of some bytes each whose first bytes stand together, then the second ones.

    >>> unshuffled(b"dgoon", 2)
    b'dogo'
    """
    n_values = len(data) // size
    return np.frombuffer(data, np.uint8, n_values * size).reshape(size, n_values).T.tobytes()


def unpacked(data: bytes, start: int, kind: str) -> tuple[bytes, int]:
    """What a stream says that begins here, and how long it is; nothing where none does."""
    try:
        if kind in ("zlib", "gzip"):
            return inflated(data, start, 15 if kind == "zlib" else 31)
        if kind == "zip":
            size = HEADER + sum(
                int.from_bytes(data[at : at + 2], "little") for at in (start + 26, start + 28)
            )
            is_packed = data[start + 8 : start + 10] == b"\x08\0"
            text, packed = inflated(data, start + size, -15) if is_packed else (b"", 0)
            return text, size + packed
        if kind in ("zstd", "lz4"):
            return by_arrow(data[start:]), 4
        reader: Any = bz2.BZ2Decompressor() if kind == "bzip" else lzma.LZMADecompressor()
        text = reader.decompress(data[start:], MAX_BYTES)
        return text, len(data) - start - len(reader.unused_data)
    except BROKEN:
        return b"", 0


def inflated(data: bytes, start: int, bits: int) -> tuple[bytes, int]:
    """What a stream says that begins here, and how long it is; 0 where it does not end."""
    stream = zlib.decompressobj(bits)
    view, at, step = memoryview(data), start, FIRST_STEP
    parts: list[bytes] = []
    n_bytes = 0
    try:
        # In steps: what follows the stream would be copied whole for each.
        while at < len(data) and not stream.eof and n_bytes < MAX_BYTES:
            piece = view[at : at + step]
            parts.append(stream.decompress(piece, MAX_BYTES - n_bytes))
            n_bytes += len(parts[-1])
            at, step = at + len(piece), min(4 * step, LAST_STEP)
    except (zlib.error, MemoryError):
        # A chance header fails within its first bytes; a stream that was overwritten says more.
        if n_bytes < MIN_BROKEN:
            return b"", 0
    text = b"".join(parts)
    size = at - start - len(stream.unused_data) if stream.eof else 0
    return (text, size) if len(text) >= MIN_STREAM else (b"", 0)


def by_arrow(data: bytes, kind: str = "") -> bytes:
    """What zstd or lz4 packed, in one frame or more, or what another program of Arrow's did."""
    import pyarrow as pa

    kind = kind or ("lz4" if data.startswith(LZ4) else "zstd")
    with pa.CompressedInputStream(pa.BufferReader(data), kind) as stream:
        return bytes(stream.read())


def words(
    data: bytes, where: str, depth: int, into: Into, of_text: Into, opened: dict[bytes, int]
) -> Iterator[Place]:
    """What long words say in base64 or hexadecimal: as text together, packed ones each.

    `opened` has the words that were met before in what these stand in: they say the same again.
    """
    found: list[bytes] = []
    others: list[bytes] = []
    for text in (*_joined_words(data, _PLAIN), *_joined_words(data, _OF_ADDRESSES)):
        mark = text if len(text) <= MAX_KEPT else hashlib.blake2b(text, digest_size=16).digest()
        if mark in opened:
            continue
        opened[mark] = depth
        for plain, kind in _decoded(text):
            if plain.startswith((*READERS, *ZLIB, *CONTAINERS)):
                # Its bytes are searched there; among texts they would be read as ways of writing.
                yield from into(plain, f"{where}/{kind}", depth + 1)
                continue
            if len(plain) >= MIN_PACKED and (raw := inflated(plain, 0, -15))[1]:
                # A whole stream without a header, as programs in web pages pack.
                yield from of_text(raw[0], f"{where}/{kind}", depth + 1)
            (found if _is_text(plain) else others).append(plain)
    if others:
        # Most long words are no base64: what they would say is searched as it is, and not read.
        yield Place(f"{where}/base64", b"\n".join(others))
    if found:
        yield from of_text(b"\n".join(found), f"{where}/base64", depth + 1)


def _is_text(data: bytes) -> bool:
    if data.isascii():
        return True
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


CONTAINERS = (ZIP, ZSTD, LZ4, b"PAR1", b"\x89HDF\r\n\x1a\n", b"\x89PNG", b"SQLite format 3\0")
"""What a word that is decoded may begin with and is then opened by itself."""
_NO_HEX = re.compile(rb"[^0-9A-Fa-f]")


def _decoded(word: bytes) -> Iterator[tuple[bytes, str]]:
    if word.startswith(b"+"):
        # As UTF-7 marks it, which is of letters of two bytes.
        inner = word.strip(b"+")
        yield base64.b64decode(inner[: len(inner) // 4 * 4]), "base64"
    # As databases mark it: x and 0x.
    digits = word.removeprefix(b"0").removeprefix(b"x") if b"x" in word[:2] else word
    is_hex = len(digits) % 2 == 0 and not _NO_HEX.search(digits)
    if len(word) % 4 != 1 and not is_hex:
        # So many letters of base64 are never all hexadecimal digits by chance.
        yield base64.b64decode(word + b"=" * (-len(word) % 4)), "base64"
    if len(word) % 8 == 0 and not word.strip(b"01"):
        yield int(word, 2).to_bytes(len(word) // 8, "big"), "binary"
    groups = word.replace(b"+", b"")
    if len(groups) < len(word) and len(groups) % 2 == 0 and not _NO_HEX.search(groups):
        # As ids of 128 bits are written, in groups with hyphens.
        yield bytes.fromhex(groups.decode()), "hexadecimal"
    if is_hex:
        yield bytes.fromhex(digits.decode()), "hexadecimal"


def _joined_words(data: bytes, letters: np.ndarray) -> Iterator[bytes]:
    """Long words of base64, as it is written plain, each once.

    Lines of one length with the same signs between them are one word.
    """
    found = long_words(data, letters, MIN_WORD)
    if letters is not _PLAIN and len(found):
        found = found[~_are_in_plain(data, found)]
    lengths, gaps = np.diff(found)[:, 0], found[1:, 0] - found[:-1, 1]
    may_go_on = (lengths[:-1] % 4 == 0) & (lengths[1:] <= lengths[:-1]) & (gaps <= MAX_GAP)
    goes_on = np.concatenate([may_go_on, [False]]) | np.concatenate([[False], may_go_on])
    # One before the end of a line may go on in a shorter one, which is no word of its own.
    ends = _ENDS_LINE[np.frombuffer(data, np.uint8)[np.minimum(found[:, 1], len(data) - 1)]]
    is_alone = ~(goes_on[: len(found)] | (ends & (np.diff(found)[:, 0] % 4 == 0)))
    for word in dict.fromkeys(data[begin:end] for begin, end in found[is_alone].tolist()):
        yield word.translate(_URL_SAFE)
    yield from _lines(data, found[~is_alone].tolist())


def _lines(data: bytes, found: list[list[int]]) -> Iterator[bytes]:
    """Words that may be lines of one, joined where they are, with a short last line."""
    parts: list[bytes] = []
    length, gap, last = 0, b"", 0
    for begin, end in found:
        between = data[last:begin]
        goes_on = (
            bool(parts)
            and length % 4 == 0
            and len(parts[-1]) == length
            and end - begin <= length
            and len(between) <= MAX_GAP
            and (len(parts) == 1 or between == gap)
        )
        if parts and not goes_on:
            yield from _with_last(data, parts, last)
            parts = []
        if not parts:
            length = end - begin
        parts.append(data[begin:end])
        gap, last = between, end
    if parts:
        yield from _with_last(data, parts, last)


def _with_last(data: bytes, parts: list[bytes], end: int) -> Iterator[bytes]:
    """Lines as one word; also with what may be their last line, too short for a word."""
    word = b"".join(parts).translate(_URL_SAFE)
    yield word
    rest = _LAST.match(data, end)
    if rest and len(word) % 4 == 0 and len(rest[1]) % 4 != 1:
        yield word + rest[1].translate(_URL_SAFE)


_LAST = re.compile(
    rb"(?=.{0,16}?(?:\n|\\n))[^A-Za-z0-9+/_-]{0,16}?(?:\\n)?[^A-Za-z0-9+/_-]{0,16}?([A-Za-z0-9+/_-]{2,23})(?![A-Za-z0-9+/_-])",
    re.DOTALL,
)
"""A short word behind the end of a line, or behind what stands for one."""


def _are_in_plain(data: bytes, words: np.ndarray) -> np.ndarray:
    """Whether words are read as plain ones already: without signs of addresses, in no path."""
    values = np.frombuffer(data, np.uint8)
    n_signs = np.concatenate([[0], np.cumsum(_ADDRESS_SIGNS[values], dtype=np.int64)])
    has_signs = n_signs[words[:, 1]] > n_signs[words[:, 0]]
    before = values[np.maximum(words[:, 0] - 1, 0)]
    is_in_path = (words[:, 0] > 0) & ((before == ord("/")) | (before == ord("+")))
    return np.asarray(~has_signs & ~is_in_path)


_ENDS_LINE = np.zeros(256, np.bool_)
_ENDS_LINE[list(b"\r\n\\")] = True
_ADDRESS_SIGNS = np.zeros(256, np.bool_)
_ADDRESS_SIGNS[list(b"-_")] = True
_URL_SAFE = bytes.maketrans(b"-_", b"+/")
