"""Squared distances between donors, one channel at a time, from sufficient statistics.

Two channels: *composition* (which share of cells has each type) and *state*
(the mean of each type in the embedding). Both subtract what sampling noise
alone would add, so a donor with few cells does not look far from everybody;
both are sums over cell types, so every distance can be taken apart exactly.
A channel is fitted on some rows (one a donor) and measured between any rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

POISSON_SLOPE = 1.255
"""Var √(X + 3/8) of a Poisson X is near (1 - exp(-1.255 λ))/4: exact slope at 0, exact limit."""

SMOOTHING_CELLS = 10.0
"""Cells' worth of the cohort's mean composition that steadies the noise estimate of rare types."""

FLOOR = 0.02
"""Least scale of a channel, as a share of its mean sampling noise."""

PRIOR = 0.25
"""Weight of the average pair, as a share of all types, when a pair lacks types."""


@dataclass(frozen=True)
class DonorSums:
    """What is known of each row (donor × visit).

    `n` (rows, types) cells; `mean` (rows, types, dims), NaN where n is 0;
    `within` (types, dims) variance of cells of a type within a row;
    `noise` multiplies every sampling variance (2 after resampling: the sample's
    own noise and the resample's).
    """

    n: Floats
    mean: Floats
    within: Floats
    noise: float = 1.0

    def take(self, rows: NDArray[np.int64]) -> DonorSums:
        """The same for some rows."""
        return DonorSums(self.n[rows], self.mean[rows], self.within, self.noise)


@dataclass(frozen=True)
class Channel:
    """One fitted channel: features minus batch offsets, weighted, cut into one block a type.

    `offset` (batches, types, dims) is what the batch adds; `weight` (types,
    dims) multiplies squared differences; `fill` (types,) is the
    mean squared distance of a type's pairs; `scale` divides the sum over types;
    `pooled` (all types,) is the mean composition of the rows fitted on.
    """

    name: str
    types: NDArray[np.int64]
    offset: Floats
    weight: Floats
    fill: Floats
    scale: float
    pooled: Floats


@dataclass(frozen=True)
class Features:
    """Rows placed in a channel.

    `x` (types, rows, dims) is weighted, 0 where missing; `noise` and `present`
    are (types, rows).
    """

    x: Floats
    noise: Floats
    present: NDArray[np.bool_]

    def take(self, rows: NDArray[np.int64]) -> Features:
        """The same for some rows."""
        return Features(self.x[:, rows], self.noise[:, rows], self.present[:, rows])


def arcsine(n: Floats) -> Floats:
    """Variance-stabilised shares asin √((n_t + 3/8) / (n + 3/4)) (rows × types).

    Anscombe 1948, doi:10.2307/2332343.
    """
    total = n.sum(axis=1, keepdims=True)
    shares: Floats = np.arcsin(np.sqrt((n + 0.375) / (total + 0.75)))
    return shares


def arcsine_noise(n: Floats, pooled: Floats | None = None) -> Floats:
    """Sampling variance of `arcsine` (rows × types): 1/(4n), less where few cells are expected."""
    total = np.maximum(n.sum(axis=1, keepdims=True), 1.0)
    if pooled is None:
        pooled = mean_composition(n)
    expected = total * (n + SMOOTHING_CELLS * pooled) / (total + SMOOTHING_CELLS)
    variance: Floats = 0.25 * -np.expm1(-POISSON_SLOPE * expected) / (total + 0.5)
    return variance


def mean_composition(n: Floats) -> Floats:
    """Mean share of each type over rows (types,)."""
    share: Floats = (n / np.maximum(n.sum(axis=1, keepdims=True), 1.0)).mean(axis=0)
    return share


def batch_offsets(x: Floats, batch: NDArray[np.int64], n_batches: int) -> Floats:
    """What each batch adds to each feature (batches × features), as a shrunken random effect.

    `x` (rows × features) may hold NaN (missing). With m the batch mean minus
    the mean of all rows and v the variance of that batch mean, the offset is
    τ²/(τ² + v)·m, τ² = max(mean over batches of m² − v, 0). A batch with one
    row, and any batch when there is only one, gets 0: nothing can be told.
    """
    known = ~np.isnan(x)
    filled = np.where(known, x, 0.0)
    centre = filled.sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    member = (batch[None, :] == np.arange(n_batches)[:, None]).astype(np.float64)
    count = member @ known
    safe = np.maximum(count, 1.0)
    mean = (member @ filled) / safe
    residual = np.where(known, filled - mean[batch], 0.0)
    freedom = np.maximum(known.sum(axis=0) - (count > 0).sum(axis=0), 1)
    spread = (residual**2).sum(axis=0) / freedom
    shift = mean - centre
    error = spread / safe
    usable = count >= 2
    n_usable = np.maximum(usable.sum(axis=0), 1)
    tau = np.maximum(np.where(usable, shift**2 - error, 0.0).sum(axis=0) / n_usable, 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        shrink = np.where(tau > 0, tau / (tau + error), 0.0)
    offsets = np.where(usable & (usable.sum(axis=0) >= 2), shrink * shift, 0.0)
    return offsets if n_batches > 1 else np.zeros_like(offsets)


def adapt(
    channel: Channel,
    training: tuple[DonorSums, NDArray[np.int64]],
    new: DonorSums,
    min_cells: int,
) -> Channel:
    """The channel with one more batch: the offset of the rows `new` against the training rows.

    `training` is the sums and the batch of the rows that the channel was fitted
    on. As in `batch_offsets`, m is shrunken by τ²/(τ² + v), here with
    τ² = max(m² − v, 0) of the one batch (positive-part James-Stein). A batch
    with one row gets 0.
    """
    sums, batch = training
    known = _raw(channel, sums, min_cells) - channel.offset[batch]
    fresh = _raw(channel, new, min_cells)
    count = (~np.isnan(fresh)).sum(axis=0)
    usable = (count >= 2) & (~np.isnan(known)).any(axis=0)
    filled = np.where(usable, fresh, 0.0)
    shift = np.where(usable, np.nan_to_num(_mean(filled) - _mean(known)), 0.0)
    spread = np.nan_to_num(_mean((filled - _mean(filled)) ** 2)) * count / np.maximum(count - 1, 1)
    error = spread / np.maximum(count, 1)
    shrink = np.maximum(shift**2 - error, 0.0) / np.maximum(shift**2, 1e-300)
    return replace(channel, offset=np.concatenate([channel.offset, (shrink * shift)[None]]))


def fit_composition(
    sums: DonorSums, batch: NDArray[np.int64], n_batches: int, *, residual: bool = True
) -> Channel:
    """Fit the composition channel (S1): arcsine shares, one block of one dimension a type."""
    n_types = sums.n.shape[1]
    offset = np.zeros((n_batches, n_types))
    if residual:
        offset = batch_offsets(arcsine(sums.n), batch, n_batches)
    channel = Channel(
        "composition",
        np.arange(n_types),
        offset[:, :, None],
        np.ones((n_types, 1)),
        np.zeros(n_types),
        1.0,
        mean_composition(sums.n),
    )
    return _scaled(channel, sums, batch)


def fit_state(
    sums: DonorSums,
    batch: NDArray[np.int64],
    n_batches: int,
    *,
    types: NDArray[np.int64],
    min_cells: int,
    residual: bool = True,
) -> Channel:
    """Fit the state channel (S2) on the given types.

    A dimension k of type t weighs rel_tk / mean_k V_tk, rel = B / (B + mean of
    V/n): the share of variance between rows that is not sampling noise. A type
    weighs by the mean of rel over dimensions, weighted by B.
    """
    mean = _present(sums, min_cells)[:, types]
    n_rows, n_used, n_dims = mean.shape
    flat = mean.reshape(n_rows, -1)
    offset = np.zeros((n_batches, n_used * n_dims))
    if residual:
        offset = batch_offsets(flat, batch, n_batches)
    clean = (flat - offset[batch]).reshape(mean.shape)
    known = ~np.isnan(clean)
    count = np.maximum(known.sum(axis=0), 1)
    centre = np.where(known, clean, 0.0).sum(axis=0) / count
    variance = np.where(known, (clean - centre) ** 2, 0.0).sum(axis=0) / np.maximum(count - 1, 1)
    cells = np.where(known[:, :, 0], sums.n[:, types], np.inf)
    inverse = (1.0 / cells).sum(axis=0) / count[:, 0]
    within = sums.within[types]
    noise = sums.noise * within * inverse[:, None]
    between = np.maximum(variance - noise, 0.0)
    reliability = between / np.maximum(between + noise, 1e-300)
    of_type = (between * reliability).sum(axis=1) / np.maximum(between.sum(axis=1), 1e-300)
    unit = np.maximum(within.mean(axis=1, keepdims=True), 1e-300)
    channel = Channel(
        "state",
        types,
        offset.reshape(n_batches, n_used, n_dims),
        of_type[:, None] * reliability / unit,
        np.zeros(n_used),
        1.0,
        mean_composition(sums.n),
    )
    return _scaled(channel, sums, batch, min_cells)


def place(
    channel: Channel, sums: DonorSums, batch: NDArray[np.int64], min_cells: int = 1
) -> Features:
    """Put rows into a channel's weighted space; rows of unknown batch (-1) get no offset."""
    offset = np.where((batch >= 0)[:, None, None], channel.offset[np.maximum(batch, 0)], 0.0)
    root = np.sqrt(channel.weight)
    value = _raw(channel, sums, min_cells) - offset
    if channel.name == "composition":
        noise = sums.noise * arcsine_noise(sums.n, channel.pooled)
        present = np.ones(sums.n.shape, bool)
    else:
        present = ~np.isnan(value[:, :, 0])
        cells = np.where(present, sums.n[:, channel.types], np.inf)
        noise = sums.noise * (channel.weight * sums.within[channel.types]).sum(axis=1) / cells
    x = np.where(present[:, :, None], value, 0.0) * root
    return Features(np.ascontiguousarray(x.transpose(1, 0, 2)), noise.T, present.T)


def squared_distances(channel: Channel, left: Features, right: Features | None = None) -> Floats:
    """Noise-corrected squared distances; without `right`, all pairs of `left` with diagonal 0."""
    other = left if right is None else right
    known, expected = _over_types(channel, left, other)
    out = (known + _missing(channel, known, expected)) / channel.scale
    if right is None:
        out = 0.5 * (out + out.T)
        np.fill_diagonal(out, 0.0)
    return out


def distance_parts(channel: Channel, rows: Features) -> Iterator[Floats]:
    """Each type's part of `squared_distances`, all pairs, diagonal 0; the parts sum to the whole.

    A type that a row lacks has the part it was given in the whole: its mean
    distance times how far apart the pair is in the types that both have.
    """
    known, expected = _over_types(channel, rows, rows)
    total = max(float(channel.fill.sum()), 1e-300)
    ratio = _missing(channel, known, expected) / np.maximum(total - expected, 1e-12 * total)
    for index in range(channel.types.size):
        squared, both = _type_distances(channel, rows, rows, index)
        part = np.where(both, squared, ratio * channel.fill[index]) / channel.scale
        np.fill_diagonal(part, 0.0)
        yield part


def _over_types(channel: Channel, left: Features, right: Features) -> tuple[Floats, Floats]:
    """Sum of squared distances over the types that both rows have, and what it is on average."""
    known = np.zeros((left.x.shape[1], right.x.shape[1]))
    expected = np.zeros_like(known)
    for index in range(channel.types.size):
        squared, both = _type_distances(channel, left, right, index)
        known += np.where(both, squared, 0.0)
        expected += np.where(both, channel.fill[index], 0.0)
    return known, expected


def _missing(channel: Channel, known: Floats, expected: Floats) -> Floats:
    """What the types that a pair lacks add: their mean times the pair's ratio of known to expected.

    The ratio is drawn towards 1 with the weight of `PRIOR` of all types, so a
    pair that shares little is not judged by little. A constant in place of the
    ratio would hide differences between donors that lack the same types.
    """
    total = float(channel.fill.sum())
    prior = PRIOR * total
    ratio = (known + prior) / np.maximum(expected + prior, 1e-300)
    return np.asarray(np.where(total - expected > 1e-9 * total, (total - expected) * ratio, 0.0))


def _type_distances(
    channel: Channel, left: Features, right: Features, index: int
) -> tuple[Floats, NDArray[np.bool_]]:
    """One type's squared distances before scaling, and where both rows have the type."""
    a, b = left.x[index], right.x[index]
    squared = (a**2).sum(axis=1)[:, None] + (b**2).sum(axis=1)[None, :] - 2.0 * (a @ b.T)
    squared -= left.noise[index][:, None] + right.noise[index][None, :]
    return squared, left.present[index][:, None] & right.present[index][None, :]


def _raw(channel: Channel, sums: DonorSums, min_cells: int) -> Floats:
    """Features before any offset (rows, types, dims), NaN where missing."""
    if channel.name == "composition":
        return arcsine(sums.n)[:, :, None]
    return _present(sums, min_cells)[:, channel.types]


def _mean(x: Floats) -> Floats:
    """Mean over the rows that are known, NaN where none is."""
    count = (~np.isnan(x)).sum(axis=0)
    total = np.nansum(x, axis=0)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _present(sums: DonorSums, min_cells: int) -> Floats:
    return np.where((sums.n >= max(min_cells, 1))[:, :, None], sums.mean, np.nan)


def _scaled(
    channel: Channel, sums: DonorSums, batch: NDArray[np.int64], min_cells: int = 1
) -> Channel:
    """Set `fill` to each type's mean squared distance and `scale` to their sum, the mean distance.

    Means, not medians: strata make distances bimodal and would move a median,
    and with it the mix of channels. Where no difference beyond sampling noise is
    left, the scale stays at `FLOOR` of the noise.
    """
    features = place(channel, sums, batch, min_cells)
    off = ~np.eye(sums.n.shape[0], dtype=bool)
    fill = np.zeros(channel.types.size)
    for index in range(fill.size):
        squared, both = _type_distances(channel, features, features, index)
        fill[index] = max(float(squared[both & off].mean()), 0.0) if (both & off).any() else 0.0
    noise = 2.0 * float(features.noise.mean(axis=1).sum())
    return replace(channel, fill=fill, scale=max(float(fill.sum()), FLOOR * noise, 1e-12))
