"""Channels of the donor distance: noise subtracted, batches removed, exact parts."""

from __future__ import annotations

import numpy as np

from pmcell.core.donors.arcsine import arcsine, arcsine_noise
from pmcell.core.donors.channels import DonorSums, distance_parts, place, squared_distances
from pmcell.core.donors.fit import fit_composition, fit_state
from pmcell.core.donors.offsets import batch_offsets


def donors(
    seed: int, n: int = 30, types: int = 5, dims: int = 4, cells: int = 300, spread: float = 0.0
) -> DonorSums:
    rng = np.random.default_rng(seed)
    share = rng.dirichlet(np.ones(types) * 5)
    counts = rng.multinomial(cells, share, n).astype(float)
    truth = rng.normal(size=(types, dims)) + spread * rng.normal(size=(n, types, dims))
    mean = truth + rng.normal(size=truth.shape) / np.sqrt(np.maximum(counts, 1))[:, :, None]
    mean[counts == 0] = np.nan
    return DonorSums(counts, mean, np.ones((types, dims)))


def one_batch(sums: DonorSums) -> np.ndarray:
    return np.zeros(sums.n.shape[0], np.int64)


def test_composition_distances_of_equal_donors_are_zero_on_average() -> None:
    values = []
    for seed in range(20):
        sums = donors(seed, cells=150)
        channel = fit_composition(sums, one_batch(sums), 1)
        distance = squared_distances(channel, place(channel, sums, one_batch(sums)))
        raw = 2 * arcsine_noise(sums.n).sum(axis=1).mean()
        values.append(distance[np.triu_indices(30, 1)].mean() * channel.scale / raw)
    assert abs(np.mean(values)) < 0.1


def test_state_distances_of_equal_donors_are_zero_on_average() -> None:
    values = []
    for seed in range(20):
        # Weights come from other donors: chosen on the same ones they take some noise for signal.
        fitted = donors(seed, cells=150, spread=0.5)
        batch = one_batch(fitted)
        channel = fit_state(fitted, batch, 1, pool=np.arange(5), min_cells=5)
        equal = donors(100 + seed, cells=150)
        placed = place(channel, equal, batch, 10)
        whole = placed.present.all(axis=1)
        distance = squared_distances(channel, placed)[np.ix_(whole, whole)] * channel.scale
        raw = 2 * placed.noise[whole].sum(axis=1).mean()
        values.append(distance[np.triu_indices(whole.sum(), 1)].mean() / raw)
    assert abs(np.mean(values)) < 0.1


def test_rare_types_have_less_noise_than_common_ones() -> None:
    noise = arcsine_noise(np.array([[1.0, 999.0], [0.0, 1000.0]]))
    assert (noise[:, 0] < noise[:, 1]).all()
    assert np.isclose(noise[0, 1], 0.25 / 1000.5, rtol=1e-3)


def test_arcsine_noise_is_that_of_drawn_counts() -> None:
    rng = np.random.default_rng(0)
    drawn = rng.multinomial(400, [0.002, 0.05, 0.248, 0.7], 20_000).astype(float)
    spread = arcsine(drawn).var(axis=0)
    assert np.allclose(arcsine_noise(drawn).mean(axis=0)[1:], spread[1:], rtol=0.1)


def test_missing_types_keep_donors_apart_that_differ_elsewhere() -> None:
    sums = donors(1, spread=0.5)
    sums.n[:15, 0] = 0
    sums.mean[:15, 0] = np.nan
    batch = one_batch(sums)
    channel = fit_state(sums, batch, 1, pool=np.arange(5), min_cells=5)
    whole = squared_distances(channel, place(channel, sums, batch, 5))
    assert np.isfinite(whole).all()
    # Pairs that lack a type keep its share of the distance: their mean is not smaller.
    lacking = whole[:15, :15][np.triu_indices(15, 1)].mean()
    assert 0.7 < lacking / whole[15:, 15:][np.triu_indices(15, 1)].mean() < 1.4


def test_parts_by_type_sum_to_the_distance() -> None:
    sums = donors(2, spread=0.5, cells=80)
    batch = np.arange(30) % 3
    channels = [
        fit_composition(sums, batch, 3),
        fit_state(sums, batch, 3, pool=np.arange(5), min_cells=10),
    ]
    for channel in channels:
        placed = place(channel, sums, batch, 10)
        assert not placed.present.all() or channel.name == "composition"
        total = sum(distance_parts(channel, placed))
        assert np.allclose(total, squared_distances(channel, placed), atol=1e-12)


def test_offsets_of_a_batch_effect_are_found() -> None:
    rng = np.random.default_rng(0)
    batch = np.arange(60) % 3
    shift = np.array([-2.0, 0.0, 2.0])
    x = rng.normal(size=(60, 1)) + shift[batch][:, None]
    assert np.allclose(batch_offsets(x, batch, 3)[:, 0], shift, atol=0.5)


def test_offsets_vanish_without_a_batch_effect() -> None:
    rng = np.random.default_rng(0)
    offsets = batch_offsets(rng.normal(size=(60, 200)), np.arange(60) % 3, 3)
    assert np.sqrt((offsets**2).mean()) < 0.15


def test_one_batch_and_batches_of_one_donor_have_no_offset() -> None:
    x = np.random.default_rng(0).normal(size=(6, 2))
    assert not batch_offsets(x, np.zeros(6, np.int64), 1).any()
    assert not batch_offsets(x, np.arange(6), 6).any()


def test_missing_values_do_not_enter_offsets() -> None:
    x = np.array([[0.0], [np.nan], [0.2], [5.0], [5.2], [np.nan]])
    offsets = batch_offsets(x, np.array([0, 0, 0, 1, 1, 1]), 2)
    assert np.isfinite(offsets).all()
    assert offsets[1, 0] - offsets[0, 0] > 4
