"""Rank sums equal scipy's, for any ties, threads and split."""

from __future__ import annotations

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse, stats

from pmcell.core.counts.blocks import MatrixCounts
from pmcell.core.counts.lognorm import quantise
from pmcell.core.counts.ranks import LabelledCounts, RankSums, rank_sums, rank_tests
from pmcell.tl.rank_markers import adjusted

Table = tuple[np.ndarray, np.ndarray]


def sizes_of(counts: np.ndarray, cluster: np.ndarray) -> Table:
    """Cells and cells with a count of each cluster and gene."""
    member = cluster == np.arange(cluster.max() + 1)[:, None]
    n_cells = np.repeat(member.sum(axis=1)[:, None], counts.shape[1], axis=1)
    return n_cells, member.astype(int) @ (counts > 0)


def ranked(counts: np.ndarray, cluster: np.ndarray, **options: int) -> tuple[RankSums, np.ndarray]:
    n_cells, n_detected = sizes_of(counts, cluster)
    matrix = MatrixCounts(sparse.csr_matrix(counts))
    part = LabelledCounts(matrix, cluster, np.arange(counts.shape[1]))
    return rank_sums([part], n_cells, n_detected, **options), n_cells


def values_of(counts: np.ndarray) -> np.ndarray:
    matrix = sparse.csr_matrix(counts)
    q = quantise(matrix.indptr.astype(np.int64), matrix.data.astype(np.int32))
    return sparse.csr_matrix((q, matrix.indices, matrix.indptr), matrix.shape).toarray()


def made(seed: int, n_cells: int = 200, n_genes: int = 30) -> Table:
    rng = np.random.default_rng(seed)
    return rng.poisson(rng.gamma(0.4, 1.0, n_genes), (n_cells, n_genes)), rng.integers(
        0, 4, n_cells
    )


@settings(max_examples=20, deadline=None)
@given(st.data())
def test_rank_sums_and_tests_equal_scipy(data: st.DataObject) -> None:
    n_cells = data.draw(st.integers(2, 25))
    row = st.lists(st.integers(0, 3), min_size=3, max_size=3)
    counts = np.array(data.draw(st.lists(row, min_size=n_cells, max_size=n_cells)))
    labels = st.lists(st.integers(0, 2), min_size=n_cells, max_size=n_cells)
    cluster = np.array(data.draw(labels))
    found, sizes = ranked(counts, cluster)
    values = values_of(counts)
    plain, continuous = rank_tests(found, sizes), rank_tests(found, sizes, continuity=True)
    for of in range(cluster.max() + 1):
        inside = cluster == of
        for gene in range(3):
            ranks = stats.rankdata(values[:, gene])
            assert found.doubled[of, gene] == 2 * ranks[inside].sum()
            if not 0 < inside.sum() < n_cells:
                assert np.isnan(plain.auc[of, gene])
                continue
            pair = values[inside, gene], values[~inside, gene]
            u = stats.mannwhitneyu(*pair).statistic
            assert plain.auc[of, gene] == pytest.approx(u / (pair[0].size * pair[1].size))
            if np.ptp(values[:, gene]) == 0:
                assert plain.z[of, gene] == 0
                assert plain.p_value[of, gene] == 1
                continue
            for tests, continuity in ((plain, False), (continuous, True)):
                expected = stats.mannwhitneyu(*pair, method="asymptotic", use_continuity=continuity)
                assert tests.p_value[of, gene] == pytest.approx(expected.pvalue, rel=1e-9)


def test_threads_blocks_and_splits_give_the_same_bits() -> None:
    counts, cluster = made(1)
    n_cells, n_detected = sizes_of(counts, cluster)
    expected, _ = ranked(counts, cluster)
    parts = [
        LabelledCounts(
            MatrixCounts(sparse.csr_matrix(counts[at::3])), cluster[at::3], np.arange(30)
        )
        for at in range(3)
    ]
    threads = numba.get_num_threads()
    try:
        for n_threads in {1, min(2, threads)}:
            numba.set_num_threads(n_threads)
            found = rank_sums(parts, n_cells, n_detected, max_values=500)
            np.testing.assert_array_equal(found.doubled, expected.doubled)
            np.testing.assert_array_equal(found.spread, expected.spread)
    finally:
        numba.set_num_threads(threads)


def test_genes_and_cells_without_a_place_are_left_out() -> None:
    counts, cluster = made(2)
    half, some = cluster % 2, np.arange(30) % 3 - 1
    genes = np.where(some == 1, np.cumsum(some == 1) - 1, -1)
    kept = np.arange(200) < 150
    n_cells, n_detected = sizes_of(counts[kept][:, some == 1], half[kept])
    # Totals are those of all genes of the cell.
    part = LabelledCounts(MatrixCounts(sparse.csr_matrix(counts)), np.where(kept, half, -1), genes)
    found = rank_sums([part], n_cells, n_detected)
    ranks = stats.rankdata(values_of(counts)[kept][:, some == 1], axis=0)
    np.testing.assert_array_equal(found.doubled[1], 2 * ranks[half[kept] == 1].sum(axis=0))


@pytest.mark.parametrize("change", [-1, 1])
def test_wrong_numbers_of_detected_cells_are_refused(change: int) -> None:
    counts, cluster = made(3)
    n_cells, n_detected = sizes_of(counts, cluster)
    part = LabelledCounts(MatrixCounts(sparse.csr_matrix(counts)), cluster, np.arange(30))
    n_detected[0, 0] += change
    with pytest.raises(ValueError, match="n_detected must be the cells with a count"):
        rank_sums([part], n_cells, n_detected)


def test_the_spread_of_ten_million_cells_with_few_counts_does_not_cancel() -> None:
    # One cell of ten million has a count: its rank deviates by half of all.
    n = 10_000_000
    deviation = n - (n + 1) / 2
    sums = RankSums(np.array([[2 * n], [n * (n - 1)]]), np.array([deviation * n / 2]))
    tests = rank_tests(sums, np.array([[1], [n - 1]]))
    np.testing.assert_allclose(tests.auc[:, 0], [1, 0])
    assert tests.z[0, 0] == pytest.approx(np.sqrt(n - 1), rel=1e-6)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_adjusted_p_equal_scipy_and_are_never_below_with_tests_left_out(p: list[float]) -> None:
    values = np.array(p)
    everything = stats.false_discovery_control(values)
    np.testing.assert_allclose(adjusted(values, values.size), everything, rtol=1e-12)
    assert (adjusted(values[::2], values.size) >= everything[::2] * (1 - 1e-12)).all()
