"""Passes over bytes that say what is written in them otherwise than as it is."""

from __future__ import annotations

import numpy as np

from pmcell.core.byte_search import Bytes, _digit, _is_letter, _lower
from pmcell.core.byte_signs import MIN_ROW
from pmcell.core.compiler import kernel


def unescaped(data: bytes) -> bytes | None:
    r"""Bytes without escapes: ``\u0041``, ``\u{41}``, ``\U00000041``, ``\x41``, ``\101``, ``%41``,
    and ``\41`` with a space after it.

    A backslash before another sign, as in ``\\-``, and one that ends a line are gone. None where
    there is none. Numbers of letters become UTF-8; numbers of bytes bytes.

    >>> unescaped(b"P%2e1 \\u0041\\u{42}\\43 \\x21")
    b'P.1 ABC!'
    """
    out = np.zeros(len(data), np.uint8)
    n_escapes, n_bytes = _unescape(np.frombuffer(data, np.uint8), out)
    return out[:n_bytes].tobytes() if n_escapes else None


def untagged(data: bytes) -> bytes:
    r"""Bytes without tags of HTML and XML, colours and links of terminals, and letters that were
    written over, so that a name within which one stands is whole.

    >>> untagged(b"<b>Do</b>nor-\x1b[1;36m1\x1b[0m < 2")
    b'Donor-1 < 2'
    """
    out = np.zeros(len(data), np.uint8)
    return out[: _untag(np.frombuffer(data, np.uint8), out)].tobytes()


def spelled(data: bytes, base: int) -> bytes:
    """Letters that are written as numbers with signs between them, a line for each row of them.

    Parameters
    ----------
    data
        The bytes.
    base
        Of the numbers: 16 (two digits, with or without 0x), 10, or 8 (three digits).

    Examples
    --------
    >>> spelled(b"c = [68, 111, 110, 111, 114, 45, 49]; x = 3, 65", 10)
    b'Donor-1\\n'
    >>> spelled(b"44:6f:6e:6f:72:2d:31", 16)
    b'Donor-1\\n'
    """
    out = np.zeros(len(data) + 1, np.uint8)
    return out[: _spell(np.frombuffer(data, np.uint8), base, out)].tobytes()


def single_letters(data: bytes) -> bytes:
    """Letters that stand alone with the same spaces, signs or line breaks between them, a line for
    each row of at least `MIN_ROW`.

    >>> single_letters(b"it is D o n o r - 1 or I")
    b'Donor-1\\n'
    """
    out = np.zeros(len(data) + 1, np.uint8)
    return out[: _put_singles(np.frombuffer(data, np.uint8), out)].tobytes()


MAX_GAP = 8
"""Bytes between two of them."""


@kernel  # type: ignore[untyped-decorator]
def _spell(data: Bytes, base: int, out: Bytes) -> int:
    n_out, begin, at, last = 0, 0, 0, -MAX_GAP
    while at < data.size:
        if not _is_letter(data[at]):
            if data[at] == 93 or data[at] == 41 or data[at] == 125 or data[at] == 59:
                last = -MAX_GAP  # A list ends.
            at += 1
            continue
        end = at
        while end < data.size and _is_letter(data[end]):
            end += 1
        first = at + 2 if base == 16 and end - at == 4 and _lower(data[at + 1]) == 120 else at
        if base == 10 and end + 1 < data.size and data[end] == 46 and data[end + 1] == 48:
            stop = end + 2  # A whole number that is written with a fraction of zeros.
            while stop < data.size and data[stop] == 48:
                stop += 1
        else:
            stop = end
        number = 0
        for k in range(first, min(end, first + 4)):
            digit = _digit(data[k])
            number = number * base + digit if 0 <= digit < base else 9999
        is_one = (base != 8 and end - first == 2) or (base != 16 and end - first == 3)
        goes_on = is_one and 32 <= number < 127
        if n_out > begin and (not goes_on or at - last > MAX_GAP):
            # The end of a row, which too few numbers do not make.
            if n_out - begin >= MIN_ROW:
                out[n_out] = 10
                n_out += 1
            else:
                n_out = begin
            begin = n_out
        if goes_on:
            out[n_out] = number
            n_out += 1
        at = last = stop
    if 0 < n_out - begin < MIN_ROW:
        return begin
    if n_out > begin:
        out[n_out] = 10
        n_out += 1
    return n_out


