"""Canaries: a made-up person, planted before each scan in every place that a scan knows."""

from __future__ import annotations

import base64
import bz2
import gzip
import io
import json
import lzma
import os
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from pmcell.consent.needles import donor_needles, print_of
from pmcell.consent.scan import scan
from pmcell.errors import DataError

NAME = "Canary-7f3a91c2"
TEXT = f"donor {NAME} was here".encode()
_DRAW = np.random.default_rng(20261130)
COUNTS = _DRAW.choice(12, size=300, p=np.array([78, 66, 55, 45, 36, 28, 21, 15, 10, 6, 3, 1]) / 364)


def self_test(folder: Path | None = None) -> int:
    """Plant every canary below a temporary folder and scan it; the number that were found.

    Raises
    ------
    DataError
        When one of them was missed: no scan then says anything.
    """
    mark = print_of(COUNTS)
    assert mark is not None
    missed = []
    with tempfile.TemporaryDirectory(prefix="pmcell-canaries-", dir=folder) as place:
        for number, (name, plant) in enumerate(PLANTS.items()):
            home = Path(place, str(number))
            home.mkdir()
            plant(home)
            is_cell = name.startswith("cells")
            own, cells = ([], [mark]) if is_cell else ([(NAME, "donor")], [])
            needles = donor_needles(own, (), cells, ())
            report = scan([home], needles, base=home)
            if not report.hits:
                missed.append(name)
    if missed:
        raise DataError(
            f"a removal scan must find every canary; it missed {', '.join(missed)}. Report this: "
            "until it is mended no scan of this installation proves anything.",
            reason="scan_self_test",
        )
    return len(PLANTS)


def _file(name: str, data: bytes) -> Callable[[Path], None]:
    def plant(home: Path) -> None:
        (home / name).write_bytes(data)

    return plant


