"""Write tables of many rows from Arrow, with text as codes: no row becomes an object of Python.

A chunk is an Arrow table whose columns of text are dictionaries, each dictionary sorted, so that
rows are compared by their codes. The file holds plain text, as every table does.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import pairwise
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
    """A column of text: `texts`, which must be sorted, and the position of each row's text."""
    import pyarrow as pa

    return pa.DictionaryArray.from_arrays(
        pa.array(codes.astype(np.int32)), pa.array(texts, pa.string())
    )


def write_coded_chunks(
    target: Path | str,
    chunks: Iterable[pa.Table],
    table: Table,
    *,
    about: Mapping[str, str] | None = None,
) -> int:
    """Write a table from chunks in its row order; the number of rows.

    `DataError` for other columns than the schema's, null values, and rows out of order.
    """
    names = [item.name for item in table.fields]
    text = [item.name for item in table.fields if item.kind == "string"]
    schema = arrow_schema(table, about)
    n_rows, last = 0, None
    with (
        atomic_path(target) as temporary,
        table_writer(temporary, schema, table.row_order, coded=text) as writer,
    ):
        for chunk in chunks:
            if chunk.column_names != names or any(column.null_count for column in chunk.columns):
                raise DataError(
                    f"table {table.name!r} must have the columns {', '.join(names)}, without null; "
                    f"got {', '.join(chunk.column_names)}"
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


def _ends(chunk: pa.Table, table: Table) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """The keys of the first and last row; `DataError` unless each row comes after the last."""
    rises = np.zeros(chunk.num_rows - 1, bool)
    same = ~rises
    for name in table.row_order:
        column = chunk[name].combine_chunks()
        if hasattr(column, "dictionary"):
            texts = column.dictionary.to_pylist()
            if any(one >= other for one, other in pairwise(texts)):
                raise _out_of_order(table)
            column = column.indices
        values = column.to_numpy()
        rises |= same & (values[1:] > values[:-1])
        same &= values[1:] == values[:-1]
    if not rises.all():
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
