"""Counts over other columns, and fingerprints of cells, beside their slow twins."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from pmcell.core.counts.rewritten import fingerprints, over_columns

_WORD = 2**64


def _rows(matrix, dtype):
    return matrix.indptr.astype(np.int64), matrix.indices, matrix.data.astype(dtype)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), n_columns=st.integers(1, 300))
def test_rows_over_other_columns_equal_a_product_of_matrices(seed, n_columns):
    rng = np.random.default_rng(seed)
    matrix = sparse.csr_matrix(rng.poisson(0.4, (7, n_columns)).astype(np.int32))
    matrix.data[rng.random(matrix.nnz) < 0.1] = 0
    columns = rng.integers(-1, n_columns, n_columns).astype(np.int32)
    sums = np.zeros(n_columns, np.int64)
    indptr, indices, data = over_columns(_rows(matrix, np.int32), columns, sums)
    found = sparse.csr_matrix((data, indices, indptr), (7, n_columns))
    assert found.has_canonical_format
    assert (data > 0).all()
    moved = np.zeros((n_columns, n_columns), int)
    moved[np.flatnonzero(columns >= 0), columns[columns >= 0]] = 1
    np.testing.assert_array_equal(found.toarray(), matrix.toarray() @ moved)
    np.testing.assert_array_equal(sums, matrix.toarray().sum(axis=0))


def _mixed(value: int) -> int:
    value = (value + 0x9E3779B97F4A7C15) * 0xBF58476D1CE4E5B9 % _WORD
    value = (value ^ value >> 27) * 0x94D049BB133111EB % _WORD
    return value ^ value >> 31


def test_fingerprints_are_sums_over_genes_and_counts_and_pass_over_stored_zeros():
    rng = np.random.default_rng(0)
    matrix = sparse.csr_matrix(rng.poisson(0.8, (5, 40)))
    matrix.data[::7] = 0
    names = rng.integers(0, 2**63, 40).astype(np.uint64)
    numbers, n_counts = fingerprints(_rows(matrix, np.int64), names)
    for row, counts in enumerate(matrix.toarray().tolist()):
        held = [(int(names[gene]), count) for gene, count in enumerate(counts) if count]
        assert int(numbers[row]) == sum(_mixed(name ^ _mixed(n)) for name, n in held) % _WORD
        assert n_counts[row] == len(held)
