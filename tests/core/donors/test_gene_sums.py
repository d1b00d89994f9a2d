"""Expression of donors and its noise, against what drawing the cells again gives."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from made_genes import made_genes
from pmcell.core.donors.gene_sums import (
    MIN_COUNTS,
    HalfCounts,
    gene_sums,
    half_gene_sums,
    log_expression,
)


def test_depth_alone_does_not_move_expression() -> None:
    counts = np.array([[[5.0, 40.0, 400.0]]])
    total, mean_total = counts.sum(axis=2), np.array([445.0])
    shallow = log_expression(counts / 5, total / 5, mean_total)
    np.testing.assert_allclose(shallow, log_expression(counts, total, mean_total))


def test_noise_is_what_drawing_the_cells_again_gives() -> None:
    """Sum over genes of the variance of a row, told from two halves, and over 60 new draws."""
    share = np.exp(np.random.default_rng(1).normal(0, 1.2, 300))
    share /= share.sum()
    cells = np.repeat([20, 60, 180], 6)

    def draw(rng: np.random.Generator) -> HalfCounts:
        halves = []
        for _ in range(2):
            gamma = rng.gamma(cells[:, None] / 2 / 0.5, 0.5, (cells.size, 300))
            halves.append(rng.poisson(1000 * share * gamma))
        counts = np.array(halves, float)[:, :, None, :]
        return HalfCounts(counts, counts.sum(axis=3), cells[:, None].astype(float))

    rows, gene = np.arange(cells.size), np.arange(300)[None]
    draws = [gene_sums(draw(np.random.default_rng(seed)), rows, gene, rows) for seed in range(60)]
    truth = np.var([one.mean[:, 0] for one in draws], axis=0, ddof=1).sum(axis=1)
    told = np.array([one.variance()[:, 0] * one.within.sum() for one in draws]).mean(axis=0)
    for size in (20, 60, 180):
        ratio = told[cells == size].mean() / truth[cells == size].mean()
        assert 0.85 < ratio < 1.2, (size, ratio)


def test_size_follows_the_cells_and_its_mean_is_theirs() -> None:
    made = made_genes(2, cells=(20, 400))
    sums = made.sums()
    np.testing.assert_allclose(sums.size.mean(axis=0), made.halves.n.mean(axis=0))
    for kind in range(4):
        assert np.corrcoef(sums.size[:, kind], made.halves.n[:, kind])[0, 1] > 0.9


def test_a_row_without_enough_counts_in_a_half_is_not_known() -> None:
    made = made_genes(3)
    counts, total = made.halves.counts.copy(), made.halves.total.copy()
    total[1, 5, 2] = MIN_COUNTS - 1
    sums = replace(made, halves=HalfCounts(counts, total, made.halves.n)).sums()
    assert sums.size[5, 2] == 0
    assert np.isnan(sums.mean[5, 2]).all()
    assert (sums.variance() >= 0).all()
    assert sums.variance()[5, 2] == 0


def test_halves_have_twice_the_noise_of_the_whole_and_the_same_mean() -> None:
    made = made_genes(4, cells=(300, 400))
    rows = np.arange(40)
    whole = made.sums()
    halves = half_gene_sums(made.halves, whole, rows)
    np.testing.assert_allclose(sum(half.size for half in halves), whole.size)
    assert abs(np.mean([half.mean for half in halves]) - whole.mean.mean()) < 0.02


def test_drawing_again_adds_one_noise() -> None:
    sums = made_genes(5).sums()
    again = sums.with_error(np.random.default_rng(0))
    assert again.noise == 2.0
    gap = ((again.mean - sums.mean) ** 2).sum(axis=2) / (sums.variance() * sums.within.sum(axis=1))
    assert gap.mean() == pytest.approx(1.0, abs=0.05)
