"""Draws from sufficient statistics: own streams, right spread, right spectrum."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from pmcell.core.donors.channels import Channel, DonorSums, Features
from pmcell.core.donors.cloud import Clouds
from pmcell.core.donors.donor_map import Settings, fit_channels, map_donors, place_all
from pmcell.core.donors.pools import Pools
from pmcell.core.donors.resample import (
    CONSENSUS,
    NULL,
    continuum,
    draw_donors,
    fit_donor_model,
    resample_cells,
    stream,
    stretch,
    subset,
)
from pmcell.core.donors.spectral import pairwise_squared, spectrum

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
    model = fit_donor_model(parts, squared, sums, np.zeros(len(squared), np.int64))
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
        [(channels[0], placed[0], 1 / channels[0].scale)],
        map_donors(sums, batch, settings),
        sums,
        batch,
    )
    assert np.array_equal(draw_donors(model, stream(0, NULL, 0)).n, sums.n)


@given(
    n_rows=st.integers(5, 60),
    share=st.floats(0.05, 1.0),
    bent=st.floats(0.0, 1.0),
    flat=st.booleans(),
    tails=st.sampled_from([0.0, 0.5, 1.5]),
    seed=st.integers(0, 99),
)
@settings(max_examples=60, deadline=None)
def test_scores_of_a_continuum_are_orthonormal_and_bent_as_asked(
    n_rows: int, share: float, bent: float, flat: bool, tails: float, seed: int
) -> None:
    rank = max(2, round(share * (n_rows - 2)))
    direction = np.random.default_rng(seed).standard_normal(rank - 1)
    bend = np.r_[0.0, bent * direction / np.linalg.norm(direction)]
    scores, again = (
        continuum(bend, n_rows, stream(seed, NULL, 0), flat=flat, tails=tails) for _ in range(2)
    )
    assert np.array_equal(scores, again)
    assert np.allclose(scores.T @ scores, np.eye(rank), atol=1e-9)
    assert np.allclose(scores.sum(axis=0), 0.0, atol=1e-9)
    first = scores[:, 0]
    square = first**2 - (first**2).mean()
    bow = square - first * (first @ square)
    assert np.allclose(scores[:, 1:].T @ bow / np.linalg.norm(bow), bend[1:], atol=1e-6)


def test_the_first_score_keeps_its_shape_among_many_directions() -> None:
    flat = continuum(np.zeros(38), 40, stream(0, NULL, 0), flat=True)[:, 0]
    drawn = stream(0, NULL, 0).uniform(-1.0, 1.0, (40, 38))[:, 0]
    assert np.isclose(np.corrcoef(flat, drawn)[0, 1], 1.0)


def test_donors_drawn_from_a_bow_lie_along_it() -> None:
    """Donors on an arc, each also at random in many directions: the draws show the arc."""
    rng = np.random.default_rng(3)
    angle = rng.uniform(-1.2, 1.2, 40)
    x = 0.05 * rng.standard_normal((40, 60))
    x[:, 0], x[:, 1] = np.sin(angle), np.cos(angle)
    cloud = Clouds(x, np.full(40, 1e6), np.zeros((60, 60)))
    sums = DonorSums(np.full((40, 1), 1e6), np.zeros((40, 1, 1)), np.ones((1, 1)), cloud=cloud)
    features = Features(x[:, None], np.zeros((40, 1)), np.ones((40, 1), bool))
    channel = Channel(
        "cluster_free",
        Pools(np.array([-1]), np.zeros((1, 1))),
        np.zeros((1, 1, 60)),
        np.ones((1, 60)),
        np.ones(1),
        1.0,
        np.ones(1),
    )
    squared = pairwise_squared(x)
    model = fit_donor_model(
        [(channel, features, 1.0)], squared, sums, np.zeros(len(squared), np.int64)
    )
    assert model.rank > 20
    values = spectrum(squared)[0][: model.rank]
    for number in range(5):
        cloud = draw_donors(model, stream(0, NULL, number)).cloud
        assert cloud is not None
        drawn, axes = spectrum(pairwise_squared(cloud.mean))
        assert np.allclose(drawn[: model.rank], values, rtol=1e-6)
        assert abs(np.corrcoef(axes[:, 0] ** 2, axes[:, 1])[0, 1]) > 0.8


def test_tails_put_much_of_the_variance_into_a_few_donors() -> None:
    def far(tails: float) -> float:
        scores = [continuum(np.zeros(4), 40, stream(i, NULL, 0), tails=tails) for i in range(20)]
        return float(np.mean([(x**4).sum(axis=0).mean() for x in scores]))

    assert far(1.0) > 1.8 * far(0.0)
