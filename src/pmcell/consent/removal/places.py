"""Everything that a file holds, one place after the other: texts as bytes, cells as numbers.

Known containers are taken apart by what they are, not by their name: HDF5 with its
attributes and what was left in its free space, Parquet with its metadata and whole
dictionaries, Arrow, SQLite with what was deleted, zip (npz, xlsx) with members that
its directory forgot, gzip, bzip2, xz, zstd, lz4, blosc, tar, pickles (which are not
run), and base64 and packed streams within any other bytes. The bytes of the file
themselves are always one of the places. What cannot be read is named.
"""

from __future__ import annotations

import hashlib
import io
import re
import tarfile
import zipfile
from collections.abc import Iterator, Sequence
from functools import partial
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import Any

import numpy as np

from pmcell.consent.removal import places_packed as packed
from pmcell.consent.removal.place import Cells, Place, matrix_cells, stored_cells
from pmcell.consent.removal.places_hdf5 import SIGNATURE, begin_of, hdf5_places
from pmcell.consent.removal.places_numbers import (
    array_places,
    number_bytes,
    text_places,
)
from pmcell.consent.removal.places_pickle import pickled
from pmcell.consent.removal.places_tables import (
    ARROW,
    ARROW_STREAM,
    FEATHER,
    JOURNALS,
    ORC,
    PARQUET,
    SQLITE,
    arrow_places,
    parquet_places,
    sqlite_places,
)
from pmcell.consent.removal.places_text import looks_like_text, plain_lines, readings
from pmcell.core.byte_lines import squeezed, unwrapped, with_cells_joined
from pmcell.core.byte_signs import LINED, signs

MAX_DEPTH, MAX_WAYS = 8, 6
"""Times that something is packed, and ways of writing within each other."""
CLOSED = {
    b"7z\xbc\xaf\x27\x1c": "7z", b"Rar!\x1a\x07": "RAR", b"\x1f\x9d": "compress", b"LZIP": "lzip",
    b"Obj\x01": "Avro", b"\xff\x06\x00\x00sNaPpY": "snappy", b"MSCF": "cabinet",
    b"CRAM": "CRAM", b"hsqs": "squashfs", b"zPQ": "ZPAQ", b"bvx2": "LZFSE", b"SZDD": "SZDD",
    b"mozLz40\0": "lz4 of a browser", b"**ACE**": "ACE", b"\x60\xea": "ARJ",
    b"\x89LZO\0": "lzop", b"\x02\x21\x4c\x18": "old lz4",
}  # fmt: skip
"""Containers that are known and not opened here."""
ENCRYPTED = (
    *(b"crypt4gh", b"age-encryption.org/", b"-----BEGIN PGP MESSAGE", b"Salted__", b"PARE"),
)
WHOLE_ONLY = (
    *packed.READERS, *CLOSED, *ENCRYPTED, *JOURNALS, packed.ZIP, packed.ZSTD, packed.LZ4, SQLITE,
    ARROW, ARROW_STREAM, FEATHER, ORC, b"\x93NUMPY",
)  # fmt: skip
"""How files begin that are read whole or not at all."""
MAX_READ = 1 << 28
"""Bytes of a file that are read at once; of a larger one `WINDOW` at a time, `OVERLAP` twice."""
WINDOW, OVERLAP = 1 << 26, 1 << 20
MAX_USUAL_EXTRA = 36
"""Bytes of the extra field of a zip member that hold its times and owner."""
FIXED_WIDTHS = (
    b"<stata_dta>", b"$FL2", b"$FL3", b"HEADER RECORD*******", b"\x71\x02", b"\x72\x02",
    b"\x73\x02", b"070701", b"070702", b"070707",
)  # fmt: skip
"""How tables of Stata, SPSS and the transport format of SAS, and archives of cpio begin."""
SAS = bytes.fromhex("c2ea8160b31411cfbd92080009c7318c")
PNG = b"\x89PNG\r\n\x1a\n"


def inside(path: Path) -> Iterator[Place]:
    """Every place of a file; a place that cannot be read has a `problem`."""
    if path.stat().st_size > MAX_READ:
        with path.open("rb") as file, mmap(file.fileno(), 0, access=ACCESS_READ) as mapped:
            yield from _large(mapped, path)
        return
    data = path.read_bytes()
    yield from of_bytes(data, "", 0, path)
    if path.suffix == ".br":
        # The one packing that nothing tells but the name.
        try:
            yield from of_bytes(packed.by_arrow(data, "brotli"), "brotli", 1)
        except packed.BROKEN as error:
            yield Place("brotli", problem=type(error).__name__)


