"""Tell donors who are the same person by cells that were counted twice.

The counts of one cell are a draw of molecules. Whoever counts the same library again, with
another reference, other genes, fewer reads or other names, counts the same draw; no other
cell, of the same type or person, shares it. So what a cell has beyond the expectation from
its depth and the gene's mean (Pearson residuals) is compared: two countings of one cell agree
in it, two cells do not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement, pairwise

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

MAX_CELLS = 60
"""Cells compared of each donor: those with most counts, an order that recounting keeps."""
MAX_GENES = 2_000
"""Genes compared: those whose counts vary most beyond sampling."""
MIN_GENES = 100
"""Genes that two cohorts must share: fewer do not tell one cell from another."""
OVERDISPERSION = 0.01
"""Of the negative binomial expectation, as Lause, Berens & Kobak 2021 use (theta 100)."""
MIN_SIMILARITY = 0.5
"""Correlation of residuals from which two cells can be one."""
MAX_RATIO = 0.6
"""Distance to the match over distance to the next best cell, at most (Lowe 2004)."""
MIN_MATCHES = 5
"""Cells that two donors must share."""
MIN_SHARE = 0.15
"""Share of the compared cells of the donor with fewer that must be matched."""

BLOCK_ROWS = 4_096
"""Cells whose similarities to all others are in memory at a time."""

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Cells:
    """Cells of the donors of one cohort: counts (cells × genes), gene ids, whose each cell is."""

    counts: sp.csr_matrix
    gene_ids: NDArray[np.object_]
    donors: NDArray[np.object_]


@dataclass(frozen=True)
class Match:
    """Two donors with cells in common: how many, of how many compared, and how alike (median)."""

    one: str
    other: str
    n_matched: int
    n_compared: int
    similarity: float

    @property
    def share(self) -> float:
        """Matched cells, as a share of those compared of the donor with fewer."""
        return self.n_matched / self.n_compared


def match_donors(cohorts: Sequence[Cells]) -> list[Match]:
    """Return the pairs of donors, within and across cohorts, who share cells.

    Parameters
    ----------
    cohorts
        The cells of each cohort that are compared, `MAX_CELLS` a donor as `richest` chooses.

    Returns
    -------
    list of Match
        By the names of the donors. A cell pair counts where each is the other's nearest, their
        residuals correlate by `MIN_SIMILARITY`, and the next best cell is `1 / MAX_RATIO` times
        as far; a donor pair where `MIN_MATCHES` cells and `MIN_SHARE` of them count.

    Notes
    -----
    Pearson residuals: Lause, Berens & Kobak 2021, doi:10.1186/s13059-021-02451-7. The ratio of
    distances: Lowe 2004, doi:10.1023/B:VISI.0000029664.99615.94, section 7.1. Another
    sample of the same person has other cells and is not found: that takes genotypes.
    """
    if not cohorts:
        return []
    # Genes as numbers in the order of their names: texts would be sorted anew for each pair.
    sizes = [cells.gene_ids.size for cells in cohorts]
    _, numbers = np.unique(np.concatenate([c.gene_ids for c in cohorts]), return_inverse=True)
    genes = np.split(numbers, np.cumsum(sizes)[:-1])
    found = []
    for one, other in combinations_with_replacement(range(len(cohorts)), 2):
        shared = np.intersect1d(genes[one], genes[other])
        if shared.size >= MIN_GENES:
            counts = [cohorts[at].counts[:, _columns(genes[at], shared)] for at in (one, other)]
            found += _matched(cohorts[one], cohorts[other], counts, is_same=one == other)
    return sorted(found, key=lambda match: (match.one, match.other))


def richest(totals: NDArray[np.int64], donors: NDArray[np.object_]) -> NDArray[np.int64]:
    """Return positions (ascending) of the `MAX_CELLS` cells with most counts of each donor."""
    order = np.lexsort((-totals, donors))
    names, first = np.unique(donors[order], return_index=True)
    bounds = [*first.tolist(), order.size]
    kept = [order[low : min(low + MAX_CELLS, high)] for low, high in pairwise(bounds)]
    rows = np.concatenate(kept) if names.size else np.zeros(0, np.int64)
    return np.sort(rows[totals[rows] > 0])


def _matched(
    one: Cells, other: Cells, counts: Sequence[sp.csr_matrix], *, is_same: bool
) -> list[Match]:
    """Pairs of donors of two cohorts, by the counts of the genes that both have."""
    chosen = _variable(counts)
    x, y = (_residuals(item[:, chosen]) for item in counts)
    rows, columns = _nearest(x, y, one.donors, other.donors if is_same else None)
    mutual = columns.index[rows.index] == np.arange(rows.index.size)
    is_match = mutual & rows.is_distinct & columns.is_distinct[rows.index]
    n_cells = {
        name: int(n)
        for cells in (one, other)
        for name, n in zip(*np.unique(cells.donors, return_counts=True), strict=True)
    }
    pairs: dict[tuple[str, str], list[float]] = {}
    for row in np.flatnonzero(is_match):
        names = str(one.donors[row]), str(other.donors[rows.index[row]])
        if is_same and names[0] > names[1]:
            continue
        pairs.setdefault(names, []).append(float(rows.value[row]))
    matches = (
        Match(
            min(pair),
            max(pair),
            len(values),
            min(n_cells[name] for name in pair),
            float(np.median(values)),
        )
        for pair, values in pairs.items()
    )
    return [item for item in matches if item.n_matched >= MIN_MATCHES and item.share >= MIN_SHARE]


@dataclass(frozen=True)
class _Nearest:
    """Of each cell the most similar one, how similar it is, and the second most similar one."""

    index: NDArray[np.int64]
    value: Floats
    second: Floats

    @property
    def is_distinct(self) -> NDArray[np.bool_]:
        """Whether the nearest cell is near, and the next one far behind it."""
        is_near = self.value >= MIN_SIMILARITY
        return np.asarray(is_near & (1 - self.value <= MAX_RATIO * (1 - self.second) + 1e-6))


def _nearest(
    x: Floats, y: Floats, donors: NDArray[np.object_], same: NDArray[np.object_] | None
) -> tuple[_Nearest, _Nearest]:
    """The nearest of `y` for each row of `x`, and the reverse, in blocks of rows.

    With `same` cells of one donor are no match for each other.
    """
    rows = _Nearest(np.zeros(len(x), np.int64), *np.full((2, len(x)), -1, np.float32))
    columns = _Nearest(np.zeros(len(y), np.int64), *np.full((2, len(y)), -1, np.float32))
    for start in range(0, len(x), BLOCK_ROWS):
        block = slice(start, min(start + BLOCK_ROWS, len(x)))
        similarity = x[block] @ y.T
        if same is not None:
            similarity[donors[block, None] == same[None, :]] = -1.0
        _keep_best(rows, similarity, 0, block)
        _keep_best(columns, similarity.T, start, slice(0, len(y)))
    return rows, columns


def _keep_best(found: _Nearest, similarity: Floats, first: int, into: slice) -> None:
    """Put the two best of each row of a block beside those found before."""
    at = similarity.argmax(axis=1)
    value = similarity[np.arange(at.size), at]
    second = np.full(at.size, -1, np.float32)
    if similarity.shape[1] > 1:
        second = np.partition(similarity, -2, axis=1)[:, -2]
    before, index = found.value[into].copy(), found.index[into]
    is_better = value > before
    found.index[into] = np.where(is_better, at + first, index)
    found.second[into] = np.maximum(
        np.minimum(before, value), np.maximum(found.second[into], second)
    )
    found.value[into] = np.maximum(before, value)


def _columns(genes: NDArray[np.int64], shared: NDArray[np.int64]) -> NDArray[np.int64]:
    order = np.argsort(genes)
    return order[np.searchsorted(genes, shared, sorter=order)]


def _variable(counts: Sequence[sp.csr_matrix]) -> NDArray[np.int64]:
    """Columns by how much more they vary than counts of one mean would, over both cohorts."""
    score = np.zeros(counts[0].shape[1])
    for item in counts:
        mean = np.asarray(item.mean(axis=0)).ravel()
        square = np.asarray(item.multiply(item).mean(axis=0)).ravel()
        score += np.divide(square - mean**2, mean, out=np.zeros_like(mean), where=mean > 0)
    return np.sort(np.argsort(-score, kind="stable")[:MAX_GENES])


def _residuals(counts: sp.csr_matrix) -> Floats:
    """Pearson residuals of cells × genes, each cell scaled to length 1."""
    x = counts.astype(np.float32).toarray()
    depth, mean = (x.sum(axis=axis, keepdims=True, dtype=np.float64) for axis in (1, 0))
    expected = (depth * (mean / max(depth.sum(), 1.0))).astype(np.float32)
    spread = np.sqrt(expected + OVERDISPERSION * expected**2)
    residual = np.divide(x - expected, spread, out=np.zeros_like(x), where=spread > 0)
    limit = np.float32(np.sqrt(max(x.shape[0], 1)))
    np.clip(residual, -limit, limit, out=residual)
    length = np.linalg.norm(residual, axis=1, keepdims=True)
    unit: Floats = np.divide(residual, length, out=np.zeros_like(residual), where=length > 0)
    return unit
