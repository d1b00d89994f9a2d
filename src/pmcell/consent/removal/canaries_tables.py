"""Canaries in HDF5, zarr, Parquet, Arrow, SQLite and arrays of numpy."""

from __future__ import annotations

import base64
import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from pmcell.consent.removal.canary import NAME, TEXT, Plant


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


def _user_block(home: Path) -> None:
    import h5py

    with h5py.File(home / "x.h5", "w", userblock_size=1024) as file:
        _texts(file, compression="gzip", shuffle=True)


def _packed_value(file: Any) -> None:
    said = base64.b64encode(gzip.compress(TEXT * 3)).decode()
    file.create_dataset("uns/x", data=[said], compression="gzip")


def _code_points(file: Any) -> None:
    letters = np.array([list(map(ord, NAME))] * 3, dtype=np.uint32)
    file.create_dataset("a", data=letters, compression="gzip")


def _parquet(home: Path, *, how: str) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    named = pa.field("item", pa.int64(), metadata={"who": NAME})
    # Of "dictionary" the row is gone, its name is still in the dictionary.
    columns = {
        "metadata": pa.array([1]),
        "between": pa.array([1]),
        "dictionary": pa.DictionaryArray.from_arrays(pa.array([0, 0]), pa.array(["b", NAME])),
        "list": pa.array([["x"], ["y", NAME]]),
        "field": pa.array([[1]], pa.list_(named)),
    }
    table = pa.table({"a": columns.get(how, pa.array(["b", NAME, None]))})
    if how == "metadata":
        table = table.replace_schema_metadata({"who": NAME})
    encoding = {"use_dictionary": False, "column_encoding": "DELTA_BYTE_ARRAY"}
    options: dict[str, Any] = encoding if how == "lengths" else {}
    path = home / "x.parquet"
    pq.write_table(table, path, compression="zstd", write_statistics=False, **options)
    if how == "between":
        data = path.read_bytes()
        footer = len(data) - 8 - int.from_bytes(data[-8:-4], "little")
        path.write_bytes(data[:footer] + gzip.compress(TEXT * 3) + data[footer:])


def _npy(home: Path) -> None:
    with (home / "x.npy").open("wb") as stream:
        np.lib.format.write_array(stream, np.array([NAME, "b"]))


def _sqlite(home: Path, *, is_deleted: bool = False) -> None:
    import sqlite3
    from contextlib import closing

    with closing(sqlite3.connect(":memory:")) as base:
        base.execute("PRAGMA secure_delete = OFF")
        base.execute("CREATE TABLE t (a TEXT, b TEXT, c TEXT)")
        base.execute("INSERT INTO t VALUES ('anna', ?, 'other')", (NAME,))
        base.commit()
        if is_deleted:
            base.execute("DELETE FROM t")
            base.commit()
        (home / "x.db").write_bytes(base.serialize())


def _arrow(home: Path, *, how: str) -> None:
    import pyarrow as pa

    texts = pa.array(["anna", NAME, "other"])
    columns = {
        "missing": pa.Array.from_buffers(
            texts.type, 3, [pa.py_buffer(b"\5"), *texts.buffers()[1:]], null_count=1
        ),
        "within": pa.StructArray.from_arrays(
            [pa.DictionaryArray.from_arrays(pa.array([0, 0, 2]), texts)], ["k"]
        ),
        "numbers": pa.array([*range(1000, 1009), *map(ord, NAME)]),
    }
    table = pa.table({"a": columns.get(how, texts)})
    is_file, codec = how != "stream", None if how in ("plain", "stream") else "lz4"
    options = pa.ipc.IpcWriteOptions(compression=codec)
    make = pa.ipc.new_file if is_file else pa.ipc.new_stream
    with make(str(home / "x.arrow"), table.schema, options=options) as writer:
        writer.write_table(table)


def _packed_by(home: Path, codec: str) -> None:
    import numcodecs

    tool = numcodecs.Zstd() if codec == "zstd" else numcodecs.Blosc("zstd")
    packed = bytes(tool.encode(TEXT * 3))
    (home / "x").write_bytes(packed if codec == "blosc" else b"head" * 50 + packed)


def _labels() -> Any:
    import h5py

    return h5py.enum_dtype({NAME: 1, "other": 2}, basetype="i")


def _comment(file: Any) -> None:
    file.create_group("a")
    file["/"].id.set_comment(b"a", base64.b64encode(TEXT))


def _type(file: Any) -> None:
    file["t"] = _labels()


def _late_letters(file: Any) -> None:
    letters = np.array([*range(1000, 9000), *map(ord, NAME)], dtype=np.int32)
    file.create_dataset("a", data=letters, compression="gzip")


def _lists_of_letters(file: Any) -> None:
    import h5py

    file.create_dataset("a", (2,), dtype=h5py.vlen_dtype("u1"))[0] = np.frombuffer(
        NAME.encode(), np.uint8
    )


def _zarr(home: Path) -> None:
    import numcodecs
    import zarr

    # Texts shuffled and packed as HDF5 does: no chunk says by itself how it was made.
    group = zarr.open_group(home / "x.zarr", mode="w", zarr_format=2)
    texts = np.array([NAME, "other"] * 50, dtype="S32")
    options = {"filters": [numcodecs.Shuffle(32)], "compressors": numcodecs.Zlib()}
    array = group.create_array(
        "obs", shape=texts.shape, dtype=texts.dtype, chunks=(100,), **options
    )
    array[:] = texts


TABLES: dict[str, Plant] = {
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
    "HDF5 comment": _hdf5(_comment),
    "HDF5 bits": _hdf5(
        lambda file: file.create_dataset(
            "a", data=np.unpackbits(np.frombuffer(TEXT, np.uint8)).astype(bool), compression="gzip"
        )
    ),
    "HDF5 bytes of numbers": _hdf5(
        lambda file: file.create_dataset(
            "a", data=np.frombuffer(TEXT.ljust(64), "<u8"), compression="gzip"
        )
    ),
    "HDF5 letters in columns": _hdf5(
        lambda file: file.create_dataset(
            "a", data=np.array([list(NAME), list(NAME[::-1])], "S1").T, compression="gzip"
        )
    ),
    "between the parts of Parquet": lambda home: _parquet(home, how="between"),
    "HDF5 type": _hdf5(_type),
    "HDF5 type of an attribute": _hdf5(lambda file: file.attrs.create("a", 1, dtype=_labels())),
    "HDF5 code points behind others": _hdf5(_late_letters),
    "HDF5 lists of letters": _hdf5(_lists_of_letters),
    "zarr, shuffled": _zarr,
    "SQLite, deleted": lambda home: _sqlite(home, is_deleted=True),
    "Arrow, under a missing value": lambda home: _arrow(home, how="missing"),
    "Arrow, dictionary within": lambda home: _arrow(home, how="within"),
    "Arrow, letters as numbers": lambda home: _arrow(home, how="numbers"),
    "Parquet, no dictionary": lambda home: _parquet(home, how="lengths"),
    "Parquet, metadata of a field within": lambda home: _parquet(home, how="field"),
}
"""How each canary is planted, by the place that it stands for."""