def _large(data: mmap, path: Path) -> Iterator[Place]:
    """Places of a file that is not read whole: its bytes in windows, tables and arrays in parts."""
    head = data[: packed.HEADER]
    is_container = data[: len(SIGNATURE)] == SIGNATURE or begin_of(data) >= 0
    is_table = head.startswith(PARQUET) and data[-len(PARQUET) :] == PARQUET
    for at in range(0, len(data), WINDOW):
        window = data[at : at + WINDOW + OVERLAP]
        yield Place(f"bytes from {at}", window)
        if is_container or is_table or head.startswith(WHOLE_ONLY):
            continue
        yield from text_places(window, f"bytes from {at}")
        yield from _within(window, f"bytes from {at}", 0, {})
    try:
        if is_container:
            free = partial(packed.free_space, into=of_bytes)
            yield from hdf5_places(data, "", 0, path, into=of_text, free=free)
        elif is_table:
            yield from parquet_places(path, "", 0, of_text)
            for at in range(0, len(data), WINDOW):
                yield from _left(data[at : at + WINDOW + OVERLAP], f"bytes from {at}", 0)
        elif head.startswith(ENCRYPTED):
            yield Place("content", is_encrypted=True)
        elif head.startswith(WHOLE_ONLY) or data[257:262] == b"ustar":
            yield Place("content", problem=f"read whole only, and over {MAX_READ >> 20} MB")
    except Exception as error:
        # As with any file: whatever the library says, nothing was seen there.
        yield Place("content", problem=type(error).__name__)


def of_bytes(data: bytes, where: str, depth: int, path: Path | None = None) -> Iterator[Place]:
    """Every place of some bytes, which may be packed in a file."""
    yield Place(where or "bytes", data)
    if depth > MAX_DEPTH:
        yield Place(where, problem=f"packed more than {MAX_DEPTH} times")
        return
    try:
        yield from _contents(data, where, depth, path)
    except Exception as error:
        # Whatever a library says of a file that it cannot read, nothing was seen there.
        yield Place(where or "content", problem=type(error).__name__)


def of_text(
    data: bytes, where: str, depth: int, opened: dict[bytes, int] | None = None, n_ways: int = 0
) -> Iterator[Place]:
    """Texts that stand together, and what is packed or written in another way within them.

    `opened` has the texts that were met already in what these stand in, and how deep: ways of
    writing that are undone in another order mostly give the same text, and orders are many.
    `n_ways` were undone already: nobody writes a name in more than `MAX_WAYS` of them.
    """
    opened = {} if opened is None else opened
    mark = hashlib.blake2b(data, digest_size=16).digest()
    if opened.get(mark, depth + n_ways + 1) <= depth + n_ways:
        return
    opened[mark] = depth + n_ways
    yield Place(where, data)
    if depth > MAX_DEPTH:
        yield Place(where, problem=f"packed more than {MAX_DEPTH} times")
        return
    yield from _within(data, where, depth, opened, n_ways)


