"""Every place of a table: Parquet, Arrow and SQLite, with what is left of rows that are gone."""

from __future__ import annotations

import io
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from pmcell.consent.removal.gene_sets import MIN_PANEL, NamedRows
from pmcell.consent.removal.needles import MAX_CELL, MIN_GENES
from pmcell.consent.removal.place import (
    Cells,
    Into,
    Place,
    dense_cells,
    long_cells,
    once,
    stored_cells,
)
from pmcell.consent.removal.places_genes import table_rows
from pmcell.consent.removal.places_hdf5 import raw_text
from pmcell.consent.removal.places_numbers import array_letters

PARQUET, ARROW, FEATHER, ORC = b"PAR1", b"ARROW1\0\0", b"FEA1", b"ORC"
ARROW_STREAM = b"\xff\xff\xff\xff"
SQLITE = b"SQLite format 3\0"
JOURNALS = (b"\x37\x7f\x06\x82", b"\x37\x7f\x06\x83", b"\xd9\xd5\x05\xf9\x20\xa1\x63\xd7")
"""What SQLite keeps beside a database: its pages before and after a change."""
BATCH = 1 << 17
MAX_LONG = 16
"""Columns of a table that may have a row for each value."""


def parquet_places(
    source: io.BytesIO | Path, where: str, depth: int, into: Into
) -> Iterator[Place]:
    """Metadata of file and columns, and texts of every column with what its dictionary holds.

    Of a file on disk cells are looked for in each row group by itself.
    """
    import pyarrow.parquet as pq

    with pq.ParquetFile(source) as file:
        dictionaries = _dictionaries(file.metadata)
    with pq.ParquetFile(source, read_dictionary=dictionaries) as file:
        schema = file.schema_arrow
        yield from _metadata(schema, where, depth, into)
        if not isinstance(source, Path):
            table = file.read()
            yield from _batches(table.to_batches(BATCH), where, depth, into)
            yield from _cells(schema, table.select, where)
            return
        yield from _batches(file.iter_batches(BATCH), where, depth, into)
        for number in range(file.num_row_groups):
            yield from _cells(schema, partial(_read_group, file, number), where)


def _read_group(file: Any, number: int, names: list[str]) -> Any:
    return file.read_row_group(number, columns=names)


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
    yield from _batches(table.to_batches(BATCH), where, depth, into)
    yield from _cells(table.schema, table.select, where)


def sqlite_places(data: bytes, where: str, depth: int, into: Into) -> Iterator[Place]:
    """Values of all tables, and the pages as they are: what was deleted is still in them."""
    yield Place(f"{where}/pages", data, is_joined=True)
    with closing(sqlite3.connect(":memory:")) as base:
        base.deserialize(data)
        base.text_factory = bytes
        found = base.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        for (name,) in found:
            rows = _rows(base, name).fetchall()
            yield from into(raw_text(rows), f"{where}/{name.decode()}", depth)
            yield Place(f"{where}/{name.decode()}", cells=partial(_row_cells, rows))


def _rows(base: sqlite3.Connection, name: bytes) -> sqlite3.Cursor:
    quoted = name.decode().replace('"', '""')
    return base.execute(f'SELECT * FROM "{quoted}"')


def _row_cells(rows: list[tuple[Any, ...]]) -> Iterator[Cells]:
    columns = [np.array(column) for column in zip(*rows, strict=True)]
    numbers = [column for column in columns if column.dtype.kind in "iuf"]
    return _column_cells(numbers, [column for column in columns if column.dtype.kind == "S"])


def _dictionaries(facts: Any) -> list[str]:
    """Columns of which every part has a dictionary, which may hold more than the rows."""
    groups = [facts.row_group(at) for at in range(facts.num_row_groups)]
    found = []
    for at in range(facts.num_columns):
        parts = [group.column(at) for group in groups]
        is_text = facts.schema.column(at).physical_type == "BYTE_ARRAY"
        if parts and is_text and all(part.has_dictionary_page for part in parts):
            found.append(facts.schema.column(at).path)
    return found


def _metadata(schema: Any, where: str, depth: int, into: Into) -> Iterator[Place]:
    """Metadata of a table and of its fields, also of those within others."""
    said, fields = [dict(schema.metadata or {})], list(schema)
    while fields:
        field = fields.pop()
        said.append({**(field.metadata or {}), field.name.encode(): b""})
        kind = field.type
        fields += [kind.field(at) for at in range(kind.num_fields)] if kind.num_fields else []
    text = b"\n".join(part for metadata in said for pair in metadata.items() for part in pair)
    yield from into(text, f"{where}/metadata", depth)


def _batches(batches: Any, where: str, depth: int, into: Into) -> Iterator[Place]:
    # Each batch has the whole dictionary of its column.
    into = once(into)
    for batch in batches:
        yield Place(f"{where}/rows", _rows_of_texts(batch))
        for name, column in zip(batch.schema.names, batch.columns, strict=True):
            for leaf in leaves(column):
                yield from _leaf(leaf, f"{where}/{name}", depth, into)
            if (bounds := _bounds(column)) is not None:
                values = column.values.to_numpy(zero_copy_only=False)
                yield Place(f"{where}/{name}", cells=partial(stored_cells, bounds, values))


