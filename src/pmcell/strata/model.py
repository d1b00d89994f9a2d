"""From a donors' AnnData to arrays, and the donor map fitted on the discovery rows."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pmcell.core.channels import CLUSTER_FREE, STATE, Channel, DonorSums, Features
from pmcell.core.cloud import Clouds, clouds
from pmcell.core.donor_map import CHANNELS, Settings, fit_channels, fused_distances, place_all
from pmcell.core.donor_stats import means
from pmcell.errors import UsageError
from pmcell.schema import UNKNOWN
from pmcell.strata import slots

if TYPE_CHECKING:
    from anndata import AnnData

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class DonorMap:
    """All rows of a donors' AnnData as arrays, and the channels fitted on the discovery rows.

    `batch` holds -1 for a batch without a discovery row: no offset is known.
    """

    sums: DonorSums
    donor: NDArray[np.object_]
    batch: Ints
    batches: tuple[str, ...]
    rows: Ints
    settings: Settings

    @cached_property
    def discovery(self) -> DonorSums:
        """The discovery rows' sums."""
        return self.sums.take(self.rows)

    @cached_property
    def channels(self) -> list[Channel]:
        """The channels in use, fitted on the discovery rows."""
        return fit_channels(self.discovery, self.batch[self.rows], self.settings)

    @cached_property
    def features(self) -> list[Features]:
        """All rows placed in each channel."""
        return place_all(self.channels, self.sums, self.batch, self.settings)

    def distances(self) -> Floats:
        """Fused squared distances between all rows."""
        return fused_distances(self.channels, self.settings, self.features)

    def with_weights(self, weights: dict[str, float], *, residual: bool = True) -> DonorMap:
        """The same rows with other channels."""
        settings = Settings(
            self.settings.types, self.settings.min_cells, self.settings.n_batches, weights, residual
        )
        return DonorMap(self.sums, self.donor, self.batch, self.batches, self.rows, settings)

    def state_features(self) -> Floats:
        """State features (rows × types·dims), NaN where missing; squared Euclid is the distance."""
        n_rows = self.batch.size
        if self.settings.types.size == 0 or self.rows.size < 2:
            return np.full((n_rows, self.settings.types.size * self.sums.within.shape[1]), np.nan)
        alone = self.with_weights({STATE: 1.0})
        channel, placed = alone.channels[0], alone.features[0]
        x = np.where(placed.present[:, :, None], placed.x, np.nan) / np.sqrt(channel.scale)
        return x.reshape(n_rows, -1)


def open_map(donors: AnnData, weights: dict[str, float] | None = None) -> DonorMap:
    """The map of a donors' AnnData; `weights` default to all channels equally."""
    require_profile(donors)
    rows = np.flatnonzero(donors.obs[slots.DISCOVERY].to_numpy()).astype(np.int64)
    label = donors.obs["batch_id"].astype(str).to_numpy()
    donor = donors.obs["donor_id"].astype(str).to_numpy(object)
    batches = tuple(sorted(set(label[rows])))
    place = {name: index for index, name in enumerate(batches)}
    types = np.flatnonzero(donors.var["in_state"].to_numpy()).astype(np.int64)
    if weights is None:
        without = {STATE} if not types.size else set()
        without |= {CLUSTER_FREE} if slots.WAVES not in donors.obsm else set()
        weights = {name: 1.0 for name in CHANNELS if name not in without}
    settings = Settings(
        types, int(donors.uns["profile"]["min_cells_type"]), max(len(batches), 1), weights
    )
    batch = np.array([place.get(name, -1) for name in label], np.int64)
    return DonorMap(donor_sums(donors), donor, batch, batches, rows, settings)


def donor_sums(donors: AnnData) -> DonorSums:
    """Counts and means of all rows."""
    n = np.asarray(donors.X, np.float64)
    total = np.asarray(donors.obsm[slots.SUM]).reshape(*n.shape, -1)
    mean, within = means(n.astype(np.int64), total), np.asarray(donors.varm[slots.WITHIN])
    return DonorSums(n, mean, within, cloud=_cloud(donors, n.sum(axis=1), slots.WAVES))


def half_sums(donors: AnnData) -> tuple[DonorSums, DonorSums]:
    """The same for the two halves of each row's cells."""
    n = np.asarray(donors.X, np.int64)
    total = np.asarray(donors.obsm[slots.SUM]).reshape(*n.shape, -1)
    n_first = np.asarray(donors.obsm[slots.HALF_N], np.int64)
    first = np.asarray(donors.obsm[slots.HALF_SUM]).reshape(total.shape)
    within = np.asarray(donors.varm[slots.WITHIN])
    halves = []
    for cells, sums, rest in ((n_first, first, False), (n - n_first, total - first, True)):
        cloud = _cloud(donors, cells.sum(axis=1), slots.HALF_WAVES, rest=rest)
        halves.append(DonorSums(cells.astype(np.float64), means(cells, sums), within, cloud=cloud))
    return halves[0], halves[1]


def _cloud(
    donors: AnnData, n: NDArray[np.integer] | Floats, slot: str, *, rest: bool = False
) -> Clouds | None:
    """Mean waves of `slot`, or of the cells that are not in it; None where none were summed."""
    if slot not in donors.obsm:
        return None
    total = np.asarray(donors.obsm[slot])
    if rest:
        total = np.asarray(donors.obsm[slots.WAVES]) - total
    return clouds(np.asarray(n, np.int64), total, np.asarray(donors.uns[slots.CLOUD]["error"]))


def usable_types(donors: AnnData) -> NDArray[np.bool_]:
    """Which types enter the state channel: known, with enough cells in enough discovery rows."""
    parameters = donors.uns["profile"]
    n = np.asarray(donors.X)[donors.obs[slots.DISCOVERY].to_numpy()]
    if n.shape[0] == 0:
        return np.zeros(donors.n_vars, bool)
    share = (n >= parameters["min_cells_type"]).mean(axis=0)
    known = donors.var_names.to_numpy() != UNKNOWN
    return np.asarray((share >= parameters["min_share_donors"]) & (share > 0) & known)


def require_profile(donors: AnnData) -> None:
    """UsageError unless `donors` comes from `pmcell.strata.profile`."""
    if "profile" not in donors.uns or slots.SUM not in donors.obsm:
        raise UsageError(
            "this function needs the donors' AnnData that pmcell.strata.profile makes; "
            f"got obsm {sorted(donors.obsm)} and uns {sorted(donors.uns)}"
        )


def require(donors: AnnData, key: str, function: str) -> None:
    """UsageError unless an earlier step has left `uns[key]`."""
    require_profile(donors)
    if key not in donors.uns:
        raise UsageError(f"call pmcell.strata.{function}(donors) first: uns[{key!r}] is missing")
