"""How much each cell of a sample looks like two cells: the score of Scrublet, exact and sparse.

Wolock et al. 2019, doi:10.1016/j.cels.2018.11.005: random pairs of cells are
added up, cells and pairs are placed along the cells' principal components, and
the share of pairs among a cell's neighbours gives the posterior of its being a
doublet. Unlike Scrublet this works on log-normalised values that are not scaled
gene by gene: on cells with known doublets it finds more of them
(tests/benchmarks/core/doublets.py). A pair is never stored: its values follow
from its two cells.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from pmcell.core.compiler import Array, parallel_kernel, prange
from pmcell.core.counts.blocks import MatrixCounts
from pmcell.core.counts.lognorm import (
    N_LOOKUP,
    SCALE,
    TARGET,
    cell_totals,
    fill_lookup,
    q_of,
    quantise,
)
from pmcell.core.graph.knn import nearest_among
from pmcell.core.pca.gram import Basis, basis, gram

N_FEATURES = 500
N_COMPONENTS = 15
MIN_CELLS_OF_GENE = 3
PAIRS_OF_CELL = 2
SHARE_DOUBLETS = 0.05
"""Doublets that are expected before the cells are seen; Scrublet's own value."""

MAX_REFERENCE = 10_000
"""Cells that others are compared with: a larger sample is judged by a random part of it."""

NOBODY = -1


def doublet_scores(matrix: Any, seed: int = 0) -> NDArray[np.float64] | None:
    """Score of each cell (n_cells), from 0 to 1; None when the cells are all alike.

    `matrix` is a CSR matrix of the raw counts of one sample. The same for any
    number of threads.
    """
    counts = sparse.csr_matrix(matrix, dtype=np.int32)
    counts.sum_duplicates()
    genes = _variable_genes(counts)
    n_cells = counts.shape[0]
    n_components = min(N_COMPONENTS, genes.size - 1, n_cells - 1)
    if n_components < 2:
        return None
    feature_of_gene = np.full(counts.shape[1], -1, np.int64)
    feature_of_gene[genes] = np.arange(genes.size)
    everybody = np.ones(n_cells, bool)
    space = basis(
        [gram(MatrixCounts(counts), feature_of_gene, genes.size, everybody)], n_components
    )
    rng = np.random.default_rng(seed)
    known = np.sort(rng.permutation(n_cells)[:MAX_REFERENCE])
    n_pairs = PAIRS_OF_CELL * known.size
    pairs = rng.integers(0, n_cells, (n_pairs, 2))
    cells = np.stack([np.arange(n_cells), np.full(n_cells, NOBODY)], axis=1)
    points = _place(counts, genes, np.concatenate([cells, pairs]), space)
    others = np.concatenate([points[known], points[n_cells:]])
    own = np.full(n_cells, NOBODY, np.int64)
    own[known] = np.arange(known.size)
    k = round(0.5 * np.sqrt(known.size)) * (1 + PAIRS_OF_CELL)
    nearest, _ = nearest_among(points[:n_cells], others, k, own)
    return _posterior((nearest >= known.size).sum(axis=1), k)


def _posterior(n_paired: NDArray[np.int64], k: int) -> NDArray[np.float64]:
    """Probability of a doublet with `n_paired` pairs among its `k` neighbours.

    Wolock et al. 2019, STAR Methods, 'Doublet score': with the expected share of
    doublets as prior, and a Beta(1, 1) prior of the share of pairs.
    """
    share = (n_paired + 1) / (k + 2)
    ratio, prior = PAIRS_OF_CELL, SHARE_DOUBLETS
    return np.asarray(
        share * prior / ratio / (1 - prior - share * (1 - prior - prior / ratio)), np.float64
    )


def _variable_genes(counts: Any) -> NDArray[np.int64]:
    """The genes whose variance lies most above that of genes with the same mean.

    The trend is a parabola of log variance over log mean, of log-normalised values.
    """
    n_cells, n_genes = counts.shape
    q = quantise(counts.indptr.astype(np.int64), counts.data).astype(np.float64)
    detected = np.bincount(counts.indices, counts.data > 0, n_genes)
    mean = np.bincount(counts.indices, q, n_genes) / max(n_cells, 1)
    square = np.bincount(counts.indices, q * q, n_genes) / max(n_cells, 1)
    variance = square - mean * mean
    # A gene that takes one value in all cells keeps but rounding errors.
    varies = (detected >= MIN_CELLS_OF_GENE) & (variance > 1e-9 * square)
    genes = np.flatnonzero(varies)
    if genes.size <= N_FEATURES:
        return genes
    x, y = np.log(mean[genes]), np.log(variance[genes])
    above = y - np.polyval(np.polyfit(x, y, 2), x)
    return np.sort(genes[np.argsort(-above, kind="stable")[:N_FEATURES]])


def _place(
    counts: Any, genes: NDArray[np.int64], pairs: NDArray[np.int64], space: Basis
) -> NDArray[np.float32]:
    """Scores (n_pairs, n_components) of the summed counts of each pair of cells; one may be -1."""
    totals = cell_totals(counts.indptr.astype(np.int64), counts.data)
    kept = counts[:, genes]
    kept.sort_indices()
    points: NDArray[np.float32] = _place_pairs(
        kept.indptr.astype(np.int64),
        kept.indices.astype(np.int32),
        kept.data,
        totals,
        pairs,
        space.components / SCALE,
        space.means @ space.components,
    )
    return points


@parallel_kernel
def _place_pairs(
    indptr: Array,
    indices: Array,
    data: Array,
    totals: Array,
    pairs: Array,
    weights: Array,
    offset: Array,
) -> Array:
    n_components = weights.shape[1]
    points = np.empty((pairs.shape[0], n_components), np.float32)
    for pair in prange(pairs.shape[0]):
        one, other = pairs[pair, 0], pairs[pair, 1]
        left, left_end = indptr[one], indptr[one + 1]
        right, right_end = np.int64(0), np.int64(0)
        total = totals[one]
        if other >= 0:
            right, right_end = indptr[other], indptr[other + 1]
            total += totals[other]
        score = -offset
        lookup = np.zeros(N_LOOKUP, np.int64)
        factor = TARGET / max(total, 1)
        fill_lookup(lookup, factor)
        while left < left_end or right < right_end:
            from_left = right >= right_end or (left < left_end and indices[left] <= indices[right])
            from_right = left >= left_end or (right < right_end and indices[right] <= indices[left])
            count = np.int64(0)
            feature = np.int64(0)
            if from_left:
                count += data[left]
                feature = np.int64(indices[left])
                left += 1
            if from_right:
                count += data[right]
                feature = np.int64(indices[right])
                right += 1
            value = q_of(count, factor, lookup)
            for component in range(n_components):
                score[component] += value * weights[feature, component]
        for component in range(n_components):
            points[pair, component] = score[component]
    return points
