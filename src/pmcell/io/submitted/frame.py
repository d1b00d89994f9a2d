"""The tables obs and var of a foreign AnnData file, in every form that writers have used.

Since anndata 0.8 a factor is a group of `codes` and `categories`. Files of anndata 0.7 and
SeuratDisk hold the codes alone; their labels lie in `__categories` beside the columns, and
the column's attribute `categories` refers to them. Code -1 is a missing value in both.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pmcell.errors import DataError
from pmcell.io.submitted.empty_chunks import require_column
from pmcell.io.submitted.parts import attribute, decode, is_array, numeric, text_attribute, vector
from pmcell.io.submitted.preflight import unreadable

if TYPE_CHECKING:
    import pandas as pd

_LABELS = "__categories"


def read_frame(group: Any, path: Path, name: str) -> pd.DataFrame:
    """A table with its index as text; `name` (obs, var) is for the errors.

    Raises `DataError` for the tables of anndata before 0.7, and names the column that cannot
    be read.
    """
    import pandas as pd

    index_name = "" if is_array(group) else text_attribute(group, "_index", path)
    if not index_name:
        raise DataError(
            f"{path.name}: {name} must be stored as AnnData 0.7 and later store it; found an "
            "older form. "
            "Read it with anndata and write it again with adata.write_h5ad().",
            reason="old_format",
        )
    index = _column(group, index_name, path, name)
    columns = {}
    for column in _column_order(group, path):
        columns[column] = _column(group, column, path, name)
        if len(columns[column]) != len(index):
            raise DataError(
                f"{path.name}: every column of {name} must have {len(index)} values; "
                f"{column!r} has {len(columns[column])}. Write the file again.",
                reason="shape_mismatch",
            )
    names = [decode(value) for value in index]
    frame = pd.DataFrame(columns, index=pd.RangeIndex(len(names)))
    frame.index = pd.Index(names, dtype=object, name=None)
    return frame


def _column_order(group: Any, path: Path) -> list[str]:
    given = attribute(group, "column-order", path)
    if given is None:
        return []
    # A single name may be stored as a scalar.
    listed = np.atleast_1d(np.asarray(given, dtype=object)).tolist()
    return [decode(column) for column in listed]


def _column(group: Any, column: str, path: Path, name: str) -> Any:
    if ".." in column.split("/") or column.startswith("/"):
        raise DataError(
            f"{path.name}: columns of {name} must lie within it; found the name {column!r}. "
            "Rename the column and write the file again.",
            reason="bad_name",
        )
    if column not in group:
        raise DataError(
            f"{path.name}: {name} must hold every column that it lists; {column!r} is missing. "
            "Write the file again.",
            reason="unreadable",
        )
    try:
        return _values(group, column, path, name)
    except (OSError, MemoryError, DataError):
        raise
    except Exception as error:  # h5py and zarr raise many kinds on damaged elements
        raise unreadable(path, f"column {column!r} of {name}", error) from error


def _values(group: Any, column: str, path: Path, name: str) -> Any:
    item = group[column]
    if is_array(item):
        labels = _labels_beside(group, column, path)
        if labels is None:
            return _array(item, path, name, column)
        return _factor(_array(item, path, name, column), labels, f"{name}[{column!r}]", path)
    if "codes" in item and "categories" in item:
        codes, labels = (_array(item[part], path, name, column) for part in ("codes", "categories"))
        _require_chunks(item["codes"], codes, labels.size, f"{name}[{column!r}]", path)
        return _factor(codes, labels, f"{name}[{column!r}]", path)
    if "values" in item and "mask" in item:
        values = _array(item["values"], path, name, column).astype(object)
        values[np.asarray(item["mask"][:], bool)] = None
        return values
    from anndata.io import read_elem

    values = read_elem(item)
    if getattr(values, "ndim", 0) != 1:
        raise _not_a_column(path, name, column)
    return values


def _array(item: Any, path: Path, name: str, column: str) -> np.ndarray:
    if not is_array(item) or item.shape is None or len(item.shape) != 1:
        raise _not_a_column(path, name, column)
    values: np.ndarray = item.asstr()[:] if _is_hdf5_text(item) else np.asarray(item[:])
    require_column(item, values, f"{name}[{column!r}]", path)
    if values.dtype.kind in "iufb":
        return values if values.dtype.kind == "b" else numeric(values, path)
    if values.dtype.kind in "UT":
        return values.astype(object)
    if values.dtype.kind == "S":
        return np.array([value.decode("utf-8") for value in values.tolist()], dtype=object)
    return values


def _is_hdf5_text(item: Any) -> bool:
    return hasattr(item, "asstr") and item.dtype.kind == "O"


def _labels_beside(group: Any, column: str, path: Path) -> np.ndarray | None:
    """The labels of a factor as anndata 0.7 stores it, or None where the column is no factor."""
    given = attribute(group[column], "categories", path)
    if given is None:
        return None
    # Opened by its path below the table: a reference may lead to an object that no link
    # leads to, which the preflight has not seen.
    target = decode(given) if isinstance(given, (str, bytes)) else str(group[given].name)
    _, mark, label_name = target.partition(f"{_LABELS}/")
    inside = mark and not label_name.startswith("/") and ".." not in label_name.split("/")
    if _LABELS not in group or not inside or label_name not in group[_LABELS]:
        raise DataError(
            f"{path.name}: the labels of column {column!r} must lie in {group.name}/{_LABELS}; "
            f"they do not. Read the file with anndata and write it again.",
            reason="unreadable",
        )
    return _array(vector(group[_LABELS][label_name], path), path, _LABELS, label_name)


def _factor(codes: np.ndarray, labels: np.ndarray, where: str, path: Path) -> Any:
    import pandas as pd

    if codes.dtype.kind == "f":
        codes = np.where(np.isnan(codes), -1, codes).astype(np.int64)
    if codes.dtype.kind not in "iu" or (codes.size and int(codes.max()) >= labels.size):
        raise DataError(
            f"{path.name}: the codes of {where} must be whole numbers below {labels.size}, its "
            "number of labels; found others. Write the file again from the source.",
            reason="unreadable",
        )
    # -1 by anndata; R's missing integer is the least of all.
    codes = np.where(codes < 0, -1, codes.astype(np.int64))
    if pd.isna(labels).any() or len(set(labels.tolist())) < labels.size:
        values = np.concatenate([labels.astype(object), np.array([None], dtype=object)])
        return values[codes]
    return pd.Categorical.from_codes(codes, categories=labels)


def _require_chunks(item: Any, codes: np.ndarray, n_labels: int, where: str, path: Path) -> None:
    """Refuse codes of a zarr store of which a chunk is not there: it reads as the first label.

    That the first label alone stands there is believed where every label has its cells; one that
    has none was in the chunk, or stands there in vain.
    """
    n_chunks = getattr(item, "nchunks", 0)
    if n_labels < 2 or not n_chunks or len(np.unique(codes[codes >= 0])) == n_labels:
        return
    if item.nchunks_initialized < n_chunks:
        raise DataError(
            f"{path.name}: all {n_chunks} chunks of the codes of {where} must be there, or every "
            f"label have cells; found {item.nchunks_initialized}, and labels without cells. Copy "
            "the store again and compare checksums; where it is whole, write it again with "
            "adata.write_zarr() after adata.obs[column].cat.remove_unused_categories().",
            reason="truncated",
        )


def _not_a_column(path: Path, name: str, column: str) -> DataError:
    return DataError(
        f"{path.name}: columns of {name} must be one-dimensional; {column!r} is not. Remove it.",
        reason="unreadable",
    )
