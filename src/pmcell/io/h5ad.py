"""Write and read AnnData files: the one writer of all `.h5ad` files that pmcell makes.

AnnData's own writer needs a matrix in memory and encodes strings differently
from version to version. This one writes the on-disk encoding that every
AnnData since 0.8 reads (https://anndata.readthedocs.io/en/stable/fileformat-prose.html):
text is a plain string array or a categorical, never a nullable string array;
matrices may be appended block by block; HDF5 object times are off, so the same
content gives the same bytes. A file appears whole or not at all.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pmcell.errors import DataError
from pmcell.io import blosc_chunks, gzip_chunks
from pmcell.io.atomic import atomic_path
from pmcell.io.chunk_column import ChunkColumn

if TYPE_CHECKING:
    import h5py
    import pandas as pd
    from anndata import AnnData

CHUNK_VALUES = 1 << 17
INT32_MAX = int(np.iinfo(np.int32).max)
GROUPS = ("layers", "obsm", "obsp", "uns", "varm", "varp")


@dataclass(frozen=True)
class Storage:
    """How arrays of numbers are stored: level of gzip, and whether chunks carry checksums.

    At level 0 nothing is packed. With `is_fast` the values of a matrix are in blosc, with
    checksums, not in gzip.
    """

    level: int = 4
    checksum: bool = False
    is_fast: bool = False

    @property
    def options(self) -> dict[str, Any]:
        """The same as arguments of h5py."""
        if not self.level:
            return {}
        return gzip_chunks.filter_options(self.level, has_checksum=self.checksum)

    @property
    def matrix_options(self) -> dict[str, Any]:
        """Arguments of h5py for the values of a matrix, whose chunks `pack` makes."""
        return blosc_chunks.filter_options() if self.is_fast else self.options

    def pack(self, chunk: np.ndarray) -> bytes:
        """A chunk as it is stored."""
        if self.is_fast:
            return blosc_chunks.packed(chunk)
        if not self.level:
            return chunk.tobytes()
        return gzip_chunks.packed(chunk, is_shuffled=True, has_checksum=self.checksum)


PUBLISHED = Storage()
UNPACKED = Storage(level=0)
"""Of results that many steps read: coordinates hardly get smaller, and each reader unpacks them."""


@contextmanager
def create_h5ad(target: Path | str) -> Iterator[h5py.File]:
    """Make a new AnnData file whose optional groups exist, empty; it appears when the block ends.

    Parameters
    ----------
    target
        The file to write; an older one stays untouched on any error.

    Yields
    ------
    h5py.File
        The open file, for the other functions of this module.
    """
    import h5py

    with atomic_path(target) as temporary, h5py.File(temporary, "w", locking=False) as file:
        _stamp(file, "anndata", "0.1.0")
        for name in GROUPS:
            _stamp(file.create_group(name), "dict", "0.1.0")
        yield file


def write_h5ad(target: Path | str, adata: AnnData, *, storage: Storage = PUBLISHED) -> None:
    """Write an AnnData that is in memory; reading it gives the same values and types.

    Parameters
    ----------
    target
        The file to write.
    adata
        Without `raw`. Text columns of obs and var whose values repeat become
        categoricals, as AnnData's own writer makes them.
    storage
        How its numbers are stored.
    """
    if adata.raw is not None:
        raise ValueError("write_h5ad must get an AnnData without raw; write raw block by block")
    with create_h5ad(target) as file:
        for name, frame in (("obs", adata.obs), ("var", adata.var)):
            write_frame(file, name, frame, index=index_name(frame), storage=storage, is_exact=True)
        if adata.X is not None:
            write_value(file, "X", adata.X, storage=storage)
        for name in ("layers", "obsm", "obsp", "varm", "varp", "uns"):
            # Of anndata 0.13 on, the layers also hold X, under the name None.
            items = {key: value for key, value in getattr(adata, name).items() if key is not None}
            write_value(file, name, items, storage=storage)


def read_h5ad(path: Path | str) -> AnnData:
    """Read an AnnData that pmcell wrote; `DataError` when it is missing or damaged."""
    import anndata

    try:
        return anndata.read_h5ad(path)
    except (OSError, KeyError, ValueError) as error:
        raise DataError(
            f"{path} must be a file that an earlier step wrote; reading it failed ({error}). "
            f"Remove it and run again.",
            reason="corrupt_intermediate",
        ) from error


class CsrWriter:
    """A CSR matrix that grows by blocks of rows.

    `n_values` is an upper bound of the stored values: positions and row
    pointers both get int32 when it fits and int64 when not, because readers
    (scipy, scanpy's kernels) want one width. Without it positions are int32
    and row pointers int64. With `like`, an empty writer of the same shape, the
    matrix gets that writer's rows and positions, which are compressed once, and
    `append_data` adds its values; `like` is closed before it. With `is_digested`
    the writer takes the `digests` of what it is given.
    """

    def __init__(
        self,
        parent: h5py.Group,
        name: str,
        shape: tuple[int, int],
        *,
        dtype: Any,
        n_values: int | None = None,
        storage: Storage = PUBLISHED,
        like: CsrWriter | None = None,
        is_digested: bool = False,
    ) -> None:
        index, pointer = "i4", "i8"
        if n_values is not None:
            index = pointer = "i4" if max(n_values, *shape) <= INT32_MAX else "i8"
        self._pointer_type, self._shape, self._storage = pointer, shape, storage
        self._group = parent.create_group(name)
        _stamp(self._group, "csr_matrix", "0.1.0")
        self._group.attrs["shape"] = np.array(shape, np.int64)
        self._data = ChunkColumn(
            [self._dataset("data", dtype)], storage.pack, is_digested=is_digested
        )
        positions = self._dataset("indices", index)
        self._like = like
        if like is None:
            self._indices = ChunkColumn([positions], storage.pack, is_digested=is_digested)
        else:
            like._indices.add_dataset(positions)
        self._row_lengths: list[np.ndarray] = []

    @property
    def digests(self) -> dict[str, str]:
        """SHA-256 of values and positions, by the names of their datasets."""
        return self._data.digests | (self._indices.digests if self._like is None else {})

    def append(self, row_lengths: np.ndarray, indices: np.ndarray, data: np.ndarray) -> None:
        """Add rows: stored values of each row, their columns and values."""
        self._row_lengths.append(np.asarray(row_lengths, np.int64))
        self._indices.append(indices)
        self._data.append(data)

    def append_data(self, data: np.ndarray) -> None:
        """Add the values of the rows that the writer `like` got."""
        self._data.append(data)

    def close(self) -> None:
        """Write what is left and the row pointers."""
        lengths = (self._like or self)._row_lengths
        indptr = np.concatenate([np.zeros(1, np.int64), *lengths]).cumsum()
        if indptr.size != self._shape[0] + 1:
            raise ValueError(f"{self._shape[0]} rows were announced, {indptr.size - 1} appended")
        if int(indptr[-1]) != self._data.size:
            raise ValueError(f"{indptr[-1]} values were announced, {self._data.size} appended")
        if self._like is None:
            self._indices.close()
        self._data.close()
        indptr = indptr.astype(self._pointer_type)
        _write_numbers(self._group, "indptr", indptr, self._storage)

    def _dataset(self, name: str, dtype: Any) -> h5py.Dataset:
        return self._group.create_dataset(
            name,
            (0,),
            maxshape=(None,),
            dtype=dtype,
            chunks=(CHUNK_VALUES,),
            track_times=False,
            **self._storage.matrix_options,
        )


def write_frame(
    parent: h5py.Group,
    name: str,
    frame: pd.DataFrame,
    *,
    index: str,
    storage: Storage = PUBLISHED,
    is_exact: bool = False,
) -> None:
    """Write a data frame, its index under the name `index`; text columns become categoricals.

    Categories are those that a row has, sorted: one that no row has may name
    someone who was left out. With `is_exact` categoricals keep their categories
    and order, and text whose values do not repeat stays text, so that what is
    read is what was written.
    """
    import h5py
    import pandas as pd

    group = parent.create_group(name)
    _stamp(group, "dataframe", "0.2.0")
    group.attrs["_index"] = index
    columns = [str(column) for column in frame.columns]
    group.attrs["column-order"] = np.array(columns, dtype=h5py.string_dtype())
    write_array(group, index, np.array([str(value) for value in frame.index], dtype=object))
    for column in frame.columns:
        values = frame[column]
        if pd.api.types.is_bool_dtype(values.dtype) or pd.api.types.is_numeric_dtype(values.dtype):
            _write_plain_or_masked(group, str(column), values, storage)
        elif is_exact and isinstance(values.dtype, pd.CategoricalDtype):
            _write_codes(
                group,
                str(column),
                values.cat.codes.to_numpy(),
                values.cat.categories,
                storage,
                is_ordered=bool(values.cat.ordered),
            )
        elif is_exact and values.is_unique and not values.isna().any():
            write_array(group, str(column), values.to_numpy(dtype=object))
        else:
            _write_categorical(group, str(column), values, storage)


def write_array(
    parent: h5py.Group, name: str, values: Any, *, storage: Storage = PUBLISHED
) -> None:
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
    _stamp(_write_numbers(parent, name, values, storage), "array", "0.2.0")


def write_value(parent: h5py.Group, name: str, value: Any, *, storage: Storage = PUBLISHED) -> None:
    """Write a value of a slot: mapping, text, number, list, array, sparse matrix, frame or None."""
    import h5py
    import pandas as pd
    import scipy.sparse as sp

    if isinstance(value, Mapping):
        group = parent.require_group(name)
        _stamp(group, "dict", "0.1.0")
        for key in sorted(value):
            write_value(group, str(key), value[key], storage=storage)
    elif value is None:
        _stamp(parent.create_dataset(name, data=h5py.Empty("f")), "null", "0.1.0")
    elif isinstance(value, str):
        item = parent.create_dataset(name, data=value, dtype=h5py.string_dtype(), track_times=False)
        _stamp(item, "string", "0.2.0")
    elif isinstance(value, bool | int | float | np.generic):
        item = parent.create_dataset(name, data=value, track_times=False)
        _stamp(item, "numeric-scalar", "0.2.0")
    elif isinstance(value, pd.DataFrame):
        write_frame(parent, name, value, index=index_name(value), storage=storage, is_exact=True)
    elif sp.issparse(value):
        rows = sp.csr_matrix(value)
        writer = CsrWriter(
            parent, name, rows.shape, dtype=rows.dtype, n_values=rows.nnz, storage=storage
        )
        writer.append(np.diff(rows.indptr), rows.indices, rows.data)
        writer.close()
    else:
        write_array(parent, name, value, storage=storage)


def index_name(frame: pd.DataFrame) -> str:
    """The name under which a frame's index is written: its own, where no column has it."""
    name = frame.index.name
    return "_index" if name is None or name in frame.columns else str(name)


def _write_plain_or_masked(
    parent: h5py.Group, name: str, values: pd.Series[Any], storage: Storage
) -> None:
    """Numbers; where pandas' nullable types miss some, with a mask beside them."""
    import pandas as pd

    if not isinstance(values.dtype, pd.api.extensions.ExtensionDtype):
        write_array(parent, name, values.to_numpy(), storage=storage)
        return
    missing = values.isna().to_numpy(bool)
    plain = values.fillna(False if values.dtype.kind == "b" else 0)
    plain = plain.to_numpy(values.dtype.numpy_dtype)
    if values.dtype.kind == "f":
        plain[missing] = np.nan
    if values.dtype.kind == "f" or not missing.any():
        write_array(parent, name, plain, storage=storage)
        return
    group = parent.create_group(name)
    _stamp(group, "nullable-boolean" if plain.dtype == bool else "nullable-integer", "0.1.0")
    write_array(group, "values", plain, storage=storage)
    write_array(group, "mask", missing, storage=storage)


def _write_categorical(
    parent: h5py.Group, name: str, values: pd.Series[Any], storage: Storage
) -> None:
    missing = values.isna().to_numpy()
    text = np.array(
        ["" if gone else str(value) for value, gone in zip(values, missing, strict=True)]
    )
    categories, codes = np.unique(text[~missing], return_inverse=True)
    all_codes = np.full(text.size, -1, np.int32)
    all_codes[~missing] = codes
    _write_codes(parent, name, all_codes, categories, storage)


def _write_codes(
    parent: h5py.Group,
    name: str,
    codes: np.ndarray,
    categories: Any,
    storage: Storage,
    *,
    is_ordered: bool = False,
) -> None:
    """A categorical: small whole numbers, as AnnData chooses them, and what they stand for."""
    width = np.int8 if len(categories) < 128 else np.int16 if len(categories) < 32768 else np.int32
    group = parent.create_group(name)
    _stamp(group, "categorical", "0.2.0")
    group.attrs["ordered"] = is_ordered
    write_array(group, "categories", np.asarray(categories, dtype=object))
    write_array(group, "codes", codes.astype(width), storage=storage)


def _write_numbers(
    parent: h5py.Group, name: str, values: np.ndarray, storage: Storage
) -> h5py.Dataset:
    """An array; its chunks are packed past the library, whose gzip takes ten times as long."""
    if not values.size or not values.shape or not storage.level:
        return parent.create_dataset(name, data=values, track_times=False)
    n_rows = max(min(len(values), CHUNK_VALUES // int(np.prod(values.shape[1:]))), 1)
    chunks = (n_rows, *values.shape[1:])
    options = {**storage.options, "chunks": chunks, "track_times": False}
    item = parent.create_dataset(name, values.shape, values.dtype, **options)
    for start in range(0, len(values), n_rows):
        chunk = np.zeros(chunks, values.dtype)
        chunk[: len(values) - start] = values[start : start + n_rows]
        packed = gzip_chunks.packed(chunk.ravel(), is_shuffled=True, has_checksum=storage.checksum)
        item.id.write_direct_chunk((start, *(0 for _ in chunks[1:])), packed)
    return item


def _stamp(item: Any, encoding: str, version: str) -> None:
    item.attrs["encoding-type"] = encoding
    item.attrs["encoding-version"] = version
