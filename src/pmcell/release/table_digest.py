"""Digest of what a table says, taken while its rows are read, or while they are written.

Missing rows, lengths and values of each column are digested by themselves, and of text that
follows itself each run counts once, so that the digest is the same however the rows are cut into
batches, and whether text is plain or comes as codes.
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
    """Running digests of one column, the same for any batches."""

    def __init__(self) -> None:
        self._missing, self._length, self._value = (hashlib.sha256() for _ in range(3))
        self._text = _Runs()
        self._n_rows = 0

    def add(self, values: pa.Array) -> None:
        import pyarrow as pa
        import pyarrow.compute as pc

        if values.null_count:
            rows = np.flatnonzero(values.is_null().to_numpy(zero_copy_only=False))
            self._missing.update((rows + self._n_rows).astype(np.int64).data)
        self._n_rows += len(values)
        if pa.types.is_list(values.type) or pa.types.is_large_list(values.type):
            lengths = pc.fill_null(pc.list_value_length(values), 0)
            _update(self._length, pc.cast(lengths, "int64"))
            values = values.flatten()
        if pa.types.is_boolean(values.type):
            _update(self._value, values.fill_null(False))
        elif pa.types.is_integer(values.type) or pa.types.is_floating(values.type):
            _update(self._value, values.fill_null(0) if values.null_count else values)
        else:
            self._text.add(values)

    def digests(self) -> list[str]:
        own = [part.hexdigest() for part in (self._missing, self._length, self._value)]
        return own + self._text.digests()


class _Runs:
    """Running digests of text: where another text begins, how long it is, and its bytes.

    Missing text counts as empty here.
    """

    def __init__(self) -> None:
        self._start, self._length, self._value = (hashlib.sha256() for _ in range(3))
        self._n_rows = 0
        self._last: str | None = None

    def add(self, values: pa.Array) -> None:
        """Add text, plain or as codes of which several may stand for the same."""
        import pyarrow as pa
        import pyarrow.compute as pc

        if not len(values):
            return
        if pa.types.is_dictionary(values.type):
            codes = values.indices
            codes = (codes.fill_null(-1) if codes.null_count else codes).to_numpy()
            starts = np.append(0, np.flatnonzero(codes[1:] != codes[:-1]) + 1)
            texts = values.take(pa.array(starts)).cast(pa.string()).fill_null("")
        else:
            texts = values.cast(pa.string()).fill_null("")
            starts = np.arange(len(texts))
        differs = pc.not_equal(texts.slice(1), texts.slice(0, len(texts) - 1))
        is_new = np.append(texts[0].as_py() != self._last, differs.to_numpy(zero_copy_only=False))
        self._last = texts[-1].as_py()
        self._start.update((starts[is_new] + self._n_rows).astype(np.int64).data)
        self._n_rows += len(values)
        if not is_new.all():
            texts = texts.filter(pa.array(is_new))
        _update(self._length, pc.binary_length(texts))
        self._value.update(_text_bytes(texts))

    def digests(self) -> list[str]:
        return [part.hexdigest() for part in (self._start, self._length, self._value)]


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