def _contents(data: bytes, where: str, depth: int, path: Path | None) -> Iterator[Place]:
    begin = begin_of(data)
    if begin >= 0:
        whole = path if begin == 0 else None
        free = partial(packed.free_space, into=of_bytes)
        yield from hdf5_places(data[begin:], where, depth, whole, into=of_text, free=free)
        yield from of_text(data[:begin], f"{where}/user block", depth) if begin else ()
    elif data.startswith(PARQUET) and data.endswith(PARQUET):
        yield from parquet_places(io.BytesIO(data), where, depth, of_text)
        yield from _left(data, where, depth)
    elif data.startswith((ARROW, FEATHER)) or (data.startswith(ORC) and data.endswith(ORC, 0, -1)):
        yield from arrow_places(data, where, depth, of_text)
        yield from _left(data, where, depth)
    elif data.startswith(SQLITE):
        yield from sqlite_places(data, where, depth, of_text)
        yield from _left(data, where, depth)
    elif data.startswith(JOURNALS):
        yield Place(f"{where}/journal", data, is_joined=True)
    elif data.startswith(packed.ZIP):
        yield from _zip(data, where, depth)
    elif data.startswith((packed.ZSTD, packed.LZ4)):
        yield from of_bytes(packed.by_arrow(data), f"{where}/unpacked", depth + 1)
    elif data[257:262] == b"ustar":
        yield from _tar(data, where, depth)
    elif data.startswith(ENCRYPTED):
        yield Place(where or "content", is_encrypted=True)
    elif name := next((name for magic, name in CLOSED.items() if data.startswith(magic)), None):
        yield Place(where or "content", problem=f"{name} is not opened")
    elif data.startswith(tuple(packed.READERS)):
        yield from packed.packed_whole(data, where, depth, of_bytes)
    elif _is_blosc(data):
        from numcodecs import blosc

        yield from of_bytes(blosc.decompress(data), f"{where}/blosc", depth + 1)
    else:
        if data.startswith(b"\x93NUMPY"):
            yield from _numpy(data, where)
        if data.startswith(PNG):
            yield from _png(data, where, depth)
        if data.startswith(b"GIF8"):
            yield from _gif(data, where)
        if data.startswith(ARROW_STREAM):
            yield from arrow_places(data, where, depth, of_text)
        if _has_fixed_widths(data):
            yield Place(f"{where}/fields", data, is_joined=True)
        if data.endswith(b"."):
            texts, fields, cells = pickled(data)
            yield from of_text(texts, f"{where}/pickle", depth)
            yield Place(f"{where}/pickle", fields, is_joined=True, cells=cells)
        raw, size = packed.inflated(data, 0, -15)
        if raw and size == len(data):
            yield from of_bytes(raw, f"{where}/deflate", depth + 1)
        yield from text_places(data, where)
        yield from _within(data, where, depth, {})


def _left(
    data: bytes, where: str, depth: int, *, kinds: Sequence[str] = ("gzip", "bzip", "xz", "zip")
) -> Iterator[Place]:
    """Packed files between the parts of a table or an archive, or where rows were."""
    begins = signs(data, packed.MAX_STREAMS + 1)[1]
    found = [(at, kind) for at, kind in begins if kind in kinds]
    yield from packed.streams(data, found, where, depth, of_bytes)


def _within(
    data: bytes, where: str, depth: int, opened: dict[bytes, int], n_ways: int = 0
) -> Iterator[Place]:
    """What stands in bytes otherwise than as it is, and what is packed in them."""
    into = partial(of_text, opened=opened, n_ways=n_ways)
    flags, begins = signs(data, packed.MAX_STREAMS + 1)
    for how, text in readings(data, flags) if n_ways < MAX_WAYS else ():
        if text and text != data:
            yield from of_text(text, f"{where}/{how}", depth, opened, n_ways + 1)
    if looks_like_text(data):
        yield Place(
            f"{where}/broken lines", unwrapped(plain_lines(data) if flags & LINED else data)
        )
        yield Place(f"{where}/cells of a line", squeezed(data))
        if rows := with_cells_joined(data):
            yield Place(f"{where}/neighbouring texts", rows)
            yield Place(f"{where}/neighbouring texts", rows.replace(b"\t", b""))
    yield from packed.streams(data, begins, where, depth, of_bytes)
    yield from packed.words(data, where, depth, of_bytes, into, opened)


def _has_fixed_widths(data: bytes) -> bool:
    """Whether bytes are a table of SAS, SPSS, Stata or dBase: fields stand beside each other."""
    if data.startswith(FIXED_WIDTHS) or SAS in data[:64]:
        return True
    end = int.from_bytes(data[8:10], "little")
    is_dbase = data[:1] in (b"\x03", b"\x30", b"\x83", b"\x8b") and end % 32 == 1
    return is_dbase and data[end - 1 : end] == b"\r"


def _is_blosc(data: bytes) -> bool:
    """Whether bytes are a chunk of Blosc, as zarr writes them: it says how long it is."""
    return data[:1] == b"\x02" and int.from_bytes(data[12:16], "little") == len(data) >= 16


def _png(data: bytes, where: str, depth: int) -> Iterator[Place]:
    """Packed chunks of text, with whatever window they were packed."""
    at = len(PNG)
    while at + 8 <= len(data):
        size, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        body = data[at + 8 : at + 8 + size]
        if kind != b"IDAT":
            yield Place(f"{where}/PNG chunk", body)
        if kind in (b"zTXt", b"iTXt", b"iCCP"):
            for sign in range(len(body)):
                if body[sign] == 0 and (found := packed.inflated(body, sign + 2, 15)[0]):
                    yield from of_text(found, f"{where}/PNG text", depth + 1)
        at += size + 12


