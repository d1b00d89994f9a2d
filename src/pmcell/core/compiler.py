"""The only module that knows numba's options; kernels import their decorators from here.

Compiled kernels are cached on disk, so only the first run on a machine pays
for compilation. The cache lies in `PMCELL_CACHE_DIR` or the user's cache
folder, and in the temporary folder where neither can be written (containers,
read-only homes): in each case only where nobody else can write.
"""

from __future__ import annotations

import importlib
import os
import sys
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

import numba
from numba import prange
from numba.core.caching import FunctionCache
from numba.core.dispatcher import Dispatcher
from numba.core.runtime.nrt import rtsys
from numpy.typing import NDArray

from pmcell.private_folder import NotPrivateError, private_folder, process_folder

__all__ = ["Array", "kernel", "parallel_kernel", "prange", "thread_count"]

Array = NDArray[Any]
"""An argument of a kernel: numba compiles a version for each dtype it is given."""

Function = TypeVar("Function", bound=Callable[..., Any])


def _cache_folder() -> Path | None:
    """The first folder that can be written and is this user's alone; None where there is none.

    numba's index of a cache is a pickle, which runs code when it is read: what
    another user could have put there is not used.
    """
    home = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    asked = os.environ.get("PMCELL_CACHE_DIR")
    shared = os.path.join(tempfile.gettempdir(), f"pmcell-{os.getuid()}")
    candidates = [
        os.environ.get("NUMBA_CACHE_DIR"),
        *(os.path.join(base, "pmcell", "numba") for base in (asked, home, shared) if base),
    ]
    for candidate in filter(None, candidates):
        try:
            folder = private_folder(candidate)
            if os.access(folder, os.W_OK):
                return folder
        except NotPrivateError as error:
            warnings.warn(
                f"compiled kernels are not kept in {candidate}: {error}. Set PMCELL_CACHE_DIR to a "
                "folder in which you alone can write.",
                stacklevel=2,
            )
        except OSError:
            continue
    try:
        return process_folder("pmcell-numba-")
    except OSError:
        return None


CACHE_FOLDER = _cache_folder()
"""Where compiled kernels are kept; None when there is no folder of one's own: nothing is kept."""

if CACHE_FOLDER is not None:
    numba.config.CACHE_DIR = str(CACHE_FOLDER)  # type: ignore[attr-defined]


def _import_array_functions() -> None:
    """Import what many kernels name; numba then also looks whether there is a BLAS.

    It would import scipy.linalg for that, which few steps use. scipy always has one.
    """
    blas = "scipy.linalg.cython_blas"
    if blas in sys.modules:
        return
    sys.modules[blas] = ModuleType(blas)
    try:
        importlib.import_module("numba.np.arraymath")
    finally:
        del sys.modules[blas]


_import_array_functions()

# A thread that waits for the next kernel must leave its core to those that decode: by default
# it spins for milliseconds, which took a third of the processor time of a pass over a file.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")


_IS_AS_KNOWN = all(
    hasattr(FunctionCache, name) for name in ("_load_overload", "_guard_against_spurious_io_errors")
)
"""Whether this numba has the parts that loading takes; one that has not loads in its own way."""


class _KernelCache(FunctionCache):  # type: ignore[misc]
    """Kernels on disk, loaded without what numba compiles with.

    numba imports that, a fifth of a second of every job, before it looks whether a kernel is on
    disk. One that is not is compiled as ever: the compiler imports what it needs by itself.
    """

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        if not _IS_AS_KNOWN:
            return super().load_overload(sig, target_context)  # type: ignore[no-untyped-call]
        # What compiled code calls to allocate arrays.
        rtsys.initialize(target_context)
        with self._guard_against_spurious_io_errors():
            return self._load_overload(sig, target_context)  # type: ignore[no-untyped-call]


def kernel(function: Function) -> Function:
    """Compile a serial kernel: arrays and numbers in, arrays out."""
    kept: Function = _kept(numba.njit(nogil=True)(function))
    return kept


def parallel_kernel(function: Function) -> Function:
    """Compile a kernel with `prange`.

    Each iteration writes only its own row, or integers are summed.
    """
    kept: Function = _kept(numba.njit(nogil=True, parallel=True)(function))
    return kept


def _kept(compiled: Any) -> Any:
    """The kernel, kept on disk; with NUMBA_DISABLE_JIT=1 it is the plain function."""
    if CACHE_FOLDER is not None and isinstance(compiled, Dispatcher):
        cache = _KernelCache(compiled.py_func)  # type: ignore[no-untyped-call]
        compiled._cache = cache  # type: ignore[attr-defined]
    return compiled


def thread_count() -> int:
    """Threads that a parallel kernel uses now (`numba.set_num_threads` changes it)."""
    return int(numba.get_num_threads())
