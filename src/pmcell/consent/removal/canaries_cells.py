"""Canaries that are cells, known by their numbers alone."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np

from pmcell.consent.removal.canary import COUNTS, DRAW, Plant


def _sparse(home: Path, *, normalised: bool, by_column: bool) -> None:
    import h5py
    from scipy.sparse import csc_matrix, csr_matrix

    rows = np.stack([DRAW.permutation(np.arange(300) % 3), DRAW.permutation(COUNTS)]).astype(float)
    values = np.log1p(1e4 * rows / rows.sum(axis=1, keepdims=True)) if normalised else rows
    matrix = (csc_matrix if by_column else csr_matrix)(values.astype(np.float32))
    with h5py.File(home / "x.h5ad", "w") as file:
        group = file.create_group("layers/x")
        group.attrs["encoding-type"] = "csc_matrix" if by_column else "csr_matrix"
        group.attrs["shape"] = matrix.shape
        for name in ("data", "indices", "indptr"):
            group.create_dataset(name, data=getattr(matrix, name), compression="gzip")


def _dense(home: Path) -> None:
    import h5py

    with h5py.File(home / "x.h5", "w") as file:
        file.create_dataset("X", data=np.stack([DRAW.permutation(COUNTS), np.zeros(300, int)]))


def _npz(home: Path) -> None:
    from scipy.sparse import csr_matrix, save_npz

    save_npz(home / "x.npz", csr_matrix(DRAW.permutation(COUNTS)[None, :]))


def _as_text(home: Path, *, how: str) -> None:
    values = DRAW.permutation(COUNTS)
    if how == "row":
        lines = [",".join(["cell", *map(str, range(300))]), ",".join(["a", *map(str, values)])]
    elif how == "column":
        lines = ["gene\ta\tb", *(f"g{n}\t{value}\t0" for n, value in enumerate(values))]
    else:
        kept = np.flatnonzero(values)
        lines = [
            "%%MatrixMarket matrix coordinate integer general",
            f"300 2 {kept.size}",
            *(f"{n + 1} 2 {values[n]}" for n in kept),
        ]
    (home / "x.gz").write_bytes(gzip.compress("\n".join(lines).encode()))


def _wide_parquet(home: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = {f"g{n}": [int(value), 0] for n, value in enumerate(DRAW.permutation(COUNTS))}
    pq.write_table(pa.table(columns), home / "x.parquet")


def _two_cells() -> np.ndarray:
    """Somebody else's cell and the canary's."""
    return np.stack([DRAW.permutation(np.arange(300) % 3), DRAW.permutation(COUNTS)])


def _long(home: Path, *, how: str) -> None:
    """A row for each value, genes first: which column names a cell is not said."""
    import h5py
    import pyarrow as pa
    import pyarrow.parquet as pq

    matrix = _two_cells().T
    genes, cells = np.nonzero(matrix)
    columns = {"gene": genes, "cell": cells, "n": matrix[genes, cells]}
    if how == "parquet":
        pq.write_table(pa.table(columns), home / "x.parquet")
    elif how == "hdf5":
        with h5py.File(home / "x.h5", "w") as file:
            for name, values in columns.items():
                file[name] = values
    else:
        lines = [f"g{gene},c{cell},{n}" for gene, cell, n in zip(*columns.values(), strict=True)]
        (home / "x.csv").write_bytes("\n".join(["gene,cell,n", *lines]).encode())


def _zarr(home: Path) -> None:
    import zarr

    group = zarr.open_group(home / "x.zarr", mode="w")
    group.create_array("X", data=_two_cells())


def _lists(home: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"x": _two_cells().tolist()}), home / "x.parquet")


def _json(home: Path) -> None:
    said = json.dumps({"x": _two_cells().tolist()})
    (home / "x.json").write_text(said, encoding="ascii")


def _pickle(home: Path, *, is_sparse: bool) -> None:
    from scipy.sparse import csr_matrix

    rows = _two_cells().astype(np.float32)
    matrix = csr_matrix(rows)
    arrays = [matrix.data, matrix.indices, matrix.indptr] if is_sparse else [rows]
    # As protocol 4 writes it: bytes of arrays and numbers of their shape, each taken off again.
    parts = [b"B" + len(raw).to_bytes(4, "little") + raw + b"0" for raw in map(bytes, arrays)]
    shape = [b"M" + n.to_bytes(2, "little") + b"0" for n in rows.shape]
    (home / "x.pkl").write_bytes(b"\x80\x04" + b"".join([*parts, *shape]) + b"N.")


def _alone(home: Path) -> None:
    with (home / "x.npy").open("wb") as stream:
        np.lib.format.write_array(stream, DRAW.permutation(COUNTS))


CELLS: dict[str, Plant] = {
    "cells in CSR": lambda home: _sparse(home, normalised=False, by_column=False),
    "cells in CSC": lambda home: _sparse(home, normalised=False, by_column=True),
    "cells, normalised": lambda home: _sparse(home, normalised=True, by_column=False),
    "cells, dense": _dense,
    "cells in npz": _npz,
    "cells in a line of text": lambda home: _as_text(home, how="row"),
    "cells in a column of text": lambda home: _as_text(home, how="column"),
    "cells in MatrixMarket": lambda home: _as_text(home, how="market"),
    "cells in columns of Parquet": _wide_parquet,
    "cells in zarr": _zarr,
    "cells in rows of Parquet": lambda home: _long(home, how="parquet"),
    "cells in rows of text": lambda home: _long(home, how="text"),
    "cells in three arrays": lambda home: _long(home, how="hdf5"),
    "cells in lists of Parquet": _lists,
    "cells in JSON": _json,
    "cell alone": _alone,
    "cells in a pickle": lambda home: _pickle(home, is_sparse=False),
    "cells in a pickle, sparse": lambda home: _pickle(home, is_sparse=True),
}
"""How each canary is planted, by the place that it stands for."""
