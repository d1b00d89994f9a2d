"""The nearest match to a misspelt name, for every error that can offer one."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Hashable, Iterable
from itertools import islice
from typing import TypeVar

Name = TypeVar("Name", bound=Hashable)

MAX_LETTERS = 64
"""Nobody misspells a longer name: comparing texts costs the product of their lengths."""

MAX_CHOICES = 10_000
"""Names of about the right length that are compared."""


def nearest(word: object, choices: Iterable[object], cutoff: float = 0.6) -> str | None:
    """Return the choice spelt most like `word`, whatever the case of its letters.

    Parameters
    ----------
    word
        What was found; it is compared as text.
    choices
        What there is. Of those alike, the first one wins.
    cutoff
        Lowest similarity (difflib's ratio, from 0 to 1).

    Returns
    -------
    The choice, or None when none is near or `word` is longer than `MAX_LETTERS`.

    Examples
    --------
    >>> nearest("resolutoin", ["resolution", "seed"])
    'resolution'
    """
    wanted = str(word).casefold()
    if not 0 < len(wanted) <= MAX_LETTERS:
        return None
    # difflib's ratio is at most twice the shorter length over the sum of both.
    least, most = len(wanted) * cutoff / (2 - cutoff), len(wanted) * (2 - cutoff) / cutoff
    texts = (text for text in map(str, choices) if least <= len(text) <= most)
    folded: dict[str, str] = {}
    for text in islice(texts, MAX_CHOICES):
        folded.setdefault(text.casefold(), text)
    near = difflib.get_close_matches(wanted, folded, n=1, cutoff=cutoff)
    return folded[near[0]] if near else None


def did_you_mean(word: object, choices: Iterable[object], cutoff: float = 0.6) -> str:
    """Return the sentence 'Did you mean …?' for the nearest choice, or '' when none is near.

    Examples
    --------
    >>> did_you_mean("relese", ["release", "report"])
    "Did you mean 'release'?"
    """
    near = nearest(word, choices, cutoff)
    return f"Did you mean {near!r}?" if near is not None else ""


def repeated(names: Iterable[Name]) -> dict[Name, int]:
    """Return the names that stand more than once with their number, in the order of the first.

    Examples
    --------
    >>> repeated(["a", "b", "a"])
    {'a': 2}
    """
    return {name: n for name, n in Counter(names).items() if n > 1}
