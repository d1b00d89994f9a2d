"""Write the canonical count file of a cohort, block by block: AnnData encoding, CSR, checksummed.

X holds int32 counts with int32 gene positions, both in blosc, and int64 row pointers;
every chunk carries a Fletcher-32 checksum, so a flipped bit is an error and never a
different count. The same content gives the same bytes. No other tool has to read this
file; those that do need `import hdf5plugin`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np

from pmcell.core.counts.decode import MAX_COUNT
from pmcell.errors import DataError
from pmcell.io.h5ad import CsrWriter, Storage, create_h5ad, write_frame, write_value
from pmcell.schema.text import as_text

if TYPE_CHECKING:
    import pandas as pd
    import scipy.sparse as sp

STORAGE = Storage(level=1, checksum=True, is_fast=True)


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
        self._path, self._obs, self._var = path, obs, var
        self._provenance = provenance or {}

    def __enter__(self) -> CanonicalWriter:
        with ExitStack() as stack:
            self._file = stack.enter_context(create_h5ad(self._path))
            shape = (len(self._obs), len(self._var))
            self._matrix = CsrWriter(self._file, "X", shape, dtype=np.int32, storage=STORAGE)
            self._open = stack.pop_all()
        return self

    def append(self, block: sp.csr_matrix) -> None:
        """Append the next cells; zeros are dropped, positions must be sorted and counts whole."""
        block.eliminate_zeros()
        if block.nnz and (block.data.min() < 0 or block.data.max() > MAX_COUNT):
            raise DataError(f"counts must be from 0 to {MAX_COUNT}", reason="count_too_large")
        data, indices = (
            values.astype(np.int32, casting="unsafe", copy=False)
            for values in (block.data, block.indices)
        )
        self._matrix.append(np.diff(block.indptr), indices, data)

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
            self._open.__exit__(type(failure), failure, failure.__traceback__)
            raise
        self._open.__exit__(kind, error, trace)

    def _finish(self) -> None:
        self._matrix.close()
        for name, frame, index in (("obs", self._obs, "cell_id"), ("var", self._var, "gene_id")):
            write_frame(self._file, name, _plain(frame), index=index, storage=STORAGE)
        if self._provenance:
            text = json.dumps(self._provenance, sort_keys=True, ensure_ascii=False)
            write_value(self._file["uns"], "pmcell", text)


def _plain(frame: pd.DataFrame) -> pd.DataFrame:
    """Numbers as float64, all else as text."""
    import pandas as pd

    columns = {
        name: values.to_numpy(np.float64)
        if values.dtype.kind in "iuf"
        else as_text(np.asarray(values, object))
        for name, values in frame.items()
    }
    return pd.DataFrame(columns, index=frame.index)
