"""Reader of Cell Ranger's HDF5 count matrices, versions 2 and 3.

They are stored as genes × cells in columns, which is cells × genes in rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pmcell.errors import DataError
from pmcell.io.filters import filter_numbers
from pmcell.io.submitted.anndata import checked_indptr, csr_blocks, sampled_runs, sampled_umis
from pmcell.io.submitted.containers import other_hdf5
from pmcell.io.submitted.h5ad import opened
from pmcell.io.submitted.parts import decode, is_array, vector
from pmcell.io.submitted.submission import Submission, summarise

if TYPE_CHECKING:
    import pandas as pd
    import scipy.sparse as sp


def inspect(path: Path) -> Submission:
    """Barcodes, features (index: feature id) and a summary; see `readers.inspect`."""
    import pandas as pd

    with opened(path) as file:
        name = _matrix_name(file, path)
        group = file[name]
        barcodes = _texts(group, "barcodes", path)
        var = _features(group, path)
        shape = (len(barcodes), len(var))
        stated = np.asarray(_part(group, "shape", path)[:]).tolist()[::-1]
        if stated != list(shape):
            raise DataError(
                f"{path.name}: the stated shape must equal {shape[0]} barcodes × {shape[1]} "
                "features; "
                f"found {' × '.join(map(str, stated))}. Write the file again.",
                reason="shape_mismatch",
            )
        for part in ("data", "indices", "indptr"):
            _part(group, part, path)
        indptr = checked_indptr(group, shape[0], path)
        runs = sampled_runs(group["data"], indptr, path)
        summary = summarise("X", group["data"].dtype, shape, int(indptr[-1]), runs)
    obs = pd.DataFrame(index=pd.Index(barcodes, dtype=object))
    return Submission(path, "10x_h5", obs, var, {"X": summary}, detail={"group": name})


def iter_counts(
    submission: Submission, layer: str, max_values: int
) -> Iterator[tuple[int, sp.csr_matrix]]:
    """CSR blocks of all cells; see `pmcell.io.submitted.readers.iter_counts`."""
    path = submission.path
    with opened(path) as file:
        group = file[submission.detail["group"]]
        indptr = checked_indptr(group, submission.n_cells, path)
        yield from csr_blocks(group, indptr, submission.n_genes, path, max_values)


def sample_umis(submission: Submission, layer: str) -> np.ndarray:
    """Counts of each feature in some cells; see `pmcell.io.submitted.readers.sample_umis`."""
    path = submission.path
    with opened(path) as file:
        group = file[submission.detail["group"]]
        indptr = checked_indptr(group, submission.n_cells, path)
        return sampled_umis(group, indptr, submission.n_genes, path)


def is_compressed(submission: Submission, layer: str) -> bool:
    """Whether the counts are stored compressed; see `pmcell.io.submitted.readers.is_compressed`."""
    with opened(submission.path) as file:
        return bool(filter_numbers(file[submission.detail["group"]]["data"]))


def _matrix_name(file: Any, path: Path) -> str:
    if "matrix" in file and "barcodes" in _members(file["matrix"]):
        return "matrix"
    other = other_hdf5(path, file, is_10x=False, wanted="10x_h5")
    if other is not None:
        raise other
    genomes = [name for name in file if "barcodes" in _members(file[name])]
    if len(genomes) == 1:
        return str(genomes[0])
    found = f"genomes {genomes}" if genomes else f"groups {list(file)[:8]}"
    fix = (
        "Give one genome a file."
        if genomes
        else "Set matrix.format in cohort.yaml to what the file is, or write it as h5ad."
    )
    raise DataError(
        f"{path.name}: a 10x file must hold one matrix; found {found}. {fix}",
        reason="not_10x",
    )


def _members(item: Any) -> Any:
    """The names below a group; none below a dataset."""
    return () if is_array(item) else item


def _features(group: Any, path: Path) -> pd.DataFrame:
    import pandas as pd

    if "features" not in group:
        places = {"id": "genes", "symbol": "gene_names"}
    else:
        places = {"id": "features/id", "symbol": "features/name"}
        members = _members(group["features"])
        places |= {
            column: f"features/{stored}"
            for stored, column in (("feature_type", "feature_types"), ("genome", "genome"))
            if stored in members
        }
    columns = {column: _texts(group, place, path) for column, place in places.items()}
    n_features = len(columns["id"])
    for column, values in columns.items():
        if len(values) != n_features:
            raise DataError(
                f"{path.name}: {group.name}/{places[column]} must have a value for each of "
                f"{n_features} features; found {len(values)}. Write the file again.",
                reason="shape_mismatch",
            )
    ids = pd.Index(columns.pop("id"), dtype=object)
    return pd.DataFrame(columns, index=ids)


def _part(group: Any, name: str, path: Path) -> Any:
    import h5py

    item = group.get(name)
    if not isinstance(item, h5py.Dataset):
        raise DataError(
            f"{path.name}: a 10x matrix must hold {group.name}/{name}; it is missing. "
            "Set matrix.format in cohort.yaml to what it is, or write the file again.",
            reason="not_10x",
        )
    return vector(item, path)


def _texts(group: Any, name: str, path: Path) -> list[str]:
    values = np.asarray(_part(group, name, path)[:]).tolist()
    return [decode(value) for value in values]
