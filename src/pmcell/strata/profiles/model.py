"""From a donors' AnnData to arrays, and the donor map fitted on the discovery rows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pmcell.core.donors.channels import CLUSTER_FREE, GENES, STATE, Channel, DonorSums, Features
from pmcell.core.donors.cloud import Clouds, clouds
from pmcell.core.donors.donor_map import (
    CHANNELS,
    Fitted,
    Settings,
    fit_channels,
    fused_distances,
    place_all,
)
from pmcell.core.donors.donor_stats import SCALE, means
from pmcell.core.donors.gene_sums import GeneSums, HalfCounts, gene_sums, half_gene_sums
from pmcell.core.donors.pools import pool_rare
from pmcell.errors import UsageError
from pmcell.schema import UNKNOWN
from pmcell.schema.text import as_text
from pmcell.strata.profiles import slots

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
    def channels(self) -> list[Fitted]:
        """The channels in use, fitted on the discovery rows."""
        return fit_channels(self.discovery, self.batch[self.rows], self.settings)

    @cached_property
    def features(self) -> list[Features]:
        """All rows placed in each channel."""
        return place_all(self.channels, self.sums, self.batch, self.settings)

    @property
    def sums_in_use(self) -> DonorSums:
        """The sums without what no channel in use reads, as far as draws of cells stay the same.

        A draw (`resample_cells`) takes its random numbers in the order counts, means, waves, genes.
        """
        used = self.settings.weights
        genes = self.sums.genes if GENES in used else None
        needs_waves = CLUSTER_FREE in used or genes is not None
        return replace(self.sums, genes=genes, cloud=self.sums.cloud if needs_waves else None)

    def distances(self) -> Floats:
        """Fused squared distances between all rows."""
        return fused_distances(self.channels, self.settings, self.features)

    def with_weights(
        self, weights: dict[str, float], *, residual: bool = True, even_axes: bool | None = None
    ) -> DonorMap:
        """The same rows with other channels; axes of genes as they are here, unless told."""
        even = self.settings.even_axes if even_axes is None else even_axes
        settings = replace(self.settings, weights=weights, residual=residual, even_axes=even)
        return DonorMap(self.sums, self.donor, self.batch, self.batches, self.rows, settings)

    def state_features(self) -> Floats:
        """State features (rows × pools·dims), NaN where missing; squared Euclid is the distance."""
        n_rows, n_pools = self.batch.size, int(self.settings.pool.max(initial=-1)) + 1
        if n_pools == 0 or self.rows.size < 2:
            return np.full((n_rows, n_pools * self.sums.within.shape[1]), np.nan)
        alone = self.with_weights({STATE: 1.0})
        channel, placed = alone.channels[0], alone.features[0]
        assert isinstance(channel, Channel)
        x = np.where(placed.present[:, :, None], placed.x, np.nan) / np.sqrt(channel.scale)
        return np.asarray(x, np.float64).reshape(n_rows, -1)


def open_map(donors: AnnData, weights: dict[str, float] | None = None) -> DonorMap:
    """The map of a donors' AnnData; `weights` default to all channels equally."""
    require_profile(donors)
    rows = np.flatnonzero(donors.obs[slots.DISCOVERY].to_numpy()).astype(np.int64)
    label = as_text(donors.obs["batch_id"]).to_numpy()
    donor = as_text(donors.obs["donor_id"]).to_numpy(object)
    batches = tuple(sorted(set(label[rows])))
    place = {name: index for index, name in enumerate(batches)}
    pool = pool_of_type(donors)
    if weights is None:
        without = {STATE} if (pool < 0).all() else set()
        without |= {CLUSTER_FREE} if slots.WAVES not in donors.obsm else set()
        without |= {GENES} if slots.GENE_COUNTS not in donors.obsm else set()
        weights = {name: 1.0 for name in CHANNELS if name not in without}
    settings = Settings(
        pool, int(donors.uns["profile"]["min_cells_type"]), max(len(batches), 1), weights
    )
    batch = np.array([place.get(name, -1) for name in label], np.int64)
    return DonorMap(donor_sums(donors), donor, batch, batches, rows, settings)


def donor_sums(donors: AnnData) -> DonorSums:
    """Counts and means of all rows."""
    n = np.asarray(donors.X, np.float64)
    total = np.asarray(donors.obsm[slots.SUM]).reshape(*n.shape, -1)
    mean, cloud = means(n.astype(np.int64), total), _cloud(donors, n.sum(axis=1), slots.WAVES)
    return DonorSums(n, mean, _within(donors), cloud=cloud, genes=_genes(donors))


