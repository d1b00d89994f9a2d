"""Read one-dimensional HDF5 datasets fast: raw bytes by position, decoded in several threads.

HDF5 decodes one chunk at a time under one lock. Where a dataset lies in the file
as plain values, in chunks or not, in chunks of gzip with or without byte shuffle, or in chunks
of blosc, its bytes are read past the library and decoded by whichever thread is free; every
other form is left to h5py. zlib's own checksum stands in for Fletcher-32, which is not computed.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from pmcell.core.compiler import thread_count
from pmcell.core.counts.decode import unshuffled
from pmcell.io import blosc_chunks, gzip_chunks
from pmcell.io.filters import filter_numbers

PIECE_VALUES = 1 << 20
"""Values of one task where the dataset has no chunks."""


@dataclass(frozen=True)
class Task:
    """Values `low` to `high` of a dataset and what reads them; may run in any thread."""

    low: int
    high: int
    read: Callable[[], np.ndarray]


class StoredArray:
    """A dataset of an open file, cut into independent reading tasks."""

    def __init__(self, dataset: Any, path: Path) -> None:
        self._dataset = dataset
        self._path = path
        self.size = int(dataset.shape[0])
        self.dtype: np.dtype[Any] = dataset.dtype
        self._descriptor = os.open(path, os.O_RDONLY)
        self._chunks = self._chunk_places()

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._descriptor)

    def tasks(self, low: int, high: int) -> Iterator[Task]:
        """Tasks that together read values `low` to `high`."""
        if self._chunks is not None and not self._is_filtered:
            for first in range(low, high, PIECE_VALUES):
                last = min(first + PIECE_VALUES, high)
                yield Task(first, last, self._plain_chunks_reader(first, last))
            return
        if self._chunks is not None:
            length = int(self._dataset.chunks[0])
            for at in range(low // length, -(-high // length) if high > low else low // length):
                first, last = max(low, at * length), min(high, (at + 1) * length)
                yield Task(first, last, self._chunk_reader(at, first, last))
            return
        offset = self._dataset.id.get_offset() if self._is_direct() else None
        for first in range(low, high, PIECE_VALUES):
            last = min(first + PIECE_VALUES, high)
            if offset is None or self._dataset.chunks is not None:
                yield Task(first, last, self._slice_reader(first, last))
            else:
                yield Task(first, last, self._plain_reader(offset, first, last))

    def _is_direct(self) -> bool:
        return self._dataset.file.userblock_size == 0 and self.dtype.isnative

    def _chunk_places(self) -> list[tuple[int, int]] | None:
        """Offset and length of each chunk, or None where h5py must read."""
        if self._dataset.chunks is None or not self._is_direct():
            return None
        names = filter_numbers(self._dataset)
        from h5py import h5z

        gzip = [h5z.FILTER_SHUFFLE, h5z.FILTER_DEFLATE, h5z.FILTER_FLETCHER32]
        blosc = [blosc_chunks.FILTER, h5z.FILTER_FLETCHER32]
        self._is_blosc = names in (blosc, blosc[:1])
        if not self._is_blosc and names != [name for name in gzip if name in names]:
            return None
        self._is_filtered = self._is_blosc or h5z.FILTER_DEFLATE in names
        if names and not self._is_filtered:
            return None
        self._is_shuffled = h5z.FILTER_SHUFFLE in names and self.dtype.itemsize > 1
        self._tail = 4 if h5z.FILTER_FLETCHER32 in names else 0
        state = os.fstat(self._descriptor)
        return _places(self._path, str(self._dataset.name), state.st_ino, state.st_mtime_ns)

    def _chunk_reader(self, at: int, first: int, last: int) -> Callable[[], np.ndarray]:
        offset, size = self._chunks[at]  # type: ignore[index]
        begin = at * int(self._dataset.chunks[0])

        def read() -> np.ndarray:
            stored = os.pread(self._descriptor, size, offset)
            try:
                values = self._unpacked(stored, int(self._dataset.chunks[0]))
            except OSError as error:
                raise OSError(f"chunk {at} of {self._dataset.name}: {error}") from error
            return values[first - begin : last - begin]

        return read

    def _unpacked(self, stored: bytes, n_values: int) -> np.ndarray:
        if self._is_blosc:
            return blosc_chunks.unpacked(stored, n_values, self.dtype, tail=self._tail)
        body = stored[: len(stored) - self._tail]
        plain = gzip_chunks.unpacked(body, n_values * self.dtype.itemsize)
        if self._is_shuffled:
            return unshuffled(plain, self.dtype)
        return np.frombuffer(plain, self.dtype)

    def _plain_reader(self, offset: int, first: int, last: int) -> Callable[[], np.ndarray]:
        def read() -> np.ndarray:
            values = np.empty(last - first, self.dtype)
            self._fill(values, offset + first * self.dtype.itemsize)
            return values

        return read

    def _plain_chunks_reader(self, first: int, last: int) -> Callable[[], np.ndarray]:
        length = int(self._dataset.chunks[0])

        def read() -> np.ndarray:
            values = np.empty(last - first, self.dtype)
            at = first
            while at < last:
                chunk, skipped = divmod(at, length)
                stop = min((chunk + 1) * length, last)
                offset = self._chunks[chunk][0]  # type: ignore[index]
                self._fill(values[at - first : stop - first], offset + skipped * values.itemsize)
                at = stop
            return values

        return read

    def _fill(self, values: np.ndarray, offset: int) -> None:
        """Read bytes of the file from `offset` into `values`."""
        view = values.view(np.uint8).data
        while view:
            n_read = os.preadv(self._descriptor, [view], offset)
            if n_read == 0:
                raise OSError(f"{self._dataset.name} ends at byte {offset} of the file")
            view, offset = view[n_read:], offset + n_read

    def _slice_reader(self, first: int, last: int) -> Callable[[], np.ndarray]:
        return lambda: np.asarray(self._dataset[first:last])


def read_ahead(dataset: Any, path: Path) -> Iterator[np.ndarray]:
    """All values of a dataset in order, a piece after the other.

    The next pieces are decoded in background threads, a few at a time.
    """
    stored = StoredArray(dataset, path)
    n_threads = thread_count()
    with ThreadPoolExecutor(n_threads, thread_name_prefix="decode") as pool:
        coming: deque[Future[np.ndarray]] = deque()
        try:
            for task in stored.tasks(0, stored.size):
                coming.append(pool.submit(task.read))
                if len(coming) > 2 * n_threads:
                    yield coming.popleft().result()
            while coming:
                yield coming.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)
            stored.close()


def read_values(datasets: Sequence[Any], low: int, high: int) -> list[np.ndarray]:
    """Values `low` to `high` of each dataset of a file, decoded in several threads.

    `ValueError` where a dataset does not have so many.
    """
    path = Path(datasets[0].file.filename)
    for dataset in datasets:
        if not 0 <= low <= high <= dataset.shape[0]:
            raise ValueError(
                f"{dataset.name} must have values {low} to {high}; it has {dataset.shape[0]}"
            )
    found = [np.empty(high - low, dataset.dtype) for dataset in datasets]

    def copy(task: Task, values: np.ndarray) -> None:
        values[task.low - low : task.high - low] = task.read()

    with ExitStack() as stack:
        arrays = [StoredArray(dataset, path) for dataset in datasets]
        for array in arrays:
            stack.callback(array.close)
        pool = stack.enter_context(ThreadPoolExecutor(thread_count(), thread_name_prefix="decode"))
        jobs = [
            pool.submit(copy, task, values)
            for array, values in zip(arrays, found, strict=True)
            for task in array.tasks(low, high)
        ]
        for job in jobs:
            job.result()
    return found


@lru_cache(maxsize=16)
def _places(path: Path, name: str, inode: int, changed: int) -> list[tuple[int, int]] | None:
    """Offset and bytes of each chunk; kept, as every pass over a file asks for them."""
    import h5py

    with h5py.File(path, "r", locking=False) as file:
        dataset = file[name]
        found: list[Any] = []
        dataset.id.chunk_iter(found.append)
        length = int(dataset.chunks[0])
        places = [(0, 0)] * -(-int(dataset.shape[0]) // length)
    for item in found:
        if item.filter_mask:
            return None
        places[item.chunk_offset[0] // length] = (item.byte_offset, item.size)
    return None if (0, 0) in places else places
