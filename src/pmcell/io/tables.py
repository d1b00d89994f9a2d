"""Parquet tables that carry their own documentation.

The sentence, unit, ontology and concept of every column come from
`pmcell.schema` and travel in the Arrow field metadata; primary and foreign keys
in the schema metadata. Rows are sorted, so equal content gives equal bytes.
Pages carry checksums: a reader finds a flipped bit without the manifest.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pmcell.errors import DataError
from pmcell.io.atomic import atomic_path
from pmcell.schema import SCHEMA_VERSION, Field, ForeignKey, Table
from pmcell.schema import table as schema_table

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa
    import pyarrow.parquet as pq

COMPRESSION_LEVEL = 1
"""Level 3 makes no smaller files of counts (0.82 bytes each at either), and takes half as long
again."""
NULLABLE = {"int64": "Int64", "bool": "boolean"}
"""pandas' dtypes for columns that may be null, by kind of field; others hold null anyway."""


def arrow_schema(table: Table, about: Mapping[str, str] | None = None) -> pa.Schema:
    """The Arrow schema of a table, with prose, units, ontologies and keys as metadata.

    `about` adds what is known of the file, such as its licence, by Dublin Core
    and PROV names.
    """
    import pyarrow as pa

    metadata = {
        **(about or {}),
        "pmcell:schema_version": SCHEMA_VERSION,
        "pmcell:table": table.name,
        "pmcell:prose": table.prose,
        "pmcell:primary_key": json.dumps(list(table.key)),
        "pmcell:row_order": json.dumps(list(table.row_order)),
        "pmcell:foreign_keys": json.dumps(
            [
                {
                    "columns": list(key.columns),
                    "table": key.table,
                    "references": list(key.references),
                }
                for key in resolved_foreign_keys(table)
            ]
        ),
    }
    return pa.schema([_arrow_field(field) for field in table.fields], metadata=metadata)


def resolved_foreign_keys(table: Table) -> list[ForeignKey]:
    """The foreign keys with the columns that they refer to spelled out."""
    return [
        replace(key, references=key.references or schema_table(key.table).key)
        for key in table.foreign_keys
    ]


def table_writer(
    target: Path | str,
    schema: pa.Schema,
    order: Sequence[str] = (),
    *,
    delta: Sequence[str] = (),
    coded: Sequence[str] = (),
) -> pq.ParquetWriter:
    """A Parquet writer: zstd, page checksums and index; `order` is that of the rows.

    Columns of whole numbers in `delta` are stored as differences. Columns of text in `coded` are
    given as dictionaries, so that no text is looked up row by row; the file does not say so, and
    its readers get plain text.
    """
    import pyarrow.parquet as pq

    sorting = [pq.SortingColumn(schema.get_field_index(name)) for name in order]
    writer = pq.ParquetWriter(
        target,
        coded_schema(schema, coded),
        compression="zstd",
        compression_level=COMPRESSION_LEVEL,
        write_page_checksum=True,
        write_page_index=True,
        sorting_columns=sorting or None,
        use_dictionary=[name for name in schema.names if name not in delta],
        column_encoding=dict.fromkeys(delta, "DELTA_BINARY_PACKED") or None,
        store_schema=not coded,
    )
    if coded:
        plain = base64.b64encode(schema.serialize().to_pybytes())
        writer.add_key_value_metadata({**(schema.metadata or {}), b"ARROW:schema": plain})
    return writer


def coded_schema(schema: pa.Schema, coded: Sequence[str]) -> pa.Schema:
    """The schema of what a `table_writer` is given: columns of `coded` are dictionaries."""
    import pyarrow as pa

    codes = pa.dictionary(pa.int32(), pa.string())
    fields = [field.with_type(codes) if field.name in coded else field for field in schema]
    return pa.schema(fields, metadata=schema.metadata)


def write_table(
    target: Path | str,
    frame: pd.DataFrame,
    table: Table,
    *,
    about: Mapping[str, str] | None = None,
    sort: bool = True,
) -> None:
    """Check `frame` against `table`, sort it by its row order and write it (zstd).

    `sort=False` keeps the order of the rows, for tables between steps that run
    parallel to a matrix.

    Columns are put in the schema's order; unknown or missing columns, nulls in
    required columns and duplicate keys raise `DataError`.
    """
    import pyarrow as pa

    checked = conform(frame, table, sort=sort)
    schema = arrow_schema(table, about)
    order, size = table.row_order if sort else (), table.row_group_size
    with atomic_path(target) as temporary, table_writer(temporary, schema, order) as writer:
        # One row group at a time: Arrow's copy of a large table is as large as the table.
        for start in range(0, max(len(checked), 1), size):
            rows = checked.iloc[start : start + size]
            data = pa.Table.from_pandas(rows, schema=schema, preserve_index=False)
            writer.write_table(data.replace_schema_metadata(schema.metadata), size)


def write_chunks(
    target: Path | str,
    chunks: Iterable[pd.DataFrame],
    table: Table,
    *,
    about: Mapping[str, str] | None = None,
) -> int:
    """Write a table from chunks in its row order, for what does not fit in memory.

    Returns the number of rows.

    Every chunk is checked like a whole table; a chunk that does not start after
    the end of the one before it raises `DataError`.
    """
    import pyarrow as pa

    schema = arrow_schema(table, about)
    order = list(table.row_order)
    n_rows, last = 0, None
    with atomic_path(target) as temporary, table_writer(temporary, schema, order) as writer:
        for chunk in chunks:
            checked = conform(chunk, table)
            if checked.empty:
                continue
            first, end = (tuple(checked[order].iloc[row]) for row in (0, -1))
            if last is not None and first <= last:
                raise DataError(
                    f"chunks of table {table.name!r} must come in the order of {table.row_order}; "
                    f"{first} came after {last}"
                )
            data = pa.Table.from_pandas(checked, schema=schema, preserve_index=False)
            data = data.replace_schema_metadata(schema.metadata)
            writer.write_table(data, table.row_group_size)
            n_rows, last = n_rows + len(checked), end
    return n_rows


