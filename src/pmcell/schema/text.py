"""Values as text: the one place that decides what becomes of a missing value.

`astype(str)` writes a missing value as "nan", "None" or "<NA>", or keeps it missing, as it pleases
the version of pandas; a word of that kind in a table is a value that nobody gave. A contract test
lets no other module of the package make text of columns and arrays.
"""

from __future__ import annotations

from collections.abc import Container
from typing import TYPE_CHECKING, Any, cast

from pmcell.schema.slots import UNKNOWN

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def as_text(values: Any, missing: str = UNKNOWN) -> Any:
    """Return the values as Python strings, `missing` in place of None, NaN, NaT and NA.

    Parameters
    ----------
    values
        A column, an index, an array of one dimension, or a frame, of any type.
    missing
        What stands for a value that nobody gave.

    Returns
    -------
    The same kind of object with the same labels, of dtype object, under any version of pandas.

    Examples
    --------
    >>> import pandas as pd
    >>> as_text(pd.Series(["a", None, float("nan"), 2])).tolist()
    ['a', 'unknown', 'unknown', '2']
    >>> as_text(pd.Index([1.5, None]), missing="").tolist()
    ['1.5', '']
    """
    import numpy as np
    import pandas as pd

    if isinstance(values, pd.DataFrame):
        columns = {name: as_text(column, missing) for name, column in values.items()}
        return pd.DataFrame(columns, index=values.index, columns=values.columns)
    if isinstance(values, pd.Series):
        text = _strings(values.array, missing)
        return pd.Series(text, index=values.index, name=values.name, dtype=object)
    if isinstance(values, pd.Index):
        return pd.Index(_strings(values.array, missing), name=values.name, dtype=object)
    return _strings(np.asarray(values), missing)


def is_among(values: Any, wanted: Any) -> NDArray[np.bool_]:
    """Return which of the values (an array of one dimension) are among those wanted.

    As `numpy.isin`, which compares every value with every wanted one where they are objects:
    20,000 genes with as many took it seconds, a table of hashes takes milliseconds.

    >>> import numpy as np
    >>> is_among(np.array(["a", "b", "a"], object), ["a"]).tolist()
    [True, False, True]
    """
    import numpy as np
    import pandas as pd

    return np.asarray(pd.Index(values).isin(pd.Index(wanted)), bool)


def text_array(values: Any, missing: str = UNKNOWN) -> NDArray[np.str_]:
    """Return the values as a NumPy array of fixed-width text, as it is sorted and stored.

    >>> text_array(["b", None]).tolist()
    ['b', 'unknown']
    """
    import numpy as np

    if isinstance(values, np.ndarray) and values.dtype.kind == "U":
        return values
    import pandas as pd

    if isinstance(values, pd.DataFrame):
        values = values.to_numpy(object)
    known = isinstance(values, pd.Series | pd.Index)
    text = _strings(values.array if known else _as_array(values), missing)
    return text.astype(np.str_)


def source_name(name: str, taken: Container[Any]) -> str:
    """Return the name under which a column of the source is kept where pmcell needs its own.

    >>> source_name("status", {"status"})
    'source_status'
    >>> source_name("status", {"status", "source_status"})
    'source_source_status'
    """
    free = f"source_{name}"
    return source_name(free, taken) if free in taken else free


def _as_array(values: Any) -> NDArray[Any]:
    import numpy as np

    if isinstance(values, np.ndarray):
        return values
    listed = list(values)
    array = np.empty(len(listed), object)  # np.asarray would write None as text beside text.
    array[:] = listed
    return array


def _strings(values: Any, missing: str) -> NDArray[np.object_]:
    """Strings of an array of NumPy or pandas, each category made once."""
    import numpy as np
    import pandas as pd

    if isinstance(values, pd.Categorical):
        words = np.append(_strings(values.categories.array, missing), np.array([missing], object))
        return cast("NDArray[np.object_]", words[np.asarray(values.codes)])
    if isinstance(values, np.ndarray | pd.arrays.NumpyExtensionArray):
        array = np.asarray(values)
        if array.dtype.kind in "iubfUS":
            text = array.astype(np.str_).astype(object)
            if array.dtype.kind == "f":
                text[np.isnan(array)] = missing
            return text
        values = pd.array(array) if array.dtype.kind in "mM" else array
    array = np.asarray(values.astype(object))
    gone = np.asarray(pd.isna(array))
    text = np.empty(array.shape, object)
    text[gone] = missing
    text[~gone] = [str(value) for value in array[~gone]]
    return text
