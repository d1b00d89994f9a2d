"""Add rows to a table of a release: those that were there keep their content and their order."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pmcell.errors import DataError
from pmcell.io.atomic import atomic_path
from pmcell.io.tables import arrow_schema, conform, table_writer

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from pmcell.schema import Table

BATCH_ROWS = 1 << 18


def add_rows(
    source: Path,
    rows: pd.DataFrame,
    table: Table,
    target: Path,
    *,
    about: Mapping[str, str] | None = None,
) -> None:
    """Write a table's rows and new ones among them, each where the table's order wants it.

    The old rows are copied in batches and never converted.

    Parameters
    ----------
    source, target
        The table as it was, and the file to write.
    rows
        The new rows; `DataError` where one has the key of an old one.
    table
        The table of the schema.
    about
        What the file says of itself.
    """
    import pyarrow as pa

    schema = arrow_schema(table, about)
    new = pa.Table.from_pandas(conform(rows, table), schema=schema, preserve_index=False)
    with (
        atomic_path(target) as temporary,
        table_writer(temporary, schema, table.row_order) as writer,
    ):
        for part in _row_groups(_merged(source, new, table, schema), table.row_group_size):
            writer.write_table(part.replace_schema_metadata(schema.metadata), table.row_group_size)


def _merged(source: Path, new: pa.Table, table: Table, schema: pa.Schema) -> Iterator[pa.Table]:
    """The old rows in batches, with the new ones that come before a batch's last row."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    order = list(table.row_order)
    start = 0
    with source.open("rb") as stream:
        for batch in pq.ParquetFile(stream).iter_batches(batch_size=BATCH_ROWS):
            if not batch.num_rows:
                continue
            old = pa.Table.from_batches([batch]).select(schema.names).cast(schema)
            stop = _first_after(new, _key(old, old.num_rows - 1, order), order, start)
            yield _sorted(old, new.slice(start, stop - start), table) if stop > start else old
            start = stop
    if start < new.num_rows:
        yield new.slice(start)


def _sorted(old: pa.Table, new: pa.Table, table: Table) -> pa.Table:
    import pyarrow as pa
    import pyarrow.compute as pc

    both = pa.concat_tables([old, new])
    # Null comes last, as in the table's order.
    order = [(name, "ascending") for name in table.row_order]
    found = both.take(pc.sort_indices(both, order))
    keys = found.select(list(table.key)).to_pandas()
    if (repeated := keys.duplicated()).any():
        first = keys[repeated].iloc[0].to_dict()
        raise DataError(
            f"rows added to table {table.name!r} must have keys of their own; {first} is there",
            reason="duplicate_key",
        )
    return found


def _key(rows: pa.Table, at: int, order: list[str]) -> tuple[tuple[bool, Any], ...]:
    """The place of a row in the order; null comes last."""
    values = [rows.column(name)[at].as_py() for name in order]
    return tuple((value is None, "" if value is None else value) for value in values)


def _first_after(new: pa.Table, key: Any, order: list[str], start: int) -> int:
    """The first new row from `start` on that comes after a key."""
    low, high = start, new.num_rows
    while low < high:
        middle = (low + high) // 2
        if _key(new, middle, order) <= key:
            low = middle + 1
        else:
            high = middle
    return low


def _row_groups(parts: Iterator[pa.Table], n_rows: int) -> Iterator[pa.Table]:
    """The rows in pieces of whole row groups, so that they do not depend on the batches."""
    import pyarrow as pa

    held: list[pa.Table] = []
    n_held = 0
    for part in parts:
        held.append(part)
        n_held += part.num_rows
        if n_held >= n_rows:
            whole = pa.concat_tables(held)
            n_whole = n_held // n_rows * n_rows
            yield whole.slice(0, n_whole)
            held, n_held = [whole.slice(n_whole)], n_held - n_whole
    if n_held:
        yield pa.concat_tables(held)
