"""Which of two entries of one person came last, where days, times and records say different things.

An entry may say the day alone, a time with its offset, or a day to come. Of a day
alone nobody knows the hour: beside a time of that day, in UTC or where it was
written, only the order in which the two were recorded tells which came last. And
what was on file when a person took something back is taken back, too, though it was
to hold later.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from itertools import combinations

from pmcell.consent.entries import Entry, disagree, instant_of

Numbered = tuple[int, Entry]
"""An entry, with when it was recorded: alike for those that were recorded together."""


def numbered(entries: Sequence[Entry]) -> list[Numbered]:
    """Entries with the order in which they were recorded."""
    first: dict[str, int] = {}
    return [
        (first.setdefault(entry.recorded_at, number), entry) for number, entry in enumerate(entries)
    ]


def is_one_moment(one: Entry, other: Entry) -> bool:
    """Whether nothing that two entries say tells which of them came first."""
    if one.instant == other.instant:
        return True
    return one.is_day != other.is_day and not one.days.isdisjoint(other.days)


def ends(taking: Numbered, permit: Numbered) -> bool:
    """Whether an entry that takes something back reaches one that permits.

    Examples
    --------
    >>> give = Entry("give", "s", "2026-03-01T09:00:00+00:00", "p", "2026-03-01T10:00:00+00:00")
    >>> withdraw = Entry("withdraw", "s", "2026-03-01", "p", "2026-03-01T11:00:00+00:00")
    >>> ends((1, withdraw), (0, give)), ends((0, withdraw), (1, give))
    (True, False)
    """
    if is_one_moment(taking[1], permit[1]):
        return taking[0] >= permit[0]
    return taking[1].instant > permit[1].instant or forestalls(taking, permit)


def forestalls(taking: Numbered, permit: Numbered) -> bool:
    """Whether something was taken back that was on file and did not hold yet."""
    (number, entry), (earlier, given) = taking, permit
    end = entry.instant + timedelta(days=1 if entry.is_day else 0)
    return (
        earlier < number and entry.instant < given.instant and instant_of(given.recorded_at) <= end
    )


def contradictions(entries: Sequence[Entry]) -> Iterator[tuple[Entry, Entry]]:
    """Pairs of one moment that disagree and were recorded together, so that nothing orders them."""
    together: dict[str, list[Entry]] = {}
    for entry in entries:
        together.setdefault(entry.recorded_at, []).append(entry)
    for group in together.values():
        for one, other in combinations(group, 2):
            if disagree(one, other) and is_one_moment(one, other):
                yield one, other
