"""Read a canonical count file in blocks: never cells × genes whole.

The file is what intake wrote: AnnData encoding, X in CSR with integer counts.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pmcell.core.blocks import Block
from pmcell.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

BLOCK_VALUES = 4_000_000
"""Stored values of one block: about 32 MB of counts and gene positions."""


@dataclass(frozen=True)
class CountsFile:
    """A canonical count file; only row pointers and labels are kept in memory."""

    path: Path
    n_cells: int
    n_genes: int
    cell_ids: np.ndarray
    gene_ids: np.ndarray
    block_values: int = BLOCK_VALUES

    def iter_blocks(self, first: int = 0, last: int | None = None) -> Iterator[Block]:
        """Cells `first` to `last` in order, in blocks of one cell or of up to `block_values`."""
        import h5py

        last = self.n_cells if last is None else last
        if first >= last:
            return
        with h5py.File(self.path, "r", locking=False) as file:
            group = file["X"]
            indptr = group["indptr"][:].astype(np.int64)
            start = first
            while start < last:
                stop = int(np.searchsorted(indptr, indptr[start] + self.block_values, "right")) - 1
                stop = min(max(stop, start + 1), last)
                low, high = int(indptr[start]), int(indptr[stop])
                yield Block(
                    start=start,
                    indptr=indptr[start : stop + 1] - low,
                    indices=group["indices"][low:high].astype(np.int32, copy=False),
                    data=group["data"][low:high].astype(np.int32, copy=False),
                )
                start = stop

    def read_rows(self, rows: NDArray[np.int64]) -> Any:
        """The given cells (ascending positions) as a CSR matrix; only their range is scanned."""
        from scipy import sparse

        parts = []
        if rows.size:
            span = np.zeros(self.n_cells, bool)
            span[rows] = True
            for block in self.iter_blocks(int(rows[0]), int(rows[-1]) + 1):
                shape = (block.n_rows, self.n_genes)
                matrix = sparse.csr_matrix((block.data, block.indices, block.indptr), shape)
                parts.append(matrix[span[block.rows]])
        if not parts:
            return sparse.csr_matrix((0, self.n_genes), dtype=np.int32)
        return sparse.vstack(parts, format="csr")

    def read_obs(self) -> pd.DataFrame:
        """The cell table (index `cell_id`), text columns as plain strings."""
        return _read_frame(self.path, "obs")

    def read_var(self) -> pd.DataFrame:
        """The gene table (index Ensembl id)."""
        return _read_frame(self.path, "var")


def open_counts(path: Path | str) -> CountsFile:
    """Open a canonical count file; `DataError` when it is missing or not one."""
    import h5py

    path = Path(path)
    if not path.is_file():
        raise DataError(f"{path} must be a file that intake wrote; there is no such file")
    try:
        with h5py.File(path, "r", locking=False) as file:
            shape = tuple(int(side) for side in file["X"].attrs["shape"])
            cell_ids = _index(file["obs"])
            gene_ids = _index(file["var"])
    except (OSError, KeyError) as error:
        raise DataError(
            f"{path} must be a canonical count file; reading it failed ({error}). "
            "Run intake again.",
            reason="corrupt_intermediate",
        ) from error
    return CountsFile(path, shape[0], shape[1], cell_ids, gene_ids)


def _index(group: Any) -> np.ndarray:
    return np.asarray(group[group.attrs["_index"]].asstr()[:], dtype=object)


def _read_frame(path: Path, name: str) -> pd.DataFrame:
    import h5py
    from anndata.io import read_elem

    with h5py.File(path, "r", locking=False) as file:
        frame = read_elem(file[name])
    for column in frame.columns:
        if frame[column].dtype.name in ("category", "string", "str", "object"):
            frame[column] = frame[column].astype(object)
    return frame
