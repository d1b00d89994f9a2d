"""Axes and clusters of a squared-distance matrix between donors, deterministic.

Principal coordinates, self-tuned spectral clustering for a range of cluster
numbers at once, silhouettes and consensus. Signs and label order are fixed by
rule, so equal distances give equal output.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh, qr
from scipy.optimize import linear_sum_assignment

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

NEIGHBOUR = 7
"""The neighbour whose distance tunes a donor's affinity scale (Zelnik-Manor & Perona 2004)."""


def principal_coordinates(
    squared: Floats, *, share: float = 0.8, max_axes: int = 10
) -> tuple[Floats, Floats]:
    """Classical scaling: coordinates (rows × axes) and the eigenvalues of the axes kept.

    Keeps the largest positive axes up to `share` of the positive sum, at most
    `max_axes`. The entry of largest magnitude of each axis is positive. Two
    rows that do not differ at all give no axis.
    """
    n = squared.shape[0]
    gram = centred_products(squared)
    values, vectors = _largest(gram, max_axes)
    tolerance = max(float(values[0]) if n else 0.0, 0.0) * 1e-10
    n_positive = int((values > max(tolerance, 1e-300)).sum())
    if n_positive == 0:
        return np.zeros((n, 0)), np.zeros(0)
    cumulative = np.cumsum(values[:n_positive])
    total = float(np.trace(gram))
    if cumulative[-1] >= share * total:
        # The trace is at most the sum of the positive eigenvalues: only here are all needed.
        every = np.linalg.eigvalsh(gram)
        total = float(every[every > max(tolerance, 1e-300)].sum())
    n_axes = min(int(np.searchsorted(cumulative, share * total - 1e-12)) + 1, n_positive)
    return _with_signs(vectors[:, :n_axes]) * np.sqrt(values[:n_axes]), values[:n_axes]


def spectrum(squared: Floats) -> tuple[Floats, Floats]:
    """Eigenvalues, largest first, and eigenvectors of `centred_products`, with their signs."""
    values, vectors = eigh(centred_products(squared), overwrite_a=True, check_finite=False)
    return values[::-1], _with_signs(vectors[:, ::-1])


def _with_signs(vectors: Floats) -> Floats:
    """The columns with the entry of largest magnitude positive.

    Which of the two signs a library returns hangs on the processor. Donors drawn along an axis of
    the other sign are other donors, and where few draws decide, another decision.
    """
    peak = np.abs(vectors).argmax(axis=0)
    return vectors * np.where(vectors[peak, np.arange(vectors.shape[1])] < 0, -1.0, 1.0)


def eigenvalues(squared: Floats) -> Floats:
    """Eigenvalues of `centred_products`, largest first."""
    return np.asarray(np.linalg.eigvalsh(centred_products(squared))[::-1])


def centred_products(squared: Floats) -> Floats:
    """Inner products about the centroid (rows × rows) of squared distances, symmetric."""
    row = squared.mean(axis=1)
    out = squared - row
    out -= row[:, None]
    out += row.mean()
    out *= -0.5
    return np.asarray(0.5 * (out + out.T))


def pairwise_squared(x: Floats) -> Floats:
    """Squared Euclidean distances between rows, diagonal exactly 0."""
    norm = (x**2).sum(axis=1)
    out: Floats = np.maximum(norm[:, None] + norm[None, :] - 2.0 * (x @ x.T), 0.0)
    np.fill_diagonal(out, 0.0)
    return out


def spectral_partitions(squared: Floats, ks: range) -> Ints:
    """Labels for each k in `ks` (len(ks) × rows), 0 the largest cluster, ties by first row.

    Self-tuned affinity exp(-D²/(s_i s_j)), normalised Laplacian, labels by
    pivoted QR of the first k eigenvectors (cluster_qr: Damle, Minden & Ying
    2019, doi:10.1093/imaiai/iay008), which needs no random start.
    """
    n = squared.shape[0]
    labels = np.zeros((len(ks), n), np.int64)
    if n < 2 or len(ks) == 0:
        return labels
    vectors = _leading_vectors(squared, max(ks))
    for index, k in enumerate(ks):
        labels[index] = ordered_labels(_cluster_qr(vectors[:, :k]))
    return labels


