"""Write AnnData files piece by piece, with the same bytes for the same content.

AnnData's own writer needs a matrix in memory and encodes strings differently
from version to version. This one writes the on-disk encoding that every
AnnData since 0.8 reads (https://anndata.readthedocs.io/en/stable/fileformat-prose.html):
matrices are appended block by block, HDF5 object times are off.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import h5py
    import pandas as pd

COMPRESSION: dict[str, Any] = {"compression": "gzip", "compression_opts": 4, "shuffle": True}
CHUNK_VALUES = 1 << 17
INT32_MAX = int(np.iinfo(np.int32).max)
GROUPS = ("layers", "obsm", "obsp", "uns", "varm", "varp")


@contextmanager
def create(temporary: Path) -> Iterator[h5py.File]:
    """A new AnnData file whose optional groups exist, empty."""
    import h5py

    with h5py.File(temporary, "w", locking=False) as file:
        _stamp(file, "anndata", "0.1.0")
        for name in GROUPS:
            _stamp(file.create_group(name), "dict", "0.1.0")
        yield file


class CsrWriter:
    """A CSR matrix that grows by blocks of rows.

    `n_values` is an upper bound of the stored values: positions and row
    pointers both get int32 when it fits and int64 when not, because readers
    (scipy, scanpy's kernels) want one width.
    """

    def __init__(
        self, parent: h5py.Group, name: str, shape: tuple[int, int], n_values: int, dtype: Any
    ) -> None:
        self._index = np.int32 if max(n_values, *shape) <= INT32_MAX else np.int64
        self._group = parent.create_group(name)
        _stamp(self._group, "csr_matrix", "0.1.0")
        self._group.attrs["shape"] = np.array(shape, np.int64)
        self._data = self._column("data", dtype)
        self._indices = self._column("indices", self._index)
        self._shape = shape
        self._indptr = [np.zeros(1, np.int64)]

    def append(self, row_lengths: np.ndarray, indices: np.ndarray, data: np.ndarray) -> None:
        """Add rows: stored values of each row, their columns and values."""
        start = self._data.shape[0]
        for column, values in ((self._data, data), (self._indices, indices)):
            column.resize((start + values.size,))
            column[start:] = values
        self._indptr.append(start + np.cumsum(row_lengths, dtype=np.int64))

    def close(self) -> None:
        """Write the row pointers."""
        indptr = np.concatenate(self._indptr).astype(self._index)
        if indptr.size != self._shape[0] + 1:
            raise AssertionError(f"{indptr.size - 1} rows were written, {self._shape[0]} announced")
        self._group.create_dataset("indptr", data=indptr, track_times=False, **COMPRESSION)

    def _column(self, name: str, dtype: Any) -> h5py.Dataset:
        return self._group.create_dataset(
            name,
            (0,),
            maxshape=(None,),
            dtype=dtype,
            chunks=(CHUNK_VALUES,),
            track_times=False,
            **COMPRESSION,
        )


def write_frame(parent: h5py.Group, name: str, frame: pd.DataFrame, *, index: str) -> None:
    """Write a data frame; text columns become categoricals, the index is called `index`."""
    import h5py
    import pandas as pd

    group = parent.create_group(name)
    _stamp(group, "dataframe", "0.2.0")
    group.attrs["_index"] = index
    group.attrs["column-order"] = np.array(list(frame.columns), dtype=h5py.string_dtype())
    write_array(group, index, np.array([str(value) for value in frame.index], dtype=object))
    for column in frame.columns:
        values = frame[column]
        if pd.api.types.is_bool_dtype(values.dtype) or pd.api.types.is_numeric_dtype(values.dtype):
            write_array(group, str(column), values.to_numpy())
        else:
            _write_categorical(group, str(column), values)


def write_array(parent: h5py.Group, name: str, values: Any) -> None:
    """Write a dense array; text as variable-length UTF-8."""
    import h5py

    values = np.asarray(values)
    if values.dtype.kind in "OUST":
        text = np.array([str(value) for value in values.ravel()], dtype=object).reshape(
            values.shape
        )
        item = parent.create_dataset(name, data=text, dtype=h5py.string_dtype(), track_times=False)
        _stamp(item, "string-array", "0.2.0")
        return
    options = COMPRESSION if values.size else {}
    item = parent.create_dataset(name, data=values, track_times=False, **options)
    _stamp(item, "array", "0.2.0")


def write_value(parent: h5py.Group, name: str, value: Any) -> None:
    """Write a value of `uns`: mapping, text, number, list, array or data frame."""
    import h5py
    import pandas as pd
    import scipy.sparse as sp

    if isinstance(value, Mapping):
        group = parent.require_group(name)
        _stamp(group, "dict", "0.1.0")
        for key in sorted(value):
            if value[key] is not None:
                write_value(group, str(key), value[key])
    elif isinstance(value, str):
        item = parent.create_dataset(name, data=value, dtype=h5py.string_dtype(), track_times=False)
        _stamp(item, "string", "0.2.0")
    elif isinstance(value, bool | int | float | np.generic):
        item = parent.create_dataset(name, data=value, track_times=False)
        _stamp(item, "numeric-scalar", "0.2.0")
    elif isinstance(value, pd.DataFrame):
        write_frame(parent, name, value, index="_index")
    elif sp.issparse(value):
        write_array(parent, name, value.toarray())
    else:
        write_array(parent, name, value)


def _write_categorical(parent: h5py.Group, name: str, values: pd.Series[Any]) -> None:
    missing = values.isna().to_numpy()
    text = np.array(
        ["" if gone else str(value) for value, gone in zip(values, missing, strict=True)]
    )
    categories, codes = np.unique(text[~missing], return_inverse=True)
    all_codes = np.full(text.size, -1, np.int32)
    all_codes[~missing] = codes
    width = np.int8 if categories.size < 128 else np.int16 if categories.size < 32768 else np.int32
    group = parent.create_group(name)
    _stamp(group, "categorical", "0.2.0")
    group.attrs["ordered"] = False
    write_array(group, "categories", categories.astype(object))
    write_array(group, "codes", all_codes.astype(width))


def _stamp(item: Any, encoding: str, version: str) -> None:
    item.attrs["encoding-type"] = encoding
    item.attrs["encoding-version"] = version
