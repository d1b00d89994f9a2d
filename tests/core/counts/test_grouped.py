"""Sums per group are exact, whatever the threads, blocks and order of the cells."""

from __future__ import annotations

from collections.abc import Iterator

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from pmcell.core.counts.blocks import Block, MatrixCounts, SharedBlocks
from pmcell.core.counts.grouped import MAX_TABLE, add_sums, grouped_sums
from pmcell.core.counts.lognorm import MAX_Q, SCALE, TARGET
from pmcell.core.counts.sums import COUNTS, N_DETECTED, SUM_Q, SUM_Q2


class Blocks:
    """A matrix read in blocks of `n_rows` cells."""

    def __init__(self, matrix: sparse.csr_matrix, n_rows: int) -> None:
        self.matrix, self.n_rows = matrix, n_rows
        self.n_cells, self.n_genes = matrix.shape

    def iter_blocks(self) -> Iterator[Block]:
        for start in range(0, self.n_cells, self.n_rows):
            (part,) = MatrixCounts(self.matrix[start : start + self.n_rows]).iter_blocks()
            yield Block(start, part.indptr, part.indices, part.data)


def naive_sums(counts: np.ndarray, group_of_cell: np.ndarray, n_groups: int) -> np.ndarray:
    """The definition, cell by cell: (n_groups, n_genes, 4)."""
    sums = np.zeros((n_groups, counts.shape[1], 4), np.int64)
    for cell, group in enumerate(group_of_cell):
        total = counts[cell].sum()
        if group < 0 or total == 0:
            continue
        q = np.rint(np.log1p(counts[cell] * (TARGET / total)) * SCALE).astype(np.int64)
        for column, values in enumerate((counts[cell], counts[cell] > 0, q, q * q)):
            sums[group, :, column] += values
    return sums


def dense(sums, column: int) -> np.ndarray:
    return sums.matrix(column).toarray()


def random_counts(seed: int, n_cells: int = 60, n_genes: int = 23) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    counts = random.poisson(random.gamma(0.4, 2.0, n_genes), (n_cells, n_genes))
    counts[0] = 0
    counts[1, 3] = 5_000_000
    return counts, random.integers(-1, 6, n_cells)


@pytest.mark.parametrize("n_cells", [60, 400], ids=["merged", "in tables"])
@pytest.mark.parametrize("max_table", [0, 2 * 23 * 20, MAX_TABLE])
def test_sums_equal_the_definition(n_cells: int, max_table: int) -> None:
    counts, groups = random_counts(1, n_cells)
    matrix = MatrixCounts(sparse.csr_matrix(counts))
    found = grouped_sums(matrix, groups, 6, max_table=max_table)
    expected = naive_sums(counts, groups, 6)
    for column in (COUNTS, N_DETECTED, SUM_Q, SUM_Q2):
        np.testing.assert_array_equal(dense(found, column), expected[:, :, column])


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    n_cells=st.integers(1, 40),
    n_rows=st.integers(1, 41),
    n_groups=st.integers(1, 8),
)
def test_sums_do_not_depend_on_blocks_or_order(
    seed: int, n_cells: int, n_rows: int, n_groups: int
) -> None:
    random = np.random.default_rng(seed)
    counts = sparse.csr_matrix(random.poisson(0.7, (n_cells, 9)))
    groups = random.integers(-1, n_groups, n_cells)
    whole = grouped_sums(MatrixCounts(counts), groups, n_groups)
    order = random.permutation(n_cells)
    cut = grouped_sums(Blocks(counts[order], n_rows), groups[order], n_groups)
    for name in ("indptr", "indices", "values"):
        np.testing.assert_array_equal(getattr(whole, name), getattr(cut, name))


def test_sums_have_the_same_bits_for_one_and_two_threads() -> None:
    counts, groups = random_counts(2, n_cells=400)
    found = []
    before = numba.get_num_threads()
    try:
        for n_threads in (1, min(2, numba.config.NUMBA_NUM_THREADS)):
            numba.set_num_threads(n_threads)
            found.append(grouped_sums(Blocks(sparse.csr_matrix(counts), 37), groups, 6))
    finally:
        numba.set_num_threads(before)
    for name in ("indptr", "indices", "values"):
        assert getattr(found[0], name).tobytes() == getattr(found[1], name).tobytes()


def test_sums_of_two_halves_add_up_to_the_whole() -> None:
    counts, groups = random_counts(3)
    whole = grouped_sums(MatrixCounts(sparse.csr_matrix(counts)), groups, 6)
    halves = [
        grouped_sums(MatrixCounts(sparse.csr_matrix(counts[half])), groups[half], 6)
        for half in (slice(0, 25), slice(25, None))
    ]
    added = add_sums(*halves)
    np.testing.assert_array_equal(added.indices, whole.indices)
    np.testing.assert_array_equal(added.values, whole.values)


@pytest.mark.parametrize(("n_cells", "count"), [(40, 2**31 - 1), (230_000, 1)])
def test_sums_beyond_32_bits_are_exact(n_cells: int, count: int) -> None:
    matrix = sparse.csr_matrix(np.full((n_cells, 1), count, np.int32))
    found = grouped_sums(MatrixCounts(matrix), np.zeros(n_cells, np.int64), 1)
    q = round(np.log1p(TARGET) * SCALE)
    assert found.values.tolist() == [[n_cells * count, n_cells, n_cells * q, n_cells * q * q]]


def test_a_second_reader_sees_each_cell_once_however_often_the_counts_are_read() -> None:
    counts, groups = random_counts(4, n_cells=400)
    seen: list[Block] = []
    shared = SharedBlocks(Blocks(sparse.csr_matrix(counts), 37), seen.append)
    grouped_sums(shared, groups, 6, max_table=0)
    assert [row for block in seen for row in range(*block.rows.indices(400))] == list(range(400))


def test_no_groups_have_no_sums() -> None:
    found = grouped_sums(MatrixCounts(sparse.csr_matrix((3, 5), dtype=np.int32)), np.full(3, -1), 0)
    assert found.values.shape == (0, 4)


def test_stored_zeros_are_not_detected() -> None:
    matrix = sparse.csr_matrix((np.array([0, 3]), np.array([0, 1]), np.array([0, 2])), (1, 2))
    found = grouped_sums(MatrixCounts(matrix), np.zeros(1, np.int64), 1)
    assert dense(found, N_DETECTED).tolist() == [[0, 1]]


def test_a_cell_with_all_counts_on_one_gene_reaches_the_largest_value() -> None:
    matrix = sparse.csr_matrix(np.array([[7, 0]]))
    found = grouped_sums(MatrixCounts(matrix), np.zeros(1, np.int64), 1)
    assert 0 < dense(found, SUM_Q)[0, 0] <= MAX_Q


@pytest.mark.parametrize("shape", [(0, 5), (0, 0), (3, 5)])
def test_no_cell_in_use_gives_empty_sums(shape: tuple[int, int]) -> None:
    matrix = sparse.csr_matrix(shape, dtype=np.int32)
    found = grouped_sums(MatrixCounts(matrix), np.full(shape[0], -1), 2)
    assert (found.n_groups, found.n_genes, found.indices.size) == (2, shape[1], 0)


def test_adding_different_genes_is_refused() -> None:
    one, other = (
        grouped_sums(MatrixCounts(sparse.csr_matrix(np.ones((1, n), int))), np.zeros(1, int), 1)
        for n in (2, 3)
    )
    with pytest.raises(ValueError, match=r"same groups and genes.*1 × 2 and 1 × 3"):
        add_sums(one, other)
