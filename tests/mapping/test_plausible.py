"""Matrices of whole numbers that are no counts of cells of the reference's tissue are refused."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from pmcell.errors import DataError
from pmcell.mapping.expression import GeneSpace
from pmcell.mapping.plausible import MIN_COUNTS, check_samples

N_CELLS, N_GENES = 300, 200


def profiles():
    """Shares of genes in three types, each with genes of its own."""
    rng = np.random.default_rng(0)
    share = np.tile(rng.lognormal(0.0, 1.5, N_GENES), (3, 1))
    for kind in range(3):
        share[kind, kind * 20 : kind * 20 + 20] *= 8.0
    return share / share.sum(axis=1, keepdims=True)


def counts(depth=1000, *, share=None):
    """Counts of cells of the three types, or of one profile."""
    rng = np.random.default_rng(1)
    of_cell = profiles()[np.arange(N_CELLS) % 3] if share is None else np.tile(share, (N_CELLS, 1))
    return rng.poisson(of_cell * depth * rng.lognormal(0.0, 0.3, (N_CELLS, 1)))


def check(values, genes=None):
    ids = np.array([f"ENSG{number:011d}" for number in range(N_GENES)])
    space = GeneSpace(ids, ids, profiles().mean(axis=0), np.arange(N_GENES))
    return check_samples(
        sparse.csr_matrix(values), ids if genes is None else ids[genes], space, "blood"
    )


@pytest.mark.parametrize("depth", [150, 1000, 20000])
def test_counts_of_cells_pass_whatever_their_depth(depth):
    check(counts(depth))


def test_counts_of_few_cells_pass():
    check(counts()[:20])


def test_counts_of_one_type_pass():
    values = counts()
    values = np.random.default_rng(2).poisson(values[::3] * 1.0)
    check(values)


@pytest.mark.parametrize(
    "change",
    [
        lambda values: np.rint(np.log1p(values / values.sum(axis=1, keepdims=True) * 1e4)),
        lambda values: np.rint(np.log2(1.0 + values)),
        lambda values: values > 0,
        lambda values: values + 1,
        lambda values: np.repeat(values[:10], 30, axis=0),
    ],
    ids=["rounded ln", "rounded log2", "binary", "shifted", "cells given often"],
)
def test_whole_numbers_that_are_no_counts_are_refused(change):
    with pytest.raises(DataError, match="must vary over cells at least as much") as told:
        check(np.asarray(change(counts()), np.float64))
    assert told.value.reason == "not_counts"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda x: np.rint(x / x.sum(axis=1, keepdims=True) * 1.0e4), "must be ones"),
        (lambda x: np.floor(x / x.sum(axis=1, keepdims=True) * 1.0e4), "must be ones"),
        (
            lambda x: np.rint(x * np.where(np.arange(N_CELLS) % 4, 1.0, 1.7)[:, None]),
            "ones; in 2.%",
        ),
        (lambda x: x**2, "twos and threes"),
    ],
    ids=["CP10K, rounded", "CP10K, rounded down", "to the median total", "squares"],
)
def test_values_with_gaps_that_counts_do_not_have_are_refused(change, said):
    with pytest.raises(DataError, match=said) as told:
        check(np.asarray(change(counts(1000)), np.float64))
    assert told.value.reason == "not_counts"


def test_empty_droplets_are_refused():
    with pytest.raises(DataError, match="They are empty droplets") as told:
        check(counts(share=profiles().mean(axis=0)))
    assert told.value.reason == "cells_alike"


def test_genes_under_other_names_are_refused():
    order = np.random.default_rng(3).permutation(N_GENES)
    with pytest.raises(DataError, match="log shares correlate by") as told:
        check(counts()[:, order])
    assert told.value.reason == "unlike_reference"


def captured(sd, depth=20_000):
    """Counts of the three types where each gene is captured by its own factor."""
    rng = np.random.default_rng(6)
    share = profiles()[np.arange(N_CELLS) % 3] * rng.lognormal(0.0, sd, N_GENES)
    return rng.poisson(share / share.sum(axis=1, keepdims=True) * depth)


@pytest.mark.parametrize("sd", [0.5, 1.5, 3.5])
def test_genes_that_another_laboratory_captures_otherwise_are_not_refused(sd):
    check(captured(sd))


def test_genes_captured_at_random_are_refused_with_the_correlation_that_was_found():
    with pytest.raises(DataError, match=r"correlate by 0\.\d{3}, where at least 0\.35") as told:
        check(captured(5.0))
    assert told.value.reason == "unlike_reference"


def test_cells_with_few_counts_are_named_and_most_of_them_refused():
    values = counts()
    values[:50] = np.random.default_rng(4).binomial(values[:50], 0.05)
    is_poor = check(values)
    np.testing.assert_array_equal(is_poor, values.sum(axis=1) < MIN_COUNTS)
    assert 40 < is_poor.sum() <= 50
    with pytest.raises(DataError, match=f"fewer than {MIN_COUNTS} counts") as told:
        check(np.random.default_rng(4).binomial(counts(), 0.05))
    assert told.value.reason == "too_few_counts"


def test_the_order_of_genes_and_genes_that_the_reference_lacks_change_nothing():
    values = counts()
    order = np.random.default_rng(5).permutation(N_GENES)
    np.testing.assert_array_equal(check(values[:, order], order), check(values))
