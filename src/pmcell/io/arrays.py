"""Named arrays in one `.npz` file: written atomically, read without pickle.

The file is what `numpy.load` reads everywhere; its members are packed and unpacked by ISA-L.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from pmcell.errors import DataError
from pmcell.io.atomic import atomic_path
from pmcell.io.zip_members import ZipWriter, read_members
from pmcell.schema.text import text_array


def write_arrays(target: Path | str, **arrays: Any) -> None:
    """Write arrays under their names; equal values give equal bytes (text has a fixed width).

    A function in an array's place makes it when its turn comes, so that not all are in memory.
    """
    with (
        atomic_path(target) as temporary,
        open(temporary, "wb") as file,
        ZipWriter(file) as archive,
    ):
        for name, value in arrays.items():
            array = _without_objects(np.asarray(value() if callable(value) else value))
            archive.add(f"{name}.npy", _pieces(np.asarray(array, order="C")))


def read_arrays(path: Path | str, names: Iterable[str] | None = None) -> dict[str, NDArray[Any]]:
    """The arrays of a file, or those named that it has; `DataError` when it cannot be read."""
    members = None if names is None else {f"{name}.npy" for name in names}
    with _told_as_data_error(path):
        found = read_members(path, members)
        return {name.removesuffix(".npy"): _array(data) for name, data in found}


def array_names(path: Path | str) -> list[str]:
    """Names of the arrays of a file; `DataError` when it cannot be read."""
    with _told_as_data_error(path), zipfile.ZipFile(path) as archive:
        return [name.removesuffix(".npy") for name in archive.namelist()]


@contextmanager
def _told_as_data_error(path: Path | str) -> Iterator[None]:
    try:
        yield
    except (OSError, EOFError, ValueError, zipfile.BadZipFile) as error:
        raise DataError(
            f"{path} must be an array file that pmcell wrote; reading it failed ({error}). "
            f"Remove it and run again.",
            reason="corrupt_intermediate",
        ) from error


def _pieces(array: NDArray[Any]) -> Iterator[bytes | memoryview]:
    """The bytes of a `.npy` file."""
    header = io.BytesIO()
    npy.write_array_header_1_0(header, npy.header_data_from_array_1_0(array))
    yield header.getvalue()
    if array.nbytes:
        yield array.reshape(-1).view(np.uint8).data


def _array(data: bytes) -> NDArray[Any]:
    head = io.BytesIO(data)
    if npy.read_magic(head) != (1, 0):
        raise ValueError("an array is not in the first format of .npy")
    shape, is_fortran, dtype = npy.read_array_header_1_0(head)
    if dtype.hasobject:
        raise ValueError("an array holds Python objects")
    values = np.frombuffer(data, dtype, offset=head.tell())
    # A copy, which the caller may change.
    return values.reshape(shape, order="F" if is_fortran else "C").copy()


def _without_objects(array: NDArray[Any]) -> NDArray[Any]:
    return text_array(array) if array.dtype == object else array
