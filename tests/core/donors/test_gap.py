"""A gap between donors beside what they differ in besides."""

from __future__ import annotations

import numpy as np
import pytest

from pmcell.core.donors.donor_map import silhouettes
from pmcell.core.donors.spectral import pairwise_squared

KS = range(2, 5)


def excess(x: np.ndarray, draws: list[np.ndarray]) -> float:
    """Share of the draws whose largest standardised silhouette reaches that of x."""
    both = np.array([silhouettes(pairwise_squared(one), KS, 5)[0] for one in (x, *draws)])
    z = (both - np.nanmean(both, axis=0)) / np.nanstd(both, axis=0)
    largest = np.nanmax(np.where(np.isnan(z), -9.0, z), axis=1)
    return float((largest[1:] >= largest[0]).mean())


@pytest.mark.parametrize("seed", range(4))
def test_a_gap_in_one_axis_of_three_stands_out(seed: int) -> None:
    rng = np.random.default_rng(seed)
    spread = np.array([1.0, 0.9, 0.9])
    draws = [spread * rng.uniform(-1.7, 1.7, (40, 3)) for _ in range(99)]
    donors = spread * rng.uniform(-1.7, 1.7, (40, 3))
    side = np.arange(40) % 2 * 2 - 1
    donors[:, 0] = side + 0.2 * rng.standard_normal(40)
    assert excess(donors, draws) <= 0.05
    assert excess(spread * rng.uniform(-1.7, 1.7, (40, 3)), draws) > 0.05


def test_what_strata_share_does_not_count_for_two_of_them() -> None:
    rng = np.random.default_rng(0)
    gap = np.repeat([-1.0, 1.0], 20)[:, None] + 0.1 * rng.standard_normal((40, 1))
    alone = silhouettes(pairwise_squared(gap), range(2, 3), 5)[0]
    # Sideways in every donor of one stratum as in one of the other: the means lie as before.
    aside = np.tile(0.6 * rng.standard_normal((20, 1)), (2, 1))
    beside = silhouettes(pairwise_squared(np.hstack([gap, aside])), range(2, 3), 5)[0]
    assert np.allclose(alone, beside, atol=1e-3)


def test_along_the_lines_two_of_three_strata_are_one_over_all_axes_they_are_not() -> None:
    rng = np.random.default_rng(1)
    corners = np.array([[0.0, 3.0], [-2.6, -1.5], [2.6, -1.5]])
    x = corners[np.arange(42) % 3] + 0.3 * rng.standard_normal((42, 2))
    along, over_axes = silhouettes(pairwise_squared(x), range(2, 4), 5)
    assert along[0] > 0.85
    assert over_axes[1] > over_axes[0] + 0.2


def test_donors_who_do_not_differ_have_no_silhouette() -> None:
    assert np.isnan(silhouettes(np.zeros((30, 30)), KS, 5)).all()