def _zip_of(members: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return stream.getvalue()


def _tar() -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        item = tarfile.TarInfo("a.txt")
        item.size = len(TEXT)
        archive.addfile(item, io.BytesIO(TEXT))
    return stream.getvalue()


def _png() -> bytes:
    body = b"Comment\0\0" + zlib.compress(TEXT)
    chunk = len(body).to_bytes(4, "big") + b"zTXt" + body
    chunk += zlib.crc32(b"zTXt" + body).to_bytes(4, "big")
    return b"\x89PNG\r\n\x1a\n" + chunk


def _hdf5(write: Callable[[Any], None], *, then: Callable[[Any], None] | None = None) -> Any:
    def plant(home: Path) -> None:
        import h5py

        with h5py.File(home / "x.h5ad", "w") as file:
            write(file)
        if then is not None:
            with h5py.File(home / "x.h5ad", "a") as file:
                then(file)

    return plant


def _texts(file: Any, name: str = "obs", **options: Any) -> None:
    values = np.array([NAME, "other"] * 50, dtype="S32")
    file.create_dataset(name, data=values, **options)
    # What follows keeps the place of a deleted one from being cut off with the file's end.
    file.create_dataset(f"{name}_after", data=np.arange(5000))


def _attribute(file: Any) -> None:
    file.create_group("uns/deep/er").attrs["who"] = [NAME, "b"]


def _delete(file: Any) -> None:
    del file["obs"]


def _sparse(home: Path, *, normalised: bool, by_column: bool) -> None:
    import h5py
    from scipy.sparse import csc_matrix, csr_matrix

    rows = np.stack([_DRAW.permutation(np.arange(300) % 3), _DRAW.permutation(COUNTS)]).astype(
        float
    )
    values = np.log1p(1e4 * rows / rows.sum(axis=1, keepdims=True)) if normalised else rows
    matrix = (csc_matrix if by_column else csr_matrix)(values.astype(np.float32))
    with h5py.File(home / "x.h5ad", "w") as file:
        group = file.create_group("layers/x")
        group.attrs["encoding-type"] = "csc_matrix" if by_column else "csr_matrix"
        group.attrs["shape"] = matrix.shape
        for name in ("data", "indices", "indptr"):
            group.create_dataset(name, data=getattr(matrix, name), compression="gzip")


def _dense(home: Path) -> None:
    import h5py

    with h5py.File(home / "x.h5", "w") as file:
        file.create_dataset("X", data=np.stack([_DRAW.permutation(COUNTS), np.zeros(300, int)]))


def _npz(home: Path) -> None:
    from scipy.sparse import csr_matrix, save_npz

    save_npz(home / "x.npz", csr_matrix(_DRAW.permutation(COUNTS)[None, :]))


def _parquet(home: Path, *, how: str) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.table({"a": ["b", NAME, None]})
    if how == "metadata":
        table = pa.table({"a": [1]}).replace_schema_metadata({"who": NAME})
    elif how == "dictionary":
        # The row is gone, its name is still in the dictionary.
        codes = pa.DictionaryArray.from_arrays(pa.array([0, 0]), pa.array(["b", NAME]))
        table = pa.table({"a": codes})
    elif how == "list":
        table = pa.table({"a": [["x"], ["y", NAME]]})
    pq.write_table(table, home / "x.parquet", compression="zstd", write_statistics=False)


def _npy(home: Path) -> None:
    with (home / "x.npy").open("wb") as stream:
        np.lib.format.write_array(stream, np.array([NAME, "b"]))


def _link(home: Path) -> None:
    os.symlink(f"somewhere/{NAME}/x", home / "link")


def _raw_deflate(data: bytes) -> bytes:
    stream = zlib.compressobj(wbits=-15)
    return stream.compress(data) + stream.flush()


def _forgotten_zip() -> bytes:
    """An archive whose directory names one of its two members."""
    both = _zip_of({"a.txt": TEXT * 3, "b.txt": b"x"})
    first = both.index(b"PK\x01\x02")
    second = both.index(b"PK\x01\x02", first + 4)
    tail = bytearray(both[both.index(b"PK\x05\x06") :])
    tail[8:12] = b"\1\0\1\0"
    tail[12:16] = (len(both) - len(tail) - second).to_bytes(4, "little")
    return (
        both[:first]
        + both[second : len(both) - len(tail)]
        + bytes(tail[:16] + first.to_bytes(4, "little") + tail[20:])
    )


def _sqlite(home: Path) -> None:
    import sqlite3
    from contextlib import closing

    with closing(sqlite3.connect(":memory:")) as base:
        base.execute("CREATE TABLE t (a TEXT, b TEXT, c TEXT)")
        base.execute("INSERT INTO t VALUES ('anna', ?, 'other')", (NAME,))
        base.commit()
        (home / "x.db").write_bytes(base.serialize())


def _arrow(home: Path, *, how: str) -> None:
    import pyarrow as pa

    table = pa.table({"a": ["anna", NAME, "other"]})
    is_file, codec = how != "stream", "lz4" if how == "packed" else None
    options = pa.ipc.IpcWriteOptions(compression=codec)
    make = pa.ipc.new_file if is_file else pa.ipc.new_stream
    with make(str(home / "x.arrow"), table.schema, options=options) as writer:
        writer.write_table(table)


def _packed_by(home: Path, codec: str) -> None:
    import numcodecs

    tool = numcodecs.Zstd() if codec == "zstd" else numcodecs.Blosc("zstd")
    packed = bytes(tool.encode(TEXT * 3))
    (home / "x").write_bytes(packed if codec == "blosc" else b"head" * 50 + packed)


def _user_block(home: Path) -> None:
    import h5py

    with h5py.File(home / "x.h5", "w", userblock_size=1024) as file:
        _texts(file, compression="gzip", shuffle=True)


def _as_text(home: Path, *, how: str) -> None:
    values = _DRAW.permutation(COUNTS)
    if how == "row":
        lines = [",".join(["cell", *map(str, range(300))]), ",".join(["a", *map(str, values)])]
    elif how == "column":
        lines = ["gene\ta\tb", *(f"g{n}\t{value}\t0" for n, value in enumerate(values))]
    else:
        kept = np.flatnonzero(values)
        lines = [
            "%%MatrixMarket matrix coordinate integer general",
            f"300 2 {kept.size}",
            *(f"{n + 1} 2 {values[n]}" for n in kept),
        ]
    (home / "x.gz").write_bytes(gzip.compress("\n".join(lines).encode()))


def _wide_parquet(home: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = {f"g{n}": [int(value), 0] for n, value in enumerate(_DRAW.permutation(COUNTS))}
    pq.write_table(pa.table(columns), home / "x.parquet")


def _packed_value(file: Any) -> None:
    said = base64.b64encode(gzip.compress(TEXT * 3)).decode()
    file.create_dataset("uns/x", data=[said], compression="gzip")


def _code_points(file: Any) -> None:
    letters = np.array([list(map(ord, NAME))] * 3, dtype=np.uint32)
    file.create_dataset("a", data=letters, compression="gzip")


PLANTS: dict[str, Callable[[Path], None]] = {
    "log": _file("x.log", b"\n".join([b"line"] * 500 + [TEXT])),
    "other case": _file("x.txt", TEXT.upper()),
    "binary file without a name": _file("x", bytes(range(256)) * 9 + TEXT + b"\0" * 99),
    "HTML in base64": _file("x.html", b"<img src='data:;base64," + base64.b64encode(TEXT) + b"'>"),
    "HTML in packed base64": _file(
        "x.html", b"<script>d='" + base64.b64encode(gzip.compress(TEXT)) + b"'</script>"
    ),
    "HTML entities": _file("x.html", "".join(f"&#{ord(c)};" for c in NAME).encode()),
    "JSON escapes": _file("x.json", "".join(f"\\u{ord(c):04x}" for c in NAME).encode()),
    "address escapes": _file("x.ttl", "".join(f"%{ord(c):02x}" for c in NAME).encode()),
    "UTF-16": _file("x.csv", TEXT.decode().encode("utf-16")),
    "UTF-16 without a mark": _file("x.csv", (TEXT * 5).decode().encode("utf-16-le")),
    "gzip": _file("x.gz", gzip.compress(TEXT)),
    "bzip2": _file("x", bz2.compress(TEXT)),
    "xz": _file("x", lzma.compress(TEXT)),
    "zip in a zip": _file(
        "x.zip", _zip_of({"a.zip": _zip_of({"b.json": json.dumps(NAME).encode()})})
    ),
    "name in a zip": _file("x.zip", _zip_of({f"{NAME}.txt": b"x"})),
    "tar": _file("x.tgz", _tar()),
    "PNG text": _file("x.png", _png()),
    "file name": _file(f"{NAME}.txt", b"x"),
    "folder name": lambda home: (home / NAME).mkdir(),
    "base64 file name": _file(
        base64.urlsafe_b64encode(f"results/{NAME}/x".encode()).decode(), b"x"
    ),
    "link": _link,
    "HDF5 texts": _hdf5(_texts),
    "HDF5 packed texts": _hdf5(lambda file: _texts(file, compression="gzip", chunks=(100,))),
    "HDF5 attribute": _hdf5(_attribute),
    "HDF5 name": _hdf5(lambda file: _texts(file, name=f"uns/{NAME}")),
    "HDF5 scalar": _hdf5(lambda file: file.create_dataset("a", data=NAME)),
    "HDF5 deleted": _hdf5(_texts, then=_delete),
    "HDF5 deleted, packed": _hdf5(
        lambda file: _texts(file, compression="gzip", chunks=(100,)), then=_delete
    ),
    "npy texts": _npy,
    "npz texts": lambda home: np.savez_compressed(home / "x.npz", a=np.array([NAME, "b"])),
    "Parquet values": lambda home: _parquet(home, how="values"),
    "Parquet lists": lambda home: _parquet(home, how="list"),
    "Parquet metadata": lambda home: _parquet(home, how="metadata"),
    "Parquet dictionary": lambda home: _parquet(home, how="dictionary"),
    "cells in CSR": lambda home: _sparse(home, normalised=False, by_column=False),
    "cells in CSC": lambda home: _sparse(home, normalised=False, by_column=True),
    "cells, normalised": lambda home: _sparse(home, normalised=True, by_column=False),
    "cells, dense": _dense,
    "cells in npz": _npz,
    "terminal's colour": _file("x.log", f"\x1b[1;32m{NAME}\x1b[0m".encode()),
    "line break in JSON": _file("x.json", json.dumps(f"a\n{NAME}\tb").encode()),
    "UTF-16 in a binary file": _file(
        "x.jpg", b"\xff\xd8\xff\xe1" * 99 + b"UNICODE\0" + NAME.encode("utf-16-le")
    ),
    "UTF-32": _file("x.txt", NAME.encode("utf-32")),
    "hexadecimal": _file("x.txt", b"id=" + NAME.encode().hex().encode()),
    "lines of base64": _file("x.eml", base64.encodebytes(b"z" * 50 + TEXT + b"y" * 200)),
    "packed, lines of base64 in JSON": _file(
        "x.ipynb", json.dumps(base64.encodebytes(zlib.compress(TEXT * 9)).decode()).encode()
    ),
    "base64 twice": _file("x.txt", base64.b64encode(base64.b64encode(b"z" * 60 + TEXT))),
    "deflate in base64": _file("x.html", base64.b64encode(_raw_deflate(TEXT + bytes(range(99))))),
    "deflate": _file("x", _raw_deflate(TEXT * 3)),
    "tags within": _file("x.html", f"<p>{NAME[:4]}<wbr><b>{NAME[4:]}</b></p>".encode()),
    "octal escapes": _file("x.pdf", "".join(f"\\{ord(c):03o}" for c in NAME).encode()),
    "quoted-printable": _file("x.eml", f"{NAME[:9]}=\n{NAME[9:]}".encode()),
    "signs exchanged": _file("x.R", NAME.replace("-", ".").encode()),
    "hyphen of a word processor": _file("x.md", NAME.replace("-", "\u2011").encode()),
    "zip behind a page": _file("x.html", b"<html></html>" + _zip_of({"a": TEXT * 3})),
    "member that its zip forgot": _file("x.zip", _forgotten_zip()),
    "SQLite": _sqlite,
    "Arrow": lambda home: _arrow(home, how="plain"),
    "Arrow, packed": lambda home: _arrow(home, how="packed"),
    "Arrow stream": lambda home: _arrow(home, how="stream"),
    "zstd within": lambda home: _packed_by(home, "zstd"),
    "chunk of zarr": lambda home: _packed_by(home, "blosc"),
    "HDF5 behind a user block": _user_block,
    "HDF5 packed JSON": _hdf5(_packed_value),
    "HDF5 code points": _hdf5(_code_points),
    "HDF5 deleted, shuffled": _hdf5(
        lambda file: _texts(file, compression="gzip", shuffle=True, chunks=(100,)), then=_delete
    ),
    "cells in a line of text": lambda home: _as_text(home, how="row"),
    "cells in a column of text": lambda home: _as_text(home, how="column"),
    "cells in MatrixMarket": lambda home: _as_text(home, how="market"),
    "cells in columns of Parquet": _wide_parquet,
}
"""How each canary is planted, by the place that it stands for."""