def empty_table(table: Table) -> pd.DataFrame:
    """A table of the schema without rows."""
    import pandas as pd

    kinds = {"int64": "int64", "float64": "float64", "bool": "bool"}
    return pd.DataFrame(
        {item.name: pd.Series(dtype=kinds.get(item.kind, "object")) for item in table.fields}
    )


def join_tables(frames: Iterable[pd.DataFrame], table: Table) -> pd.DataFrame:
    """Return the frames of a table one below the other, each checked like a whole table."""
    import pandas as pd

    # Each part gets the table's types first: joining parts with empty columns would lose them.
    parts = [conform(frame, table) for frame in frames]
    return pd.concat(parts, ignore_index=True) if parts else empty_table(table)


def read_table(path: Path | str, columns: list[str] | None = None) -> pd.DataFrame:
    """Read a Parquet table into a data frame."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    # A file handle keeps '=' in folder names from becoming partition columns. It is Arrow's own:
    # of one of Python's, Arrow's threads read by the interpreter, and a process that ends
    # meanwhile is aborted.
    with pa.OSFile(str(path), "rb") as stream:
        return pq.read_table(stream, columns=columns).to_pandas()


def conform(frame: pd.DataFrame, table: Table, *, sort: bool = True) -> pd.DataFrame:
    """The frame in the table's column order, types and row order; `DataError` if it cannot be.

    Its columns may be those of `frame` itself.
    """
    import pandas as pd

    names = table.columns
    unknown = sorted(set(frame.columns) - set(names))
    missing = [name for name in names if name not in frame.columns]
    if unknown or missing:
        raise DataError(
            f"table {table.name!r} must have exactly the columns of the schema; "
            f"missing {missing}, not in the schema {unknown}. Add the field to pmcell.schema first."
        )
    # Columns that are right already are those of the frame given: large tables are not copied.
    columns = {item.name: _convert(frame[item.name], item, table) for item in table.fields}
    frame = pd.DataFrame(columns, copy=False)
    if sort and set(table.row_order) == set(table.key) and _rises(frame, table.row_order):
        frame.index = pd.RangeIndex(len(frame))
        return frame
    duplicated = frame.duplicated(list(table.key))
    if duplicated.any():
        first = frame.loc[duplicated, list(table.key)].iloc[0].to_dict()
        raise DataError(
            f"table {table.name!r} must have one row for each {table.key}; "
            f"{int(duplicated.sum())} rows repeat a key, the first {first}",
            reason="duplicate_key",
        )
    if sort:
        frame = frame.sort_values(list(table.row_order), kind="stable")
    frame.index = pd.RangeIndex(len(frame))
    return frame


def _rises(frame: pd.DataFrame, order: Sequence[str]) -> bool:
    """Whether each row surely comes after the one before it, so that none repeats another.

    Cheaper than sorting, and most tables are made in order. Null values prove nothing.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    if len(frame) < 2:
        return True
    undecided: Any = None
    for name in order:
        values = pa.array(frame[name], from_pandas=True)
        if values.null_count or pa.types.is_nested(values.type):
            return False
        if pa.types.is_boolean(values.type):
            values = values.cast(pa.int8())
        before, after = values.slice(0, len(values) - 1), values.slice(1)
        falls, same = pc.less(after, before), pc.equal(after, before)
        if undecided is not None:
            falls, same = pc.and_(undecided, falls), pc.and_(undecided, same)
        if pc.any(falls).as_py():
            return False
        undecided = same
        if not pc.any(undecided).as_py():
            return True
    return False


def _convert(column: pd.Series[Any], item: Field, table: Table) -> Any:
    import pandas as pd

    is_missing = column.isna()
    has_missing = bool(is_missing.any())
    if item.required and has_missing:
        raise DataError(
            f"column {item.name!r} of table {table.name!r} must not be empty; "
            f"{int(is_missing.sum())} of {len(column)} rows are"
        )
    if item.kind == "string":
        values = column.astype(object, copy=False)
        if pd.api.types.infer_dtype(values, skipna=True) in ("string", "empty"):
            return values.where(~is_missing, None) if has_missing else values
        return pd.Series(
            [None if value is None or pd.isna(value) else str(value) for value in values],
            index=column.index,
            dtype=object,
        )
    if item.kind == "list<string>":
        return column.map(_strings, na_action="ignore").astype(object).where(column.notna(), None)
    if item.kind in NULLABLE and not item.required:
        return column.astype(NULLABLE[item.kind], copy=False)
    return column.astype(item.kind, copy=False)


def _strings(values: Iterable[Any]) -> list[str]:
    return [str(value) for value in values]


def _arrow_field(item: Field) -> pa.Field:
    import pyarrow as pa

    kinds = {
        "string": pa.string(),
        "int64": pa.int64(),
        "float64": pa.float64(),
        "bool": pa.bool_(),
        "list<string>": pa.list_(pa.string()),
    }
    metadata = {"pmcell:prose": item.prose}
    if item.unit:
        metadata["pmcell:unit"] = item.unit
    if item.ontology:
        metadata["pmcell:ontology"] = item.ontology
    if item.ontology_iri:
        metadata["pmcell:ontology_iri"] = item.ontology_iri
    if item.term_iri:
        metadata["pmcell:term"] = item.term_iri
    return pa.field(item.name, kinds[item.kind], nullable=not item.required, metadata=metadata)
