"""Draws from sufficient statistics: own streams, right spread, right spectrum."""

from __future__ import annotations

import numpy as np

from pmcell.core.channels import DonorSums
from pmcell.core.donor_map import Settings, fit_channels, map_donors, place_all
from pmcell.core.resample import (
    CONSENSUS,
    NULL,
    draw_donors,
    fit_donor_model,
    resample_cells,
    stream,
    stretch,
    subset,
)
from pmcell.core.spectral import spectrum

SETTINGS = Settings(np.arange(6), 10, 1, {"composition": 1.0, "state": 1.0})


def donors(n: int = 40, cells: int = 800, seed: int = 0) -> DonorSums:
    """Donors on one Gaussian gradient of state and composition."""
    rng = np.random.default_rng(seed)
    position = rng.normal(size=n)
    logits = np.outer(position, rng.choice([-0.3, 0.3], 6)) + 0.1 * rng.normal(size=(n, 6))
    share = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    counts = np.array([rng.multinomial(cells, row) for row in share]).astype(float)
    mean = 0.4 * position[:, None, None] * rng.normal(size=(6, 5)) + 0.1 * rng.normal(
        size=(n, 6, 5)
    )
    mean += rng.normal(size=mean.shape) / np.sqrt(counts)[:, :, None]
    return DonorSums(counts, mean, np.ones((6, 5)))


def test_a_draw_is_the_same_whatever_was_drawn_before() -> None:
    first = stream(1, NULL, 3).random(4)
    stream(1, NULL, 2).random(100)
    assert np.array_equal(first, stream(1, NULL, 3).random(4))
    assert not np.array_equal(first, stream(1, CONSENSUS, 3).random(4))
    assert not np.array_equal(first, stream(2, NULL, 3).random(4))


def test_a_subset_is_sorted_and_without_repeats() -> None:
    drawn = subset(10, 0.8, stream(0, CONSENSUS, 0))
    assert drawn.size == 8
    assert (np.diff(drawn) > 0).all()


def test_resampled_cells_keep_totals_and_count_their_noise() -> None:
    sums = donors()
    drawn = resample_cells(sums, stream(0, CONSENSUS, 0))
    assert np.array_equal(drawn.n.sum(axis=1), sums.n.sum(axis=1))
    assert drawn.noise == 2.0
    z = (drawn.mean - sums.mean) * np.sqrt(drawn.n)[:, :, None]
    assert abs(z.mean()) < 0.1
    assert abs(z.std() - 1) < 0.1


def test_types_without_cells_stay_unknown() -> None:
    sums = donors()
    sums.n[:, 0] = 0
    sums.mean[:, 0] = np.nan
    assert np.isnan(resample_cells(sums, stream(0, CONSENSUS, 0)).mean[:, 0]).all()


def test_donors_without_strata_have_the_spectrum_of_the_data() -> None:
    sums = donors()
    batch = np.zeros(40, np.int64)
    squared = map_donors(sums, batch, SETTINGS)
    channels = fit_channels(sums, batch, SETTINGS)
    placed = place_all(channels, sums, batch, SETTINGS)
    parts = [(c, f, 0.5 / c.scale) for c, f in zip(channels, placed, strict=True)]
    model = fit_donor_model(parts, squared, sums)
    for flat in (False, True):
        drawn = [
            spectrum(
                map_donors(draw_donors(model, stream(0, NULL, i), flat=flat), batch, SETTINGS)
            )[0]
            for i in range(15)
        ]
        assert np.isclose(np.mean(drawn, axis=0)[0], spectrum(squared)[0][0], rtol=0.15)
    doubled = stretch(model, np.full(model.rank, 4.0))
    assert np.allclose(doubled.loadings["state"], 2 * model.loadings["state"])


def test_composition_keeps_the_donors_own_cells_when_it_is_not_in_use() -> None:
    sums, batch = donors(), np.zeros(40, np.int64)
    settings = SETTINGS.only("state")
    channels = fit_channels(sums, batch, settings)
    placed = place_all(channels, sums, batch, settings)
    model = fit_donor_model(
        [(channels[0], placed[0], 1 / channels[0].scale)], map_donors(sums, batch, settings), sums
    )
    assert np.array_equal(draw_donors(model, stream(0, NULL, 0)).n, sums.n)
