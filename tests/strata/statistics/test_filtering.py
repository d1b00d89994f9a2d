"""Genes with few counts are left out where more are found so, and not where none is to be found."""

from __future__ import annotations

import numpy as np

from pmcell.core.donors.association import benjamini_hochberg
from pmcell.strata.statistics.filtering import LIMITS, filtered_q, limit_reached


def test_genes_with_few_counts_and_no_difference_are_left_out() -> None:
    rng = np.random.default_rng(0)
    p = np.concatenate([np.full(15, 1e-4), rng.uniform(0, 0.03, 25), rng.uniform(0.2, 1, 400)])
    reached = np.repeat([10.0, 2.0], [40, 400])
    assert 10 < (benjamini_hochberg(p) <= 0.05).sum() < 25
    q = filtered_q(p, reached, 0.05)
    assert (q <= 0.05).sum() == 40
    np.testing.assert_array_equal(q[40:], 1.0)


def test_where_the_difference_is_in_genes_with_few_counts_all_are_tested() -> None:
    p = np.concatenate([np.full(30, 1e-4), np.linspace(0.1, 1, 100)])
    reached = np.repeat([2.0, 10.0], [30, 100])
    np.testing.assert_array_equal(filtered_q(p, reached, 0.05), benjamini_hochberg(p))


def test_a_few_finds_choose_no_limit() -> None:
    rng = np.random.default_rng(1)
    for _ in range(50):
        p, reached = rng.uniform(size=300), rng.choice(LIMITS, 300)
        np.testing.assert_array_equal(filtered_q(p, reached, 0.05), benjamini_hochberg(p))


def test_the_limit_that_a_gene_reaches_is_the_highest() -> None:
    counts = np.tile([1.0, 2, 4, 6, 30], (8, 1))
    assert limit_reached(counts, np.full(8, 1e4), 4).tolist() == [0, 2, 3, 5, 10]
