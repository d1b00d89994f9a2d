import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import naive
from counts_data import random_counts
from pmcell.core.counts.blocks import MatrixCounts
from pmcell.core.counts.moments import Moments, clipped_sums, moments


def sums_of(matrix, batch, n_batches=2) -> Moments:
    names = [f"b{at}" for at in range(n_batches)]
    return moments(MatrixCounts(matrix), np.asarray(batch, np.int64), names)


def test_sums_equal_the_naive_ones():
    matrix = random_counts()
    batch = np.arange(matrix.shape[0]) % 2
    found = sums_of(matrix, batch)
    np.testing.assert_array_equal(found.sums, naive.moments(matrix.toarray(), batch, 2))
    assert found.n_cells.tolist() == [60, 60]


def test_cells_without_a_batch_are_left_out():
    matrix = random_counts()
    batch = np.where(np.arange(matrix.shape[0]) < 50, 0, -1)
    np.testing.assert_array_equal(
        sums_of(matrix, batch).sums[0], sums_of(matrix[:50], np.zeros(50)).sums[0]
    )


def test_the_histogram_gives_clipped_sums_of_any_limit():
    matrix = random_counts()
    found = sums_of(matrix, np.zeros(matrix.shape[0]))
    for limit in (0.5, 3.0, 17.25, 1e9):
        clip = np.full(matrix.shape[1], limit)
        total, squares = clipped_sums(found.histogram[:, 1:], found.histogram_cells, clip)
        clipped = np.minimum(matrix.toarray(), limit)
        np.testing.assert_allclose(total, clipped.sum(0))
        np.testing.assert_allclose(squares, (clipped**2).sum(0))


@pytest.mark.parametrize("n_threads", [1, 2])
def test_one_and_two_threads_give_the_same_bits(n_threads):
    matrix = random_counts(300)
    batch = np.arange(300) % 3
    numba.set_num_threads(n_threads)
    try:
        found = sums_of(matrix, batch, 3)
    finally:
        numba.set_num_threads(numba.config.NUMBA_NUM_THREADS)
    np.testing.assert_array_equal(found.sums, naive.moments(matrix.toarray(), batch, 3))


@settings(max_examples=25, deadline=None)
@given(st.permutations(range(40)), st.integers(0, 40))
def test_any_order_and_any_cut_of_the_cells_adds_up_to_the_same(order, cut):
    matrix = random_counts(40, 20)[list(order)]
    whole = sums_of(matrix, np.zeros(40), 1)
    parts = [sums_of(part, np.zeros(part.shape[0]), 1) for part in (matrix[:cut], matrix[cut:])]
    np.testing.assert_array_equal(whole.sums, parts[0].sums + parts[1].sums)
    np.testing.assert_array_equal(whole.sums, sums_of(random_counts(40, 20), np.zeros(40), 1).sums)
