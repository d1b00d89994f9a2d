"""Numbers that are written as text: tables with a sign between their cells, and lists."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pmcell.core.byte_search import Bytes
from pmcell.core.compiler import Array, kernel

MAX_DIGITS = 18
"""Digits of a number that are read: more do not change a float."""
MAX_EXACT = 22
"""Powers of ten that a float holds exactly."""


@dataclass(frozen=True)
class TextTable:
    """A table of text, each line a row; cells of all rows one after the other.

    Attributes
    ----------
    values
        Of each cell; 0 where it is no number.
    is_number
        Whether each cell is one.
    marks
        A number for the text of each cell, equal for equal texts; of chance twice 1 in 2⁶⁴.
    bounds
        Where each row begins, and the end.
    """

    values: NDArray[np.float64]
    is_number: NDArray[np.bool_]
    marks: NDArray[np.int64]
    bounds: NDArray[np.int64]

    @property
    def is_full(self) -> NDArray[np.bool_]:
        """Which rows have as many cells as most of them."""
        sizes = np.diff(self.bounds)
        return np.asarray(sizes == np.bincount(sizes).argmax(), np.bool_)

    def of_rows(self, of_cells: NDArray[Any], rows: NDArray[np.bool_]) -> NDArray[Any]:
        """What is said of the cells of rows that have equally many: rows × columns."""
        sizes = np.diff(self.bounds)
        return of_cells[np.repeat(rows, sizes)].reshape(int(rows.sum()), -1)


def read_table(data: bytes, sign: bytes) -> TextTable:
    r"""Read the cells of a table of text, with `sign`, one byte, between them.

    Examples
    --------
    >>> table = read_table(b"a,1.50\nb,-2e1\nc", b",")
    >>> table.values.tolist(), table.bounds.tolist()
    ([0.0, 1.5, 0.0, -20.0, 0.0], [0, 2, 4, 5])
    >>> table.of_rows(table.values, table.is_full).tolist()
    [[0.0, 1.5], [0.0, -20.0]]
    """
    if b"\r" in data:
        data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    data = data.removesuffix(b"\n")
    n_rows = data.count(b"\n") + 1
    n_cells = n_rows + data.count(sign)
    table = TextTable(
        np.zeros(n_cells),
        np.zeros(n_cells, np.bool_),
        np.zeros(n_cells, np.int64),
        np.zeros(n_rows + 1, np.int64),
    )
    text = np.frombuffer(data, np.uint8)
    _fill(text, sign[0], table.values, table.is_number, table.marks, table.bounds)
    return table


def read_list(data: bytes) -> NDArray[np.float64] | None:
    """The numbers of a list with commas between them and spaces wherever; None of anything else.

    >>> read_list(b"1, 2.5,\\n -3")
    array([ 1. ,  2.5, -3. ])
    >>> read_list(b"1, x") is None
    True
    """
    values = np.frombuffer(data, np.uint8)
    out = np.zeros(data.count(b",") + 1)
    n_found = _list(values, out)
    return out[:n_found] if n_found >= 0 else None


@kernel  # type: ignore[untyped-decorator]
def _fill(
    data: Bytes, sign: int, values: Array, is_number: Array, marks: Array, bounds: Array
) -> None:
    row, cell, begin = 0, 0, 0
    mark = np.uint64(0xCBF29CE484222325)
    for at in range(data.size + 1):
        value = data[at] if at < data.size else 10
        if value != sign and value != 10:
            mark = (mark ^ np.uint64(value)) * np.uint64(0x100000001B3)
            continue
        values[cell], is_number[cell] = _number(data, begin, at)
        marks[cell] = np.int64(mark)
        mark = np.uint64(0xCBF29CE484222325)
        cell, begin = cell + 1, at + 1
        if value == 10:
            row += 1
            bounds[row] = cell


@kernel  # type: ignore[untyped-decorator]
def _list(data: Bytes, out: Array) -> int:
    """Numbers of a list, or -1; a comma may stand before the first and behind the last one."""
    n_found, begin = 0, 0
    for at in range(data.size + 1):
        if at < data.size and data[at] != 44:
            continue
        value, is_one = _number(data, begin, at)
        if is_one:
            out[n_found] = value
            n_found += 1
        elif not (_is_empty(data, begin, at) and (begin == 0 or at == data.size)):
            return -1
        begin = at + 1
    return n_found


@kernel  # type: ignore[untyped-decorator]
def _is_empty(data: Bytes, begin: int, end: int) -> bool:
    n_seen = 0
    for at in range(begin, end):
        n_seen += data[at] > 32
    return n_seen == 0


@kernel  # type: ignore[untyped-decorator]
def _number(data: Bytes, begin: int, end: int) -> tuple[float, bool]:
    """The number that is written here, with spaces around it; whether it is one."""
    while begin < end and data[begin] <= 32:
        begin += 1
    while end > begin and data[end - 1] <= 32:
        end -= 1
    is_negative = begin < end and data[begin] == 45
    at = begin + 1 if begin < end and (data[begin] == 45 or data[begin] == 43) else begin
    whole, n_digits, power, is_fraction = np.uint64(0), 0, 0, False
    while at < end:
        value = data[at]
        if value == 46 and not is_fraction:
            is_fraction = True
        elif 48 <= value <= 57:
            n_digits += 1
            if n_digits <= MAX_DIGITS or whole == 0:
                whole = whole * np.uint64(10) + np.uint64(value - 48)
                power -= is_fraction
            else:
                power += not is_fraction
        else:
            break
        at += 1
    if n_digits == 0:
        return 0.0, False
    if at < end and (data[at] == 101 or data[at] == 69):
        exponent, size, sign = 0, 0, 1
        at += 1
        if at < end and (data[at] == 45 or data[at] == 43):
            sign = -1 if data[at] == 45 else 1
            at += 1
        while at < end and 48 <= data[at] <= 57 and size < 4:
            exponent = exponent * 10 + data[at] - 48
            size, at = size + 1, at + 1
        if size == 0:
            return 0.0, False
        power += sign * exponent
    if at < end:
        return 0.0, False
    found = np.float64(whole)
    # One division of whole numbers is rounded once: 1.10 and 1.1 are the same.
    if -MAX_EXACT <= power < 0:
        found /= 10.0**-power
    elif power:
        # In two steps: the power of ten alone may be too small for a float.
        found *= 10.0 ** (power // 2)
        found *= 10.0 ** (power - power // 2)
    return (-found if is_negative else found), True
