"""Profiles of donors: what every later step of the stratification knows of the cells."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from pmcell.core.donors.donor_stats import GroupSums, sum_groups, within_variance
from pmcell.errors import DataError, UsageError
from pmcell.schema import TISSUE_GROUP, UNKNOWN, X_COMPOSITION, X_INTEGRATED, X_STATE
from pmcell.schema.halves import hash_cells
from pmcell.schema.text import as_text, source_name, text_array
from pmcell.strata.profiles import slots
from pmcell.strata.profiles.composition import sampled
from pmcell.strata.profiles.limits import AUTO, Limits, limits_of
from pmcell.strata.profiles.model import open_map, pool_names, pool_types
from pmcell.strata.profiles.waves import add_waves

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData


def profile(
    adata: AnnData,
    *,
    by: str = "cell_type",
    donor: str = "donor_id",
    visit: str | None = "visit",
    batch: str | None = "batch_id",
    basis: str = X_INTEGRATED,
    min_cells_type: int | Literal["auto"] = AUTO,
    min_cells_donor: int | Literal["auto"] = AUTO,
    min_share_donors: float = 0.5,
    like: AnnData | None = None,
) -> AnnData:
    """Donors × cell types with sums of an embedding: one row a donor and visit.

    `adata.obsm[basis]` is read once; nothing after this step needs the cells.
    Cells labelled 'unknown' count in the composition and not in the state.
    `visit` and `batch` may be None: one visit each, one batch. With `like`, the
    profile of other cells in the same embedding, the waves of the cluster-free
    channel and limits that are `auto` are that profile's, and these cells have no part in
    choosing them. How the study sets its own limits: `pmcell.strata.profiles.limits`. Where
    `tissue_group` tells several tissues, whose embeddings are not comparable, there are no
    waves and no pools of rare types.

    Returns an AnnData with X the cells of each type (rows × types); obs
    donor_id, visit, batch_id, n_cells, `enough_cells` (≥ `min_cells_donor`),
    `discovery` (the first visit with enough cells, one row a donor) and every
    cell column that is constant within the rows (as source_<name> where the name
    is one of `slots.OWN_COLUMNS`), n_samples and
    the medians of `slots.MEDIANS` where sample_id and these are known; var `state_pool`: the type
    itself where it has `min_cells_type` cells in `min_share_donors` of the discovery rows, else
    the pool of rare types that it is looked at with, or '' (`pmcell.core.donors.pools`); the sums
    of `pmcell.strata.profiles.slots`; obsm X_composition (arcsine shares) and X_state
    (pool after pool, weighted by reliability, batch offsets removed, so that
    Euclid on it is the state distance; NaN, never zero, where a row has too few
    cells of a type). uns['profile'] says which column of X_state is which type
    and dimension.

    Raises UsageError for a column or embedding that is not there, DataError for
    cells without a donor or an embedding that is not finite.

    >>> from pmcell.simulate import simulate_latent
    >>> donors = profile(simulate_latent(n_donors=6, cells_per_donor=150, n_types=3))
    >>> donors.n_obs, list(donors.var_names)
    (6, ['type_01', 'type_02', 'type_03'])
    """
    import anndata as ad
    import pandas as pd

    columns = {"by": by, "donor": donor, "visit": visit, "batch": batch}
    _check(adata, columns, basis, min_cells_type, min_cells_donor)
    obs = _keys(adata.obs, columns)
    types = sorted(set(obs["cell_type"]) - {UNKNOWN}) + [UNKNOWN] * bool(
        (obs["cell_type"] == UNKNOWN).any()
    )
    rows = obs[["donor_id", "visit"]].drop_duplicates()
    rows = rows.sort_values(["donor_id", "visit"], key=_natural, kind="stable").reset_index(
        drop=True
    )
    row_of = pd.MultiIndex.from_frame(rows).get_indexer(
        pd.MultiIndex.from_frame(obs[["donor_id", "visit"]])
    )
    type_of = pd.Index(types).get_indexer(obs["cell_type"])
    group = row_of.astype(np.int64) * len(types) + type_of
    n_groups = len(rows) * len(types)
    x = _embedding(adata, basis)
    hashed = hash_cells(adata.obs_names)
    half = np.asarray(hashed & np.uint64(1), bool)
    try:
        first = sum_groups(x, np.where(half, group, -1), n_groups)
        second = sum_groups(x, np.where(half, -1, group), n_groups)
    except ValueError as error:
        raise DataError(f"obsm[{basis!r}] cannot be summed: {error}", reason="embedding") from error
    sums = GroupSums(first.n + second.n, first.total + second.total, first.squares + second.squares)

    table = _row_columns(adata.obs, rows, row_of, columns)
    n = sums.n.reshape(len(rows), len(types))
    table["n_cells"] = n.sum(axis=1)
    table.index = pd.Index(table["donor_id"] + "|" + table["visit"], dtype=object)
    donors = ad.AnnData(
        X=n, obs=table, var=pd.DataFrame(index=pd.Index(types, name="cell_type", dtype=object))
    )
    flat = (len(rows), len(types) * x.shape[1])
    donors.obsm[slots.SUM] = sums.total.reshape(flat)
    donors.obsm[slots.SUM_SQUARES] = sums.squares.reshape(flat)
    donors.obsm[slots.HALF_N] = first.n.reshape(n.shape)
    donors.obsm[slots.HALF_SUM] = first.total.reshape(flat)
    pool = np.tile(np.arange(len(types)), len(rows))
    donors.varm[slots.WITHIN] = within_variance(sums, pool, len(types))
    donors.var["n_cells"] = n.sum(axis=0)
    n_tissues = adata.obs[TISSUE_GROUP].nunique() if TISSUE_GROUP in adata.obs else 1
    if n_tissues == 1:
        add_waves(donors, x, row_of.astype(np.int64), half, hashed, like)
    else:
        donors.layers[slots.SAMPLED] = sampled(adata.obs[TISSUE_GROUP], row_of, type_of, n.shape)
    limits = _limits(donors, min_cells_donor, min_cells_type, like)
    donors.obs[slots.ENOUGH] = donors.obs["n_cells"] >= limits.donor
    donors.obs[slots.DISCOVERY] = _discovery_rows(donors.obs)
    donors.uns["profile"] = {
        "basis": basis,
        "by": by,
        "n_dims": int(x.shape[1]),
        "min_cells_type": limits.type,
        "min_cells_donor": limits.donor,
        "cells_for_reliability": limits.reliable,
        "min_share_donors": float(min_share_donors),
        "n_tissues": int(n_tissues),
    }
    donors.var[slots.POOL] = pool_types(donors)
    _place(donors)
    return donors


def _limits(donors: AnnData, donor: int | str, of_type: int | str, like: AnnData | None) -> Limits:
    """The limits as given, as the profile `like` has them, or as these donors set them."""
    if like is not None:
        known = like.uns["profile"]
        donor = int(known["min_cells_donor"]) if isinstance(donor, str) else donor
        of_type = int(known["min_cells_type"]) if isinstance(of_type, str) else of_type
    return limits_of(donors, donor, of_type)


def _check(
    adata: AnnData,
    columns: dict[str, str | None],
    basis: str,
    min_type: int | str,
    min_donor: int | str,
) -> None:
    if basis not in adata.obsm:
        raise UsageError(
            f"profile needs the embedding obsm[{basis!r}]; there are {sorted(adata.obsm)}. "
            "Give one of them as basis."
        )
    for argument, column in columns.items():
        if column is not None and column not in adata.obs:
            none = f", or {argument}=None" if argument in ("visit", "batch") else ""
            raise UsageError(
                f"profile needs the obs column {column!r} ({argument}); there are "
                f"{list(adata.obs.columns)}. Name the column that holds it{none}."
            )
    if adata.n_obs == 0:
        raise DataError("profile needs at least one cell, got none", reason="no_cells")
    for limit, least in ((min_type, 2), (min_donor, 1)):
        if limit != AUTO and (isinstance(limit, str) or limit < least):
            raise UsageError(
                "min_cells_type must be at least 2, min_cells_donor at least 1, or either 'auto'; "
                f"got {min_type!r} and {min_donor!r}"
            )


def _embedding(adata: AnnData, basis: str) -> NDArray[np.floating]:
    """The embedding as numbers; DataError naming the first cell that has none."""
    x = np.asarray(adata.obsm[basis])
    if x.ndim != 2 or not x.shape[1] or not np.issubdtype(x.dtype, np.number):
        raise DataError(
            f"obsm[{basis!r}] must hold numbers, cells × dimensions; it is {x.dtype} of shape "
            f"{x.shape}. Run the step that makes it again, or give another basis.",
            reason="embedding",
        )
    bad = np.flatnonzero(~np.isfinite(x.sum(axis=1, dtype=np.float64)))
    if bad.size:
        place = int(np.flatnonzero(~np.isfinite(x[bad[0]]))[0])
        raise DataError(
            f"obsm[{basis!r}] must be finite in every cell; {bad.size} of {len(x)} are not, the "
            f"first is {adata.obs_names[bad[0]]!r} with {x[bad[0], place]} in dimension "
            f"{place + 1}. Leave these cells out or run the step that embeds them again.",
            reason="embedding",
        )
    return x


def _keys(obs: pd.DataFrame, columns: dict[str, str | None]) -> pd.DataFrame:
    import pandas as pd

    donor, visit, by = columns["donor"], columns["visit"], columns["by"]
    missing = obs[donor].isna() | as_text(obs[donor]).isin(["", UNKNOWN])
    if missing.any():
        raise DataError(
            f"every cell must have a donor; {int(missing.sum())} of {len(obs)} have none in "
            f"{donor!r}, the first is {obs.index[missing.to_numpy()][0]!r}. "
            "Leave them out or fill the column.",
            reason="no_donor",
        )
    unknown = pd.Series(UNKNOWN, index=obs.index)
    return pd.DataFrame(
        {
            "donor_id": as_text(obs[donor]),
            "visit": unknown if visit is None else _text(obs[visit]),
            "cell_type": _text(obs[by]),
        }
    )


def _text(column: pd.Series[Any]) -> pd.Series[Any]:
    return as_text(column).replace("", UNKNOWN)


def _natural(column: pd.Series[Any]) -> pd.Series[Any]:
    """Sort key that puts T2 before T10."""
    return column.map(lambda text: re.sub(r"\d+", lambda number: number[0].zfill(12), str(text)))


def _row_columns(
    obs: pd.DataFrame,
    rows: pd.DataFrame,
    row_of: NDArray[np.intp],
    columns: dict[str, str | None],
) -> pd.DataFrame:
    """Keys, batch and every other cell column that has one value in each row."""
    import pandas as pd

    table = rows.copy()
    batch = columns["batch"]
    if batch is None:
        table["batch_id"] = UNKNOWN
    else:
        pairs = pd.DataFrame(
            {"row": row_of, "batch": _text(obs[batch]).to_numpy()}
        ).drop_duplicates()
        # Cells of one visit may lie in several batches: that mixture is a batch of its own.
        table["batch_id"] = (
            pairs.groupby("row")["batch"].agg(lambda values: "+".join(sorted(values))).to_numpy()
        )
    if "sample_id" in obs:
        samples = pd.DataFrame({"row": row_of, "sample": as_text(obs["sample_id"]).to_numpy()})
        table["n_samples"] = samples.drop_duplicates().groupby("row").size().to_numpy()
    for name in slots.MEDIANS:
        if name in obs:
            median = pd.Series(obs[name].to_numpy(float)).groupby(row_of).median()
            table[f"median_{name}"] = median.to_numpy()
    used = {name for name in columns.values() if name} | {"sample_id", *slots.MEDIANS}
    for name in obs.columns:
        if name in used:
            continue
        values = pd.DataFrame({"row": row_of, "value": obs[name].astype(object).to_numpy()})
        values = values.drop_duplicates()
        if len(values) == len(rows):
            kept = _plain(values.sort_values("row")["value"].to_numpy(), obs[name])
            taken = {*table.columns, *obs.columns}
            is_ours = name in slots.OWN_COLUMNS
            table[source_name(str(name), taken) if is_ours else name] = kept
    return table


def _plain(values: NDArray[Any], source: pd.Series[Any]) -> NDArray[Any]:
    import pandas as pd

    if pd.api.types.is_numeric_dtype(source.dtype):
        return values.astype(float)
    return np.array([UNKNOWN if pd.isna(value) else str(value) for value in values], object)


def _discovery_rows(table: pd.DataFrame) -> NDArray[np.bool_]:
    """The first visit with enough cells of each donor: by visit_day where known, else by label."""
    enough = table[table[slots.ENOUGH]]
    if "visit_day" in enough and enough["visit_day"].notna().any():
        enough = enough.sort_values("visit_day", kind="stable", na_position="last")
    first = enough.groupby("donor_id", sort=False).head(1).index
    return np.asarray(table.index.isin(first))


def _place(donors: AnnData) -> None:
    """Write X_composition and X_state."""
    from pmcell.core.donors.arcsine import arcsine

    donors.obsm[X_COMPOSITION] = arcsine(np.asarray(donors.X, np.float64))
    opened = open_map(donors)
    state = opened.state_features()
    donors.obsm[X_STATE] = state
    dims = int(donors.uns["profile"]["n_dims"])
    pools = pool_names(donors)
    donors.uns["profile"]["state_cell_type"] = np.repeat(text_array(pools), dims)
    donors.uns["profile"]["state_dimension"] = np.tile(np.arange(1, dims + 1), len(pools))
