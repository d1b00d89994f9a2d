"""What a batch adds to all types alike is taken out, and nothing else."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pmcell.core.donors.channels import DonorSums
from pmcell.core.donors.common_shift import without_common_shift

BATCH = np.repeat([0, 1], 20)
SHIFT = np.array([1.0, -2.0, 0.5])


@pytest.fixture
def sums() -> DonorSums:
    """Forty rows, seven types, three dimensions."""
    rng = np.random.default_rng(0)
    n = rng.integers(20, 60, (40, 7)).astype(np.float64)
    mean = rng.normal(0, 3, (7, 3)) + rng.normal(0, 0.2, (40, 7, 3))
    return DonorSums(n, mean, np.ones((7, 3)))


def between(sums: DonorSums) -> np.ndarray:
    """Difference of the two batches' means (types, dims)."""
    return sums.mean[BATCH == 1].mean(axis=0) - sums.mean[BATCH == 0].mean(axis=0)


def test_what_all_types_have_alike_is_taken_out(sums: DonorSums) -> None:
    moved = replace(sums, mean=sums.mean + np.where(BATCH[:, None, None] == 1, SHIFT, 0.0))
    left = between(without_common_shift(moved, BATCH, 2, 10))
    assert np.abs(left).max() < 0.25
    assert np.abs(between(moved)).max() > 1.5


def test_what_a_minority_of_types_has_stays(sums: DonorSums) -> None:
    mean = sums.mean.copy()
    mean[BATCH == 1, :3] += SHIFT
    left = between(without_common_shift(replace(sums, mean=mean), BATCH, 2, 10))
    assert np.abs(left[:3] - SHIFT).max() < 0.3
    assert np.abs(left[3:]).max() < 0.25


def test_types_with_few_cells_do_not_say_what_is_alike(sums: DonorSums) -> None:
    n, mean = sums.n.copy(), sums.mean.copy()
    n[:, :4] = 1
    mean[BATCH == 1, :4] += 5.0
    left = between(without_common_shift(replace(sums, n=n, mean=mean), BATCH, 2, 10))
    assert (left[:4] > 4).all()


def test_of_two_types_nothing_is_alike(sums: DonorSums) -> None:
    two = replace(sums, n=sums.n[:, :2], mean=sums.mean[:, :2] + BATCH[:, None, None])
    assert without_common_shift(two, BATCH, 2, 10) is two
