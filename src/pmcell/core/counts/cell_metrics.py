"""Per-cell quality metrics in one pass: total counts, detected genes, mitochondrial counts."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pmcell.core.compiler import Array, parallel_kernel, prange
from pmcell.core.counts.blocks import Block, Counts


def cell_metrics(counts: Counts, is_mitochondrial: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Total counts, detected genes and mitochondrial counts of each cell (n_cells, 3; int64)."""
    metrics = np.zeros((counts.n_cells, 3), np.int64)
    for block in counts.iter_blocks():
        metrics[block.rows] = block_metrics(block, is_mitochondrial)
    return metrics


def block_metrics(block: Block, is_mitochondrial: NDArray[np.bool_]) -> NDArray[np.int64]:
    """`cell_metrics` of the cells of one block (n_rows, 3; int64)."""
    found: NDArray[np.int64] = _cell_metrics(
        block.indptr, block.indices, block.data, is_mitochondrial
    )
    return found


@parallel_kernel
def _cell_metrics(indptr: Array, indices: Array, data: Array, is_mitochondrial: Array) -> Array:
    n_rows = indptr.size - 1
    metrics = np.zeros((n_rows, 3), np.int64)
    for row in prange(n_rows):
        total = np.int64(0)
        detected = np.int64(0)
        mitochondrial = np.int64(0)
        genes, own = indices[indptr[row] : indptr[row + 1]], data[indptr[row] : indptr[row + 1]]
        for entry in range(own.size):
            total += own[entry]
            detected += own[entry] > 0
        for entry in range(own.size):
            if is_mitochondrial[np.uint64(genes[entry])]:
                mitochondrial += own[entry]
        metrics[row, 0] = total
        metrics[row, 1] = detected
        metrics[row, 2] = mitochondrial
    return metrics
