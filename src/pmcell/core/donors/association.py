"""Effect sizes with permutation p values for one variable a donor against another.

All permute the outcome over donors, within blocks where given, and count the
observed arrangement as one of the permutations: p = (1 + #≥)/(B + 1).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def permutations(n: int, n_draws: int, rng: np.random.Generator, block: Ints | None = None) -> Ints:
    """The identity and `n_draws` random orders of n rows (draws + 1 × n), within blocks."""
    block = np.zeros(n, np.int64) if block is None else block
    keys = rng.random((n_draws, n))
    home = np.argsort(block, kind="stable")
    shuffled = np.lexsort((keys, np.broadcast_to(block, keys.shape)), axis=1)
    out = np.empty((n_draws + 1, n), np.int64)
    out[0] = np.arange(n)
    out[1:, home] = shuffled
    return out


def cramers_v(first: Ints, second: Ints) -> float:
    """Bias-corrected Cramér's V of two codes (0 … r-1), from 0 to 1.

    Bergsma 2013, doi:10.1016/j.jkss.2012.10.002.
    """
    n, r, c = first.size, _n_levels(first), _n_levels(second)
    if n < 2 or r < 2 or c < 2:
        return 0.0
    phi = float(chi_square(first, second[None, :])[0]) / n
    corrected = max(phi - (r - 1) * (c - 1) / (n - 1), 0.0)
    smallest = min(r - (r - 1) ** 2 / (n - 1), c - (c - 1) ** 2 / (n - 1)) - 1
    return float(min(np.sqrt(corrected / smallest), 1.0)) if smallest > 0 else 0.0


def chi_square(first: Ints, second: Ints) -> Floats:
    """Pearson's χ² of `first` (n,) with each row of `second` (draws × n)."""
    n, r, c = first.size, _n_levels(first), _n_levels(second)
    member = (first[:, None] == np.arange(r)).astype(np.float64)
    of_row = member.sum(axis=0)
    out = np.zeros(second.shape[0])
    for code in range(c):
        chosen = (second == code).astype(np.float64)
        expected = of_row * chosen[0].sum() / n
        out += (((chosen @ member) - expected) ** 2 / np.maximum(expected, 1e-300)).sum(axis=1)
    return out


def _n_levels(codes: Ints) -> int:
    return int(np.max(codes)) + 1


def eta_squared(values: Floats, group: Ints) -> Floats:
    """Share of the variance of each row of `values` (draws × n) that lies between groups (n,)."""
    centred = values - values.mean(axis=1, keepdims=True)
    member = (group[:, None] == np.arange(_n_levels(group))).astype(np.float64)
    size = np.maximum(member.sum(axis=0), 1.0)
    total = np.maximum((centred**2).sum(axis=1), 1e-300)
    return np.asarray((((centred @ member) ** 2) / size).sum(axis=1) / total)


def correlation(values: Floats, other: Floats) -> Floats:
    """Pearson correlation of each row of `values` (draws × n) with `other` (n,)."""
    a = values - values.mean(axis=1, keepdims=True)
    b = other - other.mean()
    norm = np.sqrt((a**2).sum(axis=1) * (b**2).sum())
    return np.asarray(a @ b / np.maximum(norm, 1e-300))


def permutation_p(statistic: Floats) -> float:
    """p of `statistic[0]` (observed) among all, ties within rounding counted as reached."""
    tolerance = 1e-9 * max(abs(float(statistic[0])), 1.0)
    return float((statistic >= statistic[0] - tolerance).mean())


def bias_corrected_interval(values: Floats, level: float = 0.95) -> tuple[float, float]:
    """Bias-corrected percentile interval: `values[0]` is the estimate, the others its bootstraps.

    Efron 1987, doi:10.1080/01621459.1987.10478410, without acceleration. The
    shift is held within two standard deviations, so that an estimate below all
    of its bootstraps, as effects near zero have, still gets an interval that holds it.
    """
    estimate, drawn = values[0], values[1:]
    below = ((drawn < estimate).sum() + 0.5 * (drawn == estimate).sum()) / drawn.size
    shift = float(ndtri(np.clip(below, 0.0228, 0.9772)))
    tail = float(ndtri(0.5 + level / 2))
    low, high = np.quantile(drawn, ndtr([2 * shift - tail, 2 * shift + tail]))
    return float(min(low, estimate)), float(max(high, estimate))


def adjusted_rand(first: Ints, second: Ints) -> float:
    """Adjusted Rand index of two partitions: 1 the same, 0 as by chance.

    Hubert & Arabie 1985, doi:10.1007/BF01908075.
    """
    table = np.zeros((_n_levels(first), _n_levels(second)))
    np.add.at(table, (first, second), 1.0)
    together = (table * (table - 1)).sum() / 2
    rows, columns = ((n * (n - 1)).sum() / 2 for n in (table.sum(axis=1), table.sum(axis=0)))
    expected = rows * columns / max(first.size * (first.size - 1) / 2, 1)
    most = (rows + columns) / 2
    return 1.0 if most == expected else float((together - expected) / (most - expected))


def benjamini_hochberg(p: Floats) -> Floats:
    """q values of the Benjamini-Hochberg procedure, in the order given.

    doi:10.1111/j.2517-6161.1995.tb02031.x.
    """
    n = p.size
    order = np.argsort(p, kind="stable")[::-1]
    out = np.empty(n)
    out[order] = np.minimum.accumulate(p[order] * n / np.arange(n, 0, -1))
    return np.minimum(out, 1.0)