def _rows_of_texts(batch: Any) -> bytes:
    """Texts of each row with tabs between them, where a name may stand in two columns."""
    import pyarrow as pa
    import pyarrow.compute as pc

    plain = (
        column.dictionary_decode() if pa.types.is_dictionary(column.type) else column
        for column in batch.columns
        if is_text(column.type)
    )
    columns = [column.cast(pa.large_string()) for column in plain]
    if len(columns) < 2:
        return b""
    tab, end = (pa.scalar(sign, pa.large_string()) for sign in "\t\n")
    rows = pc.binary_join_element_wise(*columns, end, tab, null_handling="replace")
    return rows.buffers()[2].to_pybytes() if len(rows) else b""


def is_text(kind: Any) -> bool:
    """Whether a column is of texts, as they are or by their numbers in a dictionary."""
    import pyarrow as pa

    inner = kind.value_type if pa.types.is_dictionary(kind) else kind
    return bool(pa.types.is_string(inner) or pa.types.is_large_string(inner))


def leaves(column: Any) -> Iterator[Any]:
    """Arrays without others in them: also values that no row points at, and whole dictionaries."""
    import pyarrow as pa

    kind = column.type
    if pa.types.is_dictionary(kind):
        yield from leaves(column.dictionary)
    elif pa.types.is_map(kind):
        yield from leaves(column.keys)
        yield from leaves(column.items)
    elif (
        pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    ):
        yield from leaves(column.values)
    elif pa.types.is_struct(kind) or pa.types.is_union(kind):
        for at in range(kind.num_fields):
            yield from leaves(column.field(at))
    elif isinstance(column, pa.ExtensionArray):
        yield from leaves(column.storage)
    elif pa.types.is_run_end_encoded(kind):
        yield from leaves(column.values)
    else:
        yield column


def _leaf(array: Any, where: str, depth: int, into: Into) -> Iterator[Place]:
    import pyarrow as pa

    kind = array.type
    if pa.types.is_null(kind) or pa.types.is_boolean(kind):
        return
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        if letters := array_letters(np.nan_to_num(array.to_numpy(zero_copy_only=False))):
            yield Place(where, letters, is_joined=True)
            yield from into(letters, where, depth)
        return
    if pa.types.is_primitive(kind):
        return
    yield from into(_text_of(array), where, depth)
    if array.null_count:
        # What stands under a value that is missing.
        for buffer in array.buffers()[1:]:
            yield Place(where, buffer.to_pybytes() if buffer else b"", is_joined=True)


def _text_of(array: Any) -> bytes:
    """The different values of an array as lines."""
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = array.type
    values = array if "view" in str(kind) else array.unique()
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_binary(kind)):
        return raw_text([value for value in values.to_pylist() if value is not None])
    whole = values.drop_null()
    sign = pa.scalar("\n").cast(kind)
    lines = pc.binary_join(pa.ListArray.from_arrays([0, len(whole)], whole), sign)
    return lines[0].as_buffer().to_pybytes() if len(whole) else b""


def _bounds(column: Any) -> np.ndarray | None:
    """Where each row of a column of lists of numbers begins and ends; None of another column."""
    import pyarrow as pa

    kind = column.type
    if not (pa.types.is_list(kind) or pa.types.is_large_list(kind)):
        return None
    if not (pa.types.is_integer(kind.value_type) or pa.types.is_floating(kind.value_type)):
        return None
    return np.asarray(column.offsets)


def _cells(schema: Any, read: Callable[[list[str]], Any], where: str) -> Iterator[Place]:
    """Cells of a table: in its rows, in its columns, or with a row for each value."""
    import pyarrow as pa

    names = [item.name for item in schema if _is_plain(item.type)]
    if any(pa.types.is_integer(item.type) or pa.types.is_floating(item.type) for item in schema):
        yield Place(f"{where}/cells", cells=partial(_frame_cells, read, names))
        numbers = [item.name for item in schema if _is_number(item.type)]
        if len(numbers) >= MIN_PANEL:
            yield Place(f"{where}/genes", genes=partial(_frame_genes, read, numbers))


def _is_number(kind: Any) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind))


def _frame_genes(read: Callable[[list[str]], Any], names: list[str]) -> NamedRows:
    columns = [column.to_numpy(zero_copy_only=False) for column in _whole(read(names))]
    return table_rows(names, np.nan_to_num(np.column_stack(columns)))


def _whole(table: Any) -> Iterator[Any]:
    return (column.combine_chunks() for column in table.columns)


def _is_plain(kind: Any) -> bool:
    import pyarrow as pa

    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return bool(
        pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_string(kind)
        or pa.types.is_large_string(kind)
    )  # fmt: skip


def _frame_cells(read: Callable[[list[str]], Any], names: list[str]) -> Iterator[Cells]:
    import pyarrow as pa

    columns: list[np.ndarray] = []
    texts: list[np.ndarray] = []
    for column in read(names).columns:
        whole = column.combine_chunks()
        if pa.types.is_string(whole.type) or pa.types.is_large_string(whole.type):
            whole = whole.dictionary_encode()
        if pa.types.is_dictionary(whole.type):
            codes = whole.indices.fill_null(-1) if whole.null_count else whole.indices
            texts.append(codes.to_numpy(zero_copy_only=False).astype(np.int64))
        else:
            values = whole.to_numpy(zero_copy_only=False)
            columns.append(np.nan_to_num(values) if values.dtype.kind == "f" else values)
    return _column_cells(columns, texts)


def _column_cells(numbers: list[np.ndarray], texts: list[np.ndarray]) -> Iterator[Cells]:
    if numbers and (len(numbers) >= MIN_GENES or MIN_GENES <= len(numbers[0]) <= MAX_CELL):
        yield from dense_cells(np.column_stack(numbers))
    if len(numbers) + len(texts) <= MAX_LONG:
        yield from long_cells(numbers, texts)
