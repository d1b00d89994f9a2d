"""Write chunks of HDF5 datasets that several threads encode, past the library and its lock."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np

from pmcell.core.compiler import thread_count

if TYPE_CHECKING:
    import h5py

CHUNKS_AHEAD = 4
"""Chunks a thread that may wait to be written."""


class ChunkColumn:
    """A one-dimensional dataset that grows at its end, in chunks that `pack` encodes.

    What several `datasets` are to hold alike is encoded once, and written to each. They must be
    new, empty, resizable, and have the filters whose work `pack` does. With `is_digested` the
    values are digested as they come.
    """

    def __init__(
        self,
        datasets: Sequence[h5py.Dataset],
        pack: Callable[[np.ndarray], bytes],
        *,
        is_digested: bool = False,
    ) -> None:
        self._datasets = list(datasets)
        self._pack = pack
        self._length = int(datasets[0].chunks[0])
        self._rest = np.empty(0, datasets[0].dtype)
        self._coming: deque[Future[bytes]] = deque()
        self._n_written = 0
        self._pool = ThreadPoolExecutor(thread_count(), thread_name_prefix="encode")
        self._digest = hashlib.sha256() if is_digested else None
        self.size = 0

    @property
    def digests(self) -> dict[str, str]:
        """SHA-256 of the values so far, by the name of each dataset; none where none is taken."""
        if self._digest is None:
            return {}
        return {item.name.lstrip("/"): self._digest.hexdigest() for item in self._datasets}

    def add_dataset(self, dataset: h5py.Dataset) -> None:
        """Write all values to one more dataset; only before the first of them."""
        if self.size:
            raise ValueError("a dataset must be added before the first value")
        self._datasets.append(dataset)

    def append(self, values: np.ndarray) -> None:
        """Add values at the end, which the caller must not change: they are encoded later."""
        values = np.asarray(values, self._rest.dtype)
        self.size += values.size
        if self._digest is not None:
            self._digest.update(np.ascontiguousarray(values).data)
        low = 0
        if self._rest.size:
            low = min(self._length - self._rest.size, values.size)
            self._rest = np.concatenate([self._rest, values[:low]])
            if self._rest.size < self._length:
                return
            self._submit(self._rest)
        while values.size - low >= self._length:
            self._submit(values[low : low + self._length])
            low += self._length
        self._rest = values[low:].copy()

    def close(self) -> None:
        """Write what is left; only now have the datasets their size."""
        if self._rest.size:
            whole = np.zeros(self._length, self._rest.dtype)
            whole[: self._rest.size] = self._rest
            self._submit(whole)
        while self._coming:
            self._write()
        self._pool.shutdown()
        for dataset in self._datasets:
            dataset.resize((self.size,))

    def _submit(self, chunk: np.ndarray) -> None:
        self._coming.append(self._pool.submit(self._pack, chunk))
        if len(self._coming) > CHUNKS_AHEAD * thread_count():
            self._write()

    def _write(self) -> None:
        stored = self._coming.popleft().result()
        start = self._n_written * self._length
        for dataset in self._datasets:
            dataset.resize((start + self._length,))
            dataset.id.write_direct_chunk((start,), stored)
        self._n_written += 1
