"""Chunks of HDF5 datasets in gzip, encoded and decoded past the library.

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

from typing import Any

import numpy as np

from pmcell.core.counts.encode import fletcher32, shuffled

LEVEL = 2
"""ISA-L's level: one less is no faster, one more no smaller."""


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


def filter_options(level: int, *, has_checksum: bool) -> dict[str, Any]:
    """Arguments of h5py for a dataset whose chunks `packed` makes."""
    packed: dict[str, Any] = {"compression": "gzip", "compression_opts": level, "shuffle": True}
    return packed | ({"fletcher32": True} if has_checksum else {})
