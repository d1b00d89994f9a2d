"""What a group's values say: quantiles, and a reference interval where there are enough people.

Ranks are those of CLSI EP28-A3c (Defining, Establishing, and Verifying Reference
Intervals in the Clinical Laboratory, 3rd ed., 2010): the p-quantile of n values has
rank p·(n+1), between ranks it is interpolated; the confidence interval of a limit lies
between two order statistics whose ranks follow from the binomial distribution
(Harrell and Davis's estimator with a bootstrap held its nominal 90 % less well:
tests/benchmarks/person).

A quantile is given only where at least two people are expected beyond it. Values are
rounded to two digits, ends of confidence intervals outwards; such an end may be the rounded
extreme of the group.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pmcell.dossier.model import (
    ABOVE,
    BELOW,
    COMPARISON_GROUP,
    REFERENCE_INTERVAL,
    TOO_FEW,
    WITHIN,
    GroupRange,
    Interval,
)

MIN_REFERENCE = 120
"""People that a reference interval needs in its partition (CLSI EP28-A3c)."""
MIN_NINE_OF_TEN = 40
"""People for the 5th and 95th percentile: two are expected beyond each."""
MIN_PEOPLE = 10
"""People for median and quartiles, whatever a release asks for: two and a half beyond each."""
LIMIT_CONFIDENCE = 0.90
"""Confidence of the interval of a reference limit."""


@dataclass(frozen=True)
class Limits:
    """What 9 of 10 have and the reference interval, not rounded: for positions, never shown."""

    nine_of_ten: Interval | None = None
    reference: Interval | None = None


def limits_of(values: ArrayLike, *, least: int = MIN_PEOPLE) -> Limits:
    """The limits of a group against which a person's value is held.

    Parameters
    ----------
    values, least
        As `describe` takes them.

    Returns
    -------
    Limits
        A person who has the very value of a limit is within, which rounding would break.

    Examples
    --------
    >>> limits_of([0.0004950495] * 120).reference
    Interval(low=0.0004950495, high=0.0004950495)
    """
    known = _known(values)
    return Limits(
        _between(known, 0.05, 0.95) if known.size >= max(MIN_NINE_OF_TEN, least) else None,
        _between(known, 0.025, 0.975) if known.size >= max(MIN_REFERENCE, least) else None,
    )


def describe(values: ArrayLike, *, least: int = MIN_PEOPLE) -> GroupRange:
    """The distribution of a value in a group, as far as its size lets it be told.

    Parameters
    ----------
    values
        One value a person; NaN where it is not known.
    least
        People below which nothing but their number is told; at least `MIN_PEOPLE`.

    Returns
    -------
    GroupRange
        Its `kind` says how far it goes.

    Examples
    --------
    >>> describe(range(1, 120)).kind, describe(range(1, 121)).kind
    ('comparison group', 'reference interval')
    >>> describe(range(9)).median is None
    True
    """
    known = _known(values)
    n = known.size
    if n < max(least, MIN_PEOPLE):
        return GroupRange(TOO_FEW, n)
    low, middle, high = (two_digits(quantile(known, p)) for p in (0.25, 0.5, 0.75))
    limits = limits_of(known, least=least)
    nine, reference = _rounded(limits.nine_of_ten), _rounded(limits.reference)
    if reference is None:
        return GroupRange(COMPARISON_GROUP, n, middle, Interval(low, high), nine)
    return GroupRange(
        REFERENCE_INTERVAL,
        n,
        middle,
        Interval(low, high),
        nine,
        reference,
        limit_interval(known, 0.025),
        limit_interval(known, 0.975),
    )


def quantile(known: NDArray[np.float64], p: float) -> float:
    """The p-quantile of sorted values: rank p·(n+1), interpolated (EP28-A3c, appendix A)."""
    return float(np.quantile(known, p, method="weibull"))


def limit_interval(known: NDArray[np.float64], p: float) -> Interval:
    """Confidence interval of the p-quantile of sorted values, between two order statistics.

    >>> limit_interval(np.arange(1.0, 121.0), 0.025)
    Interval(low=1.0, high=7.0)
    """
    first, last = limit_ranks(known.size, p)
    return Interval(
        two_digits(float(known[first - 1]), "down"), two_digits(float(known[last - 1]), "up")
    )


def limit_ranks(n: int, p: float) -> tuple[int, int]:
    """Ranks, from 1, between which the p-quantile lies with `LIMIT_CONFIDENCE` at least.

    Examples
    --------
    >>> limit_ranks(120, 0.025), limit_ranks(120, 0.975)
    ((1, 7), (114, 120))
    """
    from scipy.stats import binom

    tail = (1 - LIMIT_CONFIDENCE) / 2
    first = int(binom.ppf(tail, n, p))
    last = int(binom.ppf(1 - tail, n, p)) + 1
    return max(first, 1), min(last, n)


def two_digits(value: float, towards: str = "nearest") -> float:
    """The value with two significant digits, rounded `down`, `up` or to the `nearest`.

    Examples
    --------
    >>> two_digits(0.1234), two_digits(0.1234, "up"), two_digits(0.1299, "down"), two_digits(0.0)
    (0.12, 0.13, 0.12, 0.0)
    """
    if value == 0 or not math.isfinite(value):
        return value
    places = 1 - math.floor(math.log10(abs(value)))
    # What stands on the grid already stays there: 0.12·100 is 12.000000000000002 in places.
    scaled = round(value * 10.0**places, 9)
    if towards == "nearest":
        whole = round(scaled)
    else:
        whole = math.floor(scaled) if towards == "down" else math.ceil(scaled)
    return round(whole / 10.0**places, max(places, 0))


def position(value: float | None, limits: Interval | None) -> str:
    """Where a value stands: `BELOW`, `WITHIN` (ends are inside) or `ABOVE`; '' for no answer.

    >>> position(0.1, Interval(0.1, 0.2)), position(0.3, Interval(0.1, 0.2)), position(None, None)
    ('within', 'above', '')
    """
    if value is None or limits is None:
        return ""
    return BELOW if value < limits.low else ABOVE if value > limits.high else WITHIN


def is_sure(counting: Interval | None, limits: Interval | None) -> bool:
    """Whether all of a counting interval stands in one position."""
    if counting is None or limits is None:
        return False
    return position(counting.low, limits) == position(counting.high, limits)


def _between(known: NDArray[np.float64], low: float, high: float) -> Interval:
    return Interval(quantile(known, low), quantile(known, high))


def _rounded(interval: Interval | None) -> Interval | None:
    if interval is None:
        return None
    return Interval(two_digits(interval.low), two_digits(interval.high))


def _known(values: ArrayLike) -> NDArray[np.float64]:
    """The finite values, ascending."""
    known = np.asarray(values, float)
    ordered: NDArray[np.float64] = np.sort(known[np.isfinite(known)])
    return ordered
