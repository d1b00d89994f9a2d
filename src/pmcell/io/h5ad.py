"""Write and read small AnnData objects (no cells × genes matrix) between steps.

What is written looks the same under every version of pandas and anndata, and every version reads
it: an environment that is set up anew goes on with what an older or newer one has made. Text lies
in arrays of strings and in categories, never in pandas' nullable strings, which anndata before
0.13 refuses to write and pandas 3 makes of all text.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pmcell.errors import DataError
from pmcell.io.atomic import atomic_path
from pmcell.schema.text import as_text

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData

AXES = ("obsm", "varm", "obsp", "varp", "layers")


def write_h5ad(target: Path | str, adata: AnnData) -> None:
    """Write an AnnData atomically, compressed, in encodings that every version reads."""
    with atomic_path(target) as temporary:
        _portable(adata).write_h5ad(
            temporary, compression="gzip", convert_strings_to_categoricals=False
        )


def read_h5ad(path: Path | str) -> AnnData:
    """Read an AnnData that pmcell wrote; `DataError` when it is missing or damaged."""
    import anndata

    try:
        return anndata.read_h5ad(path)
    except (OSError, KeyError, ValueError) as error:
        raise DataError(
            f"{path} must be a file that an earlier step wrote; reading it failed ({error}). "
            f"Remove it and run again.",
            reason="corrupt_intermediate",
        ) from error


def _portable(adata: AnnData) -> AnnData:
    """The same data, text in Python strings; numbers are shared, not copied."""
    import anndata

    parts = {
        axis: {name: _portable_value(value) for name, value in getattr(adata, axis).items()}
        for axis in AXES
    }
    return anndata.AnnData(
        X=adata.X,
        obs=portable_frame(adata.obs),
        var=portable_frame(adata.var),
        uns=_portable_value(adata.uns),
        **parts,
    )


def portable_frame(frame: pd.DataFrame) -> pd.DataFrame:
    """A frame whose text is strings or, where values repeat or are missing, categories of strings.

    >>> import pandas as pd
    >>> portable_frame(pd.DataFrame({"a": ["x", "x", None], "b": ["x", "y", "z"]})).dtypes.tolist()
    [CategoricalDtype(categories=['x'], ordered=False, categories_dtype=object), dtype('O')]
    """
    import pandas as pd

    columns = {str(name): _portable_column(column) for name, column in frame.items()}
    plain = pd.DataFrame(columns, index=frame.index, columns=pd.Index(list(columns), dtype=object))
    plain.index = as_text(frame.index)
    return plain


def _portable_column(column: pd.Series[Any]) -> Any:
    import pandas as pd

    if isinstance(column.dtype, pd.CategoricalDtype):
        categories = column.cat.categories
        return pd.Categorical.from_codes(
            column.cat.codes.to_numpy(),
            categories=as_text(categories) if is_text(categories) else categories,
            ordered=column.cat.ordered,
        )
    if not is_text(column):
        return column
    words = sorted(set(as_text(column[column.notna()])))
    text = as_text(column)
    if len(words) == len(column):
        return text
    return pd.Categorical(
        text.where(column.notna(), None), categories=pd.Index(words, dtype=object)
    )


def is_text(column: pd.Series[Any] | pd.Index[Any]) -> bool:
    """Whether a column or an index holds neither numbers nor truth values nor categories."""
    import pandas as pd

    kinds = (pd.api.types.is_numeric_dtype, pd.api.types.is_bool_dtype)
    known = any(kind(column.dtype) for kind in kinds)
    return not known and not isinstance(column.dtype, pd.CategoricalDtype)


def _portable_value(value: Any) -> Any:
    import pandas as pd

    if isinstance(value, Mapping):
        return {str(key): _portable_value(item) for key, item in value.items()}
    if isinstance(value, pd.DataFrame):
        return portable_frame(value)
    if isinstance(value, pd.Series | pd.Index | pd.api.extensions.ExtensionArray):
        column = pd.Series(value)
        return as_text(column).to_numpy(object) if is_text(column) else column.to_numpy()
    return value
