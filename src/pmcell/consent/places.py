"""Everything that a file holds, one place after the other: texts as bytes, cells as prints.

Known containers are taken apart by what they are, not by their name: HDF5 with its
attributes and what was left in its free space, Parquet with its metadata and whole
dictionaries, Arrow, SQLite, zip (npz, xlsx) with members that its directory forgot,
gzip, bzip2, xz, zstd, lz4, blosc, tar, and base64 and packed streams within any
other bytes. The bytes of the file themselves are always one of the places. A
container that is known and cannot be opened is named.
"""

from __future__ import annotations

import base64
import bz2
import gzip
import io
import lzma
import quopri
import re
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from pmcell.consent.place import Place, dense_prints, matrix_prints
from pmcell.consent.places_hdf5 import SIGNATURE, begin_of, hdf5_places
from pmcell.consent.places_tables import (
    ARROW,
    ARROW_STREAM,
    FEATHER,
    ORC,
    PARQUET,
    SQLITE,
    arrow_places,
    parquet_places,
    sqlite_places,
    text_table,
)
from pmcell.core.byte_search import (
    ESCAPES,
    SOFT_BREAKS,
    TAGS,
    long_words,
    signs,
    unescaped,
    untagged,
)

MAX_DEPTH = 8
MAX_BYTES = 1 << 31
"""Of one member of an archive; a larger one is named as not read."""
ZIP, GZIP, BZIP, XZ, ZSTD, LZ4 = (
    b"PK\x03\x04", b"\x1f\x8b", b"BZh", b"\xfd7zXZ\x00", b"\x28\xb5\x2f\xfd", b"\x04\x22\x4d\x18",
)  # fmt: skip
ZLIB = (b"\x78\x01", b"\x78\x5e", b"\x78\x9c", b"\x78\xda")
MODULES = ((GZIP, gzip), (BZIP, bz2), (XZ, lzma))
CONTAINERS = (ZIP, GZIP, BZIP, XZ, ZSTD, PARQUET, SIGNATURE)
CLOSED = {
    b"7z\xbc\xaf\x27\x1c": "7z", b"Rar!\x1a\x07": "RAR", b"\x1f\x9d": "compress", b"LZIP": "lzip",
    b"Obj\x01": "Avro", b"\xff\x06\x00\x00sNaPpY": "snappy",
}  # fmt: skip
"""Containers that are known and not opened here."""
ENCRYPTED = (b"crypt4gh", b"age-encryption.org/", b"-----BEGIN PGP MESSAGE", b"Salted__")
PNG = b"\x89PNG\r\n\x1a\n"
_LETTERS = np.zeros(256, dtype=bool)
_LETTERS[list(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/_-")] = True
"""Bytes that words of base64 are made of, plain and for addresses."""
MIN_WORD = 24
"""Letters of a word that is decoded; names in shorter ones are found as they are."""
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
UNREADABLE = (
    OSError, ValueError, EOFError, KeyError, RuntimeError, NotImplementedError, zlib.error,
    lzma.LZMAError, zipfile.BadZipFile, tarfile.TarError, MemoryError, OverflowError,
)  # fmt: skip


def inside(path: Path) -> Iterator[Place]:
    """Every place of a file; a place that cannot be read has a `problem`."""
    data = path.read_bytes()
    yield from of_bytes(data, "", 0, path)


def of_bytes(data: bytes, where: str, depth: int, path: Path | None = None) -> Iterator[Place]:
    """Every place of some bytes, which may be packed in a file."""
    yield Place(where or "bytes", data)
    if depth > MAX_DEPTH:
        yield Place(where, problem=f"packed more than {MAX_DEPTH} times")
        return
    try:
        yield from _contents(data, where, depth, path)
    except UNREADABLE as error:
        yield Place(where or "content", problem=type(error).__name__)
    except Exception as error:
        # Libraries of tables have errors of their own; what they could not read is named.
        if type(error).__module__.split(".")[0] not in ("pyarrow", "sqlite3", "h5py", "numcodecs"):
            raise
        yield Place(where or "content", problem=type(error).__name__)


def of_text(data: bytes, where: str, depth: int) -> Iterator[Place]:
    """Texts that stand together, and what is packed or written in another way within them."""
    yield Place(where, data)
    if depth > MAX_DEPTH:
        yield Place(where, problem=f"packed more than {MAX_DEPTH} times")
        return
    yield from _within(data, where, depth)


def _contents(data: bytes, where: str, depth: int, path: Path | None) -> Iterator[Place]:
    begin = begin_of(data)
    if begin >= 0:
        whole = path if begin == 0 else None
        part = data[begin:]
        yield from hdf5_places(part, where, depth, whole, into=of_text, free=_free_space)
        yield from of_text(data[:begin], f"{where}/user block", depth) if begin else ()
    elif data.startswith(PARQUET) and data.endswith(PARQUET):
        yield from parquet_places(data, where, depth, of_text)
    elif data.startswith((ARROW, FEATHER)) or (data.startswith(ORC) and data.endswith(ORC, 0, -1)):
        yield from arrow_places(data, where, depth, of_text)
    elif data.startswith(SQLITE):
        yield from sqlite_places(data, where, depth, of_text)
    elif data.startswith(ZIP):
        yield from _zip(data, where, depth)
    elif data.startswith((ZSTD, LZ4)):
        yield from of_bytes(_by_arrow(data), f"{where}/unpacked", depth + 1)
    elif data[257:262] == b"ustar":
        yield from _tar(data, where, depth)
    elif data.startswith(ENCRYPTED):
        yield Place(where or "content", is_encrypted=True)
    elif name := next((name for magic, name in CLOSED.items() if data.startswith(magic)), None):
        yield Place(where or "content", problem=f"{name} is not opened")
    elif module := next((module for magic, module in MODULES if data.startswith(magic)), None):
        yield from of_bytes(module.decompress(data), f"{where}/{module.__name__}", depth + 1)
    elif _is_blosc(data):
        from numcodecs import blosc

        yield from of_bytes(blosc.decompress(data), f"{where}/blosc", depth + 1)
    else:
        if data.startswith(b"\x93NUMPY"):
            yield from _numpy(data, where)
        if data.startswith(PNG):
            yield from _png(data, where, depth)
        if data.startswith(ARROW_STREAM):
            yield from arrow_places(data, where, depth, of_text)
        raw, size = _inflate(data, 0, -15)
        if raw and size == len(data):
            yield from of_bytes(raw, f"{where}/deflate", depth + 1)
        yield from text_table(data, where)
        yield from _within(data, where, depth)


def _within(data: bytes, where: str, depth: int) -> Iterator[Place]:
    """What stands in bytes otherwise than as it is: wide letters, escapes, tags, packed streams."""
    wide = _narrowed(data)
    if wide is not None:
        yield from of_text(wide, f"{where}/utf-16", depth + 1)
    flags, begins = signs(data, MAX_STREAMS + 1)
    if b"\0" not in data[:4096]:
        plain = unescaped(data) if flags & ESCAPES else None
        if plain is not None:
            yield from of_text(plain, f"{where}/escapes", depth + 1)
        if flags & TAGS:
            yield Place(f"{where}/without tags", untagged(data))
        if flags & SOFT_BREAKS:
            yield Place(f"{where}/quoted-printable", quopri.decodestring(data))
    yield from _streams(data, begins, where, depth)
    yield from _words(data, where, depth)


def _narrowed(data: bytes) -> bytes | None:
    """Text of two bytes a letter as text of one; None for what looks like none."""
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return data.decode("utf-16", "replace").encode()
    for high in (0, 1):
        head = data[high:4096:2], data[1 - high : 4096 : 2]
        if (
            head[0]
            and head[0].count(0) > 0.9 * len(head[0])
            and head[1].count(0) < 0.1 * len(head[1])
        ):
            return data[1 - high :: 2]
    return None


def _free_space(data: bytes, where: str, depth: int) -> Iterator[Place]:
    for place in _streams(data, signs(data, MAX_STREAMS + 1)[1], where, depth):
        yield place
        # The filter that HDF5 has before its packing: first bytes of all values, then second ones.
        for size in range(2, MAX_SHUFFLED + 1) if len(place.text) <= MAX_FREE else ():
            n_values = len(place.text) // size
            values = np.frombuffer(place.text, np.uint8, n_values * size).reshape(size, n_values)
            yield Place(f"{place.where}/in order", values.T.tobytes())


def _streams(data: bytes, begins: list[tuple[int, str]], where: str, depth: int) -> Iterator[Place]:
    """Packed streams within other bytes: PNG, PDF, free space, what was put behind a file's end."""
    if len(begins) > MAX_STREAMS:
        yield Place(where, problem=f"more than {MAX_STREAMS} possible streams")
        return
    end = 0
    for start, kind in begins:
        if start < end:
            continue
        text, size = _unpacked(data, start, kind)
        if text:
            # What lies within a stream that was read is no other stream.
            end = start + size
            yield from of_bytes(text, f"{where}/stream at {start}", depth + 1)


def _unpacked(data: bytes, start: int, kind: str) -> tuple[bytes, int]:
    """What a stream says that begins here, and how long it is; nothing where none does."""
    try:
        if kind in ("zlib", "gzip"):
            return _inflate(data, start, 15 if kind == "zlib" else 31)
        if kind == "zip":
            size = HEADER + sum(
                int.from_bytes(data[at : at + 2], "little") for at in (start + 26, start + 28)
            )
            is_packed = data[start + 8 : start + 10] == b"\x08\0"
            text, packed = _inflate(data, start + size, -15) if is_packed else (b"", 0)
            return text, size + packed
        if kind == "zstd":
            return _by_arrow(data[start:]), 4
        reader: Any = bz2.BZ2Decompressor() if kind == "bzip" else lzma.LZMADecompressor()
        text = reader.decompress(data[start:], MAX_BYTES)
        return text, len(data) - start - len(reader.unused_data)
    except UNREADABLE:
        return b"", 0


def _inflate(data: bytes, start: int, bits: int) -> tuple[bytes, int]:
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


def _by_arrow(data: bytes) -> bytes:
    import pyarrow as pa

    kind = "zstd" if data.startswith(ZSTD) else "lz4"
    with pa.CompressedInputStream(pa.BufferReader(data), kind) as stream:
        return bytes(stream.read())


def _is_blosc(data: bytes) -> bool:
    """Whether bytes are a chunk of Blosc, as zarr writes them: it says how long it is."""
    return data[:1] == b"\x02" and int.from_bytes(data[12:16], "little") == len(data) >= 16


def _words(data: bytes, where: str, depth: int) -> Iterator[Place]:
    """What long words say in base64: as text together, packed ones each."""
    found = []
    for text in _joined_words(data):
        if len(text) % 4 == 1:
            continue
        plain = base64.b64decode(text + b"=" * (-len(text) % 4))
        if plain.startswith((*CONTAINERS, *ZLIB)):
            yield from of_bytes(plain, f"{where}/base64", depth + 1)
        elif len(text) >= 2 * MIN_WORD and (raw := _inflate(plain, 0, -15))[1]:
            # A whole stream without a header, as programs in web pages pack.
            yield from of_text(raw[0], f"{where}/base64", depth + 1)
        found.append(plain)
    if found:
        yield from of_text(b"\n".join(found), f"{where}/base64", depth + 1)


def _joined_words(data: bytes) -> Iterator[bytes]:
    """Long words of letters of base64; lines of one length with the same signs between are one."""
    parts: list[bytes] = []
    length, gap, last = 0, b"", 0
    for begin, end in long_words(data, _LETTERS, MIN_WORD).tolist():
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
            yield b"".join(parts).translate(_URL_SAFE)
            parts = []
        if not parts:
            length = end - begin
        parts.append(data[begin:end])
        gap, last = between, end
    if parts:
        yield b"".join(parts).translate(_URL_SAFE)


_URL_SAFE = bytes.maketrans(b"-_", b"+/")


def _png(data: bytes, where: str, depth: int) -> Iterator[Place]:
    """Packed chunks of text, with whatever window they were packed."""
    at = len(PNG)
    while at + 8 <= len(data):
        size, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        body = data[at + 8 : at + 8 + size]
        if kind in (b"zTXt", b"iTXt", b"iCCP"):
            for sign in range(len(body)):
                if body[sign] == 0 and (found := _inflate(body, sign + 2, 15)[0]):
                    yield from of_text(found, f"{where}/PNG text", depth + 1)
        at += size + 12


def _zip(data: bytes, where: str, depth: int) -> Iterator[Place]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        yield Place(f"{where}/names", "\n".join(archive.namelist()).encode() + archive.comment)
        arrays: dict[str, Any] = {}
        known = {item.header_offset for item in archive.infolist()}
        for item in archive.infolist():
            if item.flag_bits & 1:
                yield Place(f"{where}/{item.filename}", problem="encrypted")
                continue
            if item.file_size > MAX_BYTES:
                yield Place(f"{where}/{item.filename}", problem="too large")
                continue
            member = archive.read(item)
            yield from of_bytes(member, f"{where}/{item.filename}", depth + 1)
            if item.filename.endswith(".npy") and len(member) < MAX_BYTES:
                arrays[item.filename.removesuffix(".npy")] = member
    # Members that were taken out of the directory are still there.
    for match in re.finditer(re.escape(ZIP), data):
        if match.start() not in known and (text := _unpacked(data, match.start(), "zip")[0]):
            yield from of_bytes(text, f"{where}/forgotten member", depth + 1)
    yield from _sparse_npz(arrays, where)


def _sparse_npz(members: dict[str, bytes], where: str) -> Iterator[Place]:
    """Cells of a sparse matrix that was saved as its three arrays."""
    if not {"data", "indices", "indptr"} <= members.keys():
        return
    parts = [_load(members[name]) for name in ("data", "indices", "indptr")]
    if all(part is not None for part in parts):
        yield Place(f"{where}/cells", prints=partial(_parts_prints, parts))


def _parts_prints(parts: list[Any]) -> frozenset[bytes]:
    from scipy.sparse import csr_matrix

    return matrix_prints(csr_matrix(tuple(parts)))


def _load(member: bytes) -> np.ndarray | None:
    try:
        return np.asarray(np.load(io.BytesIO(member), allow_pickle=False))
    except ValueError:
        return None


def _numpy(data: bytes, where: str) -> Iterator[Place]:
    array = _load(data)
    if array is None:
        yield Place(where, problem="objects that only unpickling would read")
        return
    if array.dtype.kind in "US":
        text = "\n".join(map(str, array.ravel().tolist()))
        yield Place(f"{where}/texts", text.encode("utf-8", "replace"))
    elif array.ndim == 2 and array.dtype.kind in "iuf":
        yield Place(f"{where}/cells", prints=partial(dense_prints, array))


def _tar(data: bytes, where: str, depth: int) -> Iterator[Place]:
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        for item in archive:
            names = f"{item.name}\n{item.linkname}\n{item.uname}\n{item.pax_headers}"
            yield Place(f"{where}/names", names.encode("utf-8", "replace"))
            stream = archive.extractfile(item) if item.isreg() else None
            if stream is not None:
                yield from of_bytes(stream.read(), f"{where}/{item.name}", depth + 1)
