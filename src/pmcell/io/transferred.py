"""Join the labels that were transferred to the cells that they are of."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from pmcell.errors import DataError
from pmcell.io.tables import read_table
from pmcell.schema import UNKNOWN
from pmcell.schema.steps import TRANSFERRED
from pmcell.schema.text import as_text

if TYPE_CHECKING:
    import pandas as pd


def with_transferred(cells: pd.DataFrame, path: Path | None) -> pd.DataFrame:
    """The cells with `TRANSFERRED`, null where no label was transferred.

    Parameters
    ----------
    cells
        One row a cell (index: its id).
    path
        cell_labels.parquet; without one, or where it labels no cell of these, the cells stay as
        they are.
    """
    if path is None:
        return cells
    table = _by_cell(path, ["label_level", *TRANSFERRED])
    known = table.loc[as_text(table["label_level"]) != UNKNOWN, list(TRANSFERRED)]
    own = known.reindex(as_text(cells.index)).set_axis(cells.index)
    if own["probability"].isna().all():
        return cells
    return cells.assign(**{name: own[column] for column, name in TRANSFERRED.items()})


def transferred_sets(cell_ids: pd.Index, path: Path | None) -> list[Any]:
    """The types that cannot be ruled out of each cell; None of a cell that was not asked.

    Parameters
    ----------
    cell_ids
        The cells.
    path
        cell_labels.parquet; None where no label was transferred.
    """
    if path is None:
        return [None] * len(cell_ids)
    known = _by_cell(path, ["cell_type_set"])["cell_type_set"].to_dict()
    return [known.get(name) for name in as_text(cell_ids)]


def _by_cell(path: Path, columns: list[str]) -> pd.DataFrame:
    table = read_table(path, ["cell_id", *columns]).set_index("cell_id")
    if not table.index.is_unique:
        twice = table.index[table.index.duplicated()][0]
        raise DataError(
            f"{path} must have one row a cell; {twice!r} is there twice. Run label_transfer again.",
            reason="stale_intermediate",
        )
    return table
