"""Power of a comparison of two groups of donors: a cell state, or the share of a cell type.

Donors are the replicates. A donor's value is a mean over cells (state) or a share of cells
(composition); both vary between donors and, less, by the sampling of cells. The test is
Welch's, two-sided, on one value a donor; shares are compared on the arcsine scale of
`pmcell.core.donors.arcsine`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

ALPHA = 0.05
POWERED = 0.8
EFFECT = 0.8
"""Difference of two means in standard deviations between donors; Cohen (1988) calls 0.8 large."""
MAX_DONORS = 10_000
"""More donors than this are not asked for: the effect is then called out of reach."""
MAX_CELLS = 20_000
"""Cells a donor from which on the sampling of cells adds nothing that matters."""
MAX_SKEW = 0.2
"""Skewness of a group's mean above which studies are drawn."""
N_STUDIES = 4_000
"""Studies drawn: the standard error of a power is at most 0.008."""
MANY = 200
"""Donors of a group from which on its mean is drawn from a normal distribution."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class State:
    """A stated difference of a donor-level mean, such as a module score within a cell type.

    Attributes
    ----------
    difference
        Between the means of the two groups, in standard deviations between donors.
    icc
        Share of the variance of single cells that lies between donors, above 0 and at most 1.
    n_cells
        Cells of a donor that enter the mean.
    """

    difference: float = EFFECT
    icc: float = 1.0
    n_cells: int = 1

    def __post_init__(self) -> None:
        _require("difference", self.difference, 0, math.inf, open_low=True)
        _require("icc", self.icc, 0, 1, open_low=True)
        _require("n_cells", self.n_cells, 1, math.inf)

    def moments(self) -> tuple[float, float, float]:
        """Return the difference of the means, and the variance of a donor's value in each group."""
        variance = 1.0 + (1.0 - self.icc) / (self.icc * self.n_cells)
        return self.difference, variance, variance


@dataclass(frozen=True)
class Composition:
    """A stated difference in the share of a cell type.

    Attributes
    ----------
    share_1, share_2
        Mean share of the type among the cells of a donor in each group, within (0, 1).
    icc
        Correlation of two cells of one donor (beta-binomial), within (0, 1).
    n_cells
        Cells of a donor that were counted.
    """

    share_1: float
    share_2: float
    icc: float = 0.02
    n_cells: int = 500

    def __post_init__(self) -> None:
        for name in ("share_1", "share_2", "icc"):
            _require(name, getattr(self, name), 0, 1, open_low=True, open_high=True)
        _require("n_cells", self.n_cells, 1, math.inf)
        if self.share_1 == self.share_2:
            raise ValueError(f"share_1 and share_2 must differ, got {self.share_1} twice")

    def moments(self) -> tuple[float, float, float]:
        """Return the difference of the means, and the variance of a donor's value in each group.

        Exact: the arcsine of every possible count, weighted by its beta-binomial probability.
        """
        one, other = self.laws()
        return other.mean - one.mean, one.variance, other.variance

    def laws(self) -> tuple[_Law, _Law]:
        """Return how a donor's arcsine share is distributed in each group."""
        one, other = (_law(share, self.icc, self.n_cells) for share in (self.share_1, self.share_2))
        return one, other


Effect = State | Composition


def power(n_1: int, n_2: int, effect: Effect | None = None, *, alpha: float = ALPHA) -> float:
    """Return the chance that Welch's t-test finds a stated effect between two groups of donors.

    Parameters
    ----------
    n_1, n_2
        Donors in the two groups.
    effect
        The effect; a difference of `EFFECT` standard deviations between donors by default.
    alpha
        Two-sided level of the test.

    Returns
    -------
    float
        0 where a group has fewer than two donors: there is no test.

    Notes
    -----
    The statistic is taken as noncentral t with the degrees of freedom of Welch and
    Satterthwaite (Welch 1947, doi:10.1093/biomet/34.1-2.28); Chow, Shao, Wang & Lokhnygina,
    Sample Size Calculations in Clinical Research, 3rd ed., section 3.2. That takes means of
    donors as normal. Where the shares of a rare type are too skewed for it (skewness of a
    group's mean above `MAX_SKEW`), `N_STUDIES` studies are drawn instead, always the same.

    Examples
    --------
    >>> round(power(26, 26, State(0.8)), 2)
    0.81
    """
    from scipy.stats import nct
    from scipy.stats import t as student

    _require("alpha", alpha, 0, 1, open_low=True, open_high=True)
    if min(n_1, n_2) < 2:
        return 0.0
    effect = effect or State()
    if isinstance(effect, Composition) and _is_skewed(n_1, n_2, effect):
        return _drawn_power(n_1, n_2, effect, alpha)
    difference, variance_1, variance_2 = effect.moments()
    part_1, part_2 = variance_1 / n_1, variance_2 / n_2
    if part_1 + part_2 == 0:
        return 1.0
    freedom = (part_1 + part_2) ** 2 / (part_1**2 / (n_1 - 1) + part_2**2 / (n_2 - 1))
    shift = abs(difference) / math.sqrt(part_1 + part_2)
    limit = student.isf(alpha / 2, freedom)
    found = float(nct.sf(limit, freedom, shift)) + float(nct.cdf(-limit, freedom, shift))
    # scipy gives nan where the noncentrality is so large that nothing is missed.
    return min(found, 1.0) if math.isfinite(found) else 1.0


