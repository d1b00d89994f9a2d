"""Do `cells/*.h5ad` hold exactly the cells of the cells table, with their counts?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from pmcell.core.counts.decode import copy_counts
from pmcell.core.counts.kept import KeptRows
from pmcell.core.counts.lognorm import cell_totals, log_normalised
from pmcell.errors import DataError, Fault
from pmcell.io.counts.stored import read_values
from pmcell.release.folder import ReleaseFolder
from pmcell.schema import TARGET_SUM

REWRITE = "Write the release again."
BLOCK_VALUES = 4_000_000
TOLERANCE = 1e-4


def cell_faults(folder: Path, manifest: dict[str, Any]) -> list[Fault]:
    """Faults of the cell files of all published cohorts."""
    faults = []
    published = {name for name, cohort in manifest["cohorts"].items() if cohort["published"]}
    present = {path.stem for path in (folder / "cells").glob("*.h5ad")}
    for name in sorted(published - present):
        must = "must be there for a published cohort"
        faults.append(Fault(f"cells/{name}.h5ad", must, "no such file", REWRITE, reason="missing"))
    for name in sorted(present - published):
        must = "must not be there: the cohort is not published"
        faults.append(Fault(f"cells/{name}.h5ad", must, "the file", REWRITE, reason="withheld"))
    for name in sorted(published & present):
        faults += _one_file(folder, name)
    return faults


def _one_file(folder: Path, cohort_id: str) -> list[Fault]:
    import pyarrow.parquet as pq

    file_name = f"cells/{cohort_id}.h5ad"
    table = pq.read_table(
        folder / "tables" / "cells.parquet",
        columns=["cell_id", "total_counts"],
        filters=[("cohort_id", "=", cohort_id), ("passes_qc", "=", True)],
    )
    totals = dict(zip(*(column.to_pylist() for column in table.columns), strict=True))
    try:
        with ReleaseFolder(folder).hdf5(file_name) as file:
            cell_ids = file["obs"][file["obs"].attrs["_index"]].asstr()[:]
            if len(cell_ids) != len(totals) or set(cell_ids) != set(totals):
                n_shared = len(set(cell_ids) & set(totals))
                must = f"must hold the {len(totals)} cells that pass QC in tables/cells.parquet"
                found = f"{len(cell_ids)} cells, {n_shared} of them"
                return [Fault(file_name, must, found, REWRITE, reason="cells")]
            expected = np.array([totals[cell] for cell in cell_ids], dtype=np.int64)
            return _matrix_faults(file, file_name, cell_ids, expected)
    except DataError as error:
        must = "must be an AnnData file with raw.X and X"
        return [Fault(file_name, must, str(error), REWRITE, reason="format")]


def _matrix_faults(
    file: Any, file_name: str, cell_ids: np.ndarray, totals: np.ndarray
) -> list[Fault]:
    raw, normalised = file["raw"]["X"], file["X"]
    indptr = raw["indptr"][:].astype(np.int64)
    if indptr.size != totals.size + 1 or not np.array_equal(indptr, normalised["indptr"][:]):
        must = "raw.X and X must store the same cells and genes"
        return [Fault(file_name, must, "different row pointers", REWRITE, reason="matrix")]
    # Positions of raw.X and X, then counts and normalised values.
    datasets = (raw["indices"], normalised["indices"], raw["data"], normalised["data"])
    start = 0
    while start < totals.size:
        stop = int(np.searchsorted(indptr, indptr[start] + BLOCK_VALUES, "right")) - 1
        stop = min(max(stop, start + 1), totals.size)
        own, other, stored, found = read_values(datasets, int(indptr[start]), int(indptr[stop]))
        rows = indptr[start : stop + 1] - indptr[start]
        counts = np.empty(stored.size, np.int32)
        is_whole = copy_counts(stored, counts) < 0
        sums = cell_totals(rows, counts) if is_whole else _float_sums(rows, stored)
        wrong = np.flatnonzero(sums != totals[start:stop])
        if wrong.size:
            must = (
                "counts of a cell in raw.X must add up to its total_counts in tables/cells.parquet"
            )
            cell = start + int(wrong[0])
            found_sum = f"{sums[wrong[0]]:.0f}, not {totals[cell]}, for {cell_ids[cell]}"
            return [Fault(file_name, must, found_sum, REWRITE, row=cell, reason="counts")]
        if not np.array_equal(own, other):
            must = "raw.X and X must store the same genes of each cell"
            return [Fault(file_name, must, "different genes", REWRITE, reason="matrix")]
        if not _are_normalised(rows, own, stored, counts if is_whole else None, sums, found):
            must = f"X must be log1p({TARGET_SUM} * count / total) of raw.X"
            return [Fault(file_name, must, "other values", REWRITE, reason="normalisation")]
        start = stop
    return []


def _are_normalised(
    indptr: np.ndarray,
    indices: np.ndarray,
    stored: np.ndarray,
    counts: np.ndarray | None,
    sums: np.ndarray,
    found: np.ndarray,
) -> bool:
    """Whether X is log-normalised: the very bits that are written here, or as near as elsewhere."""
    if counts is not None and np.array_equal(
        KeptRows(indptr, indices, counts).log_normalised(), found
    ):
        return True
    expected = log_normalised(stored.astype(np.float64), np.repeat(sums, np.diff(indptr)))
    return bool(np.allclose(found, expected, atol=TOLERANCE))


def _float_sums(indptr: np.ndarray, values: np.ndarray) -> np.ndarray:
    row = np.repeat(np.arange(indptr.size - 1), np.diff(indptr))
    return np.bincount(row, weights=values, minlength=indptr.size - 1)
