"""Shares of cell types on the arcsine scale, where sampling noise hardly depends on the share."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

POISSON_SLOPE = 1.255
"""Var √(X + 3/8) of a Poisson X is near (1 - exp(-1.255 λ))/4: exact slope at 0, exact limit."""

SMOOTHING_CELLS = 10.0
"""Cells' worth of the cohort's mean composition that steadies the noise estimate of rare types."""


def arcsine(n: Floats) -> Floats:
    """Variance-stabilised shares asin √((n_t + 3/8) / (n + 3/4)) (rows × types).

    Anscombe 1948, doi:10.2307/2332343.
    """
    total = n.sum(axis=1, keepdims=True)
    shares: Floats = np.arcsin(np.sqrt((n + 0.375) / (total + 0.75)))
    return shares


def arcsine_noise(n: Floats, pooled: Floats | None = None) -> Floats:
    """Sampling variance of `arcsine` (rows × types): 1/(4n), less where few cells are expected."""
    total = np.maximum(n.sum(axis=1, keepdims=True), 1.0)
    if pooled is None:
        pooled = mean_composition(n)
    expected = total * (n + SMOOTHING_CELLS * pooled) / (total + SMOOTHING_CELLS)
    variance: Floats = 0.25 * -np.expm1(-POISSON_SLOPE * expected) / (total + 0.5)
    return variance


def mean_composition(n: Floats) -> Floats:
    """Mean share of each type over rows (types,)."""
    share: Floats = (n / np.maximum(n.sum(axis=1, keepdims=True), 1.0)).mean(axis=0)
    return share
