"""How much each cell of a sample looks like two cells: the score of Scrublet, exact and sparse.

Wolock et al. 2019, doi:10.1016/j.cels.2018.11.005: random pairs of cells are
added up, cells and pairs are placed along the cells' principal components, and
the share of pairs among a cell's neighbours gives the posterior of its being a
doublet. Unlike Scrublet this works on log-normalised values that are not scaled
gene by gene: on cells with known doublets it finds more of them
(tests/benchmarks/core/doublets.py). A pair is never stored: its values follow
from its two cells.

Counts are read twice, whatever the number of samples and the order of their cells: once
for the sums that say which genes vary in each sample, once for the counts of those genes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from pmcell.core.compiler import Array, parallel_kernel, prange
from pmcell.core.counts.blocks import Block, Counts, MatrixCounts, SharedBlocks
from pmcell.core.counts.chosen import iter_chosen
from pmcell.core.counts.grouped import grouped_sums
from pmcell.core.counts.lognorm import N_LOOKUP, SCALE, TARGET, cell_totals, fill_lookup, q_of
from pmcell.core.counts.sums import N_DETECTED, SUM_Q, SUM_Q2
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

MAX_TABLE = 2**28
"""Bytes of a table of all samples × genes; of more, only what was seen is kept."""

NO_INDEX = -1


def doublet_scores(matrix: Any, seed: int = 0) -> NDArray[np.float64] | None:
    """Score of each cell (n_cells), from 0 to 1; None when the cells are all alike.

    `matrix` is a CSR matrix of the raw counts of one sample. The same for any
    number of threads.
    """
    counts = MatrixCounts(sparse.csr_matrix(matrix, dtype=np.int32))
    scores = sample_scores(counts, np.zeros(counts.n_cells, np.int64), 1, seed)
    return None if np.isnan(scores).any() else scores


def sample_scores(
    counts: Counts,
    sample_of_cell: NDArray[np.int64],
    n_samples: int,
    seed: int = 0,
    *,
    see: Callable[[Block], None] | None = None,
) -> NDArray[np.float64]:
    """Score of each cell (n_cells) within its sample; NaN where its cells are all alike.

    Parameters
    ----------
    counts
        Raw counts of all samples.
    sample_of_cell
        The sample of each cell, 0 to `n_samples` - 1; -1 for cells that get no score (NaN).
    n_samples
        Number of samples.
    seed
        Of the random pairs; each sample's are drawn as if it were the only one.
    see
        Is shown each block once, for whom else reads the counts.
    """
    first = counts if see is None else SharedBlocks(counts, see)
    sums = grouped_sums(first, sample_of_cell, n_samples, max_table=MAX_TABLE)
    n_cells = np.bincount(sample_of_cell[sample_of_cell >= 0], minlength=n_samples)
    ends, values = sums.indptr, sums.values
    genes = [
        _variable_genes(sums.indices[low:high], values[low:high], int(n))
        for low, high, n in zip(ends[:-1], ends[1:], n_cells, strict=True)
    ]
    del values
    detected = sums.matrix(N_DETECTED)
    n_values = [int(detected[at, own].sum()) for at, own in enumerate(genes)]
    del sums, detected
    scores = np.full(counts.n_cells, np.nan)
    for sample, matrix in iter_chosen(counts, sample_of_cell, genes, n_values):
        found = _scores(matrix, genes[sample].size, seed)
        if found is not None:
            scores[sample_of_cell == sample] = found
    return scores


def _scores(counts: Any, n_features: int, seed: int) -> NDArray[np.float64] | None:
    """Score of each cell of one sample, or None.

    `counts` (n_cells, n_features + 1) are those of the variable genes; the last column holds
    all others together.
    """
    n_cells = counts.shape[0]
    n_components = min(N_COMPONENTS, n_features - 1, n_cells - 1)
    if n_components < 2:
        return None
    feature_of_gene = np.append(np.arange(n_features), -1)
    everybody = np.ones(n_cells, bool)
    space = basis(
        [gram(MatrixCounts(counts), feature_of_gene, n_features, everybody)], n_components
    )
    rng = np.random.default_rng(seed)
    known = np.sort(rng.permutation(n_cells)[:MAX_REFERENCE])
    n_pairs = PAIRS_OF_CELL * known.size
    pairs = rng.integers(0, n_cells, (n_pairs, 2))
    cells = np.stack([np.arange(n_cells), np.full(n_cells, NO_INDEX)], axis=1)
    points = _place(counts, np.concatenate([cells, pairs]), space)
    others = np.concatenate([points[known], points[n_cells:]])
    own = np.full(n_cells, NO_INDEX, np.int64)
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


def _variable_genes(
    genes: NDArray[np.int32], values: NDArray[np.int64], n_cells: int
) -> NDArray[np.int64]:
    """The genes whose variance in a sample lies most above that of genes with the same mean.

    The trend is a parabola of log variance over log mean, of log-normalised values.
    """
    mean, square = values[:, SUM_Q] / max(n_cells, 1), values[:, SUM_Q2] / max(n_cells, 1)
    variance = square - mean * mean
    # A gene that takes one value in all cells keeps but rounding errors.
    varies = (values[:, N_DETECTED] >= MIN_CELLS_OF_GENE) & (variance > 1e-9 * square)
    found = genes[varies].astype(np.int64)
    if found.size <= N_FEATURES:
        return found
    x, y = np.log(mean[varies]), np.log(variance[varies])
    above = y - np.polyval(np.polyfit(x, y, 2), x)
    return np.sort(found[np.argsort(-above, kind="stable")[:N_FEATURES]])


def _place(counts: Any, pairs: NDArray[np.int64], space: Basis) -> NDArray[np.float32]:
    """Scores (n_pairs, n_components) of the summed counts of each pair of cells; one may be -1."""
    totals = cell_totals(counts.indptr.astype(np.int64), counts.data)
    kept = counts[:, :-1]
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
