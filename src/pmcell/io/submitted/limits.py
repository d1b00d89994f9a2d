"""How much a submitted file may declare before it is refused unread."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """What a submitted HDF5 file or zarr store may declare; sizes in bytes."""

    max_objects: int = 10_000
    max_depth: int = 12
    max_declared: int = 2**40
    max_ratio: int = 1100
    ratio_from: int = 64 * 2**20
    max_chunk: int = 2**30
    max_attribute: int = 64 * 2**20
    max_faults: int = 20
