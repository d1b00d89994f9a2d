"""How often each value occurs in the rows of a matrix."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pmcell.core.compiler import Array, kernel


def times_of_values(
    indptr: NDArray[np.int64], values: NDArray[np.float64], least: int, most: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """How often each value occurs in a row, in the order of the values; zeros and NaN left out.

    Parameters
    ----------
    indptr
        Where each row begins and ends in `values` (rows + 1,).
    values
        Values of the rows, one after the other.
    least, most
        Rows of fewer or more values are passed over.

    Returns
    -------
    tuple
        Times, and where each row's begin and end among them.

    Examples
    --------
    >>> times, bounds = times_of_values(np.array([0, 5, 6]), np.array([3.0, 1, 3, 0, 2, 7]), 2, 9)
    >>> times.tolist(), bounds.tolist()
    ([1, 1, 2], [0, 3, 3])
    """
    times = np.empty(int(indptr[-1] - indptr[0]), np.int64)
    bounds = np.zeros(indptr.size, np.int64)
    _count(indptr, values, least, most, times, bounds)
    return times[: bounds[-1]], bounds


@kernel  # type: ignore[untyped-decorator]
def _count(
    indptr: Array, values: Array, least: int, most: int, times: Array, bounds: Array
) -> None:
    at = 0
    for row in range(indptr.size - 1):
        bounds[row + 1] = at
        if not least <= indptr[row + 1] - indptr[row] <= most:
            continue
        kept = np.empty(indptr[row + 1] - indptr[row], np.float64)
        n = 0
        for k in range(indptr[row], indptr[row + 1]):
            if values[k] != 0 and values[k] == values[k]:
                kept[n] = values[k]
                n += 1
        if n >= least:
            kept = np.sort(kept[:n])
            begin = 0
            for k in range(1, n + 1):
                if k == n or kept[k] != kept[begin]:
                    times[at] = k - begin
                    at, begin = at + 1, k
        bounds[row + 1] = at
