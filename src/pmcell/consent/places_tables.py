"""Every place of a table: Parquet, Arrow, SQLite, and tables of numbers in text."""

from __future__ import annotations

import io
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from typing import Any

import numpy as np

from pmcell.consent.needles import MIN_GENES
from pmcell.consent.place import Into, Place, dense_prints, matrix_prints
from pmcell.consent.places_hdf5 import raw_text

PARQUET, ARROW, FEATHER, ORC = b"PAR1", b"ARROW1\0\0", b"FEA1", b"ORC"
ARROW_STREAM = b"\xff\xff\xff\xff"
SQLITE, MATRIX_MARKET = b"SQLite format 3\0", b"%%MatrixMarket"
BATCH = 1 << 17


def parquet_places(data: bytes, where: str, depth: int, into: Into) -> Iterator[Place]:
    """Metadata of file and columns, and texts of every column with what its dictionary holds."""
    import pyarrow.parquet as pq

    schema = pq.read_schema(io.BytesIO(data))
    yield from _metadata(schema, where, depth, into)
    texts = [item.name for item in schema if _is_text(item.type)]
    file = pq.ParquetFile(io.BytesIO(data), read_dictionary=texts)
    names = [item.name for item in schema if _has_text(item.type)]
    yield from _batches(file.iter_batches(BATCH, columns=names), where, depth, into)
    yield from _rows_of_numbers(schema, lambda names: file.read(columns=names), where)


def arrow_places(data: bytes, where: str, depth: int, into: Into) -> Iterator[Place]:
    """A file of Arrow, Feather or ORC: the same places."""
    import pyarrow as pa

    if data.startswith(ORC):
        from pyarrow import orc

        table = orc.ORCFile(io.BytesIO(data)).read()
    elif data.startswith(FEATHER):
        from pyarrow import feather

        table = feather.read_table(io.BytesIO(data))
    elif data.startswith(ARROW):
        table = pa.ipc.open_file(pa.BufferReader(data)).read_all()
    else:
        try:
            table = pa.ipc.open_stream(pa.BufferReader(data)).read_all()
        except (OSError, ValueError):  # Other files may begin with these bytes, too.
            return
    yield from _metadata(table.schema, where, depth, into)
    names = [item.name for item in table.schema if _has_text(item.type)]
    yield from _batches(table.select(names).to_batches(BATCH), where, depth, into)
    yield from _rows_of_numbers(table.schema, table.select, where)


def sqlite_places(data: bytes, where: str, depth: int, into: Into) -> Iterator[Place]:
    """Values of all tables: in the file itself they stand beside each other without a sign."""
    with closing(sqlite3.connect(":memory:")) as base:
        base.deserialize(data)
        base.text_factory = bytes
        found = base.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        for (name,) in found:
            quoted = name.decode().replace('"', '""')
            cursor = base.execute(f'SELECT * FROM "{quoted}"')
            while rows := cursor.fetchmany(BATCH):
                yield from into(raw_text(rows), f"{where}/{name.decode()}", depth)


def _metadata(schema: Any, where: str, depth: int, into: Into) -> Iterator[Place]:
    for metadata in [schema.metadata or {}, *(item.metadata or {} for item in schema)]:
        text = b"\n".join(part for pair in metadata.items() for part in pair)
        if text:
            yield from into(text, f"{where}/metadata", depth)


def _batches(batches: Any, where: str, depth: int, into: Into) -> Iterator[Place]:
    import pyarrow as pa

    for batch in batches:
        for name, column in zip(batch.schema.names, batch.columns, strict=True):
            while _is_list(column.type):
                column = column.flatten()
            if pa.types.is_dictionary(column.type):
                values = column.dictionary.to_pylist()
            elif pa.types.is_nested(column.type):
                values = list(map(str, column.to_pylist()))
            else:
                values = column.unique().to_pylist()
            text = raw_text([value for value in values if value is not None])
            yield from into(text, f"{where}/{name}", depth)


def _is_list(kind: Any) -> bool:
    import pyarrow as pa

    return bool(
        pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    )


def _is_text(kind: Any) -> bool:
    import pyarrow as pa

    return bool(
        pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_binary(kind)
    )


def _has_text(kind: Any) -> bool:
    import pyarrow as pa

    if _is_list(kind):
        return _has_text(kind.value_type)
    return not pa.types.is_primitive(kind) and not pa.types.is_null(kind)


def _rows_of_numbers(schema: Any, read: Any, where: str) -> Iterator[Place]:
    """Cells, where a table has as many columns of numbers as a cell needs genes."""
    import pyarrow as pa

    names = [
        item.name
        for item in schema
        if pa.types.is_integer(item.type) or pa.types.is_floating(item.type)
    ]
    if len(names) >= MIN_GENES:
        yield Place(f"{where}/cells", prints=partial(_frame_prints, read, names))


def _frame_prints(read: Any, names: list[str]) -> frozenset[bytes]:
    columns = read(names).columns
    return dense_prints(np.column_stack([np.nan_to_num(np.asarray(item)) for item in columns]))


def text_table(data: bytes, where: str) -> Iterator[Place]:
    """Cells in a table of numbers, or in a sparse matrix that was written as text."""
    if data.startswith(MATRIX_MARKET):
        yield Place(f"{where}/cells", prints=partial(_market_prints, data))
        return
    first = data[: 1 << 16].splitlines()[:4]
    if not first:
        return
    n_lines = data.count(b"\n") + 1
    for sign in (b"\t", b",", b";", b" "):
        cells = first[-1].split(sign)
        # A cell has as many numbers as genes: in its line, or in its column over the lines.
        if len(cells) < 2 or max(len(cells), n_lines) < MIN_GENES:
            continue
        if 2 * sum(map(_is_number, cells)) >= len(cells):
            yield Place(f"{where}/cells", prints=partial(_text_prints, data, sign))
            return


def _market_prints(data: bytes) -> frozenset[bytes]:
    from scipy.io import mmread
    from scipy.sparse import coo_matrix

    return matrix_prints(coo_matrix(mmread(io.BytesIO(data))))


def _text_prints(data: bytes, sign: bytes) -> frozenset[bytes]:
    rows = [
        [float(cell) if _is_number(cell) else 0.0 for cell in line.split(sign)]
        for line in data.splitlines()
    ]
    width = max(map(len, rows), default=0)
    if not width:
        return frozenset()
    padded = np.array([row + [0.0] * (width - len(row)) for row in rows])
    return dense_prints(padded)


def _is_number(cell: bytes) -> bool:
    if not cell[:1] or cell[0] not in b"0123456789.+- ":
        return False
    try:
        float(cell)
    except ValueError:
        return False
    return True
