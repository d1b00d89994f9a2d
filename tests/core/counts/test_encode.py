"""The checksum of a chunk is HDF5's, however it is added up."""

import numpy as np
import pytest

from pmcell.core.counts.encode import fletcher32


def naive(stored: bytes) -> int:
    """`H5_checksum_fletcher32`: one word after another, folded after each 360."""
    first = second = 0
    words = [256 * high + low for high, low in zip(stored[::2], stored[1::2], strict=False)]
    if len(stored) % 2:
        words.append(256 * stored[-1])
    for at, word in enumerate(words, start=1):
        first += word
        second += first
        if at % 360 == 0 or at == len(stored) // 2 or at == len(words):
            first = (first & 0xFFFF) + (first >> 16)
            second = (second & 0xFFFF) + (second >> 16)
    first = (first & 0xFFFF) + (first >> 16)
    second = (second & 0xFFFF) + (second >> 16)
    return second << 16 | first


@pytest.mark.parametrize("size", [0, 1, 2, 3, 719, 720, 721, 722, 1440, 5001])
def test_every_length_has_the_sum_of_the_plain_definition(size: int) -> None:
    random = np.random.default_rng(size).integers(0, 256, size, dtype=np.uint8).tobytes()
    for stored in (random, b"\xff" * size, b"\0" * size):
        assert fletcher32(stored) == naive(stored)
