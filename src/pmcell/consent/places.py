"""Everything that a file holds, one place after the other: texts as bytes, cells as prints.

Known containers are taken apart by what they are, not by their name: HDF5 with its
attributes and what was left in its free space, Parquet with its metadata and whole
dictionaries, zip (npz, xlsx), gzip, bzip2, xz, tar, and base64 and zlib streams within
any other bytes. The bytes of the file themselves are always one of the places.
"""

from __future__ import annotations

import base64
import bz2
import gzip
import io
import lzma
import re
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from pmcell.consent.needles import cell_prints, print_of, unescaped
from pmcell.io.filters import register_filters

MAX_DEPTH = 6
MAX_BYTES = 1 << 31
"""Of one member of an archive; a larger one is named as not read."""
HDF5, ZIP, GZIP, BZIP, XZ, PARQUET = (
    b"\x89HDF\r\n\x1a\n", b"PK\x03\x04", b"\x1f\x8b", b"BZh", b"\xfd7zXZ\x00", b"PAR1",
)  # fmt: skip
ZSTD = b"\x28\xb5\x2f\xfd"
_ZLIB = re.compile(rb"\x78[\x01\x5e\x9c\xda]")
_GZIP = re.compile(rb"\x1f\x8b\x08")
_LETTERS = np.zeros(256, dtype=bool)
_LETTERS[list(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/_-")] = True
"""Bytes that words of base64 are made of, plain and for addresses."""
MIN_WORD = 24
"""Letters of a word that is decoded; names in shorter ones are found as they are."""
MAX_STREAMS = 200_000
MAX_DENSE = 50_000_000
ROWS = 4096


@dataclass(frozen=True)
class Place:
    """One place in a file: its name there, bytes of its text, and what makes prints of cells."""

    where: str
    text: bytes = b""
    prints: Callable[[], frozenset[bytes]] = frozenset
    problem: str = ""


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
    except (
        OSError, ValueError, EOFError, KeyError, RuntimeError, NotImplementedError, zlib.error,
        lzma.LZMAError, zipfile.BadZipFile, tarfile.TarError, MemoryError,
    ) as error:  # fmt: skip
        yield Place(where or "content", problem=type(error).__name__)


def _contents(data: bytes, where: str, depth: int, path: Path | None) -> Iterator[Place]:
    if data.startswith(HDF5):
        yield from _hdf5(data, where, path)
        return
    if data.startswith(PARQUET) and data.endswith(PARQUET):
        yield from _parquet(data, where)
        return
    if data.startswith(ZIP):
        yield from _zip(data, where, depth)
        return
    for magic, module in ((GZIP, gzip), (BZIP, bz2), (XZ, lzma)):
        if data.startswith(magic):
            plain = module.decompress(data)
            yield from of_bytes(plain, f"{where}/{module.__name__}", depth + 1)
            return
    if data.startswith(ZSTD):
        import pyarrow as pa

        with pa.CompressedInputStream(pa.BufferReader(data), "zstd") as stream:
            yield from of_bytes(stream.read(), f"{where}/zstd", depth + 1)
        return
    if data[257:262] == b"ustar":
        yield from _tar(data, where, depth)
        return
    if data.startswith(b"\x93NUMPY"):
        yield from _numpy(data, where)
    wide = _narrowed(data)
    if wide is not None:
        yield Place(f"{where}/utf-16", wide)
    is_text = b"\0" not in data[:4096]
    plain = unescaped(data) if is_text else None
    if plain is not None:
        yield Place(f"{where}/escapes", plain)
    yield from _embedded(data, where)
    if is_text:
        yield from _embedded_base64(data, where, depth)


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


def _embedded(data: bytes, where: str, known: frozenset[int] = frozenset()) -> Iterator[Place]:
    """Streams of zlib and gzip within other bytes: PNG, PDF, what a file left in its free space."""
    n = 0
    for pattern, bits in ((_ZLIB, 15), (_GZIP, 31)):
        for match in pattern.finditer(data):
            if match.start() in known:
                continue
            n += 1
            if n > MAX_STREAMS:
                yield Place(where, problem=f"more than {MAX_STREAMS} possible streams")
                return
            text = _inflate(data, match.start(), bits)
            if text:
                yield Place(f"{where}/stream at {match.start()}", text)


def _embedded_base64(data: bytes, where: str, depth: int) -> Iterator[Place]:
    """What long words of a text say in base64: as text together, packed ones each."""
    words = []
    for begin, end in _long_words(data):
        text = data[begin:end].translate(_URL_SAFE)
        if len(text) % 4 == 1:
            continue
        plain = base64.b64decode(text + b"=" * (-len(text) % 4))
        if plain.startswith((GZIP, ZIP, BZIP, XZ, HDF5, PARQUET)) or _ZLIB.match(plain):
            yield from of_bytes(plain, f"{where}/base64", depth + 1)
        words.append(plain)
    if words:
        yield Place(f"{where}/base64", b"\n".join(words))


def _long_words(data: bytes) -> Iterator[tuple[int, int]]:
    """Begin and end of each run of letters of base64 that is long enough."""
    inside = _LETTERS[np.frombuffer(data, dtype=np.uint8)]
    inside = np.concatenate([[False], inside, [False]])
    edges = np.flatnonzero(inside[1:] != inside[:-1])
    begins, ends = edges[::2], edges[1::2]
    is_long = ends - begins >= MIN_WORD
    yield from zip(begins[is_long].tolist(), ends[is_long].tolist(), strict=True)


_URL_SAFE = bytes.maketrans(b"-_", b"+/")


def _inflate(data: bytes, start: int, bits: int) -> bytes:
    """What a stream says that begins here; nothing where none does."""
    stream = zlib.decompressobj(bits)
    try:
        # A chance header fails within its first bytes.
        head = stream.decompress(data[start : start + 256], 1 << 16)
        if not head and not stream.unconsumed_tail:
            return b""
        rest = stream.decompress(stream.unconsumed_tail + data[start + 256 :], MAX_BYTES)
    except (zlib.error, MemoryError):
        return b""
    text = head + rest
    return text if len(text) >= 8 else b""


def _zip(data: bytes, where: str, depth: int) -> Iterator[Place]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        yield Place(f"{where}/names", "\n".join(archive.namelist()).encode() + archive.comment)
        arrays: dict[str, Any] = {}
        for item in archive.infolist():
            if item.file_size > MAX_BYTES or item.flag_bits & 1:
                problem = "encrypted" if item.flag_bits & 1 else "too large"
                yield Place(f"{where}/{item.filename}", problem=problem)
                continue
            member = archive.read(item)
            yield from of_bytes(member, f"{where}/{item.filename}", depth + 1)
            if item.filename.endswith(".npy") and len(member) < MAX_BYTES:
                arrays[item.filename.removesuffix(".npy")] = member
    yield from _sparse_npz(arrays, where)


def _sparse_npz(members: dict[str, bytes], where: str) -> Iterator[Place]:
    """Cells of a sparse matrix that was saved as its three arrays."""
    if not {"data", "indices", "indptr"} <= members.keys():
        return
    indptr, values = _load(members["indptr"]), _load(members["data"])
    if indptr is not None and values is not None:
        make = partial(_sparse_prints, indptr, values)
        yield Place(f"{where}/cells", prints=make)


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
    elif array.ndim == 2 and array.dtype.kind in "iuf" and array.size <= MAX_DENSE:
        yield Place(f"{where}/cells", prints=partial(_dense, array))


def _dense(array: np.ndarray) -> frozenset[bytes]:
    by_row = {found for row in array if (found := print_of(row)) is not None}
    by_column = {found for row in array.T if (found := print_of(row)) is not None}
    return frozenset(by_row | by_column)


def _tar(data: bytes, where: str, depth: int) -> Iterator[Place]:
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        for item in archive:
            names = f"{item.name}\n{item.linkname}\n{item.uname}\n{item.pax_headers}"
            yield Place(f"{where}/names", names.encode("utf-8", "replace"))
            stream = archive.extractfile(item) if item.isreg() else None
            if stream is not None:
                yield from of_bytes(stream.read(), f"{where}/{item.name}", depth + 1)


def _parquet(data: bytes, where: str) -> Iterator[Place]:
    """Metadata of file and columns, and texts of every column with what its dictionary holds."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pq.read_schema(io.BytesIO(data))
    said = [schema.metadata or {}, *(item.metadata or {} for item in schema)]
    for metadata in said:
        text = b"\n".join(part for pair in metadata.items() for part in pair)
        if text:
            yield Place(f"{where}/metadata", text)
            yield from _embedded_base64(text, f"{where}/metadata", 0)
    texts = [item.name for item in schema if _is_text(item.type)]
    file = pq.ParquetFile(io.BytesIO(data), read_dictionary=texts)
    for batch in file.iter_batches(1 << 17, columns=[i.name for i in schema if _has_text(i.type)]):
        for name, column in zip(batch.schema.names, batch.columns, strict=True):
            while pa.types.is_list(column.type) or pa.types.is_large_list(column.type):
                column = column.flatten()
            values = column.dictionary if pa.types.is_dictionary(column.type) else column.unique()
            if pa.types.is_struct(values.type) or pa.types.is_map(values.type):
                text = "\n".join(map(str, values.to_pylist())).encode()
            else:
                text = b"\n".join(_raw(value) for value in values.to_pylist() if value is not None)
            yield Place(f"{where}/{name}", text)


def _raw(value: Any) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode("utf-8", "replace")


def _is_text(kind: Any) -> bool:
    import pyarrow as pa

    return bool(
        pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_binary(kind)
    )


def _has_text(kind: Any) -> bool:
    import pyarrow as pa

    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return _has_text(kind.value_type)
    return _is_text(kind) or bool(
        pa.types.is_dictionary(kind) or pa.types.is_struct(kind) or pa.types.is_map(kind)
        or pa.types.is_large_binary(kind)
    )  # fmt: skip


def _hdf5(data: bytes, where: str, path: Path | None) -> Iterator[Place]:
    import h5py

    with h5py.File(path or io.BytesIO(data), "r", **({"locking": False} if path else {})) as file:
        register_filters(file)
        names: list[str] = []
        file.visit(names.append)
        chunks: set[int] = set()
        for name in ["/", *names]:
            item = file[name]
            yield Place(f"{where}{name}", f"{name}\n".encode() + _attributes(item))
            if isinstance(item, h5py.Dataset):
                chunks |= _chunks(item)
                yield from _dataset(item, f"{where}{name}")
            elif {"data", "indices", "indptr"} <= set(item):
                yield from _sparse(item, f"{where}{name}")
        # What was deleted is still in the file until it is packed anew; compressed, too.
        yield from _embedded(data, f"{where}free space", frozenset(chunks))


def _chunks(item: Any) -> set[int]:
    if item.chunks is None:
        return set()
    n = item.id.get_num_chunks()
    return {item.id.get_chunk_info(number).byte_offset for number in range(n)}


def _attributes(item: Any) -> bytes:
    said = []
    for key, value in item.attrs.items():
        values = np.atleast_1d(np.asarray(value, dtype=object)).ravel().tolist()
        said.append(
            key.encode("utf-8", "replace") + b"=" + b" ".join(_raw(value) for value in values)
        )
    return b"\n".join(said)


def _dataset(item: Any, where: str) -> Iterator[Place]:
    import h5py

    kind = item.dtype.kind
    labels = h5py.check_enum_dtype(item.dtype)
    if labels:
        yield Place(where, "\n".join(labels).encode())
    if item.dtype.names:
        rows = item[()]
        yield Place(
            where, "\n".join(map(str, np.atleast_1d(rows).tolist())).encode("utf-8", "replace")
        )
    elif kind in "OS" and item.shape is not None:
        step = 1 << 18
        blocks = [item[()]] if item.shape == () else (
            item[at : at + step] for at in range(0, item.shape[0], step)
        )  # fmt: skip
        for block in blocks:
            values = np.atleast_1d(np.asarray(block, dtype=object)).ravel()
            yield Place(where, b"\n".join(_raw(value) for value in values))
    elif kind in "iu" and item.dtype.itemsize == 1 and item.ndim == 1:
        yield Place(where, np.asarray(item[()]).tobytes())
    elif item.ndim == 2 and kind in "iuf" and item.size <= MAX_DENSE:
        yield Place(where, prints=partial(_dense_rows, item))


def _dense_rows(item: Any) -> frozenset[bytes]:
    found: set[bytes] = set()
    for at in range(0, item.shape[0], ROWS):
        found |= {mark for row in item[at : at + ROWS] if (mark := print_of(row)) is not None}
    return frozenset(found)


def _sparse(group: Any, where: str) -> Iterator[Place]:
    """Cells of a sparse matrix: what it stores in its order, and rows of one in columns."""
    if group["data"].dtype.kind not in "iuf" or group["data"].ndim != 1:
        return
    yield Place(where, prints=partial(_stored_prints, group))
    encoding = str(group.attrs.get("encoding-type", ""))
    if encoding.startswith("csc") and group["data"].size <= MAX_DENSE:
        yield Place(f"{where}/rows", prints=partial(_row_prints, group))


def _stored_prints(group: Any) -> frozenset[bytes]:
    indptr = group["indptr"][()]
    found: set[bytes] = set()
    for at in range(0, max(len(indptr) - 1, 0), ROWS):
        bounds = indptr[at : at + ROWS + 1]
        values = group["data"][bounds[0] : bounds[-1]]
        found |= _sparse_prints(bounds - bounds[0], values)
    return frozenset(found)


def _row_prints(group: Any) -> frozenset[bytes]:
    from scipy.sparse import csc_matrix

    parts = (group["data"][()], group["indices"][()], group["indptr"][()])
    rows = csc_matrix(parts, shape=tuple(group.attrs["shape"])).tocsr()
    return _sparse_prints(rows.indptr, rows.data)


def _sparse_prints(indptr: np.ndarray, values: np.ndarray) -> frozenset[bytes]:
    return frozenset(mark for _, mark in cell_prints(indptr, values))
