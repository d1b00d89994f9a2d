"""From values to stored bytes: HDF5's byte shuffle and its Fletcher-32 checksum.

Each kernel is serial and free of Python's lock, so that several chunks are encoded at once.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pmcell.core.compiler import Array, kernel

_MIN_COMPILED = 1 << 14
"""Values from which the kernel is worth loading."""

_SUMS_BEFORE_FOLD = 360
"""16-bit words whose sums of sums fit 32 bits, as HDF5 counts them."""


def shuffled(values: NDArray) -> bytes:  # type: ignore[type-arg]
    """Bytes of values as HDF5's shuffle filter stores them: all first bytes, all second bytes, …

    >>> shuffled(np.array([1, 2], "<i4"))
    b'\\x01\\x02\\x00\\x00\\x00\\x00\\x00\\x00'
    """
    values = np.ascontiguousarray(values)
    planes = np.empty((values.itemsize, values.size), np.uint8)
    if values.itemsize == 4 and values.size >= _MIN_COMPILED:
        _split_planes(values.view(np.uint32), planes)
    else:
        planes[:] = values.view(np.uint8).reshape(values.size, values.itemsize).T
    return planes.tobytes()


def fletcher32(stored: bytes) -> int:
    """Checksum that HDF5's filter of the name puts behind a chunk (`H5_checksum_fletcher32`).

    >>> hex(fletcher32(b"abcde"))
    '0x4ff029c7'
    """
    words = np.frombuffer(stored, "<u2", len(stored) // 2)
    last = stored[-1] if len(stored) % 2 else -1
    return int(_fletcher32(words, last))


@kernel
def _split_planes(words: Array, planes: Array) -> None:
    for at in range(words.size):
        word = words[at]
        planes[0, at] = word & np.uint32(255)
        planes[1, at] = (word >> np.uint32(8)) & np.uint32(255)
        planes[2, at] = (word >> np.uint32(16)) & np.uint32(255)
        planes[3, at] = word >> np.uint32(24)


@kernel
def _fletcher32(words: Array, last: int) -> np.uint64:
    """Sums of big-endian words, given as little-endian ones, and of a `last` byte (-1: none)."""
    first, second = np.uint64(0), np.uint64(0)
    for low in range(0, words.size, _SUMS_BEFORE_FOLD):
        own = words[low : low + _SUMS_BEFORE_FOLD]
        # The sum of the run's running sums, without the chain of additions that keeps it slow.
        total, weighted = np.uint32(0), np.uint32(0)
        for at in range(own.size):
            word = np.uint32(own[at])
            word = np.uint32(
                np.uint32(np.uint32(word & np.uint32(255)) << np.uint32(8))
                | np.uint32(word >> np.uint32(8))
            )
            total = np.uint32(total + word)
            weighted = np.uint32(weighted + np.uint32(word * np.uint32(own.size - at)))
        second += np.uint64(own.size) * first + np.uint64(weighted)
        first += np.uint64(total)
        first = (first & np.uint64(0xFFFF)) + (first >> np.uint64(16))
        second = (second & np.uint64(0xFFFF)) + (second >> np.uint64(16))
    if last >= 0:
        first += np.uint64(last) << np.uint64(8)
        second += first
        first = (first & np.uint64(0xFFFF)) + (first >> np.uint64(16))
        second = (second & np.uint64(0xFFFF)) + (second >> np.uint64(16))
    first = (first & np.uint64(0xFFFF)) + (first >> np.uint64(16))
    second = (second & np.uint64(0xFFFF)) + (second >> np.uint64(16))
    return (second << np.uint64(16)) | first