def _gif(data: bytes, where: str) -> Iterator[Place]:
    """Comments and data of programs, which stand in blocks of at most 255 bytes."""
    for sign in re.finditer(rb"!(?:\xfe|\xff\x0b.{11})", data, re.DOTALL):
        at, parts = sign.end(), []
        while at < len(data) and data[at]:
            parts.append(data[at + 1 : at + 1 + data[at]])
            at += 1 + data[at]
        yield Place(f"{where}/GIF text", b"".join(parts))


def _zip(data: bytes, where: str, depth: int) -> Iterator[Place]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        items = archive.infolist()
        said = [part for item in items for part in (_encoded(item.filename), item.comment)]
        yield from of_text(b"\n".join([*said, archive.comment]), f"{where}/names", depth)
        for item in items:
            yield Place(f"{where}/names", item.extra, is_joined=True)
            if len(item.extra) > MAX_USUAL_EXTRA:
                yield from of_bytes(item.extra, f"{where}/extra field", depth + 1)
        arrays: dict[str, Any] = {}
        for item in items:
            if item.flag_bits & 1:
                yield Place(f"{where}/{item.filename}", problem="encrypted")
                continue
            if item.file_size > packed.MAX_BYTES:
                yield Place(f"{where}/{item.filename}", problem="too large")
                continue
            member = archive.read(item)
            yield from of_bytes(member, f"{where}/{item.filename}", depth + 1)
            if item.filename.endswith(".npy") and len(member) < packed.MAX_BYTES:
                arrays[item.filename.removesuffix(".npy")] = member
    # Members that were taken out of the directory are still there.
    known = {item.header_offset for item in items}
    for match in re.finditer(re.escape(packed.ZIP), data):
        at = match.start()
        if at not in known and (text := packed.unpacked(data, at, "zip")[0]):
            yield from of_bytes(text, f"{where}/forgotten member", depth + 1)
    # What is packed otherwise behind the end, or between members.
    yield from _left(data, where, depth, kinds=("gzip", "bzip", "xz"))
    yield from _sparse_npz(arrays, where)


def _encoded(name: str) -> bytes:
    return name.encode("utf-8", "surrogateescape")


def _sparse_npz(members: dict[str, bytes], where: str) -> Iterator[Place]:
    """Cells and sums of a sparse matrix that was saved as its arrays, of one or several values."""
    if "indptr" not in members:
        return
    loaded = {name: _load(member) for name, member in members.items()}
    arrays = {name: array for name, array in loaded.items() if array is not None}
    bounds = arrays.get("indptr")
    if bounds is None or bounds.ndim != 1 or bounds.dtype.kind not in "iu" or bounds.size < 2:
        return
    for name, values in arrays.items():
        is_one_each = values.ndim == 1 and values.size == bounds[-1] and values.dtype.kind in "iuf"
        if is_one_each and name != "indices":
            yield Place(f"{where}/{name}/cells", cells=partial(stored_cells, bounds, values))
    if {"data", "indices"} <= arrays.keys():
        parts = [arrays[name] for name in ("data", "indices", "indptr")]
        yield Place(f"{where}/cells", cells=partial(_parts_cells, parts))


def _parts_cells(parts: list[Any]) -> Iterator[Cells]:
    from scipy.sparse import csr_matrix

    return matrix_cells(csr_matrix(tuple(parts)))


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
    else:
        yield from array_places(array, f"{where}/cells")
        yield from number_bytes(array, f"{where}/bytes")


def _tar(data: bytes, where: str, depth: int) -> Iterator[Place]:
    # Over the end, too: behind it another archive may go on.
    with tarfile.open(fileobj=io.BytesIO(data), ignore_zeros=True) as archive:
        for item in archive:
            names = f"{item.name}\n{item.linkname}\n{item.uname}\n{item.pax_headers}"
            yield from of_text(names.encode("utf-8", "replace"), f"{where}/names", depth)
            stream = archive.extractfile(item) if item.isreg() else None
            if stream is not None:
                yield from of_bytes(stream.read(), f"{where}/{item.name}", depth + 1)
