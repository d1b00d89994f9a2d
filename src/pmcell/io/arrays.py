"""Named arrays in one `.npz` file: written atomically, read without pickle."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pmcell.errors import DataError
from pmcell.io.atomic import atomic_path
from pmcell.schema.text import text_array


def write_arrays(target: Path | str, **arrays: Any) -> None:
    """Write arrays under their names; equal values give equal bytes (text has a fixed width)."""
    plain: dict[str, Any] = {
        name: _without_objects(np.asarray(value)) for name, value in arrays.items()
    }
    with atomic_path(target) as temporary:
        np.savez_compressed(temporary, **plain)


def read_arrays(path: Path | str) -> dict[str, NDArray[Any]]:
    """All arrays of a file; `DataError` when it is missing or damaged."""
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except (OSError, EOFError, ValueError, zipfile.BadZipFile) as error:
        raise DataError(
            f"{path} must be an array file that pmcell wrote; reading it failed ({error}). "
            f"Remove it and run again.",
            reason="corrupt_intermediate",
        ) from error


def _without_objects(array: NDArray[Any]) -> NDArray[Any]:
    return text_array(array) if array.dtype == object else array
