"""What stands around signs in bytes: reading a text in another way needs no more of it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pmcell.core.byte_search import Bytes, _lower
from pmcell.core.compiler import Array, kernel

Flags = NDArray[np.bool_]


def around(data: bytes, first: Flags, second: Flags | None = None) -> bytes:
    r"""What stands around signs: `NEAR` bytes on each side, and words to their ends.

    A way of writing changes a text at its signs alone, so that what is far from all of them was
    read already as it is. Parts that were not beside each other have `APART` between them.

    Parameters
    ----------
    data
        The bytes.
    first
        256 flags: which bytes are signs.
    second
        Which bytes follow a sign; any where it is None.

    Examples
    --------
    >>> signs = np.zeros(256, bool)
    >>> signs[ord("%")] = True
    >>> around(b"x " * 500 + b"a%41b" + b" y" * 500, signs).split(b"%")[0][-5:]
    b'x x a'
    >>> len(around(b"x " * 500 + b"a%41b" + b" y" * 500, signs)) < 250
    True
    """
    values = np.frombuffer(data, np.uint8)
    is_sign = first[values]
    if second is not None:
        is_sign[:-1] &= second[values[1:]]
        is_sign[-1:] = False
    return _near(data, is_sign)


def around_tags(data: bytes) -> bytes:
    """What stands around tags of HTML and XML, of terminals, and letters written over, likewise.

    >>> len(around_tags(b"1 < 2 and 3 > 2. " * 50 + b"Do<wbr>nor")) < 200
    True
    """
    is_sign = np.zeros(len(data), np.bool_)
    _mark_tags(np.frombuffer(data, np.uint8), is_sign)
    return _near(data, is_sign)


def around_joins(data: bytes) -> bytes:
    """What stands around quotes that a program joins, and around letters in quotes, likewise.

    >>> len(around_joins(b'"a1": "b2",' * 100 + b'"Do" + "nor"')) < 250
    True
    """
    is_sign = np.zeros(len(data), np.bool_)
    _mark_joins(np.frombuffer(data, np.uint8), is_sign)
    return _near(data, is_sign)


def _near(data: bytes, is_sign: NDArray[np.bool_]) -> bytes:
    out = np.empty(len(data) + len(data) // 16 + 64, np.uint8)
    size = _around(np.frombuffer(data, np.uint8), is_sign, _WORD, _APART, out)
    # Of what is near everywhere no part is left out, for its few.
    return data if size > MAX_NEAR * len(data) else out[:size].tobytes()


NEAR = 96
"""Bytes on each side of a sign: a name of so many is whole."""
MAX_NEAR = 0.8
"""Share of the bytes around signs from which all are taken."""
APART = b" ..\n"
"""Between parts: no way of writing joins what stands before it to what stands behind."""
_APART = np.frombuffer(APART, np.uint8)
_WORD = np.zeros(256, np.bool_)
_WORD[[*b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz+/_-:.#|"]] = True
_WORD[128:] = True
"""Bytes that go on with a name, or with a word of base64."""


@kernel  # type: ignore[untyped-decorator]
def _around(data: Bytes, is_sign: Array, words: Array, apart: Bytes, out: Bytes) -> int:
    n_out, done, at = 0, 0, 0
    while at < data.size:
        if not is_sign[at]:
            at += 1
            continue
        begin = max(at - NEAR, done)
        while begin > done and words[data[begin - 1]]:
            begin -= 1
        if begin > done and n_out:
            out[n_out : n_out + apart.size] = apart
            n_out += apart.size
        last = at + NEAR
        while at < data.size and (at <= last or words[data[at]]):
            if is_sign[at]:
                last = at + NEAR
            at += 1
        out[n_out : n_out + at - begin] = data[begin:at]
        n_out += at - begin
        done = at
    return n_out


@kernel  # type: ignore[untyped-decorator]
def _mark_tags(data: Bytes, is_sign: Array) -> None:
    """Both ends of what `_untag` takes out."""
    for at in range(data.size - 1):
        sign, following = data[at], _lower(data[at + 1])
        if sign == 8 or (sign == 27 and following == 91):
            is_sign[at] = True
        elif sign == 27 and following == 93:
            is_sign[at] = True
            end = at
            while end < data.size and data[end] != 7 and not (data[end] == 92 and end > at + 1):
                end += 1
            is_sign[min(end, data.size - 1)] = True
        elif sign == 60 and (97 <= following <= 122 or following in (33, 47, 63)):
            end = at + 1
            while end < data.size and data[end] != 62 and data[end] != 60:
                end += 1
            if end < data.size and data[end] == 62:
                is_sign[at] = is_sign[end] = True


@kernel  # type: ignore[untyped-decorator]
def _mark_joins(data: Bytes, is_sign: Array) -> None:
    for at in range(data.size - 1):
        if data[at] != 34 and data[at] != 39:
            continue
        end = at + 1
        while end < data.size and (data[end] <= 32 or data[end] == 43 or data[end] == 124):
            end += 1
        if end > at + 1 and end < data.size and (data[end] == 34 or data[end] == 39):
            is_sign[at] = is_sign[end] = True
        if at + 3 < data.size and data[at + 2] == data[at]:
            end = at + 3
            while end < data.size and data[end] <= 32:
                end += 1
            is_sign[at] |= end < data.size and data[end] == 44
