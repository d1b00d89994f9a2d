"""Cells and share of each type in each donor and visit."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pmcell.schema.text import as_text
from pmcell.strata.profiles import slots

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData


def composition(donors: AnnData) -> pd.DataFrame:
    """Cells and share of every type for each donor and visit (columns of schema.COMPOSITION).

    A type of a tissue of which a donor gave no sample at the visit has no row: it is not known to
    be absent.

    >>> from pmcell.simulate import simulate_latent
    >>> from pmcell.strata import profile
    >>> donors = profile(simulate_latent(n_donors=6, cells_per_donor=150, n_types=3))
    >>> composition(donors).shape  # a row for each donor and type
    (18, 5)
    """
    import pandas as pd

    counts = np.asarray(donors.X)
    total = np.maximum(counts.sum(axis=1, keepdims=True), 1)
    n_types = donors.n_vars
    table = pd.DataFrame(
        {
            "donor_id": np.repeat(as_text(donors.obs["donor_id"]).to_numpy(), n_types),
            "visit": np.repeat(as_text(donors.obs["visit"]).to_numpy(), n_types),
            "cell_type": np.tile(donors.var_names.to_numpy(), donors.n_obs),
            "n_cells": counts.reshape(-1),
            "share": (counts / total).reshape(-1),
        }
    )
    if slots.SAMPLED not in donors.layers:
        return table
    return table[np.asarray(donors.layers[slots.SAMPLED]).reshape(-1)].reset_index(drop=True)


def sampled(
    tissue: pd.Series[str],
    row_of: NDArray[np.integer],
    type_of: NDArray[np.integer],
    shape: tuple[int, ...],
) -> NDArray[np.bool_]:
    """Whether a row (visit) has cells of a tissue in which a type (column) occurs at all."""
    tissues, of_cell = np.unique(as_text(tissue).to_numpy(object), return_inverse=True)
    in_row = np.zeros((shape[0], len(tissues)), dtype=np.int64)
    in_type = np.zeros((shape[1], len(tissues)), dtype=np.int64)
    in_row[row_of, of_cell] = 1
    in_type[type_of, of_cell] = 1
    return np.asarray(in_row @ in_type.T > 0)
