"""Attributes, positions and values of a foreign HDF5 file or zarr store, whatever wrote them.

Other writers than anndata store fixed-length text, arrays of one, big-endian or
half-precision numbers. What is sound is converted without loss; everything else is a
`DataError` that names the place and what was found there.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from pmcell.errors import DataError

_REWRITE = "Read the file with anndata and write it again with adata.write_h5ad()."


def is_array(item: Any) -> bool:
    """Whether the item is a dataset or an array, not a group."""
    return hasattr(item, "dtype")


def attribute(item: Any, name: str, path: Path) -> Any:
    """The attribute's value, an array of one as its element; None where it is missing or empty."""
    try:
        value = item.attrs.get(name)
    # h5py raises these on types that have no NumPy equivalent.
    except (OSError, TypeError, ValueError, RuntimeError) as error:
        raise DataError(
            f"{path.name}: attribute {name!r} of {item.name} must be text or numbers; reading it "
            f"failed ({error}). {_REWRITE}",
            reason="unreadable",
        ) from error
    if type(value).__name__ == "Empty":
        return None
    if isinstance(value, np.ndarray) and value.size == 1:
        value = value.reshape(-1)[0]
    return value


def text_attribute(item: Any, name: str, path: Path) -> str:
    """The attribute as text; empty where it is missing. Bytes are decoded."""
    value = attribute(item, name, path)
    return "" if value is None else decode(value)


def shape_attribute(item: Any, path: Path) -> tuple[int, int] | None:
    """The two sides that a sparse matrix states, or None where it states none."""
    for name in ("shape", "h5sparse_shape"):
        try:
            present = name in item.attrs
        except (OSError, TypeError, RuntimeError):
            present = False
        if not present:
            continue
        value = np.asarray(attribute(item, name, path))
        if value.shape == (2,) and value.dtype.kind in "iuf" and np.all(value == np.floor(value)):
            return int(value[0]), int(value[1])
        raise DataError(
            f"{path.name}: attribute {name!r} of {item.name} must be two whole numbers; found "
            f"{str(value)[:40]!r}. {_REWRITE}",
            reason="shape_mismatch",
        )
    return None


def decode(value: Any) -> str:
    """Text of any writer: bytes as UTF-8, everything else as it prints."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def vector(item: Any, path: Path) -> Any:
    """The item if it is an array of one dimension; `DataError` else."""
    if not is_array(item) or item.shape is None or len(item.shape) != 1:
        shape = item.shape if is_array(item) else ()
        found = "nothing" if shape is None else f"shape {shape}" if shape else "a single value"
        found = found if is_array(item) else "a group"
        raise DataError(
            f"{path.name}: {item.name} must be a list of values; found {found}. {_REWRITE}",
            reason="unreadable",
        )
    return item


def numeric(values: np.ndarray, path: Path) -> np.ndarray:
    """The values as native numbers that scipy and numba know, none of them changed.

    Half precision becomes single, extended precision double. Raises `DataError` for values that
    are no real numbers, or that double precision would round.
    """
    kind = values.dtype.kind
    if kind not in "iufb":
        raise DataError(
            f"{path.name}: counts must be numbers; found type {values.dtype}. Write integer "
            "counts.",
            reason="not_counts",
        )
    if kind == "b":
        return values.astype(np.uint8)
    size = values.dtype.itemsize
    if kind == "f" and size not in (4, 8):
        plain = values.astype(np.float32 if size < 4 else np.float64)
        if size > 8 and not np.array_equal(plain, values, equal_nan=True):
            raise DataError(
                f"{path.name}: counts must be whole numbers; found fractions of type "
                f"{values.dtype}. Write integer counts.",
                reason="not_counts",
            )
        return plain
    return values.astype(values.dtype.newbyteorder("="), copy=False)


def positions(values: np.ndarray, path: Path) -> np.ndarray:
    """Positions as native integers; whole numbers stored as floats are taken as such."""
    kind = values.dtype.kind
    if kind == "f" and np.all(values == np.floor(values)) and np.all(np.abs(values) < 2**53):
        return values.astype(np.int64)
    if kind not in "iu":
        raise DataError(
            f"{path.name}: positions of a sparse matrix must be integers; found type "
            f"{values.dtype}. Write the file again.",
            reason="index_out_of_range",
        )
    return values.astype(values.dtype.newbyteorder("="), copy=False)
