"""Sums of random Fourier features over the cells of each donor: the cluster-free feature set."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pmcell.core.donors.cloud import error_root, local_distance, random_waves, sum_waves
from pmcell.errors import UsageError
from pmcell.strata._threads import single_thread
from pmcell.strata.profiles import slots

if TYPE_CHECKING:
    from anndata import AnnData

N_CELLS_NEAR = 2000
"""Cells, spread over the rows, whose neighbours tell the local distance."""
N_CELLS_ERROR = 10_000
"""Cells, spread over the rows, that tell how the errors of waves go together."""


def add_waves(
    donors: AnnData,
    x: NDArray[np.floating],
    row: NDArray[np.int64],
    half: NDArray[np.bool_],
    hashed: NDArray[np.uint64],
    like: AnnData | None,
) -> None:
    """Sums of random waves over the cells of each row, and over those of the first half."""
    n_rows = donors.n_obs
    if like is None:
        donors.uns[slots.CLOUD] = _waves(x, row, n_rows, hashed)
    else:
        donors.uns[slots.CLOUD] = _waves_of(like, x.shape[1])
    waves = np.asarray(donors.uns[slots.CLOUD]["frequencies"])
    first = sum_waves(x, np.where(half, row, -1), n_rows, waves)
    second = sum_waves(x, np.where(half, -1, row), n_rows, waves)
    donors.obsm[slots.HALF_WAVES] = first.reshape(n_rows, -1)
    donors.obsm[slots.WAVES] = (first + second).reshape(n_rows, -1)


@single_thread
def _waves(
    x: NDArray[np.floating], row: NDArray[np.int64], n_rows: int, hashed: NDArray[np.uint64]
) -> dict[str, Any]:
    """Random waves as wide as neighbourhoods here, and how their errors go together."""
    local = local_distance(x[_sample(row, hashed, N_CELLS_NEAR)])
    waves = random_waves(x.shape[1], local)
    some = _sample(row, hashed, N_CELLS_ERROR)
    error = error_root(x[some], row[some], n_rows, waves)
    return {"local_distance": local, "frequencies": waves, "error": error}


def _waves_of(like: AnnData, n_dims: int) -> dict[str, Any]:
    """The waves of another profile."""
    known = like.uns.get(slots.CLOUD)
    if known is None or np.asarray(known["frequencies"]).shape[0] != n_dims:
        raise UsageError(
            f"like must be a profile of cells in the same embedding of {n_dims} dimensions; "
            "make it with pmcell.strata.profile."
        )
    return {name: known[name] for name in ("local_distance", "frequencies", "error")}


def _sample(row: NDArray[np.int64], hashed: NDArray[np.uint64], n_cells: int) -> NDArray[np.int64]:
    """Cells picked by hash, as many of each row where there are enough, about `n_cells` in all."""
    order = np.lexsort((hashed, row))
    start = np.concatenate([[0], np.flatnonzero(np.diff(row[order])) + 1])
    size = np.diff(np.append(start, row.size))
    place = np.arange(row.size) - np.repeat(start, size)
    each = max(-(-n_cells // start.size), 2)
    return np.asarray(order[place < each], np.int64)
