"""Counts turned gene after gene are those of a stable sort; kept rows are rows of the matrix."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from pmcell.core.counts.blocks import Block
from pmcell.core.counts.by_gene import joined_runs, runs_by_gene
from pmcell.core.counts.kept import N_LOOKUP, kept_rows
from pmcell.core.counts.lognorm import log_normalised


def a_matrix(seed: int, n_cells: int, n_genes: int = 7) -> sparse.csr_matrix:
    rng = np.random.default_rng(seed)
    matrix = sparse.csr_matrix(rng.poisson(0.7, (n_cells, n_genes)).astype(np.int32))
    if matrix.nnz:
        matrix.data[rng.integers(matrix.nnz)] += 3 * N_LOOKUP
    return matrix


def as_block(matrix: sparse.csr_matrix) -> Block:
    return Block(0, matrix.indptr.astype(np.int64), matrix.indices, matrix.data)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), n_cells=st.integers(0, 9), cut=st.integers(0, 9))
def test_pieces_joined_are_the_whole_sorted_by_gene_then_cell(
    seed: int, n_cells: int, cut: int
) -> None:
    matrix = a_matrix(seed, n_cells)
    rng = np.random.default_rng(seed)
    wanted = rng.permutation(matrix.shape[1])[:5]
    rank = np.full(matrix.shape[1], -1, np.int32)
    rank[wanted] = np.arange(wanted.size)
    parts, first = [], 0
    for rows in (matrix[: min(cut, n_cells)], matrix[min(cut, n_cells) :]):
        indptr = rows.indptr.astype(np.int64)
        parts.append(
            runs_by_gene(indptr, rows.indices, rows.data, rank, n_genes=5, first_cell=first)
        )
        first += rows.shape[0]
    runs = joined_runs(parts)
    naive = sorted(
        (rank[gene], cell, count)
        for cell, gene, count in zip(*(matrix.tocoo().coords), matrix.tocoo().data, strict=True)
        if rank[gene] >= 0
    )
    gene = np.repeat(np.arange(5), runs.n_values)
    found = list(zip(gene, runs.cells, runs.counts, strict=True))
    assert [tuple(map(int, item)) for item in found] == [tuple(map(int, item)) for item in naive]


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), n_cells=st.integers(1, 9), keep=st.integers(0, 511))
def test_kept_rows_are_those_of_the_matrix_and_normalised_to_the_same_bits(
    seed: int, n_cells: int, keep: int
) -> None:
    matrix = a_matrix(seed, n_cells)
    mask = np.array([bool(keep >> cell & 1) for cell in range(n_cells)])
    rows = kept_rows(as_block(matrix), mask)
    wanted = matrix[mask]
    assert np.array_equal(rows.indptr, wanted.indptr)
    assert np.array_equal(rows.indices, wanted.indices)
    assert np.array_equal(rows.data, wanted.data)
    totals = np.repeat(np.asarray(wanted.sum(axis=1)).ravel(), np.diff(wanted.indptr))
    naive = log_normalised(wanted.data, totals).astype(np.float32)
    assert rows.log_normalised().tobytes() == naive.tobytes()
