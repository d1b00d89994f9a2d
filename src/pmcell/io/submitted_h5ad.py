"""Reader of submitted h5ad files; see `pmcell.io.submitted_anndata`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pmcell.io.filters import filter_numbers, register_filters
from pmcell.io.preflight import unreadable
from pmcell.io.submission import Submission
from pmcell.io.submitted_anndata import inspect_tree, stored_values, tree_blocks, tree_sample

if TYPE_CHECKING:
    import numpy as np
    import scipy.sparse as sp


def inspect(path: Path) -> Submission:
    """Tables of cells and genes, a summary of each matrix; see `pmcell.io.submitted`."""
    with opened(path) as file:
        return inspect_tree(file, path, "h5ad")


def iter_counts(
    submission: Submission, layer: str, max_values: int
) -> Iterator[tuple[int, sp.csr_matrix]]:
    """CSR blocks of all cells; see `pmcell.io.submitted.iter_counts`."""
    with opened(submission.path) as file:
        yield from tree_blocks(file, submission, layer, max_values)


def sample_umis(submission: Submission, layer: str) -> np.ndarray:
    """Counts of each gene in some cells; see `pmcell.io.submitted.sample_umis`."""
    with opened(submission.path) as file:
        return tree_sample(file, submission, layer)


def is_compressed(submission: Submission, layer: str) -> bool:
    """Whether the counts are stored compressed; see `pmcell.io.submitted.is_compressed`."""
    with opened(submission.path) as file:
        return bool(filter_numbers(stored_values(file, submission, layer)))


@contextmanager
def opened(path: Path) -> Iterator[Any]:
    """The open file; failures of the HDF5 and AnnData readers become `DataError`."""
    import h5py

    try:
        with h5py.File(path, "r", locking=False) as file:
            register_filters(file, foreign=True)
            yield file
    # h5py raises all of these on damaged objects.
    except (OSError, MemoryError, RuntimeError, KeyError, UnicodeDecodeError) as error:
        raise unreadable(path, "the file", error) from error
