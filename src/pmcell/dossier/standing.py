"""Where the person stands: the share and the state of each cell type, against the group."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pmcell.dossier.model import Interval, Share, State
from pmcell.dossier.ranges import describe, is_sure, limits_of, position
from pmcell.errors import DataError
from pmcell.schema import UNKNOWN, X_STATE
from pmcell.schema.text import as_text

if TYPE_CHECKING:
    import pandas as pd

    from pmcell.release import ReleaseFolder

CONFIDENCE = 0.95


def shares(
    own: pd.DataFrame,
    composition: pd.DataFrame,
    group: pd.DataFrame,
    *,
    terms: Mapping[str, str],
    least: int,
) -> tuple[Share, ...]:
    """The share of every cell type, the largest first.

    Parameters
    ----------
    own
        Rows of `composition` of the person's visit: `cell_type`, `n_cells`.
    composition
        That of the people compared with.
    group
        Their rows with `donor_id` and the `visit` that counts.
    terms
        Cell Ontology id by cell type.
    least
        People below which nothing of the group is told.

    Returns
    -------
    tuple of Share
        Also of types that were looked for in the group and not in the person: a type
        without a row was not looked for, which is no share of 0.
    """
    from statsmodels.stats.proportion import proportion_confint

    theirs = composition.merge(group[["donor_id", "visit"]], on=["donor_id", "visit"])
    # From the counts, as the person's own share is: what is equal must compare as equal.
    sums = theirs.groupby(["donor_id", "visit"])["n_cells"].transform("sum")
    theirs = theirs.assign(share=theirs["n_cells"] / sums.where(sums > 0))
    by_type = {str(name): part["share"].to_numpy() for name, part in theirs.groupby("cell_type")}
    counts = dict(zip(as_text(own["cell_type"]), own["n_cells"].astype(int), strict=True))
    total = sum(counts.values())
    found = []
    for name in sorted({*counts, *by_type}):
        values = by_type.get(name, [])
        limits = limits_of(values, least=least)
        n = counts.get(name)
        share, counting = None, None
        if n is not None and total:
            share = n / total
            low, high = proportion_confint(n, total, 1 - CONFIDENCE, method="wilson")
            counting = Interval(float(low), float(high))
        found.append(
            Share(
                name,
                terms.get(name, UNKNOWN),
                n,
                total,
                share,
                counting,
                describe(values, least=least),
                position(share, limits.nine_of_ten),
                is_sure(counting, limits.nine_of_ten),
                position(share, limits.reference),
            )
        )
    return tuple(sorted(found, key=lambda item: (-(item.n_cells or 0), item.cell_type)))


def states(
    folder: ReleaseFolder, donor_id: str, visit: str, group: pd.DataFrame, *, least: int
) -> tuple[State, ...]:
    """How far the state of each cell type is from the group's, of a person in `donors.h5ad`.

    The state is the mean place of the type's cells in the integrated space. A distance is
    divided by the group's median, each of the group being held against the mean of the others.
    """
    profile = _profiles(folder)
    if profile is None:
        return ()
    obs, values, types = profile
    rows = {pair: row for row, pair in enumerate(zip(obs["donor_id"], obs["visit"], strict=True))}
    own = rows.get((donor_id, visit))
    if own is None:
        return ()
    pairs = zip(group["donor_id"], group["visit"], strict=True)
    theirs = np.array([rows[pair] for pair in pairs if pair in rows], int)
    found = []
    for name in dict.fromkeys(types):
        columns = np.flatnonzero(types == name)
        others = values[theirs][:, columns]
        others = others[np.isfinite(others).all(axis=1)]
        distances = _left_out_distances(others)
        scale = float(np.median(distances)) if distances.size >= least else 0.0
        if scale <= 0:
            found.append(State(str(name), None, describe([], least=least)))
            continue
        range_ = describe(distances / scale, least=least)
        place = values[own, columns]
        if not np.isfinite(place).all():
            found.append(State(str(name), None, range_))
            continue
        distance = float(np.linalg.norm(place - others.mean(axis=0))) / scale
        limits = limits_of(distances / scale, least=least)
        found.append(State(str(name), distance, range_, position(distance, limits.nine_of_ten)))
    return tuple(found)


def _left_out_distances(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Distance of each row from the mean of the other rows."""
    n = len(values)
    if n < 2:
        return np.zeros(0)
    # x − mean of the others = (x − mean of all)·n/(n − 1)
    centred = (values - values.mean(axis=0)) * (n / (n - 1))
    found: NDArray[np.float64] = np.linalg.norm(centred, axis=1)
    return found


def _profiles(
    folder: ReleaseFolder,
) -> tuple[pd.DataFrame, NDArray[np.float64], NDArray[np.object_]] | None:
    """Donor and visit of each row of `donors.h5ad`, states, and the type of each column."""
    from anndata.io import read_elem

    name = "donors.h5ad"
    if not folder.has(name):
        return None
    with folder.hdf5(name) as file:
        slot, named = f"obsm/{X_STATE}", "uns/profile/state_cell_type"
        if slot not in file or named not in file:
            return None
        obs = as_text(read_elem(file["obs"])[["donor_id", "visit"]])
        values = np.asarray(read_elem(file[slot]), float)
        types = np.asarray(read_elem(file[named])).astype(object)
    if values.shape != (len(obs), types.size):
        raise DataError(
            f"{folder.path / name} must have a row of {X_STATE} for each visit and a type for "
            f"each column; found {values.shape} for {len(obs)} visits and {types.size} types. "
            "Fetch the release again.",
            reason="misshapen",
        )
    return obs, values, types
