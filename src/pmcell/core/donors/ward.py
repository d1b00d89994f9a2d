"""Compact clusters of donors: Ward's tree, its cut improved by moving donors to the nearest mean.

Spectral clusters follow shapes; of strata of very unequal size they cut the large one and
join the small. Compact ones do not. Deterministic, as the spectral ones are.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.cluster.hierarchy import ward

from pmcell.core.donors.spectral import ordered_labels

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

MAX_MOVES = 50
"""Rounds of moving rows to the nearest mean, at most."""


def ward_partitions(axes: Floats, ks: range) -> Ints:
    """Labels (ks × rows), 0 the largest cluster, of coordinates (rows × axes).

    Ward 1963, doi:10.1080/01621459.1963.10500845.
    """
    labels = np.zeros((len(ks), axes.shape[0]), np.int64)
    if not len(ks) or axes.shape[0] < 2 or not axes.shape[1]:
        return labels
    tree = ward(axes)
    for index, k in enumerate(ks):
        if k <= axes.shape[0]:
            labels[index] = ordered_labels(_moved(axes, _cut(tree, k), k))
    return labels


def _cut(tree: Floats, k: int) -> Ints:
    """The k clusters below the last k - 1 merges of a linkage, numbered by their first row.

    The same as `scipy.cluster.hierarchy.cut_tree`, which for every cut walks the whole tree in
    Python: that was half the time of a stratification.
    """
    n = tree.shape[0] + 1
    cluster = np.arange(2 * n - k)
    for merge in range(n - k - 1, -1, -1):
        children = tree[merge, :2].astype(np.int64)
        cluster[children] = cluster[n + merge]
    _, first, inverse = np.unique(cluster[:n], return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[inverse].astype(np.int64)


def _moved(axes: Floats, labels: Ints, k: int) -> Ints:
    """Rows moved to the cluster of the nearest mean until none moves; no cluster is emptied."""
    for _ in range(MAX_MOVES):
        member = (labels[:, None] == np.arange(k)).astype(np.float64)
        means = (member.T @ axes) / member.sum(axis=0)[:, None]
        far = (means**2).sum(axis=1) - 2.0 * (axes @ means.T)
        found = far.argmin(axis=1).astype(np.int64)
        if (found == labels).all() or np.unique(found).size < k:
            break
        labels = found
    return labels
