"""Columns of a submitted file that a draft does not use, and what they could be kept as."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pmcell.registry.draft.column_names import TERM_COLUMNS
from pmcell.registry.draft.columns import Columns, is_empty, per_group, text
from pmcell.registry.intake.identified import PRIMARY
from pmcell.registry.sheets.dates import LABEL, find_date

if TYPE_CHECKING:
    import pandas as pd

_OF_CELLS = re.compile(
    r"^n_?(genes|counts|umi)|^total_counts|^pct_|percent|^n(Count|Feature)_|doublet|scrublet"
    r"|^S[._]?score|^G2M|^phase$|leiden|louvain|cluster|umap|tsne|^pca|size_?factor|barcode"
    r"|^cell_?id$|library_?size|log1p_|_index|observation_joinid|^mito|^ribo",
    re.IGNORECASE,
)
"""Names of columns that tools write for each cell."""
SHOWN = 3


@dataclass(frozen=True)
class Unused:
    """A column that is not used: `level` is donor, sample or cell, `values` some of its values."""

    column: str
    level: str
    n_values: int
    values: tuple[str, ...]

    @property
    def may_be_kept(self) -> bool:
        """Whether it says something of people or samples, so that it can be kept."""
        return self.level in ("donor", "sample")

    def __str__(self) -> str:
        if any(find_date(value, LABEL) for value in self.values):
            return f"{self.column} ({self.level}: dates, which identify people)"
        # Not by commas, which are decimal points in some tables.
        shown = " | ".join([*self.values, "…"] if self.n_values > len(self.values) else self.values)
        return f"{self.column} ({self.level}: {shown})"


def unused_columns(
    obs: pd.DataFrame,
    columns: Columns,
    samples: np.ndarray,
    donors: Mapping[str, str],
    taken: Sequence[str] = (),
) -> list[Unused]:
    """The columns without a meaning in the draft, with the level that their values are told at.

    `donors` is the donor of each sample. What tools write for each cell is left out.
    """
    used = {*columns.roles.values(), *columns.terms, *TERM_COLUMNS, PRIMARY, *taken}
    of_donor = np.array([donors[name] for name in samples.tolist()], dtype=object)
    found = []
    for column in map(str, obs.columns):
        if column in used or _OF_CELLS.search(column):
            continue
        values = text(obs, column)
        given = [one for one in dict.fromkeys(values.tolist()) if not is_empty(one)]
        if not given:
            continue
        if len(given) == 1:
            # It may be the study's, such as a tissue or a protocol; it sets nobody apart.
            found.append(Unused(column, "the same for all", 1, (given[0][:20],)))
            continue
        level = "cell"
        for name, groups in (("sample", samples), ("donor", of_donor)):
            if all(len(one) <= 1 for one in per_group(values, groups).values()):
                level = name
        shown = tuple(value[:20] for value in given[:SHOWN])
        found.append(Unused(column, level, len(given), shown))
    return found