def ordered_labels(labels: Ints) -> Ints:
    """Renumber clusters from 0 by size, ties by the first row; negative labels stay."""
    known = np.unique(labels[labels >= 0])
    order = sorted(known, key=lambda c: (-int((labels == c).sum()), int((labels == c).argmax())))
    out = np.full(labels.shape, -1, np.int64)
    for new, old in enumerate(order):
        out[labels == old] = new
    return out


def silhouette(distance: Floats, labels: Ints) -> float:
    """Mean silhouette width over rows, from distances. NaN with fewer than two clusters."""
    clusters = np.unique(labels)
    if clusters.size < 2:
        return float("nan")
    member = (labels[:, None] == clusters[None, :]).astype(np.float64)
    size = member.sum(axis=0)
    sums = distance @ member
    own = labels[:, None] == clusters[None, :]
    inside = sums[own] / np.maximum(size[own.argmax(axis=1)] - 1, 1)
    outside = np.where(own, np.inf, sums / size).min(axis=1)
    width = (outside - inside) / np.maximum(np.maximum(inside, outside), 1e-300)
    return float(np.where(size[own.argmax(axis=1)] > 1, width, 0.0).mean())


def between_means(axes: Floats, labels: Ints) -> Floats:
    """Coordinates (rows × axes) in the space that the clusters' means span, one axis less than k.

    What donors of a cluster differ in that tells it from no other cluster is left out. Of
    several clusters each needs a row.
    """
    member = labels[:, None] == np.unique(labels)[None, :]
    means = (member.T @ axes) / member.sum(axis=0)[:, None]
    _, lengths, directions = np.linalg.svd(means - means.mean(axis=0), full_matrices=False)
    kept = lengths > 1e-9 * max(float(lengths.max(initial=0.0)), 1e-300)
    return np.asarray(axes @ directions[kept].T)


def align(labels: Ints, reference: Ints, k: int) -> Ints:
    """Rename the clusters of `labels` so that they overlap most with `reference` (both 0 … k-1)."""
    overlap = np.zeros((k, k))
    np.add.at(overlap, (labels, reference), 1.0)
    source, target = linear_sum_assignment(-overlap)
    rename = np.empty(k, np.int64)
    rename[source] = target
    return rename[labels]


def proportion_ambiguous(
    consensus: Floats, counted: NDArray[np.bool_], low: float = 0.1, high: float = 0.9
) -> float:
    """PAC: share of pairs whose consensus lies strictly between `low` and `high`.

    Şenbabaoğlu 2014, doi:10.1038/srep06207.
    """
    upper = np.triu_indices(consensus.shape[0], 1)
    values = consensus[upper][counted[upper]]
    return float(((values > low) & (values < high)).mean()) if values.size else float("nan")


def _leading_vectors(squared: Floats, k: int) -> Floats:
    n = squared.shape[0]
    rank = min(NEIGHBOUR, n - 1)
    tune = np.sqrt(np.partition(squared, rank, axis=1)[:, rank])
    tune = np.maximum(tune, 1e-12 + 1e-6 * float(tune.max()))
    affinity = squared / -tune
    affinity /= tune[:, None]
    np.exp(affinity, out=affinity)
    np.fill_diagonal(affinity, 0.0)
    root = 1.0 / np.sqrt(np.maximum(affinity.sum(axis=1), 1e-300))
    affinity *= root
    affinity *= root[:, None]
    return _largest(affinity, k)[1]


def _largest(symmetric: Floats, k: int) -> tuple[Floats, Floats]:
    """The k largest eigenvalues, largest first, and their vectors."""
    n = symmetric.shape[0]
    if n == 0 or k < 1:
        return np.zeros(0), np.zeros((n, 0))
    first = max(n - k, 0)
    values, vectors = eigh(symmetric, subset_by_index=(first, n - 1), check_finite=False)
    if values.size < n - first:
        # Where eigenvalues are equal, LAPACK may find none of those asked for, without a word.
        values, vectors = eigh(symmetric, check_finite=False, driver="evd")
        values, vectors = values[first:], vectors[:, first:]
    return values[::-1], np.asarray(vectors[:, ::-1])


def _cluster_qr(vectors: Floats) -> Ints:
    k = vectors.shape[1]
    _, _, pivot = qr(vectors.T, pivoting=True, mode="economic")
    u, _, vt = np.linalg.svd(vectors[pivot[:k]].T)
    return np.asarray(np.abs(vectors @ (u @ vt)).argmax(axis=1), np.int64)
