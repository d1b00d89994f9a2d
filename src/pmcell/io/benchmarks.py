"""Benchmark records that Snakemake writes for each job; they name no computer.

Source: https://snakemake.readthedocs.io/en/stable/tutorial/additional_features.html#benchmarking
"""

from __future__ import annotations

import math
from pathlib import Path

COLUMNS = {
    "wall_seconds": "s",
    "cpu_seconds": "cpu_time",
    "peak_memory_mb": "max_rss",
    "disk_read_mb": "io_in",
    "disk_written_mb": "io_out",
}
"""Numbers and the columns of a record that hold them."""


def read_benchmark(path: Path) -> dict[str, float | None]:
    """The numbers of a record; None for all that it does not tell, or when it is not there.

    Memory is measured every few seconds; 0 or NA stands for a job that ended before.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
        row = dict(zip(lines[0].split("\t"), lines[-1].split("\t"), strict=True))
    except (OSError, IndexError, ValueError):
        row = {}
    taken = {column: _number(row.get(name, "")) for column, name in COLUMNS.items()}
    if not taken["peak_memory_mb"]:
        taken |= dict.fromkeys(list(COLUMNS)[1:], None)
    return taken


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) and value >= 0 else None
