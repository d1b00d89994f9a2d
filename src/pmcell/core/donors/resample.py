"""Random draws from sufficient statistics: cell resamples, donor subsets, donors of a null model.

Every draw has its own stream, keyed by (seed, purpose, number), so the n-th
draw is the same whatever was drawn before it, in whatever order or thread.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pmcell.core.donors.channels import (
    CLUSTER_FREE,
    COMPOSITION,
    STATE,
    Channel,
    DonorSums,
    Features,
)
from pmcell.core.donors.cloud import Clouds
from pmcell.core.donors.donor_map import Fitted
from pmcell.core.donors.gene_model import GeneModel, draw_expression, fit_gene_model
from pmcell.core.donors.genes import GeneChannel
from pmcell.core.donors.pools import Pools
from pmcell.core.donors.spectral import spectrum

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

CONSENSUS, NULL, PERMUTE, CALIBRATE, FOLDS, VIEWS, MOVES, POWER, NUMBER = 1, 2, 3, 4, 5, 6, 7, 8, 9
"""Purposes of a random stream."""


def stream(seed: int, purpose: int, number: int) -> np.random.Generator:
    """The random stream of one draw."""
    return np.random.Generator(np.random.Philox(np.random.SeedSequence((seed, purpose, number))))


def resample_cells(sums: DonorSums, rng: np.random.Generator) -> DonorSums:
    """As if each row's cells were drawn again: multinomial counts, means with their sampling error.

    The result carries the row's own noise and the resample's, so its `noise`
    is one more than before. The waves of all cells are drawn apart from the
    types' means, with the same number of cells.
    """
    total = np.rint(sums.n.sum(axis=1))
    share = sums.n / np.maximum(total, 1.0)[:, None]
    n = rng.multinomial(total.astype(np.int64), share).astype(np.float64)
    mean = _with_error(sums.mean, n, sums.within, rng)
    cloud = None if sums.cloud is None else sums.cloud.with_error(rng)
    genes = None if sums.genes is None else sums.genes.with_error(rng)
    return DonorSums(n, mean, sums.within, sums.noise + 1.0, cloud, genes)


def subset(n: int, share: float, rng: np.random.Generator) -> NDArray[np.int64]:
    """A sorted random subset of 0 … n-1 with the given share, without replacement."""
    return np.sort(rng.choice(n, max(2, round(share * n)), replace=False))


@dataclass(frozen=True)
class DonorModel:
    """A population of donors without strata: Gaussian scores on the directions seen in the data.

    `centre` and `loadings` (rank first) per channel: logits of shares (types,
    1), state means (pools, dims) and waves of all cells (1, 2·waves); `genes` is that of
    expression.
    `bend` (rank,) is the correlation of each coordinate with the bow, the square
    of the first: a gradient that is a line in logits, or in the places of cells,
    is a bow in distances, and the donors lie along it. `tails` is the standard
    deviation of the log scale of Gaussian scores: 0 leaves them Gaussian, more has
    donors far out, in each coordinate by itself, or in all at once where `whole_donor`.
    `n` (rows, types) are the real rows' cells.
    """

    centre: dict[str, Floats]
    loadings: dict[str, Floats]
    rank: int
    bend: Floats
    pools: dict[str, Pools]
    n: Floats
    within: Floats
    cloud: Clouds | None = None
    tails: float = 0.0
    whole_donor: bool = False
    genes: GeneModel | None = None


def fit_donor_model(
    parts: list[tuple[Fitted, Features, float]],
    squared: Floats,
    sums: DonorSums,
    batch: Ints,
) -> DonorModel:
    """Fit the no-strata model: mean and between-donor covariance with the sampling noise removed.

    `parts` are the channels in use, the rows placed in them, and the factor of
    the channel in the fused distance `squared` (rows × rows). The spectrum is
    that of the principal coordinates of `squared`, from which sampling noise is
    subtracted already: the largest eigenvalues, as they are, until they add up
    to the trace, the variance between donors; what follows is noise around 0.
    The direction of a coordinate is the regression of the features on it; `batch` (rows,) is
    that of the offsets to take out of expression.
    """
    n_rows = squared.shape[0]
    values, vectors = spectrum(squared)
    # A constant, the first coordinate and its bow need a dimension each in a draw.
    kept = _leading(values)[: max(n_rows - 2, 0)]
    axes = vectors[:, : kept.size]
    centres: dict[str, Floats] = {}
    slopes: dict[str, Floats] = {}
    length = np.zeros(kept.size)
    for channel, features, factor in parts:
        present = features.present.astype(np.float64)
        middle = features.x.sum(axis=0) / np.maximum(present.sum(axis=0), 1)[:, None]
        x = np.where(features.present[:, :, None], features.x - middle, 0.0)
        weight = (axes**2).T @ present
        slope = (axes.T @ x.reshape(n_rows, -1)).reshape(kept.size, *middle.shape)
        slope /= np.maximum(weight, 1e-12)[:, :, None]
        length += factor * (slope**2).sum(axis=(1, 2))
        centres[channel.name], slopes[channel.name] = middle, slope
    rescale = np.sqrt(kept / max(n_rows - 1, 1) / np.maximum(length, 1e-300))
    genes = None
    flat: list[Channel] = []
    for channel, _, _ in parts:
        if not isinstance(channel, GeneChannel):
            flat.append(channel)
        elif sums.genes is not None:
            genes = fit_gene_model(channel, sums.genes, batch, axes, rescale)
    centre = {c.name: _unweighted(centres[c.name], c) for c in flat}
    loadings = {c.name: _unweighted(slopes[c.name] * rescale[:, None, None], c) for c in flat}
    if COMPOSITION in centre:
        # Gaussian logits keep shares shares; arcsine's slope makes both agree at the centre.
        share = np.sin(np.clip(centre[COMPOSITION], 1e-3, np.pi / 2 - 1e-3)) ** 2
        loadings[COMPOSITION] /= 0.5 * np.sqrt(share * (1 - share))
        centre[COMPOSITION] = np.log(share / (1 - share))
    return DonorModel(
        centre,
        loadings,
        kept.size,
        _bend(axes),
        {channel.name: channel.pools for channel in flat},
        sums.n,
        sums.within,
        sums.cloud,
        genes=genes,
    )


def stretch(model: DonorModel, factor: Floats) -> DonorModel:
    """The model with the variance of each direction multiplied (rank,)."""
    root = np.sqrt(factor)[:, None, None]
    genes = model.genes
    if genes is not None:
        genes = replace(genes, loadings=root * genes.loadings)
    loadings = {name: root * value for name, value in model.loadings.items()}
    return replace(model, loadings=loadings, genes=genes)


def with_rows(model: DonorModel, rows: Ints) -> DonorModel:
    """The model of as many donors, each with the cells of one of its rows; a row may repeat."""
    cloud = None if model.cloud is None else model.cloud.take(rows)
    genes = model.genes
    if genes is not None:
        # A row that repeats stands for another donor.
        sums = replace(genes.sums.take(rows), donor=np.arange(rows.size))
        genes = replace(genes, sums=sums)
    return replace(model, n=model.n[rows], cloud=cloud, genes=genes)


def draw_donors(model: DonorModel, rng: np.random.Generator, *, flat: bool = False) -> DonorSums:
    """Donors of the no-strata model, each with the cells and the sampling noise of a real row.

    Scores are those of `continuum`, so the draw has the model's spectrum and bend
    and only the arrangement of the donors is random. Where composition is not in
    use, the rows keep their own cells.
    """
    return donors_at(model, draw_scores(model, rng, flat=flat), rng)


def draw_scores(model: DonorModel, rng: np.random.Generator, *, flat: bool = False) -> Floats:
    """Places of donors without strata (rows, rank), of variance 1."""
    n_rows = model.n.shape[0]
    tails = 0.0 if flat else model.tails
    scores = continuum(
        model.bend, n_rows, rng, flat=flat, tails=tails, whole_donor=model.whole_donor
    )
    return np.asarray(scores * np.sqrt(max(n_rows - 1, 1)))


def donors_at(model: DonorModel, scores: Floats, rng: np.random.Generator) -> DonorSums:
    """Donors at these places (rows, rank), each with the cells and the noise of a real row."""
    n_rows, n_types = model.n.shape
    drawn = {
        name: centre + np.tensordot(scores, model.loadings[name], 1)
        for name, centre in model.centre.items()
    }
    n = model.n
    if COMPOSITION in drawn:
        share = 1.0 / (1.0 + np.exp(-np.clip(drawn[COMPOSITION][:, :, 0], -30.0, 30.0)))
        share /= share.sum(axis=1, keepdims=True)
        n = rng.multinomial(model.n.sum(axis=1).astype(np.int64), share).astype(np.float64)
    mean = np.full((n_rows, n_types, model.within.shape[1]), np.nan)
    if STATE in drawn:
        pools = model.pools[STATE]
        own = np.flatnonzero(pools.of_type >= 0)
        mean[:, own] = drawn[STATE][:, pools.of_type[own]] + pools.centre[own]
        mean = _with_error(mean, n, model.within, rng)
    cloud = model.cloud
    if CLUSTER_FREE in drawn and cloud is not None:
        cloud = replace(cloud, mean=drawn[CLUSTER_FREE][:, 0]).with_error(rng)
    genes = None if model.genes is None else draw_expression(model.genes, scores, rng)
    return DonorSums(n, mean, model.within, cloud=cloud, genes=genes)


def continuum(
    bend: Floats,
    n_rows: int,
    rng: np.random.Generator,
    *,
    flat: bool = False,
    tails: float = 0.0,
    whole_donor: bool = False,
) -> Floats:
    """Orthonormal scores (rows × rank) without a mean, drawn at random along a bow.

    The first is Gaussian, or uniform where `flat`; its square, made orthogonal to
    it, is the bow, with which the others correlate as `bend` says, exactly. What
    is left of the others is Gaussian or uniform too. Before, each is multiplied
    by exp(tails · z), z standard normal, one for all coordinates of a row where `whole_donor`.
    Coordinates are made
    orthogonal one after the other: at once (by the nearest orthonormal matrix),
    many of them in few rows would wash out the bow and the shape of the first.
    Needs a rank of at most n_rows - 2.
    """
    rank = bend.size
    if rank == 0:
        return np.zeros((n_rows, 0))
    shape = (n_rows, rank)
    drawn = rng.uniform(-1.0, 1.0, shape) if flat else rng.standard_normal(shape)
    if tails > 0:
        drawn *= np.exp(tails * rng.standard_normal((n_rows, 1 if whole_donor else rank)))
    first = drawn[:, :1] - drawn[:, 0].mean()
    basis = np.hstack([np.ones((n_rows, 1)), first, first**2, drawn[:, 1:]])
    columns, triangle = np.linalg.qr(basis)
    columns = columns * np.where(np.diag(triangle) < 0, -1.0, 1.0)
    bow, rest = columns[:, 2], columns[:, 3:]
    along = bend[1:]
    length = float(along @ along)
    # The square root of I - bbᵀ: with the bow's part bbᵀ, the whole is orthonormal.
    less = (1.0 - np.sqrt(max(1.0 - length, 0.0))) / max(length, 1e-300)
    others = np.outer(bow, along) + rest - less * np.outer(rest @ along, along)
    return np.hstack([columns[:, 1:2], others])


def _bend(axes: Floats) -> Floats:
    """Correlation of each coordinate with the bow of the first; 0 for the first itself."""
    n_rows, rank = axes.shape
    if rank == 0:
        return np.zeros(0)
    scores = _standard(axes)
    basis = np.vander(scores[:, 0], 3, increasing=True)
    columns, triangle = np.linalg.qr(basis)
    if abs(triangle[2, 2]) < 1e-6 * np.sqrt(n_rows):
        # Two places only, or two rows: a square says nothing that the first does not.
        return np.zeros(rank)
    bow = columns[:, 2] * np.sign(triangle[2, 2])
    bend = scores.T @ bow / np.sqrt(n_rows)
    bend[0] = 0.0
    return np.asarray(bend / max(float(np.linalg.norm(bend)), 1.0))


def _standard(x: Floats) -> Floats:
    """Columns with mean 0 and variance 1."""
    centred = x - x.mean(axis=0)
    return np.asarray(centred / np.maximum(centred.std(axis=0), 1e-300))


def _leading(values: Floats) -> Floats:
    """The largest eigenvalues until their sum is the sum of all; the last one cut to fit."""
    positive = values[values > max(float(values[0]), 0.0) * 1e-9]
    before = np.concatenate([[0.0], np.cumsum(positive)[:-1]])
    kept = np.minimum(positive, float(values.sum()) - before)
    return kept[kept > 0]


def _unweighted(x: Floats, channel: Channel) -> Floats:
    root = np.sqrt(channel.weight)
    return np.where(root > 0, x / np.where(root > 0, root, 1.0), 0.0)


def _with_error(mean: Floats, n: Floats, within: Floats, rng: np.random.Generator) -> Floats:
    error = np.sqrt(np.nan_to_num(within)[None] / np.maximum(n, 1.0)[:, :, None])
    return np.where((n > 0)[:, :, None], mean + error * rng.standard_normal(mean.shape), np.nan)
