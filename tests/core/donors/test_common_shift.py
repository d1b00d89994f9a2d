"""What a batch adds to all types alike is taken out, and nothing else."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pmcell.core.donors.channels import DonorSums
from pmcell.core.donors.common_shift import squared_between_types, without_common_shift
from pmcell.core.donors.gene_sums import GeneSums

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


GENES = np.stack([np.r_[np.arange(40), 40 + 20 * kind + np.arange(20)] for kind in range(5)])
"""Codes of genes: forty of all five types, and twenty of each type's own."""


def expressed(added: np.ndarray, *, lacking: bool = False) -> GeneSums:
    """Forty rows that differ by noise; the second batch adds `added` (types, genes)."""
    rng = np.random.default_rng(1)
    genes = np.where(np.arange(60) < 55, GENES, -1)
    size = np.full((40, 5), 50.0)
    size[::7, 2] = 0.0 if lacking else 50.0
    mean = rng.normal(0, np.sqrt(1 / 50), (40, *GENES.shape)) + BATCH[:, None, None] * added
    mean = np.where(size[:, :, None] > 0, np.where(genes >= 0, mean, 0.0), np.nan)
    ones = np.ones(genes.shape)
    return GeneSums(size, mean, ones, genes, np.arange(40), shown=ones)


def between_and_within(squared: np.ndarray) -> tuple[float, float]:
    """Mean squared distance of rows of two batches, and of one."""
    same = BATCH[:, None] == BATCH[None, :]
    other = ~np.eye(40, dtype=bool)
    return float(squared[~same].mean()), float(squared[same & other].mean())


@pytest.mark.parametrize("lacking", [False, True])
def test_what_all_types_have_alike_is_no_distance_between_types(lacking: bool) -> None:
    of_gene = np.random.default_rng(2).normal(0, 1, GENES.max() + 1)
    squared = squared_between_types(expressed(of_gene[GENES], lacking=lacking))
    assert np.abs(between_and_within(squared)).max() < 0.3
    assert np.allclose(squared, squared.T)
    assert (np.diag(squared) == 0).all()


@pytest.mark.parametrize("lacking", [False, True])
def test_what_one_type_has_is_a_distance_between_types(lacking: bool) -> None:
    added = np.zeros(GENES.shape)
    added[0, :10] = 1.0
    between, within = between_and_within(squared_between_types(expressed(added, lacking=lacking)))
    # Ten of the type's 55 genes: less the mean over these, and in one type of five.
    level = 10 / 55
    expected = (10 * (1 - level) ** 2 + 30 * level**2) * (1 - 1 / 5)
    assert between == pytest.approx(expected, rel=0.1)
    assert abs(within) < 0.3


def test_genes_of_one_type_tell_nothing_of_differences_between_types() -> None:
    added = np.zeros(GENES.shape)
    added[:, 40:] = 5.0
    assert np.abs(between_and_within(squared_between_types(expressed(added)))).max() < 0.3


def test_what_all_genes_of_a_type_have_is_no_distance_between_types() -> None:
    added = np.repeat([[0.5], [-1.0], [0.0], [2.0], [0.0]], 60, axis=1)
    assert np.abs(between_and_within(squared_between_types(expressed(added)))).max() < 0.3


def test_few_counts_that_show_half_of_a_change_make_no_distance_between_types() -> None:
    of_gene = np.random.default_rng(2).normal(0, 1, GENES.max() + 1)[GENES]
    shown = np.where(np.arange(5)[:, None] < 2, 0.5, np.ones(GENES.shape))
    part = replace(expressed(of_gene * shown), shown=shown)
    assert np.abs(between_and_within(squared_between_types(part))).max() < 0.3
    whole = replace(part, shown=np.ones(GENES.shape))
    assert between_and_within(squared_between_types(whole))[0] > 3.0
