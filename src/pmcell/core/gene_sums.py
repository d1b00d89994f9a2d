"""Sums of a number for each gene that a cell expresses."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pmcell.core.compiler import Array, kernel


def gene_sums(
    indptr: NDArray[np.int64],
    indices: NDArray[np.int64],
    numbers: NDArray[np.int64],
    codes: NDArray[np.uint64],
) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """Add, modulo 2⁶⁴, the codes of the genes of each row; also how many genes were known.

    Parameters
    ----------
    indptr, indices
        Columns of each row.
    numbers
        The gene of each column, -1 where it is not known.
    codes
        The number of each gene.

    Examples
    --------
    >>> codes = np.array([1, 10, 100], np.uint64)
    >>> sums, known = gene_sums(np.array([0, 2]), np.array([0, 1]), np.array([2, -1]), codes)
    >>> sums.tolist(), known.tolist()
    ([100], [1])
    """
    sums, n_known = np.zeros(indptr.size - 1, np.uint64), np.zeros(indptr.size - 1, np.int64)
    _add(indptr, indices, numbers, codes, sums, n_known)
    return sums, n_known


@kernel  # type: ignore[untyped-decorator]
def _add(
    indptr: Array, indices: Array, numbers: Array, codes: Array, sums: Array, n_known: Array
) -> None:
    for row in range(sums.size):
        for k in range(indptr[row], indptr[row + 1]):
            gene = numbers[indices[k]]
            if gene >= 0:
                sums[row] += codes[gene]
                n_known[row] += 1
