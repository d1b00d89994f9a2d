"""Misfits and their ranks, against the definition written out."""

from __future__ import annotations

import numpy as np
import pytest

from pmcell.strata.discovery.conformal import (
    FEATURE_SET_WEIGHT,
    FLOOR,
    NEW,
    UPPER,
    UPPER_NORMAL,
    Calibration,
    misfit,
    place_on,
)


@pytest.fixture
def calibration() -> Calibration:
    rng = np.random.default_rng(0)
    stratum = np.repeat([0, 1, 2], [14, 11, 9])
    centre = 4.0 * rng.standard_normal((3, 6))
    x = centre[stratum] + rng.standard_normal((stratum.size, 6))
    towards = ((x[:, None] - centre[None]) ** 2).sum(axis=2)
    other = rng.gamma(3.0, size=towards.shape)
    return Calibration(np.stack([towards, other]), stratum)


def naive_misfit(calibration: Calibration, towards: np.ndarray, donor: int) -> np.ndarray:
    """The definition, one row at a time and one number after the other."""
    known, stratum = calibration.towards, calibration.stratum
    n, k = stratum.size, calibration.k

    def median(values: np.ndarray, index: int, without: int) -> float:
        return float(
            np.median([values[i] for i in range(n) if stratum[i] == index and i != without])
        )

    def way(row: np.ndarray, one: int, without: int) -> float:
        out = []
        for other in range(k):
            if other != one:
                nearer = known[0][:, one] - known[0][:, other]
                start, end = median(nearer, one, without), median(nearer, other, without)
                out.append((row[one] - row[other] - start) / (end - start))
        return max(out)

    def spread(values: list[float]) -> float:
        return float(np.quantile(values, UPPER)) / UPPER_NORMAL

    ways = [way(known[0][i], stratum[i], i) for i in range(n)]
    middle = float(np.median(ways))
    out = np.zeros(k)
    for one in range(k):
        position = (way(towards[0], one, donor) - middle) / spread([w - middle for w in ways])
        out[one] += max(position, 0.0) ** 2
        for index, weight in enumerate([1.0] + [FEATURE_SET_WEIGHT] * (known.shape[0] - 1)):
            own = known[index][np.arange(n), stratum]
            least = FLOOR * max(median(own, s, NEW) for s in range(k))
            logs = [
                np.log(max(own[i], least)) - np.log(max(median(own, stratum[i], i), least))
                for i in range(n)
            ]
            value = np.log(max(towards[index][one], least))
            value -= np.log(max(median(own, one, donor), least))
            out[one] += weight * max(value / spread(logs), 0.0) ** 2
    return out


def test_the_misfit_is_that_of_the_definition(calibration: Calibration) -> None:
    n = calibration.stratum.size
    got = misfit(calibration, calibration.towards, np.arange(n))
    for row in range(0, n, 5):
        want = naive_misfit(calibration, calibration.towards[:, row], row)
        assert np.allclose(got[row], want)
    new = np.random.default_rng(1).gamma(3.0, 3.0, (2, 4, 3))
    got = misfit(calibration, new, np.full(4, NEW))
    for row in range(4):
        assert np.allclose(got[row], naive_misfit(calibration, new[:, row], NEW))


def test_p_values_are_ranks_among_the_other_donors(calibration: Calibration) -> None:
    n = calibration.stratum.size
    value = misfit(calibration, calibration.towards, np.arange(n))
    placed = place_on(calibration, calibration.towards, np.arange(n))
    for row in range(n):
        others = [i for i in range(n) if i != row]
        larger = sum(value[i].min() >= value[row].min() for i in others)
        assert placed.fit_p[row] == (1 + larger) / n
        for stratum in range(3):
            members = [i for i in others if calibration.stratum[i] == stratum]
            larger = sum(value[i, stratum] >= value[row, stratum] for i in members)
            assert placed.stratum_p[row, stratum] == (1 + larger) / (1 + len(members))


def test_p_values_of_exchangeable_donors_are_uniform_at_most() -> None:
    rng = np.random.default_rng(2)
    own, fit = [], []
    for _ in range(200):
        stratum = np.repeat([0, 1], 20)
        x = rng.standard_normal((80, 3)) * np.exp(0.5 * rng.standard_normal((80, 1)))
        x[np.tile(stratum, 2) == 1, 0] += 3.0
        centre = np.array([[0.0, 0.0, 0.0], [3.0, 0.0, 0.0]])
        towards = ((x[:, None] - centre[None]) ** 2).sum(axis=2)[None]
        placed = place_on(Calibration(towards[:, :40], stratum), towards[:, 40:])
        own.append(placed.stratum_p[np.arange(40), stratum])
        fit.append(placed.fit_p)
    for level in (0.05, 0.1, 0.3):
        assert (np.concatenate(own) <= level).mean() <= level + 0.02
        assert (np.concatenate(fit) <= level).mean() <= level + 0.02


def test_a_feature_set_that_cannot_be_measured_says_nothing(calibration: Calibration) -> None:
    rows = np.arange(calibration.stratum.size)
    alone = Calibration(calibration.towards[:1], calibration.stratum)
    lost = np.stack([calibration.towards[0], np.full_like(calibration.towards[0], np.nan)])
    with_lost = Calibration(lost, calibration.stratum)
    assert np.array_equal(
        misfit(with_lost, lost, rows), misfit(alone, calibration.towards[:1], rows)
    )


def test_a_stratum_without_donors_in_a_run_is_far_from_all(calibration: Calibration) -> None:
    towards = calibration.towards.copy()
    new = towards[:1, :2].copy()
    new[0, 0, 1] = np.inf
    placed = place_on(Calibration(towards[:1], calibration.stratum), new)
    assert placed.stratum_p[0, 1] == 1 / 12
    assert np.isfinite(placed.fit_p).all()


def test_what_an_unseen_batch_adds_to_all_distances_does_not_change_a_set(
    calibration: Calibration,
) -> None:
    new = calibration.towards[:, ::3] * 1.05
    moved = new.copy()
    moved[0] += 50.0
    before = place_on(calibration, new, batch_unseen=True)
    after = place_on(calibration, moved, batch_unseen=True)
    assert np.array_equal(before.stratum_p, after.stratum_p)
    assert after.stratum_p.max(axis=1).mean() > 0.3
    assert (place_on(calibration, moved).stratum_p <= 0.1).all()
    assert (after.fit_p <= before.fit_p).all()
    assert after.fit_p.max() <= 0.05
