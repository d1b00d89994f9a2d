"""Sizes of submitted matrices, from their headers, remembered until a file changes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pmcell.errors import DataError, FaultsError
from pmcell.io.atomic import read_json, write_json
from pmcell.io.submitted import sandbox
from pmcell.io.zarr_store import is_store, list_entries
from pmcell.registry.cohorts.cohort import load_registration, read_matrix
from pmcell.registry.cohorts.registered import matrix_outside

if TYPE_CHECKING:
    from pmcell.io.submitted.submission import Submission

SIZES = "sizes.json"
"""Name of the file below `results/` in which the sizes are kept for the workflow."""

TIME_SECONDS = 3600

Sizes = dict[str, dict[str, int]]


def cohort_sizes(
    folders: Sequence[Path], results: Path, allowed: Mapping[str, Sequence[Path]] | None = None
) -> Sizes:
    """`n_cells`, `n_genes`, `n_stored`, `n_bytes` of each cohort whose header can be read.

    `n_samples` counts its samples, `n_largest` the cells of the largest one.
    All headers are read in one sandbox. Sizes of files whose bytes count has
    not changed come from `results/sizes.json`, which is rewritten if anything
    is new and it can be. A cohort that cannot be read is left out: intake says what is wrong.
    `allowed` holds, by cohort, what its matrix may be read from besides its own folder.
    """
    path = results / SIZES
    known = _read(path)
    wanted: dict[str, str] = {}
    sizes: Sizes = {}
    places = allowed or {}
    for folder in folders:
        n_bytes = matrix_bytes(folder, places.get(folder.name, ()))
        entry = known.get(folder.name)
        if n_bytes and entry and entry["n_bytes"] == n_bytes:
            sizes[folder.name] = entry
        elif n_bytes:
            wanted[folder.name] = str(folder.absolute())
    if wanted:
        for name, entry in _read_apart(wanted).items():
            n_bytes = matrix_bytes(Path(wanted[name]), places.get(name, ()))
            sizes[name] = entry | {"n_bytes": n_bytes}
    sizes = dict(sorted(sizes.items()))
    if sizes != known:
        # Who only asks may not be allowed to write: then they are read again the next time.
        with suppress(OSError):
            write_json(path, sizes)
    return sizes


def _read_apart(wanted: dict[str, str]) -> Sizes:
    """Sizes of several cohorts, read together; each alone where one of them ends the reader."""
    target = "pmcell.registry.intake.sizes:read_sizes"
    try:
        return dict(sandbox.run(target, {"folders": wanted}, time_seconds=TIME_SECONDS))
    except DataError:
        if len(wanted) == 1:
            return {}
    sizes: Sizes = {}
    for name, folder in wanted.items():
        sizes |= _read_apart({name: folder})
    return sizes


def matrix_bytes(folder: Path, allowed: Sequence[Path] = ()) -> int:
    """Bytes of a cohort's submitted matrix, of all files where it is a folder; 0 without one.

    There is none where it lies neither in the folder nor in one of the `allowed` places.
    """
    matrix = read_matrix(folder)
    try:
        if matrix is None or matrix_outside(matrix.path, [folder, *allowed]):
            return 0
        return _bytes_of(matrix.path) if matrix.path.exists() else 0
    except OSError:  # No permission, for example: check and intake say so.
        return 0


def _bytes_of(path: Path) -> int:
    if path.is_dir() and is_store(path):
        return sum(entry.size for entry in list_entries(path))
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())


def read_sizes(folders: dict[str, str]) -> Sizes:
    """Sizes in the headers of several cohorts; runs inside the sandbox."""
    from pmcell.registry.intake.cell_table import open_matrix

    sizes: Sizes = {}
    for name, folder in folders.items():
        matrix = read_matrix(folder)
        if matrix is None:
            continue
        try:
            submission = open_matrix(matrix)
            layer = submission.summary_of(matrix.counts)
            n_cells, n_genes = layer.shape
            per_sample = cells_per_sample(Path(folder), submission)
        # Foreign bytes: one file must not cost the others their sizes.
        except Exception:
            continue
        sizes[name] = {
            "n_cells": n_cells,
            "n_genes": n_genes,
            "n_stored": layer.n_stored,
            "n_samples": len(per_sample),
            "n_largest": max(per_sample, default=0),
        }
    return sizes


def cells_per_sample(folder: Path, submission: Submission) -> list[int]:
    """Cells of each sample; all cells as one where the registration does not tell the samples."""
    from pmcell.registry.intake.cells import label_cells

    try:
        registration = load_registration(folder)
        known = [sample.sample_id for sample in registration.samples]
        _, samples = label_cells(
            submission, registration.columns, known, renames=registration.sample_names
        )
    except (DataError, FaultsError):
        return [submission.n_cells]
    return list(Counter(samples.tolist()).values())


def _read(path: Path) -> dict[str, Any]:
    try:
        value = read_json(path)
    except (OSError, ValueError):
        return {}
    wanted = {"n_cells", "n_genes", "n_stored", "n_samples", "n_largest", "n_bytes"}
    if not isinstance(value, dict) or any(set(item) != wanted for item in value.values()):
        return {}
    return value
