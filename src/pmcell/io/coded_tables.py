"""Write tables of many rows from Arrow, with text as codes: no row becomes an object of Python.

A chunk is an Arrow table whose columns of text are dictionaries, so that rows are compared by
codes. The file holds plain text, as every table does.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pmcell.errors import DataError
from pmcell.io.atomic import atomic_path
from pmcell.io.tables import arrow_schema, coded_schema, table_writer
from pmcell.schema import Table

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa


def coded(codes: np.ndarray, texts: np.ndarray) -> pa.DictionaryArray:
    """A column of text: `texts`, and the position of each row's text."""
    import pyarrow as pa

    return pa.DictionaryArray.from_arrays(
        pa.array(codes.astype(np.int32)), pa.array(texts, pa.string())
    )


def read_coded_chunks(path: Path | str, table: Table) -> Iterator[pa.Table]:
    """The rows of a table that a step wrote, row group after row group, as a chunk each."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    text = [item.name for item in table.fields if item.kind == "string"]
    with pa.OSFile(str(path), "rb") as stream:
        file = pq.ParquetFile(stream, read_dictionary=text)
        # A table without rows may have no row group; its chunk has the columns.
        for groups in [[at] for at in range(file.num_row_groups)] or [[]]:
            yield file.read_row_groups(groups, table.columns).unify_dictionaries()


def write_coded_chunks(
    target: Path | str,
    chunks: Iterable[pa.Table],
    table: Table,
    *,
    about: Mapping[str, str] | None = None,
) -> int:
    """Write a table from chunks in its row order; the number of rows.

    `DataError` for other columns than the schema's, null in a required one, and rows out of order.
    """
    names = [item.name for item in table.fields]
    required = [item.name for item in table.fields if item.required]
    text = [item.name for item in table.fields if item.kind == "string"]
    schema = arrow_schema(table, about)
    n_rows, last = 0, None
    with (
        atomic_path(target) as temporary,
        table_writer(temporary, schema, table.row_order, coded=text) as writer,
    ):
        for chunk in chunks:
            if chunk.column_names != names or any(chunk[name].null_count for name in required):
                raise DataError(
                    f"table {table.name!r} must have the columns {', '.join(names)}, without null "
                    f"in {', '.join(required)}; got {', '.join(chunk.column_names)}"
                )
            if not chunk.num_rows:
                continue
            first, end = _ends(chunk, table)
            if last is not None and first <= last:
                raise _out_of_order(table)
            writer.write_table(chunk.cast(coded_schema(schema, text)), table.row_group_size)
            n_rows, last = n_rows + chunk.num_rows, end
    return n_rows


def plain_frame(chunk: pa.Table) -> pd.DataFrame:
    """A chunk as a data frame, text as plain strings."""
    import pyarrow as pa

    return chunk.cast(
        pa.schema(
            pa.field(item.name, item.type.value_type) if pa.types.is_dictionary(item.type) else item
            for item in chunk.schema
        )
    ).to_pandas()


def rises(columns: Sequence[pa.Array]) -> bool:
    """Whether each row comes after the one above it, by columns without null, the first first."""
    import pyarrow as pa
    import pyarrow.compute as pc

    undecided = np.ones(max(len(columns[0]) - 1, 0), bool)
    for column in columns:
        values = column
        if pa.types.is_dictionary(column.type):
            rank = pc.rank(column.dictionary, tiebreaker="dense").to_numpy()
            values = pa.array(rank).take(column.indices)
        values = values.to_numpy(zero_copy_only=False)
        if np.any(undecided & (values[1:] < values[:-1])):
            return False
        undecided &= values[1:] == values[:-1]
    return not undecided.any()


def _ends(chunk: pa.Table, table: Table) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """The keys of the first and last row; `DataError` unless each row comes after the last."""
    if not rises([chunk[name].combine_chunks() for name in table.row_order]):
        raise _out_of_order(table)
    first, end = (
        tuple(chunk[name][row].as_py() for name in table.row_order)
        for row in (0, chunk.num_rows - 1)
    )
    return first, end


def _out_of_order(table: Table) -> DataError:
    return DataError(
        f"rows of table {table.name!r} must be unique and in the order of "
        f"{', '.join(table.row_order)}; a row comes before the one above it"
    )
