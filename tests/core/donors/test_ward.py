"""Compact clusters: a naive oracle, unequal sizes, order of rows."""

from __future__ import annotations

import numpy as np
from scipy.cluster.hierarchy import cut_tree, ward

from pmcell.core.donors.association import adjusted_rand
from pmcell.core.donors.donor_map import partition, silhouettes
from pmcell.core.donors.spectral import (
    between_means,
    pairwise_squared,
    principal_coordinates,
    silhouette,
    spectral_partitions,
)
from pmcell.core.donors.ward import _cut, ward_partitions


def points(sizes: tuple[int, ...], seed: int = 0, apart: float = 6.0) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(seed)
    label = np.repeat(np.arange(len(sizes)), sizes)
    corner = apart * np.eye(len(sizes))[:, :2] if len(sizes) == 3 else None
    centre = corner if corner is not None else apart * np.arange(len(sizes))[:, None] * [1.0, 0.5]
    order = rng.permutation(label.size)
    return (centre[label] + rng.normal(0, 1, (label.size, 2)))[order], label[order]


def test_no_single_row_can_move_and_lessen_the_squares() -> None:
    """The naive oracle of a local optimum: every row is nearest to the mean of its own cluster."""
    x, _ = points((20, 12, 8), seed=1, apart=2.0)
    for k, labels in zip(range(2, 6), ward_partitions(x, range(2, 6)), strict=True):
        means = np.array([x[labels == code].mean(axis=0) for code in range(k)])
        near = ((x[:, None] - means) ** 2).sum(axis=2).argmin(axis=1)
        assert (near == labels).all()


def test_small_strata_beside_a_large_one_are_kept_whole() -> None:
    found = []
    for seed in range(5):
        x, label = points((26, 8, 8), seed=seed, apart=8.0)
        squared = pairwise_squared(x)
        found.append(adjusted_rand(partition(squared, range(3, 4), 5).labels[0], label))
        assert adjusted_rand(ward_partitions(x, range(3, 4))[0], label) > 0.9
    assert min(found) > 0.9


def test_labels_are_never_wider_than_the_spectral_ones_and_the_test_keeps_theirs() -> None:
    rng = np.random.default_rng(3)
    for _ in range(5):
        squared = pairwise_squared(rng.normal(0, 1, (40, 2)))
        distance = np.sqrt(squared)
        for k in (2, 3, 4):
            found = partition(squared, range(k, k + 1), 1)
            labels = spectral_partitions(squared, range(k, k + 1))[0]
            spectral = silhouette(distance, labels)
            assert silhouette(distance, found.labels[0]) >= spectral - 1e-9
            assert abs(found.silhouette[0] - silhouette(distance, found.labels[0])) < 1e-9
            assert abs(found.of_spectral[0] - spectral) < 1e-9
            along = between_means(principal_coordinates(squared)[0], labels)
            expected = silhouette(np.sqrt(pairwise_squared(along)), labels)
            assert abs(silhouettes(squared, range(k, k + 1), 1)[0, 0] - expected) < 1e-9


def test_a_silhouette_is_missing_just_where_a_cluster_is_too_small() -> None:
    """The widest cut puts one far row apart."""
    x = np.concatenate([np.arange(12) * 0.01, 1 + np.arange(12) * 0.01, [30.0]])[:, None]
    squared = pairwise_squared(x)
    assert np.isfinite(partition(squared, range(2, 3), 1).silhouette[0])
    for min_size in (2, 5):
        found = partition(squared, range(2, 3), min_size)
        sizes = np.bincount(found.labels[0])
        assert np.isnan(found.silhouette[0]) == (sizes.min() < min_size)


def test_the_order_of_rows_does_not_matter() -> None:
    x, _ = points((15, 10, 7), seed=4, apart=3.0)
    order = np.random.default_rng(0).permutation(len(x))
    one, two = ward_partitions(x, range(2, 5)), ward_partitions(x[order], range(2, 5))
    for first, second in zip(one, two, strict=True):
        assert adjusted_rand(first[order], second) == 1.0


def test_fewer_rows_than_clusters_and_no_axis_give_one_cluster() -> None:
    assert ward_partitions(np.zeros((1, 2)), range(2, 4)).tolist() == [[0], [0]]
    assert ward_partitions(np.zeros((3, 0)), range(2, 3)).tolist() == [[0, 0, 0]]
    assert ward_partitions(np.array([[0.0], [1.0]]), range(3, 4)).tolist() == [[0, 0]]


def test_a_cut_of_the_tree_is_that_of_scipy() -> None:
    rng = np.random.default_rng(5)
    for n in (2, 3, 17, 40):
        tree = ward(rng.normal(0, 1, (n, 2)))
        for k in range(1, n + 1):
            assert _cut(tree, k).tolist() == cut_tree(tree, n_clusters=k)[:, 0].tolist()


def test_draws_are_judged_as_the_data_are() -> None:
    rng = np.random.default_rng(6)
    for squared in (pairwise_squared(rng.normal(0, 1, (30, 3))), np.zeros((6, 6))):
        found = partition(squared, range(2, 6), 4).of_spectral
        assert np.array_equal(silhouettes(squared, range(2, 6), 4)[1], found, equal_nan=True)
