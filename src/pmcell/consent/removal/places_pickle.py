"""Texts and cells of a pickle, which is read and never run."""

from __future__ import annotations

import pickletools
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial

import numpy as np

from pmcell.consent.removal.needles import MAX_CELL, MIN_GENES
from pmcell.consent.removal.place import Cells
from pmcell.consent.removal.places_numbers import array_letters

KINDS = ("<i4", "<i8", "<f4", "<f8", "<u2", "<u1")
"""Types that bytes of an array are read as: which one it was, stands elsewhere in a pickle."""
MIN_BYTES, MAX_ARRAYS = 8, 64


def pickled(data: bytes) -> tuple[bytes, bytes, Callable[[], Iterable[Cells]]]:
    """Texts of a pickle, one a line, fields of its arrays, and what makes its cells.

    Of other bytes there are none.


    >>> import pickle
    >>> pickled(pickle.dumps({"a donor": 1}))[0]
    b'a donor'
    """
    texts: list[bytes] = []
    numbers: list[int] = []
    arrays: list[bytes] = []
    try:
        for kind, value, _ in pickletools.genops(data):
            if isinstance(value, str | bytes | bytearray):
                text = value.encode() if isinstance(value, str) else bytes(value)
                texts.append(text)
                if not isinstance(value, str) and len(text) >= MIN_BYTES:
                    arrays.append(text)
            elif isinstance(value, int) and kind.name.startswith("BININT"):
                numbers.append(value)
    except (ValueError, IndexError, KeyError, UnicodeError):
        return b"", b"", tuple
    if numbers and (letters := array_letters(np.array(numbers, np.int64))):
        texts.append(letters)
    # Letters of four bytes, as numpy has them, and of one, without signs between fields.
    wide = (array[::4] for array in arrays if not any(array[1::4]) and not any(array[3::4]))
    fields = b"\n".join([*arrays, *wide])
    return b"\n".join(texts), fields, partial(_cells, arrays[:MAX_ARRAYS], numbers)


def _cells(raw: Sequence[bytes], numbers: Sequence[int]) -> Iterator[Cells]:
    """Cells of arrays: rows between the bounds of another one, or as long as a number says."""
    arrays = list(_arrays(raw))
    for bounds in arrays:
        if bounds.dtype.kind != "i" or bounds[0] != 0 or (np.diff(bounds) < 0).any():
            continue
        for values in arrays:
            if values.size == bounds[-1]:
                yield bounds.astype(np.int64), values
    widths = sorted({number for number in numbers if MIN_GENES <= number <= MAX_CELL})
    for width in widths[:MAX_ARRAYS]:
        for values in arrays:
            if values.size % width == 0:
                yield np.arange(values.size // width + 1) * width, values


def _arrays(raw: Sequence[bytes]) -> Iterator[np.ndarray]:
    for text in raw:
        for kind in map(np.dtype, KINDS):
            if len(text) % kind.itemsize == 0:
                yield np.frombuffer(text, kind)
