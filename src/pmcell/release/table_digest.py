"""Digest of what a table says, taken while its rows are read, or while they are written.

Presence, lengths and values of each column are digested by themselves, so that the digest is the
same however the rows are cut into batches, and whether text is plain or comes as codes.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import numpy as np

from pmcell.schema import RUNTIME

if TYPE_CHECKING:
    import pyarrow as pa

JOB_COLUMNS = ("job", "rule", "cohort_id")
"""Columns of the runtime table that are the same in each run."""
ROWS_OF_A_RUN = 8
"""Rows with the same text, on average, from which text is digested run by run."""
RUN_BYTES = 1 << 22


class TableDigest:
    """Running digest of the rows of a table of `schema`; of batches in their order."""

    def __init__(self, schema: pa.Schema) -> None:
        self._schema = schema
        is_runtime = (schema.metadata or {}).get(b"pmcell:table") == RUNTIME.name.encode()
        self.names: list[str] = list(JOB_COLUMNS) if is_runtime else list(schema.names)
        self._columns = [_Column() for _ in self.names]
        self._n_rows = 0

    def add(self, batch: pa.RecordBatch | pa.Table) -> None:
        """Add rows; columns of text may be dictionaries."""
        self._n_rows += batch.num_rows
        for name, column in zip(self.names, self._columns, strict=True):
            values = batch.column(name)
            for part in getattr(values, "chunks", [values]):
                column.add(part)

    def hexdigest(self) -> str:
        """The digest of all rows, with the names, types and metadata of the columns."""
        description = [
            [field.name, str(field.type), field.nullable, _text_metadata(field.metadata)]
            for field in self._schema
        ]
        head = [description, _text_metadata(self._schema.metadata), self._n_rows]
        told = json.dumps([head, [column.digests() for column in self._columns]], sort_keys=True)
        return hashlib.sha256(told.encode()).hexdigest()


class _Column:
    """Running digests of one column: presence, lengths and values, the same for any batches."""

    def __init__(self) -> None:
        self._valid, self._length, self._value = (hashlib.sha256() for _ in range(3))

    def add(self, values: pa.Array) -> None:
        import pyarrow as pa
        import pyarrow.compute as pc

        if pa.types.is_dictionary(values.type):
            if self._add_runs(values):
                return
            values = values.dictionary_decode()
        if values.null_count:
            _update(self._valid, values.is_valid())
        else:
            self._valid.update(np.ones(len(values), bool).data)
        if pa.types.is_list(values.type) or pa.types.is_large_list(values.type):
            lengths = pc.fill_null(pc.list_value_length(values), 0)
            _update(self._length, pc.cast(lengths, "int64"))
            values = values.flatten()
        if pa.types.is_boolean(values.type):
            _update(self._value, values.fill_null(False))
        elif pa.types.is_integer(values.type) or pa.types.is_floating(values.type):
            _update(self._value, values.fill_null(0))
        else:
            text = values.cast(pa.string()).fill_null("")
            _update(self._length, pc.binary_length(text))
            self._value.update(_text_bytes(text))

    def _add_runs(self, values: pa.DictionaryArray) -> bool:
        """Add text of which the same follows itself many times; whether it does."""
        codes = values.indices
        if codes.null_count or not len(codes):
            return False
        numbers = codes.to_numpy()
        edges = np.flatnonzero(numbers[1:] != numbers[:-1]) + 1
        if len(codes) < ROWS_OF_A_RUN * (edges.size + 1):
            return False
        self._valid.update(np.ones(len(codes), bool).data)
        texts = values.dictionary.to_pylist()
        starts, ends = np.append(0, edges), np.append(edges, len(codes))
        lengths = np.zeros(len(codes), np.int32)
        for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
            text = texts[numbers[start]].encode()
            lengths[start:end] = len(text)
            step = max(RUN_BYTES // max(len(text), 1), 1)
            for at in range(start, end, step):
                self._value.update(text * (min(at + step, end) - at))
        self._length.update(lengths.data)
        return True

    def digests(self) -> list[str]:
        return [part.hexdigest() for part in (self._valid, self._length, self._value)]


def _update(digest: Any, values: Any) -> None:
    array = values.to_numpy(zero_copy_only=False)
    digest.update(np.ascontiguousarray(array).data)


def _text_bytes(text: Any) -> memoryview:
    """The UTF-8 of all values, one after the other, as Arrow holds them."""
    offsets, values = text.buffers()[1:3]
    if not len(text) or values is None:
        return memoryview(b"")
    edges = np.frombuffer(offsets, np.int32, len(text) + 1, 4 * text.offset)
    return memoryview(values)[edges[0] : edges[-1]]


def _text_metadata(metadata: dict[bytes, bytes] | None) -> dict[str, str]:
    return {
        key.decode(): value.decode()
        for key, value in sorted((metadata or {}).items())
        if not key.startswith(b"PARQUET:")
    }
