"""Read submitted files of any supported format: headers first, counts as a stream of cells.

The bytes are foreign. `inspect` runs the preflight before any reader, but the
readers are C libraries: call both functions inside `pmcell.io.submitted.sandbox`.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from pmcell.errors import DataError, UsageError
from pmcell.io.submitted.containers import other_content, refuse_other
from pmcell.io.submitted.preflight import preflight
from pmcell.io.submitted.submission import FORMATS, LayerSummary, Submission
from pmcell.io.zarr_store import is_store

if TYPE_CHECKING:
    import numpy as np
    import scipy.sparse as sp

__all__ = [
    "FORMATS",
    "LayerSummary",
    "Submission",
    "detect_format",
    "inspect",
    "is_compressed",
    "iter_counts",
    "sample_umis",
]

MAX_VALUES = 16_000_000
"""Stored values of one block: about 200 MB of values and positions."""

_READERS = {
    "h5ad": "h5ad",
    "zarr": "zarr",
    "10x_h5": "tenx_h5",
    "10x_mtx": "tenx_mtx",
    "csv": "text",
    "tsv": "text",
}


def inspect(
    path: Path | str,
    fmt: str | None = None,
    *,
    orientation: str = "auto",
    looks_like_genes: Callable[[Sequence[str]], float] | None = None,
) -> Submission:
    """Tables of cells and genes and a summary of each matrix, from headers and a sample of values.

    `fmt` is h5ad, zarr, 10x_h5, 10x_mtx, csv or tsv; by default it is told from the
    file. Text tables and square matrix folders may be genes × cells or cells × genes:
    `orientation` is auto, genes_by_cells or cells_by_genes, and auto asks `looks_like_genes`
    (names → share that are gene names), or the values of a square matrix. Raises `DataError` with
    a reason when the file is unsafe, damaged or unreadable.
    """
    path = Path(path)
    fmt = fmt or detect_format(path)
    if fmt not in FORMATS:
        raise UsageError(f"format must be one of {', '.join(FORMATS)}, got {fmt!r}")
    is_text = fmt in ("csv", "tsv")
    if path.is_file() and (error := other_content(path, is_text=is_text)):
        raise error
    preflight(path, fmt)
    if is_text:
        from pmcell.io.submitted.text import inspect_text

        return inspect_text(path, fmt, orientation=orientation, looks_like_genes=looks_like_genes)
    options = {"orientation": orientation} if fmt == "10x_mtx" else {}
    submission: Submission = _reader(fmt).inspect(path, **options)
    return submission


def iter_counts(
    submission: Submission, layer: str = "X", *, max_values: int = MAX_VALUES
) -> Iterator[tuple[int, sp.csr_matrix]]:
    """Yield (first cell, CSR block) over all cells of `layer` in submitted order.

    Blocks hold the values as stored, at most `max_values` of them (at least
    one cell), positions in range, sorted and unique: anything else raises
    `DataError`. Whether the values are counts is for the caller to check.
    """
    submission.summary_of(layer)
    yield from _reader(submission.format).iter_counts(submission, layer, max_values)


def sample_umis(submission: Submission, layer: str) -> np.ndarray | None:
    """Counts of each feature of `layer` in a sample of cells (float64), or None where none is had.

    The sample is spread over the file where its form allows, else it is of the first cells; a
    Matrix Market file in the order of genes gives none. Only for a matrix that looks like counts.
    Raises `DataError` for positions that are outside or repeated.
    """
    submission.summary_of(layer)
    umis: np.ndarray | None = _reader(submission.format).sample_umis(submission, layer)
    return umis


def is_compressed(submission: Submission, layer: str) -> bool:
    """Whether the values of `layer` are stored compressed, so that damage is likely to show.

    A matrix folder counts by its Matrix Market file, a text table by being gzipped.
    """
    compressed: bool = _reader(submission.format).is_compressed(submission, layer)
    return compressed


def detect_format(path: Path | str) -> str:
    """The format that name and first bytes say; `DataError` when they say none."""
    path = Path(path)
    if path.is_dir():
        return "zarr" if is_store(path) or path.suffix.lower() == ".zarr" else "10x_mtx"
    if not path.exists():
        raise DataError(
            f"{path.name}: the matrix must exist; there is no such file", reason="file_missing"
        )
    # What a zip file holds is foreign: the preflight looks, in the sandbox.
    if path.suffix.lower() != ".zip":
        refuse_other(path)
    suffixes = [suffix.lower() for suffix in path.suffixes if suffix.lower() != ".gz"]
    suffix = suffixes[-1] if suffixes else ""
    known = {
        ".h5ad": "h5ad",
        ".zip": "zarr",
        ".h5": "10x_h5",
        ".csv": "csv",
        ".tsv": "tsv",
        ".txt": "tsv",
        ".tab": "tsv",
    }
    if suffix in known:
        return known[suffix]
    if suffix == ".zarr":
        raise DataError(
            f"{path.name}: a zarr store must be a folder, or a zip file of one (.zip); found a "
            "file. Copy the whole folder from the source.",
            reason="format_unknown",
        )
    raise DataError(
        f"{path.name}: the name must tell the format, one of {', '.join(FORMATS)}; it does not. "
        "Set matrix.format in cohort.yaml.",
        reason="format_unknown",
    )


def _reader(fmt: str) -> ModuleType:
    return importlib.import_module(f"pmcell.io.submitted.{_READERS[fmt]}")