@kernel  # type: ignore[untyped-decorator]
def _hexadecimal(data: Bytes, begin: int, end: int) -> int:
    """The number that is written here; -1 where none is."""
    if end > data.size:
        return -1
    number = 0
    for at in range(begin, end):
        digit = _digit(data[at])
        if digit < 0:
            return -1
        number = number * 16 + digit
    return number


@kernel  # type: ignore[untyped-decorator]
def _octal(data: Bytes, begin: int, end: int) -> int:
    """The number of a byte that is written in octal digits here; -1 where none is."""
    if end > data.size:
        return -1
    number = 0
    for at in range(begin, end):
        if not 48 <= data[at] <= 55:
            return -1
        number = number * 8 + (data[at] - 48)
    return number


@kernel  # type: ignore[untyped-decorator]
def _in_braces(data: Bytes, begin: int) -> tuple[int, int]:
    """Number and end of what stands in the braces of ``\\u{2d}``; -1 where none are."""
    end = begin + 1
    while end < data.size and end < begin + 8 and data[end] != 125:
        end += 1
    if end >= data.size or data[begin] != 123 or data[end] != 125 or end == begin + 1:
        return -1, begin
    return _hexadecimal(data, begin + 1, end), end + 1


@kernel  # type: ignore[untyped-decorator]
def _of_a_style_sheet(data: Bytes, begin: int) -> tuple[int, int]:
    """Number and end of two to six digits with a space after them; -1 where none are."""
    end = begin
    while end < data.size and end < begin + 6 and _digit(data[end]) >= 0:
        end += 1
    if end < begin + 2 or end >= data.size or data[end] != 32:
        return -1, begin
    return _hexadecimal(data, begin, end), end + 1


@kernel  # type: ignore[untyped-decorator]
def _put_letter(out: Bytes, n_out: int, number: int) -> int:
    """Write a letter as UTF-8, which is never longer than its escape."""
    if number < 0x80:
        out[n_out] = number
        return n_out + 1
    if number < 0x800:
        out[n_out] = 0xC0 | (number >> 6)
        out[n_out + 1] = 0x80 | (number & 0x3F)
        return n_out + 2
    if number < 0x10000:
        out[n_out] = 0xE0 | (number >> 12)
        out[n_out + 1] = 0x80 | ((number >> 6) & 0x3F)
        out[n_out + 2] = 0x80 | (number & 0x3F)
        return n_out + 3
    out[n_out] = 0xF0 | (number >> 18)
    out[n_out + 1] = 0x80 | ((number >> 12) & 0x3F)
    out[n_out + 2] = 0x80 | ((number >> 6) & 0x3F)
    out[n_out + 3] = 0x80 | (number & 0x3F)
    return n_out + 4


@kernel  # type: ignore[untyped-decorator]
def _escape(data: Bytes, at: int) -> tuple[int, int, bool]:
    """Number and end of the escape that begins here, and whether it is a letter's or a byte's."""
    following = data[at + 1] if at + 1 < data.size else 0
    if data[at] == 37 and following == 117:
        return _hexadecimal(data, at + 2, at + 6), at + 6, True
    if data[at] == 37:
        return _hexadecimal(data, at + 1, at + 3), at + 3, False
    if data[at] != 92:
        return -1, at, True
    if following == 110:  # A line break, as in a text of JSON.
        return 10, at + 2, False
    if following == 117 and at + 2 < data.size and data[at + 2] == 123:
        number, end = _in_braces(data, at + 2)
        return number, end, True
    if following == 117:
        return _hexadecimal(data, at + 2, at + 6), at + 6, True
    if following == 85:
        return _hexadecimal(data, at + 2, at + 10), at + 10, True
    if following == 120 or following == 39:
        number = _hexadecimal(data, at + 2, at + 4)
        if number >= 0:
            return number, at + 4, False
    if following == 48 and at + 2 < data.size and data[at + 2] == 48:
        # Six digits of a style sheet, which need no space after them.
        number = _hexadecimal(data, at + 1, at + 7)
        if number >= 0:
            return number, at + 7, True
    number = _octal(data, at + 1, at + 4) if 48 <= following <= 51 else -1
    if number >= 0:
        return number, at + 4, False
    number, end = _of_a_style_sheet(data, at + 1)
    if number >= 0:
        return number, end, True
    number = _octal(data, at + 1, at + 3) if 52 <= following <= 55 else -1
    if number >= 0:
        return number, at + 3, False
    if 32 < following < 127 and not _is_letter(following):
        return following, at + 2, True
    return -1, at, True


