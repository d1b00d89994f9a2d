"""Read a canonical count file in blocks: never cells × genes whole.

The file is what intake wrote: AnnData encoding, X in CSR with integer counts.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

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

    def iter_blocks(self) -> Iterator[Block]:
        """All cells in order, as blocks of at most `block_values` stored values (at least one cell)."""
        import h5py

        if self.n_cells == 0:
            return
        with h5py.File(self.path, "r", locking=False) as file:
            group = file["X"]
            indptr = group["indptr"][:].astype(np.int64)
            start = 0
            while start < self.n_cells:
                stop = int(np.searchsorted(indptr, indptr[start] + self.block_values, "right")) - 1
                stop = min(max(stop, start + 1), self.n_cells)
                low, high = int(indptr[start]), int(indptr[stop])
                yield Block(
                    start=start,
                    indptr=indptr[start : stop + 1] - low,
                    indices=group["indices"][low:high].astype(np.int32, copy=False),
                    data=group["data"][low:high].astype(np.int32, copy=False),
                )
                start = stop

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
            f"{path} must be a canonical count file; reading it failed ({error}). Run intake again.",
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
