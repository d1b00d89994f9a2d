"""Quantiles and reference intervals of a group."""

from __future__ import annotations

from math import comb

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pmcell.dossier.model import (
    COMPARISON_GROUP,
    REFERENCE_INTERVAL,
    TOO_FEW,
    WITHIN,
    Interval,
)
from pmcell.dossier.ranges import (
    describe,
    is_sure,
    limit_ranks,
    limits_of,
    position,
    two_digits,
)


def naive_quantile(values: list[float], p: float) -> float:
    """Rank p·(n+1), between ranks by the distance to them, as EP28-A3c writes it."""
    ordered = sorted(values)
    rank = p * (len(ordered) + 1)
    whole = int(rank)
    if whole < 1:
        return ordered[0]
    if whole >= len(ordered):
        return ordered[-1]
    low, high = ordered[whole - 1], ordered[whole]
    return low + (rank - whole) * (high - low)


def naive_ranks(n: int, p: float) -> tuple[int, int]:
    """Ranks that leave at most 5 % on each side, by adding up the binomial distribution."""
    chance = [comb(n, k) * p**k * (1 - p) ** (n - k) for k in range(n + 1)]
    first = max(r for r in range(1, n + 1) if r == 1 or sum(chance[:r]) <= 0.05)
    last = min(r for r in range(1, n + 1) if r == n or sum(chance[r:]) <= 0.05)
    return first, last


def test_119_people_are_a_comparison_group_and_120_a_reference_interval() -> None:
    values = np.linspace(0.1, 0.2, 120)
    few, enough = describe(values[:119]), describe(values)
    assert (few.kind, few.n) == (COMPARISON_GROUP, 119)
    assert few.nine_of_ten is not None
    assert (few.reference, few.reference_low, few.reference_high) == (None, None, None)
    assert (enough.kind, enough.n) == (REFERENCE_INTERVAL, 120)
    assert enough.reference is not None
    assert enough.reference_low is not None


def test_39_people_have_quartiles_and_40_also_what_9_of_10_have() -> None:
    values = np.linspace(0.1, 0.2, 40)
    assert describe(values[:39]).quartiles is not None
    assert describe(values[:39]).nine_of_ten is None
    assert describe(values).nine_of_ten is not None


def test_of_nine_people_only_their_number_is_told() -> None:
    told = describe(np.linspace(0.1, 0.2, 9))
    assert (told.kind, told.n, told.median, told.quartiles) == (TOO_FEW, 9, None, None)
    assert describe(np.linspace(0.1, 0.2, 10)).median is not None


def test_a_release_that_asks_for_more_people_gets_them() -> None:
    values = np.linspace(0.1, 0.2, 125)
    assert describe(values, least=130).kind == TOO_FEW
    assert limits_of(values, least=130).reference is None
    assert describe(values, least=3) == describe(values)


def test_people_whose_value_is_not_known_do_not_count() -> None:
    values = np.append(np.linspace(0.1, 0.2, 119), np.nan)
    assert (describe(values).kind, describe(values).n) == (COMPARISON_GROUP, 119)


@given(st.lists(st.floats(0, 1), min_size=120, max_size=150))
def test_limits_are_those_of_ranks_of_n_plus_1(values: list[float]) -> None:
    limits = limits_of(values)
    for interval, tail in ((limits.nine_of_ten, 0.05), (limits.reference, 0.025)):
        assert interval is not None
        assert interval.low == pytest.approx(naive_quantile(values, tail), abs=1e-12)
        assert interval.high == pytest.approx(naive_quantile(values, 1 - tail), abs=1e-12)


@pytest.mark.parametrize("n", [120, 121, 132, 133, 160, 240, 1_000])
def test_ranks_of_confidence_intervals_hold_their_confidence(n: int) -> None:
    assert limit_ranks(n, 0.025) == naive_ranks(n, 0.025)
    low, high = limit_ranks(n, 0.975)
    # Mirrored: what lies above the upper limit lies below the lower one from the other end.
    assert (n + 1 - high, n + 1 - low) == limit_ranks(n, 0.025)


def test_a_limit_lies_in_its_own_confidence_interval() -> None:
    told = describe(np.random.default_rng(3).beta(2, 18, 200))
    for value, interval in (
        (told.reference.low, told.reference_low),
        (told.reference.high, told.reference_high),
    ):
        assert interval.low <= value <= interval.high


def test_a_person_with_the_very_value_of_everyone_is_within() -> None:
    share = 1 / 2020
    limits = limits_of([share] * 120)
    assert position(share, limits.reference) == WITHIN
    assert position(share, limits.nine_of_ten) == WITHIN


def test_a_group_without_any_such_cell_has_limits_of_zero() -> None:
    told = describe(np.zeros(150))
    assert told.reference == Interval(0.0, 0.0)
    assert position(0.0, limits_of(np.zeros(150)).reference) == WITHIN
    assert position(0.001, limits_of(np.zeros(150)).reference) == "above"


@given(st.floats(1e-9, 1e6))
def test_two_digits_are_rounded_to_the_side_asked_for(value: float) -> None:
    low, high = two_digits(value, "down"), two_digits(value, "up")
    slack = 1e-8 * value
    assert low <= value + slack
    assert high >= value - slack
    assert high - low <= 0.1 * value * 1.01
    assert two_digits(value) in (low, high)


@pytest.mark.parametrize(
    ("counting", "sure"),
    [((0.05, 0.09), True), ((0.05, 0.12), False), ((0.12, 0.18), True), ((0.05, 0.3), False)],
)
def test_a_position_is_sure_when_counting_cannot_turn_it(counting, sure) -> None:
    assert is_sure(Interval(*counting), Interval(0.1, 0.2)) is sure
    assert is_sure(None, Interval(0.1, 0.2)) is False
