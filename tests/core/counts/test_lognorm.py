import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

import naive
from counts_data import random_counts
from pmcell.core.counts.lognorm import MAX_Q, cell_totals, quantise


def test_quantised_values_equal_the_formula():
    matrix = random_counts()
    values = quantise(matrix.indptr.astype(np.int64), matrix.data)
    dense = np.zeros(matrix.shape, np.int64)
    dense[matrix.nonzero()] = values
    np.testing.assert_array_equal(dense, naive.quantised(matrix.toarray()))


def test_a_cell_with_all_counts_on_one_gene_reaches_the_largest_value():
    matrix = sparse.csr_matrix(np.array([[7, 0]], np.int32))
    assert MAX_Q - 1 <= quantise(matrix.indptr.astype(np.int64), matrix.data)[0] <= MAX_Q


def test_a_row_without_counts_has_no_values_and_total_zero():
    indptr = np.array([0, 2, 2], np.int64)
    data = np.array([0, 0], np.int32)
    assert quantise(indptr, data).tolist() == [0, 0]
    assert cell_totals(indptr, data).tolist() == [0, 0]


@given(st.lists(st.integers(1, 2**20), min_size=1, max_size=30))
def test_larger_counts_never_have_smaller_values(counts):
    data = np.array(sorted(counts), np.int32)
    values = quantise(np.array([0, data.size], np.int64), data)
    assert (np.diff(values) >= 0).all()
