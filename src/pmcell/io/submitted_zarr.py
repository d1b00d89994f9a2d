"""Reader of AnnData in a submitted zarr store; see `pmcell.io.submitted_anndata`."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pmcell.errors import PmcellError
from pmcell.io.preflight import unreadable
from pmcell.io.submission import Submission
from pmcell.io.submitted_anndata import inspect_tree, stored_values, tree_blocks, tree_sample
from pmcell.io.zarr_store import opened_store

if TYPE_CHECKING:
    import numpy as np
    import scipy.sparse as sp


def inspect(path: Path) -> Submission:
    """Tables of cells and genes, a summary of each matrix; see `pmcell.io.submitted`."""
    with opened(path) as root:
        return inspect_tree(root, path, "zarr")


def iter_counts(
    submission: Submission, layer: str, max_values: int
) -> Iterator[tuple[int, sp.csr_matrix]]:
    """CSR blocks of all cells; see `pmcell.io.submitted.iter_counts`."""
    with opened(submission.path) as root:
        yield from tree_blocks(root, submission, layer, max_values)


def sample_umis(submission: Submission, layer: str) -> np.ndarray:
    """Counts of each gene in some cells; see `pmcell.io.submitted.sample_umis`."""
    with opened(submission.path) as root:
        return tree_sample(root, submission, layer)


def is_compressed(submission: Submission, layer: str) -> bool:
    """Whether the counts are stored compressed; see `pmcell.io.submitted.is_compressed`."""
    with opened(submission.path) as root:
        return bool(stored_values(root, submission, layer).compressors)


@contextmanager
def opened(path: Path) -> Iterator[Any]:
    """The store's root group; failures of the zarr and AnnData readers become `DataError`."""
    import zarr

    try:
        # One chunk after the other: what is held at a time is bounded.
        limits = {"threading.max_workers": 1, "async.concurrency": 1}
        with zarr.config.set(limits), opened_store(path) as root:
            yield root
    except PmcellError:
        raise
    # Codecs raise all of these on damaged chunks.
    except (
        *(OSError, MemoryError, RuntimeError, KeyError, ValueError, TypeError, IndexError),
        *(AttributeError, zipfile.BadZipFile, EOFError),
    ) as error:
        raise unreadable(path, "the store", error) from error
