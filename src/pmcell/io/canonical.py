"""Write the canonical count file of a cohort, block by block: AnnData encoding, CSR, checksummed.

X holds int32 counts with int32 gene positions and int64 row pointers; every
chunk carries a Fletcher-32 checksum, so a flipped bit is an error and never a
different count. The same content gives the same bytes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np

from pmcell.errors import DataError
from pmcell.io.atomic import atomic_path
from pmcell.schema.text import text_array

if TYPE_CHECKING:
    import pandas as pd
    import scipy.sparse as sp

CHUNK_VALUES = 131_072
COMPRESSION_LEVEL = 1
MAX_COUNT = 2**31 - 1


class CanonicalWriter:
    """A context that writes `path` when all cells of `obs` were appended, and nothing on error.

    `obs` and `var` are indexed by cell id and gene id; text columns are stored
    as categories, numbers as float64. `provenance` goes to `uns["pmcell"]` as
    JSON text.

    >>> import pandas as pd, scipy.sparse as sp, tempfile
    >>> path = Path(tempfile.mkdtemp()) / "intake.h5ad"
    >>> obs, var = pd.DataFrame(index=["c1", "c2"]), pd.DataFrame(index=["ENSG00000000003"])
    >>> with CanonicalWriter(path, obs, var) as writer:
    ...     writer.append(sp.csr_matrix([[1], [0]]))
    """

    def __init__(
        self,
        path: Path | str,
        obs: pd.DataFrame,
        var: pd.DataFrame,
        *,
        provenance: Mapping[str, Any] | None = None,
    ) -> None:
        self._atomic = atomic_path(path)
        self._obs, self._var = obs, var
        self._provenance = provenance or {}
        self._pointers = [np.zeros(1, dtype=np.int64)]
        self._n_rows = 0

    def __enter__(self) -> CanonicalWriter:
        import h5py

        self._temporary = self._atomic.__enter__()
        self._file = h5py.File(self._temporary, "w", locking=False)
        group = self._file.create_group("X")
        for name in ("data", "indices"):
            group.create_dataset(
                name,
                shape=(0,),
                maxshape=(None,),
                dtype="<i4",
                chunks=(CHUNK_VALUES,),
                compression="gzip",
                compression_opts=COMPRESSION_LEVEL,
                shuffle=True,
                fletcher32=True,
            )
        return self

    def append(self, block: sp.csr_matrix) -> None:
        """Append the next cells; zeros are dropped, positions must be sorted and counts whole."""
        block.eliminate_zeros()
        if block.nnz and (block.data.min() < 0 or block.data.max() > MAX_COUNT):
            raise DataError(f"counts must be from 0 to {MAX_COUNT}", reason="count_too_large")
        group = self._file["X"]
        low = group["data"].shape[0]
        for name, values in (("data", block.data), ("indices", block.indices)):
            group[name].resize((low + block.nnz,))
            group[name][low:] = values.astype(np.int32, casting="unsafe", copy=False)
        self._pointers.append(block.indptr[1:].astype(np.int64) + low)
        self._n_rows += block.shape[0]

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if error is None:
                self._finish()
        except BaseException as failure:
            self._file.close()
            self._atomic.__exit__(type(failure), failure, failure.__traceback__)
            raise
        self._file.close()
        self._atomic.__exit__(kind, error, trace)

    def _finish(self) -> None:
        if self._n_rows != len(self._obs):
            raise ValueError(f"{len(self._obs)} cells were announced, {self._n_rows} appended")
        group = self._file["X"]
        _encode(group, "csr_matrix", shape=np.array([self._n_rows, len(self._var)], dtype=np.int64))
        pointers = np.concatenate(self._pointers)
        group.create_dataset("indptr", data=pointers, dtype="<i8", **_packed(pointers.size))
        write_frame(self._file, "obs", self._obs, "cell_id")
        write_frame(self._file, "var", self._var, "gene_id")
        for name in ("layers", "obsm", "obsp", "varm", "varp", "uns"):
            _encode(self._file.create_group(name), "dict")
        if self._provenance:
            text = json.dumps(self._provenance, sort_keys=True, ensure_ascii=False)
            _encode(self._file["uns"].create_dataset("pmcell", data=text), "string", "0.2.0")
        _encode(self._file, "anndata")


def write_frame(parent: Any, name: str, frame: pd.DataFrame, index_name: str) -> None:
    """Write a data frame in AnnData's encoding: text as sorted categories, numbers as float64."""
    group = parent.create_group(name)
    _encode(group, "dataframe", "0.2.0", _index=index_name)
    _write_texts(group, index_name, frame.index)
    import h5py

    group.attrs.create(
        "column-order", list(frame.columns), dtype=h5py.string_dtype(), shape=(frame.shape[1],)
    )
    for column in frame.columns:
        values = frame[column]
        if values.dtype.kind in "iuf":
            numbers = values.to_numpy(dtype=np.float64)
            _encode(
                group.create_dataset(column, data=numbers, **_packed(numbers.size)),
                "array",
                "0.2.0",
            )
            continue
        categories, codes = np.unique(text_array(values), return_inverse=True)
        item = group.create_group(column)
        _encode(item, "categorical", "0.2.0", ordered=False)
        _write_texts(item, "categories", categories)
        small = codes.astype(np.int8 if categories.size < 128 else np.int32)
        _encode(item.create_dataset("codes", data=small, **_packed(small.size)), "array", "0.2.0")


def _write_texts(group: Any, name: str, texts: Any) -> None:
    import h5py

    values = np.array([str(text) for text in texts], dtype=object)
    data = group.create_dataset(name, data=values, dtype=h5py.string_dtype())
    _encode(data, "string-array", "0.2.0")


def _encode(item: Any, kind: str, version: str = "0.1.0", **attributes: Any) -> None:
    item.attrs["encoding-type"] = kind
    item.attrs["encoding-version"] = version
    for name, value in attributes.items():
        item.attrs[name] = value


def _packed(size: int) -> dict[str, Any]:
    """Storage options of a dataset: HDF5 cannot chunk an empty one."""
    if size == 0:
        return {}
    return {
        "chunks": (min(size, CHUNK_VALUES),),
        "compression": "gzip",
        "compression_opts": COMPRESSION_LEVEL,
        "shuffle": True,
        "fletcher32": True,
    }