@kernel  # type: ignore[untyped-decorator]
def _unescape(data: Bytes, out: Bytes) -> tuple[int, int]:
    n_escapes, n_out, at = 0, 0, 0
    while at < data.size:
        number, end, is_letter = -1, at, True
        if data[at] == 92 and at + 1 < data.size and data[at + 1] == 10:
            # A line that goes on, and its indent.
            n_escapes, at = n_escapes + 1, at + 2
            while at < data.size and (data[at] == 32 or data[at] == 9):
                at += 1
            continue
        if data[at] == 92 or data[at] == 37:
            number, end, is_letter = _escape(data, at)
        if number < 0 or number > 0x10FFFF:
            out[n_out] = data[at]
            n_out, at = n_out + 1, at + 1
            continue
        n_escapes, at = n_escapes + 1, end
        if is_letter:
            n_out = _put_letter(out, n_out, number)
        else:
            out[n_out] = number
            n_out += 1
    return n_escapes, n_out


@kernel  # type: ignore[untyped-decorator]
def _untag(data: Bytes, out: Bytes) -> int:
    n_out, at = 0, 0
    while at < data.size:
        if data[at] == 27 and at + 1 < data.size and data[at + 1] == 91:
            at += 2
            while at < data.size and not 64 <= data[at] <= 126:
                at += 1
            at += 1
            continue
        if data[at] == 27 and at + 1 < data.size and data[at + 1] == 93:
            # A link or a title, up to a bell or ESC and a backslash.
            while at < data.size and data[at] != 7 and not (data[at] == 92 and data[at - 1] == 27):
                at += 1
            at += 1
            continue
        if data[at] == 8:
            n_out, at = max(n_out - 1, 0), at + 1
            continue
        if data[at] == 60 and at + 1 < data.size:
            following = _lower(data[at + 1])
            if 97 <= following <= 122 or following in (33, 47, 63):
                end = at + 1
                while end < data.size and data[end] != 62 and data[end] != 60:
                    end += 1
                if end < data.size and data[end] == 62:
                    at = end + 1
                    continue
        out[n_out] = data[at]
        n_out, at = n_out + 1, at + 1
    return n_out


@kernel  # type: ignore[untyped-decorator]
def _is_alone(data: Bytes, at: int) -> bool:
    """Whether a byte that is seen has spaces, commas, line breaks or ends of the text around it."""
    if _is_gap(data[at]):
        return False
    return (at == 0 or _is_gap(data[at - 1])) and (at + 1 >= data.size or _is_gap(data[at + 1]))


@kernel  # type: ignore[untyped-decorator]
def _is_gap(value: int) -> bool:
    return value <= 32 or value in (40, 41, 44, 46, 47, 59, 91, 93, 123, 124, 125)


@kernel  # type: ignore[untyped-decorator]
def _put_singles(data: Bytes, out: Bytes) -> int:
    n_out, at = 0, 0
    while at < data.size:
        if not _is_alone(data, at):
            at += 1
            continue
        begin, gap, last = n_out, 0, at
        while True:
            out[n_out] = data[last]
            n_out += 1
            at = last + 1
            while at < data.size and _is_gap(data[at]) and at - last <= 2 * MAX_GAP:
                at += 1
            if at >= data.size or not _is_alone(data, at):
                break
            # As many signs between two of a row as between the first two, and the same first one.
            if gap and (at - last != gap or data[last + 1] != data[last + 1 - gap]):
                break
            gap, last = at - last, at
        if n_out - begin < MIN_ROW:
            n_out = begin
        else:
            out[n_out] = 10
            n_out += 1
    return n_out
