"""The only module that knows numba's options; kernels import their decorators from here.

Compiled kernels are cached on disk, so only the first run on a machine pays
for compilation. The cache lies in `PMCELL_CACHE_DIR` or the user's cache
folder, and in the temporary folder where neither can be written (containers,
read-only homes).
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import numba
from numba import prange
from numpy.typing import NDArray

__all__ = ["Array", "kernel", "parallel_kernel", "prange", "thread_count"]

Array = NDArray[Any]
"""An argument of a kernel: numba compiles a version for each dtype it is given."""


def _cache_folder() -> Path:
    candidates = [
        os.environ.get("PMCELL_CACHE_DIR"),
        os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"),
        os.path.join(tempfile.gettempdir(), f"pmcell-{os.getuid()}"),
    ]
    for candidate in candidates:
        if not candidate:
            continue
        folder = Path(candidate) / "pmcell" / "numba"
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError:
            continue
        if os.access(folder, os.W_OK):
            return folder
    return Path(tempfile.mkdtemp(prefix="pmcell-numba-"))


if not os.environ.get("NUMBA_CACHE_DIR"):
    numba.config.CACHE_DIR = str(_cache_folder())  # type: ignore[attr-defined]

# A thread that waits for the next kernel must leave its core to those that decode: by default
# it spins for milliseconds, which took a third of the processor time of a pass over a file.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

kernel = numba.njit(cache=True, nogil=True)
"""A serial kernel: arrays and numbers in, arrays out."""

parallel_kernel = numba.njit(cache=True, nogil=True, parallel=True)
"""A kernel with `prange`: each iteration writes only its own row, or integers are summed."""


def thread_count() -> int:
    """Threads that a parallel kernel uses now (`numba.set_num_threads` changes it)."""
    return int(numba.get_num_threads())
