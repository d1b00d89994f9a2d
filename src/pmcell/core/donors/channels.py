"""Squared distances between donors, one channel at a time, from sufficient statistics.

Four channels: *composition* (which share of cells has each type), *state*
(the mean of each type in the embedding), *genes* (the axes that donors share in
the expression of each type, `pmcell.core.donors.genes`) and *cluster_free* (the cloud of
all cells, without types). All subtract what sampling noise alone would add, so a
donor with few cells does not look far from everybody; all are sums over
blocks (cell types; the cluster-free channel is one block), so every distance
can be taken apart exactly. A channel is fitted on some rows (one a donor) and
measured between any rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from pmcell.core.donors.arcsine import arcsine, arcsine_noise
from pmcell.core.donors.cloud import Clouds, squared_error
from pmcell.core.donors.gene_sums import GeneSums
from pmcell.core.donors.offsets import new_offset
from pmcell.core.donors.pools import Pools

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

COMPOSITION, STATE, GENES, CLUSTER_FREE = "composition", "state", "genes", "cluster_free"

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
    own noise and the resample's); `cloud` holds the waves of all cells and `genes` the
    expression of each type, if they were summed.
    """

    n: Floats
    mean: Floats
    within: Floats
    noise: float = 1.0
    cloud: Clouds | None = None
    genes: GeneSums | None = None

    def take(self, rows: Ints) -> DonorSums:
        """The same for some rows."""
        cloud = None if self.cloud is None else self.cloud.take(rows)
        genes = None if self.genes is None else self.genes.take(rows)
        return replace(self, n=self.n[rows], mean=self.mean[rows], cloud=cloud, genes=genes)


class Scaled(Protocol):
    """What distances of placed rows need of a channel: `fill` (blocks,) and `scale`."""

    @property
    def name(self) -> str:
        """Which channel it is."""

    @property
    def fill(self) -> Floats:
        """Mean squared distance of each block's pairs."""

    @property
    def scale(self) -> float:
        """What the sum over blocks is divided by."""


@dataclass(frozen=True)
class Channel:
    """One fitted channel: features minus batch offsets, weighted, cut into blocks of types.

    `pools` says which types a block is made of (none: all cells); `offset`
    (batches, blocks, dims) is what the batch adds; `weight` (blocks, dims)
    multiplies squared differences; `fill` (blocks,) is the mean squared distance
    of a block's pairs; `scale` divides the sum over blocks; `pooled` (all
    types,) is the mean composition of the rows fitted on.
    """

    name: str
    pools: Pools
    offset: Floats
    weight: Floats
    fill: Floats
    scale: float
    pooled: Floats


@dataclass(frozen=True)
class Features:
    """Rows placed in a channel.

    `x` (rows, blocks, dims) is weighted, 0 where missing; `noise` and `present`
    are (rows, blocks).
    """

    x: Floats
    noise: Floats
    present: NDArray[np.bool_]

    def take(self, rows: Ints) -> Features:
        """The same for some rows."""
        return Features(self.x[rows], self.noise[rows], self.present[rows])


def raw_features(name: str, pools: Pools, sums: DonorSums, min_cells: int) -> Floats:
    """Features before any offset or weight (rows, blocks, dims), NaN where missing."""
    if name == COMPOSITION:
        return arcsine(sums.n)[:, :, None]
    if name == CLUSTER_FREE:
        return require_cloud(sums).mean[:, None, :]
    enough = pools.summed(sums.n) >= max(min_cells, 1)
    return np.where(enough[:, :, None], pools.means(sums.n, sums.mean), np.nan)


def require_genes(sums: DonorSums) -> GeneSums:
    """The expression of each type; ValueError where it was not summed."""
    if sums.genes is None:
        raise ValueError("the gene channel needs sums of counts, these rows have none")
    return sums.genes


def require_cloud(sums: DonorSums) -> Clouds:
    """The waves of all cells; ValueError where they were not summed."""
    if sums.cloud is None:
        raise ValueError("the cluster-free channel needs the sums of waves, these rows have none")
    return sums.cloud


def adapt(
    channel: Channel, training: tuple[DonorSums, Ints], new: DonorSums, min_cells: int
) -> Channel:
    """The channel with one more batch: the offset of the rows `new` against the training rows.

    `training` is the sums and the batch of the rows that the channel was fitted on.
    """
    sums, batch = training
    known = raw_features(channel.name, channel.pools, sums, min_cells) - channel.offset[batch]
    fresh = raw_features(channel.name, channel.pools, new, min_cells)
    return replace(channel, offset=np.concatenate([channel.offset, new_offset(known, fresh)[None]]))


