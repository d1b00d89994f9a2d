"""Two halves of the cells of a group, the same for every order and every split of the cells."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pmcell.schema.text import as_text

if TYPE_CHECKING:
    import pandas as pd


def hash_cells(cell_ids: pd.Index[Any]) -> NDArray[np.uint64]:
    """A hash of each cell's id: what it picks does not depend on the other cells.

    >>> import pandas as pd
    >>> one, both = hash_cells(pd.Index(["b"])), hash_cells(pd.Index(["a", "b"]))
    >>> bool(one[0] == both[1])
    True
    """
    import pandas as pd

    names = np.asarray(as_text(cell_ids), object)
    return np.asarray(pd.util.hash_array(names, categorize=False), np.uint64)


def second_half(cell_ids: pd.Index[Any]) -> NDArray[np.int64]:
    """0 or 1 for each cell: the half that its id puts it in."""
    return (hash_cells(cell_ids) & np.uint64(1)).astype(np.int64)
