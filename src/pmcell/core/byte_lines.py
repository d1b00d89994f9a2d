"""Passes over bytes that put together what stands in lines and cells beside each other."""

from __future__ import annotations

import numpy as np

from pmcell.core.byte_search import Bytes
from pmcell.core.compiler import Array, kernel


def with_cells_joined(data: bytes) -> bytes:
    r"""Texts in quotes beside each other, of cells, lists or neighbouring keys, with a tab between.

    Nothing where there are none.

    >>> with_cells_joined(b'{"site": "Donor", "number": "17", "n": 2}')
    b'{"site": "Donor\t17", "n": 2}'
    """
    values = np.frombuffer(data, np.uint8)
    out = np.empty(values.size, np.uint8)
    n_out = _join_cells(values, out)
    return out[:n_out].tobytes() if n_out < values.size else b""


def squeezed(data: bytes) -> bytes:
    r"""Lines in which several spaces stand between words, with one there, as in tables of text.

    >>> squeezed(b"   of  it\nDonor     17  y\n")
    b'Donor 17 y\n'
    """
    if b"   " not in data:
        return b""
    values = np.frombuffer(data, np.uint8)
    out = np.empty(values.size + 1, np.uint8)
    return out[: _squeeze(values, out)].tobytes()


def unwrapped(data: bytes) -> bytes:
    """What stands around the ends of lines that a fixed width broke within a word, joined there.

    Lines of the most letters that any has, `MIN_WRAP` to `MAX_WRAP` of them: nobody else is so
    broken. Each byte once: such lines one after the other are one text. Nothing where there are
    none.

    >>> unwrapped(b"x" * 40 + b" of Do\\nnor-1 y\\nshort\\n")[-19:]
    b'xxxxxx of Donor-1 y'
    """
    values = np.frombuffer(data, np.uint8)
    ends = np.flatnonzero(values == 10)
    lengths = np.diff(ends, prepend=-1) - 1
    width = int(lengths.max(initial=0))
    if not MIN_WRAP <= width <= MAX_WRAP:
        return b""
    ends = ends[(lengths == width) & (ends + 2 < values.size)]
    # A space before the rest is how headers and calendars are folded.
    is_folded = values[ends + 1] == 32
    ends = ends[(values[ends - 1] > 32) & (values[ends + 1 + is_folded] > 32)]
    out = np.empty(min((2 * WINDOW + 1) * ends.size, values.size + ends.size), np.uint8)
    return out[: _unwrap(values, ends, min(width, WINDOW), out)].tobytes()


MIN_WRAP, MAX_WRAP = 40, 400
"""Widths of lines at which texts are broken."""
WINDOW = 64
"""Bytes on each side of a break: a name of so many is whole."""


@kernel  # type: ignore[untyped-decorator]
def _after_gap(data: Bytes, at: int) -> int:
    """The next sign that is seen, or the end."""
    while at < data.size and data[at] <= 32:
        at += 1
    return at


@kernel  # type: ignore[untyped-decorator]
def _next_text(data: Bytes, at: int) -> int:
    """Where the text begins that follows the one whose quote is here; -1 where none does."""
    following = at + 1
    if following < data.size and data[following] != 9:
        following = _after_gap(data, following)
    if following >= data.size or data[following] not in (9, 44, 59, 124):
        return -1
    begin = _after_gap(data, following + 1)
    if begin >= data.size or data[begin] != 34:
        return -1
    end = begin + 1
    while end < data.size and end < begin + WINDOW and data[end] not in (10, 34, 92):
        end += 1
    if end >= data.size or data[end] != 34:
        return begin + 1
    colon = _after_gap(data, end + 1)
    if colon >= data.size or data[colon] != 58:
        return begin + 1
    # A key: what it says is the text.
    value = _after_gap(data, colon + 1)
    return value + 1 if value < data.size and data[value] == 34 else -1


@kernel  # type: ignore[untyped-decorator]
def _join_cells(data: Bytes, out: Bytes) -> int:
    n_out, at = 0, 0
    while at < data.size:
        begin = _next_text(data, at) if data[at] == 34 else -1
        out[n_out] = 9 if begin >= 0 else data[at]
        n_out, at = n_out + 1, begin if begin >= 0 else at + 1
    return n_out


@kernel  # type: ignore[untyped-decorator]
def _squeeze(data: Bytes, out: Bytes) -> int:
    n_out, begin, n_spaces, is_table = 0, 0, 0, False
    for at in range(data.size + 1):
        sign = data[at] if at < data.size else 10
        if sign == 32 and n_out > begin:
            n_spaces += 1
        elif sign == 10:
            # Of a line without such spaces nothing is kept.
            n_out = n_out if is_table else begin
            if is_table:
                out[n_out] = 10
                n_out += 1
            begin, n_spaces, is_table = n_out, 0, False
        elif sign != 32:
            is_table = is_table or n_spaces > 2
            if n_spaces:
                out[n_out] = 32
                n_out += 1
            out[n_out] = sign
            n_out, n_spaces = n_out + 1, 0
    return n_out


@kernel  # type: ignore[untyped-decorator]
def _unwrap(data: Bytes, ends: Array, width: int, out: Bytes) -> int:
    n_out, done = 0, 0
    for end in ends:
        if end - width > done and n_out:
            out[n_out] = 10
            n_out += 1
        for at in range(max(end - width, done), end):
            out[n_out] = data[at]
            n_out += 1
        done = end + 2 if data[end + 1] == 32 else end + 1
        last = min(done + WINDOW, data.size)
        while done < last and data[done] != 10:
            out[n_out] = data[done]
            n_out += 1
            done += 1
    return n_out
