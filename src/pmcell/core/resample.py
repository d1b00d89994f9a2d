"""Random draws from sufficient statistics: cell resamples, donor subsets, donors of a null model.

Every draw has its own stream, keyed by (seed, purpose, number), so the n-th
draw is the same whatever was drawn before it, in whatever order or thread.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pmcell.core.channels import DonorSums, arcsine, arcsine_noise

Floats = NDArray[np.float64]

CONSENSUS, NULL, PERMUTE = 1, 2, 3
"""Purposes of a random stream."""


def stream(seed: int, purpose: int, number: int) -> np.random.Generator:
    """The random stream of one draw."""
    return np.random.Generator(np.random.Philox(np.random.SeedSequence((seed, purpose, number))))


def resample_cells(sums: DonorSums, rng: np.random.Generator) -> DonorSums:
    """As if each row's cells were drawn again: multinomial counts, means with their sampling error.

    The result carries the row's own noise and the resample's, so its `noise`
    is one more than before.
    """
    total = sums.n.sum(axis=1)
    share = sums.n / np.maximum(total, 1.0)[:, None]
    n = rng.multinomial(total.astype(np.int64), share).astype(np.float64)
    return DonorSums(n, _with_error(sums.mean, n, sums.within, rng), sums.within, sums.noise + 1.0)


def subset(n: int, share: float, rng: np.random.Generator) -> NDArray[np.int64]:
    """A sorted random subset of 0 … n-1 with the given share, without replacement."""
    return np.sort(rng.choice(n, max(2, round(share * n)), replace=False))


@dataclass(frozen=True)
class DonorModel:
    """A population of donors without strata: Gaussian scores on the directions seen in the data.

    `centre` (features,) and `loadings` (rank, features) of [arcsine shares;
    state means]; `total` (rows,) cells; `spread` scales state means.
    """

    centre: Floats
    loadings: Floats
    total: NDArray[np.int64]
    within: Floats
    usable: NDArray[np.int64]


def fit_donor_model(
    sums: DonorSums, offsets: tuple[Floats, Floats], usable: NDArray[np.int64], min_cells: int
) -> DonorModel:
    """Fit the no-strata model: mean and between-donor covariance with the sampling noise removed.

    `offsets` are what the batch added to each row's arcsine shares (rows ×
    types) and state means (rows × usable × dims). Off the diagonal, the Gram
    matrix of the rows is free of sampling noise; on it, the noise is
    subtracted. Its positive eigenvalues are kept as they are.
    """
    within = sums.within[usable]
    unit = np.sqrt(np.maximum(within.mean(axis=1), 1e-300))[None, :, None]
    share = arcsine(sums.n) - offsets[0]
    enough = sums.n[:, usable] >= max(min_cells, 1)
    state = np.where(enough[:, :, None], sums.mean[:, usable] - offsets[1], np.nan)
    present = enough.sum(axis=0)
    centre_state = np.where(enough[:, :, None], state, 0.0).sum(axis=0) / np.maximum(present, 1)[:, None]
    # A missing type adds nothing to the Gram matrix; the rows that have it stand in for those that lack it.
    weight = np.sqrt(enough.shape[0] / np.maximum(present, 1))[None, :, None] / unit
    state = np.where(enough[:, :, None], state - centre_state, 0.0) * weight
    cells = np.where(enough, sums.n[:, usable], np.inf)
    noise_state = (within[None] / cells[:, :, None] * weight**2).sum(axis=(1, 2))
    centre_share = share.mean(axis=0)
    lift = 2.0 * np.sqrt(np.median(sums.n.sum(axis=1)) / max(usable.size, 1))
    flat = np.hstack([(share - centre_share) * lift, state.reshape(share.shape[0], -1)])
    noise = lift**2 * arcsine_noise(sums.n).sum(axis=1) + noise_state
    gram = flat @ flat.T - np.diag(noise)
    values, vectors = np.linalg.eigh(gram)
    keep = values > max(float(values[-1]), 0.0) * 1e-9
    direction = vectors[:, keep].T @ flat
    direction /= np.maximum(np.linalg.norm(direction, axis=1, keepdims=True), 1e-300)
    loadings = direction * np.sqrt(values[keep] / max(flat.shape[0] - 1, 1))[:, None]
    loadings[:, : share.shape[1]] /= lift
    back = np.broadcast_to(unit[0], within.shape).reshape(-1)
    loadings[:, share.shape[1] :] *= back
    return DonorModel(
        np.concatenate([centre_share, centre_state.reshape(-1)]),
        loadings[::-1],
        sums.n.sum(axis=1).astype(np.int64),
        sums.within,
        usable,
    )


def draw_donors(model: DonorModel, rng: np.random.Generator) -> DonorSums:
    """Donors of the no-strata model, each with the cells and the sampling noise of a real row.

    Scores are Gaussian, centred and made orthonormal, so the draw has the
    model's spectrum and only the arrangement of the donors is random.
    """
    n_rows, n_types = model.total.size, model.within.shape[0]
    rank = min(model.loadings.shape[0], n_rows - 1)
    scores = rng.standard_normal((n_rows, rank))
    scores, _ = np.linalg.qr(scores - scores.mean(axis=0))
    flat = model.centre + (scores * np.sqrt(n_rows - 1)) @ model.loadings[:rank]
    share = np.sin(np.clip(flat[:, :n_types], 0.0, np.pi / 2)) ** 2
    share /= np.maximum(share.sum(axis=1, keepdims=True), 1e-12)
    n = rng.multinomial(model.total, share).astype(np.float64)
    mean = np.full((n_rows, n_types, model.within.shape[1]), np.nan)
    mean[:, model.usable] = flat[:, n_types:].reshape(n_rows, model.usable.size, -1)
    return DonorSums(n, _with_error(mean, n, model.within, rng), model.within)


def _with_error(mean: Floats, n: Floats, within: Floats, rng: np.random.Generator) -> Floats:
    error = np.sqrt(np.nan_to_num(within)[None] / np.maximum(n, 1.0)[:, :, None])
    return np.where((n > 0)[:, :, None], mean + error * rng.standard_normal(mean.shape), np.nan)
