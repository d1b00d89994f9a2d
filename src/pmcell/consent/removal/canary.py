"""A made-up person: what is planted of them, and how."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

NAME = "Canary-7f3a91c2"
TEXT = f"donor {NAME} was here".encode()
DRAW = np.random.default_rng(20261130)
COUNTS = DRAW.choice(12, size=300, p=np.array([78, 66, 55, 45, 36, 28, 21, 15, 10, 6, 3, 1]) / 364)
GENES = tuple(f"ENSG{90000000000 + number} CAN{number}" for number in range(COUNTS.size))
"""Id and symbol of the gene of each count."""
SOME = np.sort(np.concatenate([np.flatnonzero(COUNTS == 0)[:60], np.flatnonzero(COUNTS)[:90]]))
"""Half of the genes, as a choice of variable ones leaves them."""

Plant = Callable[[Path], None]
"""Writes the person into a folder."""


def file_of(name: str, data: bytes) -> Plant:
    """A plant that writes a file."""

    def plant(home: Path) -> None:
        (home / name).write_bytes(data)

    return plant
