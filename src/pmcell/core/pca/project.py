"""Project cells onto a basis, gene by gene, without a dense matrix."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pmcell.core.compiler import Array, parallel_kernel, prange
from pmcell.core.counts.blocks import Counts
from pmcell.core.counts.lognorm import N_LOOKUP, SCALE, open_cell, q_of
from pmcell.core.pca.gram import Basis


def project(
    counts: Counts,
    feature_of_gene: NDArray[np.int64],
    used: NDArray[np.bool_],
    basis: Basis,
    measured: NDArray[np.bool_],
) -> NDArray[np.float32]:
    """Scores of the cells marked in `used` (n_used, n_components; float32).

    With every feature measured this is (x - mean) · loadings. Features that
    were not measured are masked: the scores are then their posterior mean
    under probabilistic PCA given the measured ones (Tipping & Bishop 1999,
    doi:10.1111/1467-9868.00196, section 3.3; Ilin & Raiko 2010, JMLR 11:1957),
    not the scores of a cell whose missing genes are zero.
    """
    weights = projection_weights(basis, measured)
    offset = basis.means @ weights
    scores = np.empty((int(np.count_nonzero(used)), weights.shape[1]), np.float32)
    done = 0
    for block in counts.iter_blocks():
        rows = np.flatnonzero(used[block.rows])
        scores[done : done + rows.size] = _project_rows(
            block.indptr, block.indices, block.data, rows, feature_of_gene, weights, offset
        )
        done += rows.size
    return scores


def projection_weights(basis: Basis, measured: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Weights from centred measured features to scores (n_features, n_components)."""
    if measured.all():
        return basis.loadings
    n_features, n_components = basis.components.shape
    left_over = max(basis.total_variance - float(basis.variances.sum()), 0.0)
    noise = max(left_over / max(n_features - n_components, 1), 1e-12)
    seen = np.where(measured[:, None], basis.components, 0.0)
    precision = seen.T @ seen + np.diag(noise / np.maximum(basis.variances, 1e-12))
    return basis.scales[:, None] * np.linalg.solve(precision, seen.T).T


@parallel_kernel
def _project_rows(
    indptr: Array,
    indices: Array,
    data: Array,
    rows: Array,
    feature_of_gene: Array,
    weights: Array,
    offset: Array,
) -> Array:
    n_components = weights.shape[1]
    scores = np.empty((rows.size, n_components), np.float32)
    for at in prange(rows.size):
        row = rows[at]
        score = -offset
        lookup = np.zeros(N_LOOKUP, np.int64)
        factor = open_cell(data, indptr[row], indptr[row + 1], lookup)
        if factor > 0:
            genes, own = indices[indptr[row] : indptr[row + 1]], data[indptr[row] : indptr[row + 1]]
            features = np.zeros(own.size + 3, np.int64)
            values = np.zeros(own.size + 3)
            n = np.uint64(0)
            for entry in range(own.size):
                feature = feature_of_gene[np.uint64(genes[entry])]
                features[n] = feature
                values[n] = own[entry]
                n += np.uint64(feature >= 0 and own[entry] > 0)
            for entry in range(n):
                values[entry] = q_of(np.int64(values[entry]), factor, lookup) / SCALE
            # Zeros fill up the last four; each score is added in the order of the genes.
            features[n : n + np.uint64(3)] = 0
            values[n : n + np.uint64(3)] = 0.0
            for entry in range(0, n, 4):
                w0, w1 = weights[features[entry]], weights[features[entry + 1]]
                w2, w3 = weights[features[entry + 2]], weights[features[entry + 3]]
                v0, v1, v2, v3 = (
                    values[entry],
                    values[entry + 1],
                    values[entry + 2],
                    values[entry + 3],
                )
                for component in range(n_components):
                    score[component] = (
                        score[component]
                        + v0 * w0[component]
                        + v1 * w1[component]
                        + v2 * w2[component]
                        + v3 * w3[component]
                    )
        for component in range(n_components):
            scores[at, component] = score[component]
    return scores