def place(channel: Channel, sums: DonorSums, batch: Ints, min_cells: int = 1) -> Features:
    """Put rows into a channel's weighted space; rows of unknown batch (-1) get no offset."""
    offset = np.where((batch >= 0)[:, None, None], channel.offset[np.maximum(batch, 0)], 0.0)
    value = raw_features(channel.name, channel.pools, sums, min_cells) - offset
    present = ~np.isnan(value[:, :, 0])
    if channel.name == COMPOSITION:
        noise = sums.noise * arcsine_noise(sums.n, channel.pooled)
    elif channel.name == CLUSTER_FREE:
        error = squared_error(require_cloud(sums), sums.noise)
        noise = (error @ channel.weight[0, ::2])[:, None]
    else:
        of_type = channel.pools.of_type
        spread = np.where(of_type >= 0, (channel.weight[of_type] * sums.within).sum(axis=1), 0.0)
        cells = np.where(present, channel.pools.summed(sums.n), np.inf)
        noise = sums.noise * channel.pools.summed(sums.n * spread) / cells**2
    value *= np.sqrt(channel.weight)
    return Features(np.where(present[:, :, None], value, 0.0), noise, present)


def squared_distances(channel: Scaled, left: Features, right: Features | None = None) -> Floats:
    """Noise-corrected squared distances; without `right`, all pairs of `left` with diagonal 0."""
    other = left if right is None else right
    out = _over_blocks(left, other)
    if not (left.present.all() and other.present.all()):
        out += _missing(channel, out, _expected(channel, left, other))
    out /= channel.scale
    if right is None:
        np.fill_diagonal(out, 0.0)
    return out


def distance_parts(channel: Channel, rows: Features) -> Iterator[Floats]:
    """Each block's part of `squared_distances`, all pairs, diagonal 0; the parts sum to the whole.

    A type that a row lacks has the part it was given in the whole: its mean
    distance times how far apart the pair is in the types that both have.
    """
    known, expected = _over_blocks(rows, rows), _expected(channel, rows, rows)
    total = max(float(channel.fill.sum()), 1e-300)
    ratio = _missing(channel, known, expected) / np.maximum(total - expected, 1e-12 * total)
    for index in range(channel.fill.size):
        block = Features(rows.x[:, [index]], rows.noise[:, [index]], rows.present[:, [index]])
        both = block.present & block.present.T
        part = np.where(both, _over_blocks(block, block), ratio * channel.fill[index])
        part /= channel.scale
        np.fill_diagonal(part, 0.0)
        yield part


def scales(features: Features) -> tuple[Floats, float]:
    """`fill`, each block's mean squared distance, and `scale`, their sum, the mean distance.

    `features` are the rows fitted on. Means, not medians: strata make distances
    bimodal and would move a median, and with it the mix of channels. Where no
    difference beyond sampling noise is left, the scale stays at `FLOOR` of the noise.
    """
    present = features.present
    count = present.sum(axis=0).astype(np.float64)
    own = np.einsum("rbd,rbd->rb", features.x, features.x)
    corrected = np.where(present, own - features.noise, 0.0).sum(axis=0)
    cross = (features.x.sum(axis=0) ** 2).sum(axis=1) - own.sum(axis=0)
    total = 2.0 * ((count - 1.0) * corrected - cross)
    fill = np.maximum(total / np.maximum(count * (count - 1.0), 1.0), 0.0)
    noise = 2.0 * float(features.noise.mean(axis=0).sum())
    return fill, max(float(fill.sum()), FLOOR * noise, 1e-12)


def _over_blocks(left: Features, right: Features) -> Floats:
    """Sum of noise-corrected squared distances over the blocks that both rows have.

    Missing blocks are 0 in x, so one matrix product gives all cross terms.
    Between rows and themselves the result is symmetric to the last bit.
    """
    same = left is right
    a = left.x.reshape(left.x.shape[0], -1)
    b = a if same else right.x.reshape(right.x.shape[0], -1)
    out = a @ b.T
    out *= -2.0
    own_left = _corrected_norms(left)
    own_right = own_left if same else _corrected_norms(right)
    if left.present.all() and right.present.all():
        out += own_left.sum(axis=1)[:, None] + own_right.sum(axis=1)
    else:
        ahead = own_left @ right.present.T.astype(np.float64)
        out += ahead + (ahead.T if same else left.present.astype(np.float64) @ own_right.T)
    return np.asarray(out)


def _corrected_norms(features: Features) -> Floats:
    own = np.einsum("rbd,rbd->rb", features.x, features.x) - features.noise
    return np.where(features.present, own, 0.0)


def _expected(channel: Scaled, left: Features, right: Features) -> Floats:
    """What the blocks that both rows have add on average."""
    root = np.sqrt(channel.fill)
    a = left.present * root
    return np.asarray(a @ (a if left is right else right.present * root).T)


def _missing(channel: Scaled, known: Floats, expected: Floats) -> Floats:
    """What the types that a pair lacks add: their mean times the pair's ratio of known to expected.

    The ratio is drawn towards 1 with the weight of `PRIOR` of all types, so a
    pair that shares little is not judged by little. A constant in place of the
    ratio would hide differences between donors that lack the same types.
    """
    total = float(channel.fill.sum())
    prior = PRIOR * total
    ratio = (known + prior) / np.maximum(expected + prior, 1e-300)
    return np.asarray(np.where(total - expected > 1e-9 * total, (total - expected) * ratio, 0.0))
