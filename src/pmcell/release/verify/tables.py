"""Do the Parquet tables keep the schema's promises: columns, metadata, primary and foreign keys?

Tables are read in batches; only the keys of tables that others refer to are
kept in memory.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pmcell.errors import Fault
from pmcell.io.coded_tables import rises
from pmcell.io.tables import arrow_schema
from pmcell.schema import TABLES, Table
from pmcell.schema import table as schema_table

if TYPE_CHECKING:
    import pyarrow as pa

BATCH_ROWS = 1 << 18
SEPARATOR = "\x1f"
LAST = "\U0010ffff"
REWRITE = "Write the release again."


def table_faults(folder: Path) -> list[Fault]:
    """Faults of all tables below `folder/tables`."""
    faults: list[Fault] = []
    sound: set[str] = set()
    for table in TABLES:
        path = folder / "tables" / f"{table.name}.parquet"
        own = schema_faults(path, table) if path.is_file() else [_missing(table)]
        faults += own
        if not own:
            sound.add(table.name)
            faults += key_faults(path, table)
    for table in TABLES:
        if table.name in sound and all(key.table in sound for key in table.foreign_keys):
            faults += _foreign_key_faults(folder / "tables", table)
    return faults


def _missing(table: Table) -> Fault:
    name = f"tables/{table.name}.parquet"
    return Fault(name, "must be there, empty if need be", "no such file", REWRITE, reason="missing")


def schema_faults(path: Path, table: Table) -> list[Fault]:
    """Columns, types and metadata that are not those of the schema."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    name = f"{path.parent.name}/{path.name}"
    try:
        found = pq.read_schema(path)
    except (pa.ArrowException, OSError) as error:
        return [Fault(name, "must be a Parquet file", str(error), REWRITE, reason="format")]
    wanted = arrow_schema(table)
    if found.names != wanted.names:
        must = f"columns must be {', '.join(wanted.names)}"
        return [Fault(name, must, ", ".join(found.names), REWRITE, reason="columns")]
    faults = []
    for have, want in zip(found, wanted, strict=True):
        if have.type != want.type or have.nullable != want.nullable:
            must, seen = f"must be {_describe(want)}", _describe(have)
            faults.append(Fault(name, must, seen, REWRITE, column=want.name, reason="type"))
        elif _metadata(have.metadata) != _metadata(want.metadata):
            must = "must carry the schema's sentence, unit and ontology as metadata"
            faults.append(Fault(name, must, "others", REWRITE, column=want.name, reason="metadata"))
    if not _metadata(wanted.metadata).items() <= _metadata(found.metadata).items():
        must = "must carry the schema's keys and sentence as metadata"
        faults.append(Fault(name, must, "others", REWRITE, reason="metadata"))
    return faults


def key_faults(path: Path, table: Table) -> list[Fault]:
    """Rows must ascend by the table's order, the key be unique; required columns have no null."""
    import pyarrow as pa
    import pyarrow.compute as pc

    name, start = f"{path.parent.name}/{path.name}", 0
    order = list(table.row_order)
    last: pa.RecordBatch | None = None
    required = [item.name for item in table.fields if item.required]
    for batch in _batches(path, list(dict.fromkeys([*required, *order]))):
        for column in required:
            if batch.column(column).null_count:
                row = start + pc.index(batch.column(column).is_null(), True).as_py()
                must = "must not be null"
                return [Fault(name, must, "null", REWRITE, row=row, column=column, reason="null")]
        keys = batch.select(order)
        if _surely_rises(last, keys):
            last = keys.slice(keys.num_rows - 1, 1)
            start += batch.num_rows
            continue
        pair = [_plain(part) for part in (last, keys) if part is not None]
        joined = pa.Table.from_batches(pair).combine_chunks()
        ascending = _ascending(joined)
        if not pc.all(ascending, min_count=0).as_py():
            place = pc.index(ascending, False).as_py() + 1
            found = joined.slice(place, 1).to_pylist()[0]
            row = start + place - (0 if last is None else 1)
            must = f"rows must be unique and sorted by {', '.join(order)}"
            return [Fault(name, must, str(found), REWRITE, row=row, reason="primary_key")]
        last = keys.slice(keys.num_rows - 1, 1)
        start += batch.num_rows
    return [] if set(order) == set(table.key) else _repeated_keys(path, table)


def _surely_rises(last: pa.RecordBatch | None, keys: pa.RecordBatch) -> bool:
    """Whether rows ascend, by the codes of their text; null proves nothing."""
    if any(column.null_count for column in keys.columns):
        return False
    if last is not None:
        before, first = ([column[0].as_py() for column in part.columns] for part in (last, keys))
        if None in before or before >= first:
            return False
    return rises(keys.columns)


