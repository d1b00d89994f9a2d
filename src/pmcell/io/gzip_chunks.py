"""Chunks of HDF5 datasets in gzip, encoded and decoded past the library, in several threads.

HDF5 compresses and decompresses one chunk at a time, under one lock, with zlib. ISA-L
(https://github.com/intel/isa-l, by the package isal) writes and reads the same format: what it
wrote, every reader of HDF5 opens. Made by it at level 2, 1.8 million counts of the embedded
cohorts, one busy core, nanoseconds and bytes for each value of four bytes with shuffle:

    values                     zlib-4: write  read  size    ISA-L: write  read  size
    counts, float32                     56.0  13.8  0.77             5.9   6.5  0.79
    positions, int32                    33.2  11.0  0.55             4.4   3.7  0.65
    log-normalised, float32             98.0  19.3  2.28            12.9  10.9  2.67
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np

from pmcell.core.compiler import thread_count
from pmcell.core.counts.encode import fletcher32, shuffled

if TYPE_CHECKING:
    import h5py

LEVEL = 2
"""ISA-L's level: one less is no faster, one more no smaller."""

CHUNKS_AHEAD = 4
"""Chunks a thread that may wait to be written."""


def packed(values: np.ndarray, *, is_shuffled: bool, has_checksum: bool) -> bytes:
    """A chunk as the filters shuffle, gzip and Fletcher-32 would store it."""
    from isal import isal_zlib

    plain = shuffled(values) if is_shuffled else np.ascontiguousarray(values).tobytes()
    stored: bytes = isal_zlib.compress(plain, LEVEL)
    return stored + fletcher32(stored).to_bytes(4, "little") if has_checksum else stored


def unpacked(stored: bytes, n_bytes: int) -> bytes:
    """The `n_bytes` that gzip packed; `OSError` for damaged bytes, and for more or less of them."""
    from isal import igzip_lib, isal_zlib

    reader = isal_zlib.decompressobj()
    try:
        plain: bytes = reader.decompress(stored, n_bytes + 1)
    except igzip_lib.IsalError as error:  # type: ignore[misc]  # its stub calls it an instance
        raise OSError(str(error)) from error
    if len(plain) != n_bytes or not reader.eof:
        raise OSError(f"it must hold {n_bytes} bytes, and holds others")
    return plain


class GzipColumn:
    """A one-dimensional dataset that grows at its end, in chunks of gzip with shuffle.

    What several `datasets` are to hold alike is encoded once, and written to each. They must be
    new, empty, resizable, and have these filters: shuffle, gzip, and Fletcher-32 where asked.
    """

    def __init__(self, datasets: Sequence[h5py.Dataset], *, has_checksum: bool = False) -> None:
        self._datasets = list(datasets)
        self._has_checksum = has_checksum
        self._length = int(datasets[0].chunks[0])
        self._rest = np.empty(0, datasets[0].dtype)
        self._coming: deque[Future[bytes]] = deque()
        self._n_written = 0
        self._pool = ThreadPoolExecutor(thread_count(), thread_name_prefix="encode")
        self.size = 0

    def add_dataset(self, dataset: h5py.Dataset) -> None:
        """Write all values to one more dataset; only before the first of them."""
        if self.size:
            raise ValueError("a dataset must be added before the first value")
        self._datasets.append(dataset)

    def append(self, values: np.ndarray) -> None:
        """Add values at the end, which the caller must not change: they are encoded later."""
        values = np.asarray(values, self._rest.dtype)
        self.size += values.size
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
        job = self._pool.submit(packed, chunk, is_shuffled=True, has_checksum=self._has_checksum)
        self._coming.append(job)
        if len(self._coming) > CHUNKS_AHEAD * thread_count():
            self._write()

    def _write(self) -> None:
        stored = self._coming.popleft().result()
        start = self._n_written * self._length
        for dataset in self._datasets:
            dataset.resize((start + self._length,))
            dataset.id.write_direct_chunk((start,), stored)
        self._n_written += 1


def filter_options(level: int, *, has_checksum: bool) -> dict[str, Any]:
    """Arguments of h5py for a dataset whose chunks `GzipColumn` writes."""
    packed: dict[str, Any] = {"compression": "gzip", "compression_opts": level, "shuffle": True}
    return packed | ({"fletcher32": True} if has_checksum else {})
