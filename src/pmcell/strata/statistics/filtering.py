"""Which of the genes with few counts are worth testing, told from how many are found."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pmcell.core.donors.association import benjamini_hochberg
from pmcell.strata.statistics.moderated import MIN_COUNT, has_enough_counts

Floats = NDArray[np.float64]

LIMITS = (MIN_COUNT, 3.0, 5.0, 10.0)
"""Counts that may be asked of a gene, as in `has_enough_counts`."""
MIN_FOUND = 10
"""Genes found at the lowest limit, up to which it is kept: of so few none is chosen by chance."""


def limit_reached(counts: Floats, total: Floats, n_smallest: int) -> Floats:
    """The highest of `LIMITS` that each gene's counts (rows × genes) reach; 0 for none."""
    reached = np.zeros(counts.shape[1])
    for limit in LIMITS:
        reached[has_enough_counts(counts, total, n_smallest, limit)] = limit
    return reached


def filtered_q(p: Floats, reached: Floats, alpha: float) -> Floats:
    """Benjamini-Hochberg q over the genes that reach the limit at which most have q ≤ `alpha`.

    Independent filtering (Bourgon et al. 2010, doi:10.1073/pnas.0914005107), as DESeq2 does it
    (Love et al. 2014, doi:10.1186/s13059-014-0550-8): counts tell nothing of a difference that is
    not there, so leaving genes out by them is no choice by p, and the others pay less for
    being many. Genes left out have q 1.

    >>> filtered_q(np.array([0.01, 0.02, 0.9]), np.array([10.0, 10.0, 2.0]), 0.05).round(2)
    array([0.03, 0.03, 0.9 ])
    """
    best = benjamini_hochberg(p)
    n_best = int((best <= alpha).sum())
    if n_best <= MIN_FOUND:
        return best
    for limit in LIMITS[1:]:
        kept = reached >= limit
        q = np.ones_like(p)
        q[kept] = benjamini_hochberg(p[kept])
        n_found = int((q <= alpha).sum())
        if n_found > n_best:
            best, n_best = q, n_found
    return best
