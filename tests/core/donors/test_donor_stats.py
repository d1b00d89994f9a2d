"""Sums of groups of cells: exact, for any order and any number of threads."""

from __future__ import annotations

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pmcell.core.donors.donor_stats import SCALE, GroupSums, means, sum_groups, within_variance


def naive_sums(x: np.ndarray, group: np.ndarray, n_groups: int) -> GroupSums:
    n = np.zeros(n_groups, np.int64)
    total = np.zeros((n_groups, x.shape[1]), np.int64)
    squares = np.zeros_like(total)
    for cell, code in enumerate(group):
        if code < 0:
            continue
        n[code] += 1
        for dim, value in enumerate(x[cell]):
            total[code, dim] += round(float(value) * SCALE)
            squares[code, dim] += round(float(value) * float(value) * SCALE)
    return GroupSums(n, total, squares)


def example(n_cells: int = 300, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n_cells, 5)).astype(np.float32)
    return x, rng.integers(-1, 7, n_cells)


def assert_same(left: GroupSums, right: GroupSums) -> None:
    assert np.array_equal(left.n, right.n)
    assert np.array_equal(left.total, right.total)
    assert np.array_equal(left.squares, right.squares)


def test_sums_equal_the_slow_version() -> None:
    x, group = example()
    assert_same(sum_groups(x, group, 7), naive_sums(x, group, 7))


@settings(max_examples=30, deadline=None)
@given(
    hnp.arrays(np.float64, (20, 2), elements=st.floats(-50, 50)),
    hnp.arrays(np.int64, 20, elements=st.integers(-1, 3)),
)
def test_any_values_give_the_sums_of_the_slow_version(x: np.ndarray, group: np.ndarray) -> None:
    assert_same(sum_groups(x, group, 4), naive_sums(x, group, 4))


def test_shuffled_cells_give_the_same_bits() -> None:
    x, group = example()
    order = np.random.default_rng(1).permutation(x.shape[0])
    assert_same(sum_groups(x, group, 7), sum_groups(x[order], group[order], 7))


def test_one_and_two_threads_give_the_same_bits() -> None:
    x, group = example(5000)
    before = numba.get_num_threads()
    try:
        numba.set_num_threads(1)
        one = sum_groups(x, group, 7)
        numba.set_num_threads(min(2, numba.config.NUMBA_NUM_THREADS))
        assert_same(one, sum_groups(x, group, 7))
    finally:
        numba.set_num_threads(before)


def test_sums_of_parts_add_up_to_the_whole() -> None:
    x, group = example()
    parts = [sum_groups(x[part], group[part], 7) for part in (slice(0, 100), slice(100, None))]
    added = GroupSums(*(getattr(parts[0], f) + getattr(parts[1], f) for f in vars(parts[0])))
    assert_same(added, sum_groups(x, group, 7))


def test_a_group_without_cells_has_no_mean() -> None:
    sums = sum_groups(np.ones((2, 3)), np.array([0, 0]), 2)
    mean = means(sums.n, sums.total)
    assert np.array_equal(mean[0], np.ones(3))
    assert np.isnan(mean[1]).all()


def test_variance_within_groups_equals_numpys() -> None:
    x, group = example(2000)
    got = within_variance(sum_groups(x, group, 7), np.zeros(7, np.int64), 1)[0]
    kept = group >= 0
    residual = x[kept] - np.array([x[group == g].mean(axis=0) for g in group[kept]])
    expected = (residual.astype(float) ** 2).sum(axis=0) / (kept.sum() - 7)
    assert np.allclose(got, expected, rtol=1e-5)


def test_variance_is_unknown_without_two_cells() -> None:
    sums = sum_groups(np.ones((1, 2)), np.array([0]), 1)
    assert np.isnan(within_variance(sums, np.array([0]), 1)).all()


def test_nan_is_refused() -> None:
    with pytest.raises(ValueError, match="finite in every cell"):
        sum_groups(np.array([[np.nan]]), np.array([0]), 1)


def test_values_that_could_overflow_are_refused() -> None:
    with pytest.raises(ValueError, match="too large for exact sums"):
        sum_groups(np.array([[1e9]]), np.array([0]), 1)


def test_a_group_beyond_the_last_is_refused() -> None:
    with pytest.raises(ValueError, match="below 2"):
        sum_groups(np.ones((1, 1)), np.array([2]), 2)
