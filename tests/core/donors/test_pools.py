"""Rare types are pooled, each without its own mean; common ones stay alone."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pmcell.core.donors.channels import DonorSums, place, squared_distances
from pmcell.core.donors.fit import fit_state
from pmcell.core.donors.pools import fit_pools, pool_rare

LEAST, SHARE = 10, 0.5


def enough(n: np.ndarray, own: np.ndarray) -> bool:
    return bool((n[:, own].sum(axis=1) >= LEAST).mean() >= SHARE)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 12), st.integers(1, 9))
def test_every_pool_has_enough_and_common_types_stay_alone(
    seed: int, types: int, rows: int
) -> None:
    rng = np.random.default_rng(seed)
    n = rng.poisson(rng.choice([0.0, 1.0, 4.0, 12.0, 40.0], types), (rows, types)).astype(float)
    of_type = pool_rare(n, rng.normal(size=(types, 2)), LEAST, SHARE)
    pools = [np.flatnonzero(of_type == pool) for pool in range(of_type.max(initial=-1) + 1)]
    for own in pools:
        assert enough(n, own)
        if own.size > 1:
            assert not any(enough(n, own[[at]]) for at in range(own.size))
    common = [at for at in range(types) if enough(n, np.array([at]))]
    assert all((of_type == of_type[at]).sum() == 1 and of_type[at] >= 0 for at in common)
    rare = [at for at in range(types) if at not in common]
    assert (n.sum(axis=0)[of_type >= 0] > 0).all()
    # Together they may be enough, and then none with cells is left out.
    if rare and enough(n, np.array(rare)):
        assert all(of_type[at] >= 0 for at in rare if n[:, at].sum() > 0)
    firsts = [
        int(np.flatnonzero(of_type == pool)[0]) for pool in range(of_type.max(initial=-1) + 1)
    ]
    assert firsts == sorted(firsts)


def test_rare_types_join_their_nearest_kin() -> None:
    n = np.array([[50.0, 6.0, 6.0, 6.0, 6.0]] * 4)
    centre = np.array([[0.0], [1.0], [10.0], [11.0], [2.0]])
    assert pool_rare(n, centre, LEAST, SHARE).tolist() == [0, 1, 2, 2, 1]


def test_what_is_too_little_even_together_has_no_pool() -> None:
    n = np.array([[50.0, 2.0, 2.0]] * 4)
    assert pool_rare(n, np.zeros((3, 1)), LEAST, SHARE).tolist() == [0, -1, -1]


def cells_of(seed: int, rows: int = 12, types: int = 4, dims: int = 3):
    """Cells with row, type and batch; few of each type in a row, some rows without a type."""
    rng = np.random.default_rng(seed)
    n = rng.poisson(6.0, (rows, types))
    row, kind = (np.repeat(index.ravel(), n.ravel()) for index in np.indices(n.shape))
    batch = np.arange(rows) % 2
    x = 5 * rng.normal(size=(types, dims))[kind] + rng.normal(size=(row.size, dims))
    return x + 2.0 * batch[row][:, None], row, kind, n.astype(float), batch


def sums_of(x: np.ndarray, row: np.ndarray, kind: np.ndarray, n: np.ndarray) -> DonorSums:
    mean = np.full((*n.shape, x.shape[1]), np.nan)
    for at, of in zip(*np.nonzero(n), strict=True):
        mean[at, of] = x[(row == at) & (kind == of)].mean(axis=0)
    return DonorSums(n, mean, np.ones((n.shape[1], x.shape[1])))


def test_pooled_means_are_those_of_the_cells_less_their_types_means() -> None:
    x, row, kind, n, batch = cells_of(0)
    sums = sums_of(x, row, kind, n)
    pools = fit_pools(np.array([0, 1, 1, 1]), n, sums.mean, batch, 2)
    assert not pools.centre[0].any()
    found = pools.means(n, sums.mean)
    for at in range(n.shape[0]):
        own = (row == at) & (kind > 0)
        assert np.allclose(found[at, 1], (x[own] - pools.centre[kind[own]]).mean(axis=0))
        assert np.allclose(found[at, 0], x[(row == at) & (kind == 0)].mean(axis=0))


def test_types_and_batches_of_a_pool_are_the_least_squares_of_its_cells() -> None:
    x, row, kind, n, batch = cells_of(1)
    pools = fit_pools(np.zeros(4, np.int64), n, sums_of(x, row, kind, n).mean, batch, 2)
    design = np.column_stack([np.eye(4)[kind], np.eye(2)[batch[row]]])
    beta = np.linalg.lstsq(design, x, rcond=None)[0]
    # Types are told up to what all share.
    difference = pools.centre - beta[:4]
    assert np.allclose(difference, difference.mean(axis=0), atol=0.02)


def test_a_type_that_is_common_in_one_batch_does_not_hide_the_batch() -> None:
    x, row, kind, n, batch = cells_of(2)
    kept = ~((kind == 3) & (batch[row] == 0))
    n[batch == 0, 3] = 0
    sums = sums_of(x[kept], row[kept], kind[kept], n)
    pools = fit_pools(np.zeros(4, np.int64), n, sums.mean, batch, 2)
    moved = pools.means(n, sums.mean)[:, 0]
    assert np.allclose(moved[batch == 1].mean(axis=0) - moved[batch == 0].mean(axis=0), 2, atol=0.4)


def test_a_pooled_type_without_cells_here_is_not_looked_at_elsewhere() -> None:
    x, row, kind, n, batch = cells_of(3)
    sums = sums_of(x, row, kind, n)
    without = n.copy()
    without[:, 2] = 0
    pools = fit_pools(np.zeros(4, np.int64), without, sums.mean, batch, 2)
    assert pools.of_type.tolist() == [0, 0, -1, 0]


@pytest.mark.parametrize("types", [6, 12])
def test_pooled_distances_of_equal_donors_are_zero_on_average(types: int) -> None:
    values = []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        n = rng.poisson(3.0, (60, types)).astype(float)
        error = rng.normal(size=(60, types, 4)) / np.sqrt(np.maximum(n, 1))[:, :, None]
        known = np.where((n > 0)[:, :, None], 3 * rng.normal(size=(types, 4)) + error, np.nan)
        # Weights come from donors who differ: on equal ones they take some noise for signal.
        moved = known + 0.5 * rng.normal(size=(60, 1, 4))
        batch, pool = np.zeros(60, np.int64), np.zeros(types, np.int64)
        within = np.ones((types, 4))
        channel = fit_state(DonorSums(n, moved, within), batch, 1, pool=pool, min_cells=10)
        placed = place(channel, DonorSums(n, known, within), batch, 10)
        rows = np.flatnonzero(placed.present[:, 0])
        distance = squared_distances(channel, placed)[np.ix_(rows, rows)] * channel.scale
        values.append(
            distance[np.triu_indices(rows.size, 1)].mean() / (2 * placed.noise[rows].mean())
        )
    assert abs(np.mean(values)) < 0.1
