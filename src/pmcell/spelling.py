"""Compare names as people read them: the nearest to a misspelt one, and those that look alike."""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections import Counter
from collections.abc import Hashable, Iterable
from itertools import islice
from typing import TypeVar

Name = TypeVar("Name", bound=Hashable)

MAX_LETTERS = 64
"""Nobody misspells a longer name: comparing texts costs the product of their lengths."""

MAX_CHOICES = 10_000
"""Names of about the right length that are compared."""

# Letters of other alphabets that look like these; Cyrillic in capitals and small, Greek capitals.
_LOOK_ALIKES = str.maketrans(
    "\u0410\u0412\u0415\u041a\u041c\u041d\u041e\u0420\u0421\u0422\u0423\u0425\u0406\u0408\u0405"
    "\u0430\u0435\u043e\u0440\u0441\u0443\u0445\u0456\u0458\u0455"
    "\u0391\u0392\u0395\u0396\u0397\u0399\u039a\u039c\u039d\u039f\u03a1\u03a4\u03a5\u03a7"
    "\u2010\u2011\u2012\u2013\u2014\u2212",
    "ABEKMHOPCTYXIJS" + "aeopcyxijs" + "ABEZHIKMNOPTYX" + "------",
)
_STROKES = str.maketrans(
    {"\u0142": "l", "\u00f8": "o", "\u0111": "d", "\u0131": "i", "\u0153": "oe", "\u00e6": "ae"}
)
"""Letters that hold no accent to take off, such as an l with a stroke, and two written as one."""

UNSEEN = (
    "\x00-\x08\x0a-\x1f\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f"
    "\ufeff\ufff9-\ufffb"
)
"""Signs of no width, and those that turn, break or command what a screen shows; not the tab."""
_BREAKS = re.compile("[\t-\r\x1c-\x1f\x85\u2028\u2029]+")
_NEVER_SEEN = re.compile(rf"\x1b\[[0-?]*[ -/]*[@-~]|[{UNSEEN}]")
"""Commands to a terminal, and signs that nobody sees."""
_TURNS = re.compile(f"(?!\n)[{UNSEEN}]")


def without_unseen(text: str) -> str:
    """Return the text in one line without signs that nobody sees; a zero byte stays, to be named.

    Examples
    --------
    >>> without_unseen("T\\u202e cell"), without_unseen("T\\n\\tcell"), without_unseen("T\\x1b[31m")
    ('T cell', 'T cell', 'T')
    """
    if text.isprintable():
        return text
    return "\0".join(_NEVER_SEEN.sub("", _BREAKS.sub(" ", part)) for part in text.split("\0"))


def visible(text: str) -> str:
    """Return the text with what would turn, hide or move the text around it written as its number.

    The number is that of JSON, which stays the same. Line ends stay too: a message may have
    several lines.

    Examples
    --------
    >>> print(visible("T\\u202ecell\\x1b[2J"))
    T\\u202ecell\\u001b[2J
    """
    return _TURNS.sub(lambda sign: f"\\u{ord(sign[0]):04x}", text)


def as_seen(text: str) -> str:
    """Return the text as it is seen: no invisible signs or outer spaces, look-alikes as ASCII.

    Examples
    --------
    >>> as_seen("\\u0420\\u200b1\\u00a0"), as_seen("P1")
    ('P1', 'P1')
    """
    if text.isascii():
        return text.strip()
    plain = unicodedata.normalize("NFKC", text).translate(_LOOK_ALIKES)
    return "".join(sign for sign in plain if unicodedata.category(sign) != "Cf").strip()


def folded(text: str) -> str:
    """Return the text in small letters without accents, with the digits 0 to 9.

    Examples
    --------
    >>> folded("P\\u0142e\\u0107 2"), folded("\\u00c9TAT")
    ('plec 2', 'etat')
    """
    if text.isascii():
        return text.lower()
    parts = unicodedata.normalize("NFKD", text.casefold().translate(_STROKES))
    return "".join(
        str(unicodedata.digit(sign)) if sign.isdigit() else sign
        for sign in parts
        if not unicodedata.combining(sign)
    )


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


def plural(number: int, noun: str, nouns: str = "") -> str:
    """Return a number with its noun; `nouns` where that is not the noun with an s.

    Examples
    --------
    >>> plural(1, "donor"), plural(2000, "donor"), plural(2, "stratum", "strata")
    ('1 donor', '2,000 donors', '2 strata')
    """
    return f"{number:,} {noun if number == 1 else nouns or noun + 's'}"


def repeated(names: Iterable[Name]) -> dict[Name, int]:
    """Return the names that stand more than once with their number, in the order of the first.

    Examples
    --------
    >>> repeated(["a", "b", "a"])
    {'a': 2}
    """
    return {name: n for name, n in Counter(names).items() if n > 1}
