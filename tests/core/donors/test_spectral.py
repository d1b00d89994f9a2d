"""Axes, clusters and consensus of squared distances."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.linalg import eigh
from scipy.spatial.distance import pdist, squareform
from sklearn.metrics import silhouette_score

from pmcell.core.donors import spectral
from pmcell.core.donors.spectral import (
    align,
    between_means,
    ordered_labels,
    pairwise_squared,
    principal_coordinates,
    proportion_ambiguous,
    silhouette,
    spectral_partitions,
    spectrum,
)


def blobs(k: int = 3, n: int = 15, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    truth = np.repeat(np.arange(k), n)
    return 8 * rng.normal(size=(k, 6))[truth] + rng.normal(size=(k * n, 6)), truth


def test_principal_coordinates_give_back_the_distances() -> None:
    x, _ = blobs()
    axes, values = principal_coordinates(pairwise_squared(x), share=1.0)
    assert np.allclose(pdist(axes), pdist(x))
    assert np.allclose((axes**2).sum(axis=0), values)


def test_axes_are_counted_on_all_positive_eigenvalues() -> None:
    x, _ = blobs(seed=3)
    squared = pairwise_squared(x) - 1.5
    np.fill_diagonal(squared, 0.0)
    values, _ = spectrum(squared)
    assert values[-1] < 0
    for share in (0.5, 0.8, 0.95):
        positive = values[values > 0]
        expected = int((np.cumsum(positive) < share * positive.sum()).sum()) + 1
        assert principal_coordinates(squared, share=share, max_axes=45)[0].shape[1] == expected


def test_signs_of_axes_are_fixed() -> None:
    x, _ = blobs()
    axes, _ = principal_coordinates(pairwise_squared(x))
    assert (axes[np.abs(axes).argmax(axis=0), np.arange(axes.shape[1])] > 0).all()


@pytest.mark.parametrize("axes", [spectrum, principal_coordinates])
def test_axes_do_not_hang_on_the_signs_that_a_library_returns(axes, monkeypatch) -> None:
    squared = pairwise_squared(blobs()[0])
    first = axes(squared)

    def with_other_signs(*args, **options):
        values, vectors = eigh(*args, **options)
        return values, vectors * np.where(np.arange(vectors.shape[1]) % 3, -1.0, 1.0)

    monkeypatch.setattr(spectral, "eigh", with_other_signs)
    for expected, found in zip(first, axes(squared), strict=True):
        assert np.array_equal(expected, found)


def test_donors_that_do_not_differ_have_no_axes() -> None:
    axes, values = principal_coordinates(np.zeros((5, 5)))
    assert axes.shape == (5, 0)
    assert values.size == 0


def test_spectral_clusters_find_separate_groups() -> None:
    x, truth = blobs()
    labels = spectral_partitions(pairwise_squared(x), range(2, 5))
    found = labels[1]
    assert all(np.unique(found[truth == t]).size == 1 for t in range(3))
    assert np.unique(found).size == 3


def test_clusters_do_not_depend_on_the_order_of_donors() -> None:
    x, _ = blobs(seed=4)
    order = np.random.default_rng(0).permutation(x.shape[0])
    first = spectral_partitions(pairwise_squared(x), range(3, 4))[0]
    second = spectral_partitions(pairwise_squared(x[order]), range(3, 4))[0]
    assert np.array_equal(first[order][:, None] == first[order], second[:, None] == second)


def test_silhouette_equals_scikit_learns() -> None:
    x, truth = blobs(seed=2)
    squared = pairwise_squared(x)
    assert np.isclose(silhouette(np.sqrt(squared), truth), silhouette_score(x, truth))


def test_silhouette_of_one_cluster_is_unknown() -> None:
    assert np.isnan(silhouette(np.ones((3, 3)), np.zeros(3, np.int64)))


def test_the_largest_cluster_comes_first_and_ties_go_to_the_first_donor() -> None:
    assert ordered_labels(np.array([2, 1, 1, 2, 0, -1])).tolist() == [0, 1, 1, 0, 2, -1]


def test_labels_are_aligned_by_overlap() -> None:
    assert align(np.array([2, 2, 0, 1]), np.array([0, 0, 1, 2]), 3).tolist() == [0, 0, 1, 2]


def test_ambiguous_pairs_are_counted() -> None:
    consensus = squareform(np.array([0.0, 0.5, 1.0])) + np.eye(3)
    assert np.isclose(proportion_ambiguous(consensus, np.ones((3, 3), bool)), 1 / 3)


@pytest.mark.parametrize("n", range(2, 31))
def test_donors_who_do_not_differ_at_all_still_get_labels(n: int) -> None:
    # All eigenvalues but one are equal: LAPACK finds no vector at n = 21 and k = 2.
    for most in range(2, 6):
        labels = spectral_partitions(np.zeros((n, n)), range(2, most))
        assert labels.shape == (most - 2, n)
        assert (labels >= 0).all()


def test_between_means_leaves_distances_of_means_and_drops_what_clusters_share() -> None:
    x, truth = blobs(seed=5)
    found = between_means(x, truth)
    assert found.shape == (x.shape[0], 2)
    mean = np.array([x[truth == label].mean(axis=0) for label in range(3)])
    # By least squares: what is left of a row is orthogonal to the plane of the means.
    plane = (mean[1:] - mean[0]).T
    expected = [plane @ np.linalg.lstsq(plane, row, rcond=None)[0] for row in x]
    assert np.allclose(pdist(found), pdist(np.array(expected)))


@pytest.mark.parametrize(
    ("axes", "labels", "n_axes"),
    [
        (np.arange(6.0)[:, None], [0, 0, 1, 1, 2, 2], 1),
        (np.outer(np.arange(6.0), [1.0, 2.0, 3.0]), [0, 0, 1, 1, 2, 2], 1),
        (np.eye(4), [0, 0, 0, 0], 0),
        (np.zeros((4, 3)), [0, 0, 1, 1], 0),
        (np.zeros((4, 0)), [0, 0, 1, 1], 0),
    ],
    ids=["one axis", "means on a line", "one cluster", "no difference", "no axis"],
)
def test_between_means_has_no_axis_without_a_difference(
    axes: np.ndarray, labels: list[int], n_axes: int
) -> None:
    assert between_means(axes, np.array(labels)).shape == (axes.shape[0], n_axes)
