"""Effects of one variable of the donors on another, with the donors drawn again many times."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pmcell.core.donors.association import bias_corrected_interval
from pmcell.core.donors.resample import stream
from pmcell.strata.statistics.covariates import Variable

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

BOOTSTRAP = 11
"""Purpose of the random stream of the intervals."""
N_BOOTSTRAPS = 400
"""Resamples of the donors for the interval of an effect."""


def effect_interval(
    outcome: Variable, covariate: Variable, both: NDArray[np.bool_], seed: int
) -> tuple[float, float]:
    """95 % interval over donors drawn again: Cramér's V, η² of ranks, or Spearman's ρ²."""
    n = int(both.sum())
    drawn = stream(seed, BOOTSTRAP, 0).integers(0, n, (N_BOOTSTRAPS, n))
    drawn = np.vstack([np.arange(n), drawn])
    first, second = outcome.values[both][drawn], covariate.values[both][drawn]
    if outcome.numeric and covariate.numeric:
        values = squared_correlations(_ranks(first), _ranks(second))
    elif outcome.numeric:
        values = eta_squares(_ranks(first), _codes(second))
    elif covariate.numeric:
        values = eta_squares(_ranks(second), _codes(first))
    else:
        values = cramers_vs(_codes(second), _codes(first))
    return bias_corrected_interval(values)


def cramers_vs(first: Ints, second: Ints) -> Floats:
    """`pmcell.core.donors.association.cramers_v` of each row of both (draws × n)."""
    draws, n = first.shape
    r, c = int(first.max()) + 1, int(second.max()) + 1
    place = (np.arange(draws)[:, None] * r + first) * c + second
    table = np.bincount(place.ravel(), minlength=draws * r * c).reshape(draws, r, c).astype(float)
    rows, columns = table.sum(axis=2), table.sum(axis=1)
    expected = rows[:, :, None] * columns[:, None, :] / n
    chi = ((table - expected) ** 2 / np.maximum(expected, 1e-300)).sum(axis=(1, 2))
    r_there, c_there = (rows > 0).sum(axis=1), (columns > 0).sum(axis=1)
    if n < 2:
        return np.zeros(draws)
    corrected = np.maximum(chi / n - (r_there - 1) * (c_there - 1) / (n - 1), 0.0)
    smallest = np.minimum(
        r_there - (r_there - 1) ** 2 / (n - 1), c_there - (c_there - 1) ** 2 / (n - 1)
    )
    usable = (smallest > 1) & (r_there > 1) & (c_there > 1)
    v = np.sqrt(corrected / np.where(usable, smallest - 1, 1.0))
    return np.where(usable, np.minimum(v, 1.0), 0.0)


def eta_squares(values: Floats, group: Ints) -> Floats:
    """`pmcell.core.donors.association.eta_squared` of each row of both (draws × n)."""
    draws = len(values)
    k = int(group.max()) + 1
    centred = values - values.mean(axis=1, keepdims=True)
    place = (np.arange(draws)[:, None] * k + group).ravel()
    total = np.bincount(place, centred.ravel(), draws * k).reshape(draws, k)
    size = np.bincount(place, minlength=draws * k).reshape(draws, k)
    between = (total**2 / np.maximum(size, 1)).sum(axis=1)
    return np.asarray(between / np.maximum((centred**2).sum(axis=1), 1e-300))


def squared_correlations(first: Floats, second: Floats) -> Floats:
    """Squared Pearson correlation of each row of both (draws × n)."""
    a = first - first.mean(axis=1, keepdims=True)
    b = second - second.mean(axis=1, keepdims=True)
    norm = (a**2).sum(axis=1) * (b**2).sum(axis=1)
    return np.asarray((a * b).sum(axis=1) ** 2 / np.maximum(norm, 1e-300))


def _ranks(values: Floats) -> Floats:
    from scipy.stats import rankdata

    return np.asarray(rankdata(values, axis=1), np.float64)


def _codes(values: Floats) -> Ints:
    _, codes = np.unique(values, return_inverse=True)
    return np.asarray(codes, np.int64).reshape(values.shape)
