"""The donor map: channels fitted on some rows, fused into one squared distance, cut into clusters.

One pipeline, used for the data, for every bootstrap and for every draw of the
null model, so that what is tested is what is reported.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pmcell.core.channels import (
    Channel,
    DonorSums,
    Features,
    fit_composition,
    fit_state,
    place,
    squared_distances,
)
from pmcell.core.spectral import (
    pairwise_squared,
    principal_coordinates,
    silhouette,
    spectral_partitions,
)

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

CHANNELS = ("composition", "state")


@dataclass(frozen=True)
class Settings:
    """How the map is made: usable types, cells a type needs, batches, weight of each channel."""

    types: Ints
    min_cells: int
    n_batches: int
    weights: dict[str, float]
    residual: bool = True

    def only(self, name: str) -> Settings:
        """The same with one channel."""
        return replace(self, weights={name: 1.0})


def fit_channels(sums: DonorSums, batch: Ints, settings: Settings) -> list[Channel]:
    """Fit the channels that have a weight on these rows."""
    out = []
    if "composition" in settings.weights:
        out.append(fit_composition(sums, batch, settings.n_batches, residual=settings.residual))
    if "state" in settings.weights:
        out.append(
            fit_state(
                sums,
                batch,
                settings.n_batches,
                types=settings.types,
                min_cells=settings.min_cells,
                residual=settings.residual,
            )
        )
    return out


def place_all(
    channels: list[Channel], sums: DonorSums, batch: Ints, settings: Settings
) -> list[Features]:
    """Rows placed in each channel."""
    return [place(channel, sums, batch, settings.min_cells) for channel in channels]


def fused_distances(
    channels: list[Channel],
    settings: Settings,
    left: list[Features],
    right: list[Features] | None = None,
) -> Floats:
    """Weighted mean of the channels' scaled squared distances."""
    weight = np.array([settings.weights[channel.name] for channel in channels])
    parts = [
        squared_distances(channel, left[index], None if right is None else right[index])
        for index, channel in enumerate(channels)
    ]
    fused: Floats = np.tensordot(weight / weight.sum(), np.array(parts), 1)
    return fused


def map_donors(sums: DonorSums, batch: Ints, settings: Settings) -> Floats:
    """Fit and measure the same rows: fused squared distances (rows × rows)."""
    channels = fit_channels(sums, batch, settings)
    return fused_distances(channels, settings, place_all(channels, sums, batch, settings))


@dataclass(frozen=True)
class Partitions:
    """Clusterings for each k: labels (ks × rows), silhouette (NaN where a cluster is too small)."""

    ks: range
    labels: Ints
    silhouette: Floats


def partition(squared: Floats, ks: range, min_size: int) -> Partitions:
    """Cluster the principal coordinates of a squared-distance matrix for each k."""
    axes, _ = principal_coordinates(squared)
    flat = pairwise_squared(axes)
    labels = spectral_partitions(flat, ks)
    widths = np.full(len(ks), np.nan)
    if axes.shape[1]:
        for index, k in enumerate(ks):
            sizes = np.bincount(labels[index], minlength=k)
            if int(np.min(sizes)) >= min_size:
                widths[index] = silhouette(flat, labels[index])
    return Partitions(ks, labels, widths)
