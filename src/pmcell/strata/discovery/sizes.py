"""How many strata so many donors can carry, and how small one may be."""

from __future__ import annotations

import numpy as np

MIN_STRATUM = 5
MIN_SHARE = 0.05
MAX_K = 8
DONORS_PER_K = 10
"""k goes from 2 to min(8, donors/10): fewer donors cannot carry more strata."""


def k_range(n_donors: int) -> range:
    """The numbers of strata that `n_donors` can carry; empty below 20."""
    return range(2, min(MAX_K, n_donors // DONORS_PER_K) + 1)


def min_stratum_size(n_donors: int) -> int:
    """Fewest donors that may be called a stratum."""
    return max(MIN_STRATUM, int(np.ceil(MIN_SHARE * n_donors)))
