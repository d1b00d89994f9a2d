"""Find ids that are the same number, written otherwise: 001 and 1, 7 and 7.0, 12000 and 1.2E+04."""

from __future__ import annotations

import re
from collections.abc import Iterable

_WHOLE = re.compile(r"0*(\d+)(?:[.,]0+)?")
_POWER = re.compile(r"(\d)(?:[.,](\d+))?[eE]\+?0*(\d{1,2})")


def number_of(text: str) -> str:
    """The number that an id is, without what spreadsheets change; '' where it is none.

    >>> number_of("007"), number_of("7.0"), number_of("1.2E+04"), number_of("P7")
    ('7', '7', '12000', '')
    """
    whole = _WHOLE.fullmatch(text)
    if whole:
        return whole[1]
    power = _POWER.fullmatch(text)
    if not power:
        return ""
    first, rest, places = power[1], power[2] or "", int(power[3])
    return (first + rest).ljust(places + 1, "0") if len(rest) <= places else ""


class SameNumbers:
    """Ids by the number that they are; an id stands for its number where no other does."""

    def __init__(self, ids: Iterable[str]) -> None:
        self._ids: dict[str, str | None] = {}
        for name in dict.fromkeys(ids):
            number = number_of(name)
            if number:
                self._ids[number] = None if number in self._ids else name

    def find(self, name: str) -> str | None:
        """The id that is the same number as `name`, and is not `name`."""
        found = self._ids.get(number_of(name))
        return found if found != name else None


def as_written(one: str, other: str) -> tuple[str, str]:
    """Of two ids that are one number, the one as it was first and the one that was changed."""
    changed = min((one, other), key=lambda name: (name.isdigit(), len(name) * name.isdigit()))
    return (other, changed) if changed == one else (one, changed)
