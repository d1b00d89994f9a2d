"""Small random count matrices for tests."""

from __future__ import annotations

import numpy as np
from scipy import sparse


def random_counts(n_cells: int = 120, n_genes: int = 60, seed: int = 0) -> sparse.csr_matrix:
    """Overdispersed counts, most of them zero, some above the look-up table's range."""
    rng = np.random.default_rng(seed)
    rate = rng.gamma(0.4, 2.0, n_genes) * rng.lognormal(0.0, 0.4, (n_cells, 1))
    rate[:, 0] *= 40
    matrix = sparse.csr_matrix(rng.poisson(rate).astype(np.int32))
    matrix.sort_indices()
    return matrix
