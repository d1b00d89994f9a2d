"""Many texts looked for at once in bytes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pmcell.core.compiler import Array, kernel

WINDOW = 8
"""Last bytes of a form by which it is looked up."""
MIN_TABLE_BITS, MAX_TABLE_BITS = 16, 27
MIN_FILTER_BITS, MAX_FILTER_BITS = 14, 22
"""Of what every position is looked up in: small enough to stay in the nearest memory."""
WHOLE, WIDE, WIDER, PART = 1, 2, 4, 0
"""How a form must stand: between signs that are no letters or digits of 1, 2 or 4 bytes; or
anywhere."""
MIN_JOINED = 6
"""Bytes of a form that is found within a longer word, where texts are joined."""
MIN_MARKED = 8
"""Bytes of a form before which a letter may be the mark of its length."""
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
    long: NDArray[np.uint64]
    short: NDArray[np.uint64]
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
    n_forms = max(len(forms), 1)
    n_bits = int(np.clip(np.ceil(np.log2(n_forms * 32)), MIN_TABLE_BITS, MAX_TABLE_BITS))
    table = _table(ends + widths.astype(np.uint64), n_bits)
    # Where no form ends is told by one look for those of the whole window, and one for shorter
    # ones, of as many bytes as the shortest has.
    is_long = widths == WINDOW
    least = int(widths.min(initial=WINDOW))
    short = ends[~is_long] & np.uint64((1 << 8 * least) - 1)
    return Forms(
        np.frombuffer(b"".join(forms[at] for at in order), np.uint8),
        np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        ends[order],
        np.array([stands[at] for at in order], dtype=np.int8),
        used,
        spans,
        table,
        _table(ends[is_long], _filter_bits(int(is_long.sum()))),
        _table(short, _filter_bits(short.size)) if short.size else np.zeros(0, np.uint64),
        order,
    )


def _filter_bits(n_forms: int) -> int:
    bits = np.ceil(np.log2(max(n_forms, 1) * 48))
    return int(np.clip(bits, MIN_FILTER_BITS, MAX_FILTER_BITS))


def _table(keys: NDArray[np.uint64], n_bits: int) -> NDArray[np.uint64]:
    """A bit of 2 to the power of `n_bits` for each key, by its hash."""
    table = np.zeros(1 << (n_bits - 6), dtype=np.uint64)
    slots = (keys * _MIX) >> np.uint64(64 - n_bits)
    np.bitwise_or.at(table, slots >> np.uint64(6), np.uint64(1) << (slots & np.uint64(63)))
    return table


def search(data: bytes, forms: Forms, *, is_joined: bool = False) -> NDArray[np.int64]:
    """Return the numbers of the forms that bytes hold; letters of ASCII are compared without case.

    Parameters
    ----------
    data, forms
        The bytes, and what is looked for.
    is_joined
        Whether texts stand beside each other without a sign, as in the pages of a database: a form
        that must stand whole may then have letters beside it, but no digit beside its own digit,
        unless it is shorter than `MIN_JOINED`.

    Examples
    --------
    >>> forms = compile_forms([b"donor-17", b"donor-18"], [WHOLE, WHOLE])
    >>> search(b"a DONOR-17 b, donor-18x", forms).tolist()
    [0]
    >>> search(b"annadonor-18x", forms, is_joined=True).tolist()
    [1]
    """
    found = np.zeros(forms.order.size, dtype=np.bool_)
    is_any = bool(data and found.size) and _search(
        np.frombuffer(data, np.uint8),
        forms.letters,
        forms.starts,
        forms.ends,
        forms.stands,
        forms.widths,
        forms.spans,
        forms.table,
        forms.long,
        forms.short,
        is_joined,
        found,
    )
    return np.sort(forms.order[found]) if is_any else np.empty(0, np.int64)


@kernel  # type: ignore[untyped-decorator]
def _lower(value: int) -> int:
    return value + 32 if 65 <= value <= 90 else value


@kernel  # type: ignore[untyped-decorator]
def _is_letter(value: int) -> bool:
    return 48 <= value <= 57 or 65 <= value <= 90 or 97 <= value <= 122


@kernel  # type: ignore[untyped-decorator]
def _digit(value: int) -> int:
    if 48 <= value <= 57:
        return value - 48
    lower = _lower(value)
    if 97 <= lower <= 102:
        return lower - 87
    return -1


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
def _is_apart(data: Bytes, begin: int, end: int) -> bool:
    """Whether no number goes on: the least that tells a text from others without a sign between."""
    if begin and 0 <= _digit(data[begin - 1]) < 10 and 0 <= _digit(data[begin]) < 10:
        return False
    return not (end < data.size and 0 <= _digit(data[end]) < 10 and 0 <= _digit(data[end - 1]) < 10)


@kernel  # type: ignore[untyped-decorator]
def _is_binary(data: Bytes, begin: int, end: int) -> bool:
    """Whether some bytes are of no text: signs of control, or letters that UTF-8 has not."""
    n_odd = 0
    for at in range(begin, end):
        value, before = data[at], data[at - 1] if at else 0
        n_odd += value < 9 or 14 <= value < 32
        n_odd += 128 <= value < 192 and before < 128 and (at > begin or at == 0)
        n_odd += value >= 192 and data[at + 1] < 128
    return n_odd > 0


@kernel  # type: ignore[untyped-decorator]
def _is_declared(data: Bytes, begin: int, length: int) -> bool:
    """Whether its length stands before a text, as binary files write it: it ends where that says.

    In 8 or 4 bytes of either order, or in one that no text has: as it is, with MessagePack's mark,
    or doubled, as Avro writes it.
    """
    is_plain = begin < 2 or data[begin - 2] < 128  # Else the mark may end a letter of UTF-8.
    if begin and length < 32 and data[begin - 1] == 160 + length and is_plain:
        return True
    if begin and 2 * length < 32 and data[begin - 1] == 2 * length:
        return True
    if begin and data[begin - 1] == length and length < 32 and length not in (9, 10, 13):
        return True
    # CBOR, Smile and Ion; a short text would be declared by letters that are none of it.
    if begin and length >= MIN_MARKED and _is_binary(data, max(begin - 17, 0), begin - 1):
        mark = data[begin - 1]
        if (mark == 96 + length and length < 24) or (mark == 63 + length and length <= 32):
            return True
        if mark == 128 + length and length < 64:
            return True
    if begin < 4:
        return False
    first = data[begin - 4] | data[begin - 3] << 8 | data[begin - 2] << 16 | data[begin - 1] << 24
    last = data[begin - 1] | data[begin - 2] << 8 | data[begin - 3] << 16 | data[begin - 4] << 24
    if length in (first, last):
        return True
    return begin >= 8 and first == 0 and data[begin - 8] == length and data[begin - 7] == 0


@kernel  # type: ignore[untyped-decorator]
def _shift(n_words: int) -> int:
    """By how much a hash is shifted for a table of so many words of 64 bits."""
    n_bits = np.uint64(6)
    while (np.int64(1) << np.int64(n_bits)) < n_words * 64:
        n_bits += np.uint64(1)
    return int(np.uint64(64) - n_bits)


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
    long: Array,
    short: Array,
    is_joined: bool,
    found: Array,
) -> bool:
    """Mark the forms that were found; whether any was."""
    is_any = False
    word = np.uint64(0)
    mix, six, one = np.uint64(0x9E3779B97F4A7C15), np.uint64(6), np.uint64(1)
    shift = np.uint64(_shift(table.size))
    long_shift, short_shift = np.uint64(_shift(long.size)), np.uint64(_shift(short.size))
    mask = np.uint64(0xFFFFFFFFFFFFFFFF) >> np.uint64(64 - 8 * widths[0])
    has_short = short.size > 0
    for place in range(np.uint64(data.size)):
        sign = np.uint64(data[place])
        sign |= np.uint64((sign - np.uint64(65)) < np.uint64(26)) << np.uint64(5)
        word = (word << np.uint64(8)) | sign
        slot = (word * mix) >> long_shift
        may_end = (long[slot >> six] >> (slot & np.uint64(63))) & one
        if has_short:
            slot = ((word & mask) * mix) >> short_shift
            may_end |= (short[slot >> six] >> (slot & np.uint64(63))) & one
        if not may_end:
            continue
        at = int(place)
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
                if stride == 0 or (stride == 1 and _is_declared(data, begin, length)):
                    found[form] = True
                elif stride == 1 and is_joined and length >= MIN_JOINED:
                    found[form] = _is_apart(data, begin, at + 1)
                else:
                    found[form] = _begins(data, begin, length, stride) and _ends(
                        data, at + 1, stride
                    )
                is_any |= found[form]
    return is_any