def donors_needed(
    n_other: int | None,
    effect: Effect | None = None,
    *,
    alpha: float = ALPHA,
    powered: float = POWERED,
) -> int | None:
    """Return the donors that a group needs for a stated power; None where no number is enough.

    Parameters
    ----------
    n_other
        Donors of the group that it is compared with, which stays as it is; None for two
        groups of equal size.
    effect, alpha
        As for `power`.
    powered
        The power that is wanted.

    Examples
    --------
    >>> donors_needed(None, State(0.8)), donors_needed(20, State(0.8)), donors_needed(5)
    (26, 37, None)
    """
    _require("powered", powered, 0, 1, open_low=True, open_high=True)

    def enough(n: int) -> bool:
        return power(n, n if n_other is None else n_other, effect, alpha=alpha) >= powered

    if not enough(MAX_DONORS):
        return None
    low, high = 1, MAX_DONORS
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


@dataclass(frozen=True)
class _Law:
    """Values that a donor can have, ascending, and how likely each is."""

    values: Floats
    weight: Floats

    @property
    def mean(self) -> float:
        return float(self.weight @ self.values)

    @property
    def variance(self) -> float:
        return self._moment(2)

    @property
    def skewness(self) -> float:
        variance = self.variance
        return self._moment(3) / variance**1.5 if variance > 0 else 0.0

    def _moment(self, order: int) -> float:
        return float(self.weight @ (self.values - self.mean) ** order)

    def draw(self, rng: np.random.Generator, n_studies: int, n: int) -> tuple[Floats, Floats]:
        """Mean and variance over `n` donors, in each of `n_studies` studies."""
        if n > MANY:
            spread = math.sqrt(self.variance / n)
            means = self.mean + spread * rng.standard_normal(n_studies)
            return means, np.full(n_studies, self.variance)
        limits = np.cumsum(self.weight)
        places = np.searchsorted(limits, rng.random((n_studies, n)) * limits[-1], side="right")
        values = self.values[np.minimum(places, self.values.size - 1)]
        return values.mean(axis=1), values.var(axis=1, ddof=1)


@lru_cache(maxsize=64)
def _law(share: float, icc: float, n_cells: int) -> _Law:
    """The law of the arcsine of a beta-binomial share."""
    from scipy.stats import betabinom

    from pmcell.core.donors.arcsine import arcsine

    n = min(int(n_cells), MAX_CELLS)
    counts = np.arange(n + 1, dtype=np.float64)
    spread = 1.0 / icc - 1.0
    weight = betabinom.pmf(counts, n, share * spread, (1.0 - share) * spread)
    values = arcsine(np.stack([counts, n - counts], axis=1))[:, 0]
    return _Law(values, np.asarray(weight / weight.sum()))


def _is_skewed(n_1: int, n_2: int, effect: Composition) -> bool:
    skew = (
        abs(law.skewness) / math.sqrt(n) for law, n in zip(effect.laws(), (n_1, n_2), strict=True)
    )
    return max(skew) > MAX_SKEW


def _drawn_power(n_1: int, n_2: int, effect: Composition, alpha: float) -> float:
    """Share of drawn studies in which Welch's test finds the effect."""
    from scipy.stats import t as student

    rng = np.random.default_rng(0)
    law_1, law_2 = effect.laws()
    mean_1, variance_1 = law_1.draw(rng, N_STUDIES, n_1)
    mean_2, variance_2 = law_2.draw(rng, N_STUDIES, n_2)
    part_1, part_2 = variance_1 / n_1, variance_2 / n_2
    total = part_1 + part_2
    # Where no donor differs from another there is no test, and nothing is found.
    tested = total > 0
    part_1, part_2, total = part_1[tested], part_2[tested], total[tested]
    freedom = total**2 / (part_1**2 / (n_1 - 1) + part_2**2 / (n_2 - 1))
    statistic = np.abs(mean_2 - mean_1)[tested] / np.sqrt(total)
    return float((statistic > student.isf(alpha / 2, freedom)).sum() / N_STUDIES)


def _require(
    name: str,
    value: float,
    low: float,
    high: float,
    *,
    open_low: bool = False,
    open_high: bool = False,
) -> None:
    below = value <= low if open_low else value < low
    above = value >= high if open_high else value > high
    if not math.isfinite(value) or below or above:
        signs = f"{'(' if open_low else '['}{low:g}, {high:g}{')' if open_high else ']'}"
        raise ValueError(f"{name} must be a number in {signs}, got {value!r}")