def _within(donors: AnnData) -> Floats:
    """Variance of cells of a type in a row; that of all types where no row has two cells of one."""
    within = np.asarray(donors.varm[slots.WITHIN])
    known = ~np.isnan(within)
    mean = np.where(known, within, 0.0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    return np.where(known, within, mean)


def half_sums(donors: AnnData) -> tuple[DonorSums, DonorSums]:
    """The same for the two halves of each row's cells."""
    n = np.asarray(donors.X, np.int64)
    total = np.asarray(donors.obsm[slots.SUM]).reshape(*n.shape, -1)
    n_first = np.asarray(donors.obsm[slots.HALF_N], np.int64)
    first = np.asarray(donors.obsm[slots.HALF_SUM]).reshape(total.shape)
    within = _within(donors)
    expressed = _half_genes(donors)
    halves = []
    parts = ((n_first, first, False), (n - n_first, total - first, True))
    for (cells, sums, rest), genes in zip(parts, expressed, strict=True):
        cloud = _cloud(donors, cells.sum(axis=1), slots.HALF_WAVES, rest=rest)
        mean = means(cells, sums)
        halves.append(DonorSums(cells.astype(np.float64), mean, within, cloud=cloud, genes=genes))
    return halves[0], halves[1]


def _genes(donors: AnnData) -> GeneSums | None:
    """Expression of each type, its noise told from the discovery rows; None without counts."""
    found = half_counts(donors)
    if found is None:
        return None
    halves, gene = found
    rows = np.flatnonzero(donors.obs[slots.DISCOVERY].to_numpy()).astype(np.int64)
    _, donor = np.unique(as_text(donors.obs["donor_id"]).to_numpy(), return_inverse=True)
    return gene_sums(halves, rows, gene, np.asarray(donor, np.int64))


def _half_genes(donors: AnnData) -> tuple[GeneSums | None, GeneSums | None]:
    """The same for the two halves of each row's cells."""
    found, whole = half_counts(donors), _genes(donors)
    if found is None or whole is None:
        return None, None
    rows = np.flatnonzero(donors.obs[slots.DISCOVERY].to_numpy()).astype(np.int64)
    return half_gene_sums(found[0], whole, rows)


def half_counts(donors: AnnData) -> tuple[HalfCounts, Ints] | None:
    """Counts in halves and each type's genes, as `add_genes` left them; None without them."""
    if slots.GENE_COUNTS not in donors.obsm:
        return None
    gene = np.asarray(donors.uns[slots.GENES]["gene"], np.int64)
    n_rows, n_types = donors.shape
    counts = np.asarray(donors.obsm[slots.GENE_COUNTS], np.float64)
    total = np.asarray(donors.obsm[slots.GENE_TOTALS], np.float64)
    n = np.asarray(donors.X, np.float64) * (gene >= 0).any(axis=1)
    halves = HalfCounts(
        counts.reshape(n_rows, 2, n_types, -1).swapaxes(0, 1),
        total.reshape(n_rows, 2, n_types).swapaxes(0, 1),
        n,
    )
    return halves, gene


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


def pool_types(donors: AnnData) -> NDArray[np.object_]:
    """The name of each type's pool in the state channel, '' for a type that has none.

    A type is a pool of its own where it has enough cells in enough discovery rows;
    a pool of rarer types is named after the most common one.
    """
    parameters = donors.uns["profile"]
    rows = donors.obs[slots.DISCOVERY].to_numpy()
    n = np.asarray(donors.X, np.float64)[rows]
    n[:, donors.var_names.to_numpy() == UNKNOWN] = 0.0
    total = np.asarray(donors.obsm[slots.SUM])[rows].sum(axis=0).reshape(n.shape[1], -1)
    centre = total / (SCALE * np.maximum(n.sum(axis=0), 1.0)[:, None])
    least, share = parameters["min_cells_type"], parameters["min_share_donors"]
    if parameters["n_tissues"] > 1:
        # Kin is told by the embedding, and embeddings of tissues are not comparable.
        n[:, (n >= least).mean(axis=0) < share] = 0.0
    of_type = pool_rare(n, centre, least, share)
    names = np.full(of_type.size, "", object)
    for pool in range(int(of_type.max(initial=-1)) + 1):
        own = np.flatnonzero(of_type == pool)
        name = str(donors.var_names[own[n[:, own].sum(axis=0).argmax()]])
        if own.size > 1:
            name += f" and {own.size - 1} rarer type" + "s" * (own.size > 2)
        names[own] = name
    return names


def pool_names(donors: AnnData) -> list[str]:
    """The pools of the state channel, by their first type."""
    names = as_text(donors.var[slots.POOL], missing="")
    return list(dict.fromkeys(names[names != ""]))


def pool_of_type(donors: AnnData) -> Ints:
    """The number of each type's pool in `pool_names`, -1 for none."""
    place = {name: index for index, name in enumerate(pool_names(donors))}
    return np.array(
        [place.get(name, -1) for name in as_text(donors.var[slots.POOL], missing="")], np.int64
    )


def require_profile(donors: AnnData) -> None:
    """UsageError unless `donors` comes from `pmcell.strata.profile`."""
    if "profile" not in donors.uns or slots.SUM not in donors.obsm or slots.POOL not in donors.var:
        raise UsageError(
            "this function needs the donors' AnnData that pmcell.strata.profile makes in this "
            f"version, with var {slots.POOL!r}; got obsm {sorted(donors.obsm)}, "
            f"uns {sorted(donors.uns)} and var {list(donors.var.columns)}"
        )


def require(donors: AnnData, key: str, function: str) -> None:
    """UsageError unless an earlier step has left `uns[key]`."""
    require_profile(donors)
    if key not in donors.uns:
        raise UsageError(f"call pmcell.strata.{function}(donors) first: uns[{key!r}] is missing")
