"""Passes over bytes: many texts looked for at once, long words, and what escapes and tags hide."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pmcell.core.compiler import Array, kernel

WINDOW = 8
"""Last bytes of a form that are looked up at every position."""
MIN_TABLE_BITS, MAX_TABLE_BITS = 16, 27
WHOLE, WIDE, WIDER, PART = 1, 2, 4, 0
"""How a form must stand: between signs that are no letters or digits of 1, 2 or 4 bytes; or
anywhere."""
_MIX = np.uint64(0x9E3779B97F4A7C15)

Bytes = NDArray[np.uint8]


@dataclass(frozen=True)
class Forms:
    """Forms of texts, ready to be looked for: see `compile_forms`."""

    letters: Bytes
    starts: NDArray[np.int64]
    ends: NDArray[np.uint64]
    stands: NDArray[np.int8]
    widths: NDArray[np.int64]
    spans: NDArray[np.int64]
    table: NDArray[np.uint64]
    order: NDArray[np.int64]


def compile_forms(forms: Sequence[bytes], stands: Sequence[int]) -> Forms:
    """Put forms, in lower case, in the order in which they are looked up.

    Parameters
    ----------
    forms
        What is looked for; ASCII letters in lower case, none empty.
    stands
        How each must stand: `WHOLE`, `WIDE`, `WIDER` or `PART`.
    """
    widths = np.array([min(len(form), WINDOW) for form in forms], dtype=np.int64)
    tails = b"".join(form[-WINDOW:].rjust(WINDOW, b"\0") for form in forms)
    ends = np.frombuffer(tails, ">u8").astype(np.uint64)
    order = np.lexsort((ends, widths))
    used = np.unique(widths)
    spans = np.searchsorted(widths[order], [*used, WINDOW + 1]).astype(np.int64)
    lengths = np.array([len(forms[at]) for at in order], dtype=np.int64)
    n_bits = int(np.clip(np.ceil(np.log2(max(len(forms), 1) * 32)), MIN_TABLE_BITS, MAX_TABLE_BITS))
    table = np.zeros(1 << (n_bits - 6), dtype=np.uint64)
    slots = ((ends + widths.astype(np.uint64)) * _MIX) >> np.uint64(64 - n_bits)
    np.bitwise_or.at(table, slots >> np.uint64(6), np.uint64(1) << (slots & np.uint64(63)))
    return Forms(
        np.frombuffer(b"".join(forms[at] for at in order), np.uint8),
        np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        ends[order],
        np.array([stands[at] for at in order], dtype=np.int8),
        used,
        spans,
        table,
        order,
    )


def search(data: bytes, forms: Forms) -> NDArray[np.bool_]:
    """Say of each form whether the bytes hold it; letters of ASCII are compared without case.

    Examples
    --------
    >>> forms = compile_forms([b"donor-17", b"donor-18"], [WHOLE, WHOLE])
    >>> search(b"a DONOR-17 b, donor-18x", forms).tolist()
    [True, False]
    """
    found = np.zeros(forms.order.size, dtype=np.bool_)
    if data and found.size:
        _search(
            np.frombuffer(data, np.uint8),
            forms.letters,
            forms.starts,
            forms.ends,
            forms.stands,
            forms.widths,
            forms.spans,
            forms.table,
            found,
        )
    result = np.zeros_like(found)
    result[forms.order] = found
    return result


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


def unescaped(data: bytes) -> bytes | None:
    r"""Bytes without escapes: ``\u0041``, ``\x41``, ``\101``, ``%41``, ``&#65;``.

    None where there is none. Numbers of letters become UTF-8; numbers of bytes bytes.

    >>> unescaped(b"P%2e&#49; \\u0041\\x21")
    b'P.1 A!'
    """
    out = np.zeros(len(data), np.uint8)
    n_escapes, n_bytes = _unescape(np.frombuffer(data, np.uint8), out)
    return out[:n_bytes].tobytes() if n_escapes else None


def untagged(data: bytes) -> bytes:
    """Bytes without tags of HTML and XML, so that a name within which one stands is whole.

    >>> untagged(b"<b>Do</b>nor-1 < 2")
    b'Donor-1 < 2'
    """
    out = np.zeros(len(data), np.uint8)
    return out[: _untag(np.frombuffer(data, np.uint8), out)].tobytes()


ESCAPES, TAGS, SOFT_BREAKS = 1, 2, 4
"""What `signs` says of bytes: escapes, ends of tags, lines that go on (quoted-printable)."""
STREAMS = ("zlib", "gzip", "bzip", "xz", "zip", "zstd")
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
_FIRST[[*b"\\%&</=xBP(", 0x1F, 0xFD]] = True
"""Bytes that what `signs` tells begins with."""


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
        is_escape = sign == 37 or (sign == 38 and following == 35)
        # A backslash before u, x or the first of three octal digits.
        if is_escape or (sign == 92 and (following in (117, 120) or 48 <= following <= 51)):
            flags |= 1
        elif (sign == 60 and following == 47) or (sign == 47 and following == 62):
            flags |= 2
        elif sign == 61 and following in (10, 13):
            flags |= 4
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
        if kind >= 0 and n_found < begins.size:
            begins[n_found], kinds[n_found] = at, kind
            n_found += 1
    return flags, n_found


@kernel  # type: ignore[untyped-decorator]
def _lower(value: int) -> int:
    return value + 32 if 65 <= value <= 90 else value


@kernel  # type: ignore[untyped-decorator]
def _is_letter(value: int) -> bool:
    return 48 <= value <= 57 or 65 <= value <= 90 or 97 <= value <= 122


@kernel  # type: ignore[untyped-decorator]
def _begins(data: Bytes, begin: int, length: int, stride: int) -> bool:
    """Whether no word goes on before: an escape or the colour of a terminal is no word."""
    before = begin - stride
    if before < 0 or not _is_letter(data[before]):
        return True
    if data[before] == length:  # How binary files write the length of a text before it.
        return True
    n_zeros = 0
    for between in range(before + 1, begin):
        n_zeros += data[between] == 0
    if stride > 1:
        # Before a wide letter stands another one, or its zero: else it ends a text of one byte.
        return n_zeros < stride - 1 or (before > 0 and data[before - 1] != 0)
    sign = data[before]
    if before and data[before - 1] == 92:  # A backslash: \n, \t and others stand for no letter.
        return sign in (97, 98, 102, 110, 114, 116, 118)
    if sign == 109:  # The m of ESC [ 1 ; 32 m
        at = before - 1
        while at > 0 and (48 <= data[at] <= 57 or data[at] == 59):
            at -= 1
        return at >= 0 and data[at] == 91
    return False


@kernel  # type: ignore[untyped-decorator]
def _ends(data: Bytes, end: int, stride: int) -> bool:
    """Whether no word goes on after the byte before `end`."""
    after = end + stride - 1
    if after >= data.size or not _is_letter(data[after]):
        return True
    # Wide letters have nothing but zeros between them.
    n_zeros = 0
    for between in range(end, after):
        n_zeros += data[between] == 0
    return n_zeros < after - end


@kernel  # type: ignore[untyped-decorator]
def _search(
    data: Bytes,
    letters: Bytes,
    starts: Array,
    ends: Array,
    stands: Array,
    widths: Array,
    spans: Array,
    table: Array,
    found: Array,
) -> None:
    word = np.uint64(0)
    mix = np.uint64(0x9E3779B97F4A7C15)
    n_bits = np.uint64(6)
    while (np.int64(1) << np.int64(n_bits)) < table.size * 64:
        n_bits += np.uint64(1)
    shift = np.uint64(64) - n_bits
    for at in range(data.size):
        word = (word << np.uint64(8)) | np.uint64(_lower(data[at]))
        for number in range(widths.size):
            width = widths[number]
            end = word
            if width < 8:
                end = word & ((np.uint64(1) << np.uint64(8 * width)) - np.uint64(1))
            slot = ((end + np.uint64(width)) * mix) >> shift
            if not (table[slot >> np.uint64(6)] >> (slot & np.uint64(63))) & np.uint64(1):
                continue
            low, high = spans[number], spans[number + 1]
            first = low + np.searchsorted(ends[low:high], end)
            for form in range(first, high):
                if ends[form] != end:
                    break
                length = starts[form + 1] - starts[form]
                begin = at + 1 - length
                if found[form] or begin < 0:
                    continue
                is_same = True
                for back in range(length):
                    if _lower(data[begin + back]) != letters[starts[form] + back]:
                        is_same = False
                        break
                if not is_same:
                    continue
                stride = stands[form]
                if stride == 0 or (
                    _begins(data, begin, length, stride) and _ends(data, at + 1, stride)
                ):
                    found[form] = True


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


@kernel  # type: ignore[untyped-decorator]
def _digit(value: int) -> int:
    if 48 <= value <= 57:
        return value - 48
    lower = _lower(value)
    if 97 <= lower <= 102:
        return lower - 87
    return -1


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
def _reference(data: Bytes, begin: int) -> tuple[int, int]:
    """Number and end of a character reference (the part after &#); -1 where it is none."""
    at, base = begin, 10
    if at < data.size and _lower(data[at]) == 120:
        at, base = at + 1, 16
    first, number = at, 0
    while at < data.size and at < first + 8:
        digit = _digit(data[at])
        if digit < 0 or digit >= base:
            break
        number = number * base + digit
        at += 1
    if at == first or at >= data.size or data[at] != 59 or number >= 0x110000:
        return -1, begin
    return number, at + 1


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
def _unescape(data: Bytes, out: Bytes) -> tuple[int, int]:
    n_escapes, n_out, at = 0, 0, 0
    while at < data.size:
        sign = data[at]
        number, end, is_letter = -1, at + 1, True
        following = data[at + 1] if at + 1 < data.size else 0
        if sign == 92 and following == 117:
            number, end = _hexadecimal(data, at + 2, at + 6), at + 6
        elif sign == 92 and following == 120:
            number, end, is_letter = _hexadecimal(data, at + 2, at + 4), at + 4, False
        elif sign == 92 and 48 <= following <= 51:
            number, end, is_letter = _octal(data, at + 1, at + 4), at + 4, False
        elif sign == 37:
            number, end, is_letter = _hexadecimal(data, at + 1, at + 3), at + 3, False
        elif sign == 38 and following == 35:
            number, end = _reference(data, at + 2)
        if number < 0:
            out[n_out] = sign
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