def _repeated_keys(path: Path, table: Table) -> list[Fault]:
    """The first key that stands in two rows; needs the keys in memory."""
    import pyarrow as pa
    import pyarrow.compute as pc

    keys = pa.chunked_array([_joined(batch) for batch in _batches(path, list(table.key))] or [[]])
    if len(keys) == pc.count_distinct(keys).as_py():
        return []
    counts = pc.value_counts(keys.cast(pa.string()))
    repeated = counts.filter(pc.greater(counts.field("counts"), 1)).field("values")[0].as_py()
    must, found = f"{', '.join(table.key)} must be unique", repeated.replace(SEPARATOR, ", ")
    return [Fault(f"{path.parent.name}/{path.name}", must, found, REWRITE, reason="primary_key")]


def _ascending(keys: pa.Table) -> pa.ChunkedArray | pa.Array:
    """For each pair of neighbouring rows, whether the second comes later; null is last."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if keys.num_rows < 2:
        return pa.array([], pa.bool_())
    columns = [
        pc.fill_null(column, LAST) if pa.types.is_string(column.type) else column
        for column in keys.columns
    ]
    before = [column.slice(0, keys.num_rows - 1) for column in columns]
    after = [column.slice(1) for column in columns]
    after_it, same = pc.less(before[0], after[0]), pc.equal(before[0], after[0])
    for left, right in zip(before[1:], after[1:], strict=True):
        after_it = pc.or_(after_it, pc.and_(same, pc.less(left, right)))
        same = pc.and_(same, pc.equal(left, right))
    return after_it


def _foreign_key_faults(folder: Path, table: Table) -> list[Fault]:
    import pyarrow as pa
    import pyarrow.compute as pc

    faults = []
    for key in table.foreign_keys:
        target = schema_table(key.table)
        referred = list(key.references or target.key)
        known = pa.concat_arrays(
            [_joined(batch) for batch in _batches(folder / f"{target.name}.parquet", referred)]
            or [pa.array([], pa.string())]
        )
        start = 0
        for batch in _batches(folder / f"{table.name}.parquet", list(key.columns)):
            if batch.num_columns == 1 and _are_known(batch.column(0), known):
                start += batch.num_rows
                continue
            values = _joined(batch)
            dangling = pc.and_(values.is_valid(), pc.invert(pc.is_in(values, value_set=known)))
            if pc.any(dangling).as_py():
                place = pc.index(dangling, True).as_py()
                faults.append(
                    Fault(
                        f"tables/{table.name}.parquet",
                        f"must be a key of {key.table}",
                        str(values[place].as_py()).replace(SEPARATOR, ", "),
                        REWRITE,
                        row=start + place,
                        column=", ".join(key.columns),
                        reason="foreign_key",
                    )
                )
                break
            start += batch.num_rows
    return faults


def _are_known(column: pa.Array, known: pa.Array) -> bool:
    """Whether each text of a column's dictionary is one of `known`."""
    import pyarrow as pa
    import pyarrow.compute as pc

    return pa.types.is_dictionary(column.type) and bool(
        pc.all(pc.is_in(column.dictionary, value_set=known), min_count=0).as_py()
    )


def _plain(batch: pa.RecordBatch) -> pa.RecordBatch:
    """The batch with plain text in place of codes."""
    import pyarrow as pa

    columns = [
        column.dictionary_decode() if pa.types.is_dictionary(column.type) else column
        for column in batch.columns
    ]
    return pa.RecordBatch.from_arrays(columns, batch.schema.names)


def _joined(batch: pa.RecordBatch) -> pa.Array:
    """The columns as one string a row, null where any is null."""
    import pyarrow as pa
    import pyarrow.compute as pc

    columns = [pc.cast(column, pa.string()) for column in batch.columns]
    return reduce(lambda left, right: pc.binary_join_element_wise(left, right, SEPARATOR), columns)


def _batches(path: Path, columns: list[str]) -> Iterator[pa.RecordBatch]:
    """Some columns of a table, text as codes."""
    import pyarrow.parquet as pq

    with path.open("rb") as stream:
        schema = pq.read_schema(stream)
        stream.seek(0)
        text = [name for name in columns if schema.field(name).type == "string"]
        file = pq.ParquetFile(stream, read_dictionary=text)
        for batch in file.iter_batches(batch_size=BATCH_ROWS, columns=columns):
            if batch.num_rows:
                yield batch.select(columns)


def _describe(field: Any) -> str:
    return f"{field.type}{'' if field.nullable else ', never null'}"


def _metadata(metadata: Mapping[bytes, bytes] | None) -> dict[bytes, bytes]:
    return {
        key: value for key, value in (metadata or {}).items() if not key.startswith(b"PARQUET:")
    }
