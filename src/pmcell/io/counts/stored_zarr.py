"""Read one-dimensional zarr arrays in tasks that threads share, like `pmcell.io.counts.stored`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from pmcell.io.counts.stored import Task


class ZarrArray:
    """An array of an open store, cut into tasks that each decode whole chunks."""

    def __init__(self, array: Any) -> None:
        self._array = array
        self._length = int((getattr(array, "shards", None) or array.chunks)[0])

    def close(self) -> None:
        """Nothing to let go of: the store is closed by whoever opened it."""

    def tasks(self, low: int, high: int) -> Iterator[Task]:
        """Tasks that together read values `low` to `high`."""
        for at in range(low // self._length, -(-high // self._length) if high > low else 0):
            first, last = max(low, at * self._length), min(high, (at + 1) * self._length)
            yield Task(first, last, self._reader(first, last))

    def _reader(self, first: int, last: int) -> Callable[[], np.ndarray]:
        return lambda: np.asarray(self._array[first:last])
