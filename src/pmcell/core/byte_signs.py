"""Signs in bytes by which it is told what else is written or packed in them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pmcell.core.byte_search import Bytes, _digit, _is_letter
from pmcell.core.compiler import Array, kernel

ESCAPES, TAGS, QUOTED, HYPHENS, KERNED, JOINED = 1, 2, 4, 8, 16, 32
MARKED, CALLED, LONG, LINED = 64, 128, 256, 512
"""What `signs` says of bytes: escapes, tags or colours of terminals, quoted-printable, lines that
end in a hyphen, text with its kerning (PDF), texts that a program joins; bold or set letters
(Markdown, LaTeX), letters that a program calls by number, whole numbers of R, lines that end as on
Windows or begin with a mark of comments."""
MIN_ROW = 6
"""Numbers or letters in a row that are taken for a text."""
STREAMS = ("zlib", "gzip", "bzip", "xz", "zip", "zstd", "lz4")
"""Kinds of packed data, by the numbers that `signs` gives them."""


def signs(data: bytes, most: int) -> tuple[int, list[tuple[int, str]]]:
    r"""Return what kinds of signs bytes hold, and where packed data may begin in them, with kind.

    Parameters
    ----------
    data
        The bytes.
    most
        Places that are returned, at most.

    Examples
    --------
    >>> signs(b"<b>%41</b>\x1f\x8b\x08", 10) == (ESCAPES | TAGS, [(10, "gzip")])
    True
    """
    begins, kinds = np.empty(most, np.int64), np.empty(most, np.int8)
    flags, n_found = _signs(np.frombuffer(data, np.uint8), _FIRST, begins, kinds)
    places = zip(begins[:n_found].tolist(), kinds[:n_found].tolist(), strict=True)
    return flags, [(begin, STREAMS[kind]) for begin, kind in places]


_FIRST = np.zeros(256, dtype=np.bool_)
_FIRST[[*b"\\%</=xBP(-T\"'*L\n\r", 0x04, 0x08, 0x1B, 0x1F, 0xFD]] = True
"""Bytes that what `signs` tells begins with."""


def long_words(data: bytes, letters: NDArray[np.bool_], least: int) -> NDArray[np.int64]:
    """Begin and end of each run of at least `least` bytes that `letters` (256 flags) allows.

    >>> letters = np.zeros(256, dtype=bool)
    >>> letters[ord("a")] = True
    >>> long_words(b"aa.aaa.aaaa", letters, 3).tolist()
    [[3, 6], [7, 11]]
    """
    values = np.frombuffer(data, np.uint8)
    found = np.zeros((_long_words(values, letters, least, np.zeros((0, 2), np.int64)), 2), np.int64)
    _long_words(values, letters, least, found)
    return found


def rows_of_signs(data: bytes) -> tuple[bool, bool]:
    """Whether bytes may hold rows of letters as numbers, and of letters that stand alone.

    >>> rows_of_signs(b"44:6f:6e:6f:72:2d"), rows_of_signs(b"D o n o r 1"), rows_of_signs(b"a 1 b")
    ((True, False), (False, True), (False, False))
    """
    n_numbers, n_singles = _longest_rows(np.frombuffer(data, np.uint8), _CLASSES)
    return n_numbers >= MIN_ROW, n_singles >= MIN_ROW


_CLASSES = np.zeros(256, np.uint8)
_CLASSES[33:] = 1
_CLASSES[[*b",;./|()[]{}"]] = 0
_CLASSES[[*b"0123456789abcdefABCDEFxX"]] |= 2
_CLASSES[[byte for byte in range(128) if chr(byte).isalnum()]] |= 4
"""Of each byte whether it is seen, may be of a number, and goes on with a word."""


@kernel  # type: ignore[untyped-decorator]
def _longest_rows(data: Bytes, classes: Bytes) -> tuple[int, int]:
    """Most short words one after the other that may be numbers, and most single signs."""
    n_numbers, most_numbers, n_singles, most_singles = 0, 0, 0, 0
    n_word, n_seen, may_be = 0, 0, True
    for at in range(data.size + 1):
        kind = classes[data[at]] if at < data.size else 0
        if kind & 4:
            n_word += 1
            may_be = may_be and (kind & 2) != 0
        elif n_word:
            # The zeros of a whole number that is written with a fraction may stand between.
            if may_be and n_word <= 4:
                n_numbers += 1
                most_numbers = max(most_numbers, n_numbers)
            elif not may_be:
                n_numbers = 0
            n_word, may_be = 0, True
        if kind & 1:
            n_seen += 1
        elif n_seen:
            n_singles = n_singles + 1 if n_seen == 1 else 0
            most_singles = max(most_singles, n_singles)
            n_seen = 0
    return most_numbers, most_singles


@kernel  # type: ignore[untyped-decorator]
def _signs(data: Bytes, first: Array, begins: Array, kinds: Array) -> tuple[int, int]:
    flags, n_found = 0, 0
    for at in range(data.size - 1):
        sign = data[at]
        if not first[sign]:
            continue
        following, kind = data[at + 1], -1
        third = data[at + 2] if at + 2 < data.size else 0
        fourth = data[at + 3] if at + 3 < data.size else 0
        before = data[at - 1] if at else 0
        if (sign == 42 and following == 42) or (
            sign == 92
            and ((following == 116 and third == 101) or (following == 101 and third == 109))
        ):
            flags |= 64
        if sign == 40 and before in (82, 114) and 48 <= following <= 57:
            flags |= 128
        if sign == 76 and 48 <= before <= 57 and following == 44:
            flags |= 256
        if (sign == 13 and following == 10) or (
            sign == 10
            and (
                following in (35, 37, 42, 43, 45, 47, 59, 62)
                or (following in (9, 32) and third in (35, 42, 47, 62))
            )
        ):
            flags |= 512
        # A backslash before n, u, U, x, a hexadecimal digit, a hyphen or the end of a line.
        if sign == 37 or (
            sign == 92
            and (
                following in (110, 117, 85, 120)
                or _digit(following) >= 0
                or following in (10, 39, 45, 95)
            )
        ):
            flags |= 1
        elif (
            (sign == 60 and (following in (33, 47, 63) or _is_letter(following)))
            or (sign == 47 and following == 62)
            or (sign == 27 and following in (91, 93))
            or sign == 8
        ):
            flags |= 2
        elif sign in (34, 39) and (
            (following in (32, 10) and third in (43, 124, 34, 39, 32, 10))
            or following == 43
            or (fourth == 44 and third == sign)
            or (third == sign and fourth == 32)
        ):
            flags |= 32
        elif sign == 61 and (
            following in (10, 13, 63)
            or (fourth == 61 and _digit(following) >= 2 and _digit(third) >= 0)
            or (_digit(following) in (2, 3, 5) and third in (65, 68, 69, 70))
        ):
            flags |= 4
        elif sign == 45 and following in (10, 13):
            flags |= 8
        elif sign == 84 and following in (74, 106) and at > 2:
            # A bracket or a parenthesis before it, with or without spaces.
            bracket = at - 2 if data[at - 1] == 32 else at - 1
            if data[bracket] == (93 if following == 74 else 41):
                flags |= 16
        elif sign == 120 and following in (0x01, 0x5E, 0x9C, 0xDA):
            kind = 0
        elif sign == 0x1F and following == 0x8B and third == 8:
            kind = 1
        elif sign == 66 and following == 90 and third == 104 and 49 <= fourth <= 57:
            kind = 2
        elif sign == 0xFD and following == 55 and third == 122 and fourth == 88:
            kind = 3
        elif sign == 80 and following == 75 and third == 3 and fourth == 4:
            kind = 4
        elif sign == 40 and following == 0xB5 and third == 0x2F and fourth == 0xFD:
            kind = 5
        elif sign == 4 and following == 0x22 and third == 0x4D and fourth == 0x18:
            kind = 6
        if kind >= 0 and n_found < begins.size:
            begins[n_found], kinds[n_found] = at, kind
            n_found += 1
    return flags, n_found


@kernel  # type: ignore[untyped-decorator]
def _long_words(data: Bytes, letters: Array, least: int, found: Array) -> int:
    n_words, begin = 0, 0
    while begin + least <= data.size:
        # From the last byte that a word of this length would have: most words are told at once.
        at = begin + least - 1
        while at >= begin and letters[data[at]]:
            at -= 1
        if at >= begin:
            begin = at + 1
            continue
        end = begin + least
        while end < data.size and letters[data[end]]:
            end += 1
        if n_words < found.shape[0]:
            found[n_words, 0] = begin
            found[n_words, 1] = end
        n_words += 1
        begin = end + 1
    return n_words
