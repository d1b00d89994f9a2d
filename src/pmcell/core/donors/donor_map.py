"""The donor map: channels fitted on some rows, fused into one squared distance, cut into clusters.

One pipeline, used for the data, for every bootstrap and for every draw of the
null model, so that what is tested is what is reported.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pmcell.core.donors.channels import (
    CLUSTER_FREE,
    COMPOSITION,
    GENES,
    STATE,
    Channel,
    DonorSums,
    Features,
    adapt,
    place,
    require_genes,
    squared_distances,
)
from pmcell.core.donors.fit import fit_cluster_free, fit_composition, fit_state
from pmcell.core.donors.genes import GeneChannel, adapt_genes, fit_genes, place_genes
from pmcell.core.donors.spectral import (
    between_means,
    pairwise_squared,
    principal_coordinates,
    silhouette,
    spectral_partitions,
)
from pmcell.core.donors.ward import ward_partitions

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

CHANNELS = (COMPOSITION, STATE, GENES, CLUSTER_FREE)

Fitted = Channel | GeneChannel


@dataclass(frozen=True)
class Settings:
    """How the map is made: pool of each type (-1: none), cells a pool needs, batches, weights.

    With `even_axes` the axes of the gene feature set are of one length (`fit_genes`).
    """

    pool: Ints
    min_cells: int
    n_batches: int
    weights: dict[str, float]
    residual: bool = True
    even_axes: bool = False

    def only(self, name: str) -> Settings:
        """The same with one channel."""
        return replace(self, weights={name: 1.0})


def fit_channels(sums: DonorSums, batch: Ints, settings: Settings) -> list[Fitted]:
    """Fit the channels that have a weight on these rows."""
    n_batches, residual = settings.n_batches, settings.residual
    out: list[Fitted] = []
    if COMPOSITION in settings.weights:
        out.append(fit_composition(sums, batch, n_batches, residual=residual))
    if STATE in settings.weights:
        pool, least = settings.pool, settings.min_cells
        out.append(fit_state(sums, batch, n_batches, pool=pool, min_cells=least, residual=residual))
    if GENES in settings.weights:
        genes, even = require_genes(sums), settings.even_axes
        out.append(fit_genes(genes, batch, n_batches, residual=residual, even_axes=even))
    if CLUSTER_FREE in settings.weights:
        out.append(fit_cluster_free(sums, batch, n_batches, residual=residual))
    return out


def place_all(
    channels: Sequence[Fitted], sums: DonorSums, batch: Ints, settings: Settings
) -> list[Features]:
    """Rows placed in each channel."""
    return [
        place_genes(channel, require_genes(sums), batch)
        if isinstance(channel, GeneChannel)
        else place(channel, sums, batch, settings.min_cells)
        for channel in channels
    ]


def adapt_all(
    channels: Sequence[Fitted],
    training: tuple[DonorSums, Ints],
    new: DonorSums,
    settings: Settings,
) -> list[Fitted]:
    """The channels with one more batch, that of the rows `new`, which none was fitted on."""
    sums, batch = training
    return [
        adapt_genes(channel, (require_genes(sums), batch), require_genes(new))
        if isinstance(channel, GeneChannel)
        else adapt(channel, training, new, settings.min_cells)
        for channel in channels
    ]


def fused_distances(
    channels: Sequence[Fitted],
    settings: Settings,
    left: list[Features],
    right: list[Features] | None = None,
) -> Floats:
    """Weighted mean of the channels' scaled squared distances."""
    weight = np.array([settings.weights[channel.name] for channel in channels])
    fused = np.zeros(())
    for index, share in enumerate(weight / weight.sum()):
        other = None if right is None else right[index]
        fused = fused + share * squared_distances(channels[index], left[index], other)
    return fused


def map_donors(sums: DonorSums, batch: Ints, settings: Settings) -> Floats:
    """Fit and measure the same rows: fused squared distances (rows × rows)."""
    channels = fit_channels(sums, batch, settings)
    return fused_distances(channels, settings, place_all(channels, sums, batch, settings))


@dataclass(frozen=True)
class Partitions:
    """Clusterings for each k: labels (ks × rows) and silhouette (NaN where a cluster is too small).

    `of_spectral` is the silhouette of the spectral clusters, which may not be those of `labels`.
    """

    ks: range
    labels: Ints
    silhouette: Floats
    of_spectral: Floats


def partition(squared: Floats, ks: range, min_size: int) -> Partitions:
    """Cluster the principal coordinates of a squared-distance matrix for each k."""
    return partition_points(principal_coordinates(squared)[0], ks, min_size)


def partition_points(points: Floats, ks: range, min_size: int) -> Partitions:
    """Cluster rows (rows × axes) for each k, into spectral or compact clusters.

    Of the two those of the larger silhouette, where none of the clusters is too small: spectral
    ones follow shapes, but cut a large stratum and join small ones.
    """
    distance, labels = _spectral(points, ks)
    of_spectral = _known(_over_all_axes(distance, labels), labels, ks, min_size)
    compact = ward_partitions(points, ks)
    of_compact = _known(_over_all_axes(distance, compact), compact, ks, min_size)
    better = np.nan_to_num(of_compact, nan=-np.inf) > np.nan_to_num(of_spectral, nan=-np.inf)
    labels[better] = compact[better]
    return Partitions(ks, labels, np.where(better, of_compact, of_spectral), of_spectral)


def silhouettes(squared: Floats, ks: range, min_size: int) -> Floats:
    """Silhouettes of the spectral clusters of each k (2 × ks); NaN where a cluster is too small.

    First those of the donors as they lie along the lines between the clusters' means
    (`between_means`): over all axes the gap between two strata drowns in what donors differ in
    besides. Second those over all axes: among few donors some line parts any points.
    """
    axes, _ = principal_coordinates(squared)
    distance, labels = _spectral(axes, ks)
    along = [_along_means(axes, found) for found in labels]
    both = np.array([along, _over_all_axes(distance, labels)])
    return _known(both, labels, ks, min_size)


def _spectral(points: Floats, ks: range) -> tuple[Floats, Ints]:
    """Distances between the rows and their spectral clusters for each k."""
    squared = pairwise_squared(points)
    return np.sqrt(squared), spectral_partitions(squared, ks)


def _along_means(axes: Floats, labels: Ints) -> float:
    axes = between_means(axes, labels)
    return silhouette(np.sqrt(pairwise_squared(axes)), labels) if axes.shape[1] else np.nan


def _over_all_axes(distance: Floats, labels: Ints) -> Floats:
    """Silhouettes (ks,); NaN where no donor differs from another."""
    differ = bool(distance.any())
    return np.array([silhouette(distance, found) if differ else np.nan for found in labels])


def _known(widths: Floats, labels: Ints, ks: range, min_size: int) -> Floats:
    """Silhouettes, NaN where a cluster is too small."""
    enough = [_least(found, k) >= min_size for found, k in zip(labels, ks, strict=True)]
    return np.where(enough, widths, np.nan)


def _least(labels: Ints, k: int) -> int:
    """Rows of the smallest of k clusters."""
    return int(np.min(np.bincount(labels, minlength=k)))
