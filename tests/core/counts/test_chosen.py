"""Counts of a few genes of each cell, in any number of passes."""

from __future__ import annotations

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from pmcell.bundle import resource_formula
from pmcell.core.counts import chosen
from pmcell.core.counts.blocks import Block, MatrixCounts
from pmcell.core.counts.chosen import iter_chosen
from pmcell.errors import DataError


class Blocks(MatrixCounts):
    """The same counts in blocks of seven cells; counts how often they are read."""

    n_passes = 0

    def iter_blocks(self):
        type(self).n_passes += 1
        whole = next(super().iter_blocks())
        for start in range(0, whole.n_rows, 7):
            indptr = whole.indptr[start : start + 8]
            own = slice(indptr[0], indptr[-1])
            yield Block(start, indptr - indptr[0], whole.indices[own], whole.data[own])


def naive(dense, sample_of_cell, sample, genes):
    rows = dense[sample_of_cell == sample]
    others = np.delete(rows, genes, axis=1).sum(axis=1, keepdims=True)
    return np.hstack([rows[:, genes], others])


def made(seed=0, n_cells=60, n_genes=25, n_samples=4):
    rng = np.random.default_rng(seed)
    dense = rng.poisson(0.6, (n_cells, n_genes))
    sample_of_cell = rng.integers(-1, n_samples, n_cells)
    genes = [np.sort(rng.permutation(n_genes)[: 3 + at]) for at in range(n_samples)]
    n_values = [
        int((dense[sample_of_cell == at][:, own] > 0).sum()) for at, own in enumerate(genes)
    ]
    return dense, sample_of_cell, genes, n_values


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 200), max_values=st.sampled_from([1, 20, 60, 10**6]))
def test_each_sample_has_its_genes_and_the_sum_of_all_others(seed, max_values):
    dense, sample_of_cell, genes, n_values = made(seed)
    counts = Blocks(sparse.csr_matrix(dense))
    found = list(iter_chosen(counts, sample_of_cell, genes, n_values, max_values=max_values))
    assert [at for at, _ in found] == [0, 1, 2, 3]
    for sample, matrix in found:
        wanted = naive(dense, sample_of_cell, sample, genes[sample])
        np.testing.assert_array_equal(matrix.toarray(), wanted)
        assert matrix.has_canonical_format


def test_as_many_samples_as_fit_are_read_in_one_pass():
    dense, sample_of_cell, genes, n_values = made()
    halves = max(n_values[0] + n_values[1], n_values[2] + n_values[3])
    for max_values, n_passes in ((sum(n_values), 1), (1, 4), (halves, 2)):
        Blocks.n_passes = 0
        counts = Blocks(sparse.csr_matrix(dense))
        list(iter_chosen(counts, sample_of_cell, genes, n_values, max_values=max_values))
        assert Blocks.n_passes == n_passes


def test_threads_change_nothing():
    dense, sample_of_cell, genes, n_values = made(3)
    threads = numba.get_num_threads()
    try:
        found = []
        for n_threads in (1, min(2, threads)):
            numba.set_num_threads(n_threads)
            counts = Blocks(sparse.csr_matrix(dense))
            found.append([m for _, m in iter_chosen(counts, sample_of_cell, genes, n_values)])
    finally:
        numba.set_num_threads(threads)
    for one, other in zip(*found, strict=True):
        np.testing.assert_array_equal(one.toarray(), other.toarray())


def test_no_cells_and_no_samples():
    empty = MatrixCounts(sparse.csr_matrix((0, 5), dtype=np.int32))
    nobody = np.zeros(0, np.int64)
    assert list(iter_chosen(empty, nobody, [], [])) == []
    ((_, matrix),) = iter_chosen(empty, nobody, [np.array([1, 3])], [0])
    assert matrix.shape == (0, 3)


def test_a_cell_whose_other_counts_pass_32_bits_is_refused():
    dense = np.array([[1, 1, 1], [5, 2**31 - 1, 2**31 - 1]])
    counts = MatrixCounts(sparse.csr_matrix(dense))
    with pytest.raises(DataError, match=r"cell 1 .* holds more"):
        list(iter_chosen(counts, np.zeros(2, np.int64), [np.array([0])], [2]))


def test_the_model_of_the_resources_knows_how_much_is_kept():
    assert resource_formula().KEPT_VALUES == chosen.MAX_VALUES
