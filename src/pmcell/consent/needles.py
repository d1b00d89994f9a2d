"""What a removal scan looks for, and the search for it in bytes.

Texts: ids, pseudonyms, names of samples and cells. They are found whole, in any
case, where letters and digits do not go on. Cells: how often each value occurs in
a cell, in order of the values. That stays the same when genes or cells are put in
another order or renamed, and under any increasing transformation such as log1p of
counts per ten thousand, so it finds a cell by its numbers alone.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

WINDOW = 8
"""Bytes of a text that are looked up at every position."""
MIN_BASE64 = 10
"""Letters of base64 below which chance, with the case left out, could write them."""
TABLE_BITS = 22
BLOCK = 1 << 22
_MIX = np.uint64(0x9E3779B97F4A7C15)
MIN_VALUES, MIN_GENES = 8, 60
"""Different values and genes of a cell, below which chance could make two cells alike."""


@dataclass(frozen=True)
class Needles:
    """Texts and cells to find: each text with what it is, such as `donor`."""

    texts: Mapping[str, str]
    cells: frozenset[bytes] = field(default_factory=frozenset)

    @cached_property
    def _forms(self) -> list[tuple[bytes, str]]:
        """Each text as it may be written; bytes are compared without the case of ASCII letters."""
        return [
            (form, kind)
            for text, kind in self.texts.items()
            for form in {t.encode().lower() for t in (text, text.lower(), text.upper())}
        ]

    @cached_property
    def _short(self) -> list[tuple[bytes, str]]:
        return [(form, kind) for form, kind in self._forms if len(form) < WINDOW]

    @cached_property
    def _long(self) -> dict[bytes, list[tuple[bytes, str, bool]]]:
        """Texts by their last bytes, which tell names apart better than their first.

        Each with its kind, and whether it must stand alone: what base64 makes of it does not.
        """
        found: dict[bytes, list[tuple[bytes, str, bool]]] = {}
        for form, kind in self._forms:
            if len(form) >= WINDOW:
                found.setdefault(form[-WINDOW:], []).append((form, kind, True))
        for text, kind in self.texts.items():
            for form in within_base64(text.encode()):
                if len(form) >= MIN_BASE64:
                    found.setdefault(form[-WINDOW:], []).append((form, kind, False))
        return found

    @cached_property
    def _ends(self) -> np.ndarray:
        """The last bytes of each text as numbers, sorted."""
        return np.sort(np.frombuffer(b"".join(self._long), "<u8"))

    @cached_property
    def _table(self) -> np.ndarray:
        table = np.zeros(1 << TABLE_BITS, dtype=bool)
        table[_slots(self._ends)] = True
        return table

    def in_bytes(self, data: bytes) -> set[str]:
        """The kinds of those texts that occur in the bytes."""
        found: set[str] = set()
        for start in range(0, max(len(data), 1), BLOCK):
            # Blocks overlap by the longest text, so that none is cut in two.
            low = max(start - self._longest, 0)
            self._search(data[low : start + BLOCK + self._longest].lower(), found)
        return found

    @cached_property
    def _longest(self) -> int:
        return max((2 * len(form) for form, _ in self._forms), default=0) + 1

    def _search(self, data: bytes, found: set[str]) -> None:
        for text, kind in self._short:
            at = data.find(text)
            while at >= 0:
                if _is_whole(data, at, at + len(text)):
                    found.add(kind)
                    break
                at = data.find(text, at + 1)
        if not self._long or len(data) < WINDOW:
            return
        for offset in range(WINDOW):
            n = (len(data) - offset) // WINDOW
            if n <= 0:
                continue
            words = np.frombuffer(data, "<u8", count=n, offset=offset)
            places = np.flatnonzero(self._table[_slots(words)])
            # A text repeats itself: one slot shared by chance would be met in each of its lines.
            nearest = np.searchsorted(self._ends, words[places]).clip(max=len(self._ends) - 1)
            for place in places[self._ends[nearest] == words[places]].tolist():
                end = offset + place * WINDOW + WINDOW
                for text, kind, is_word in self._long.get(data[end - WINDOW : end], ()):
                    begin = end - len(text)
                    if begin < 0 or data[begin:end] != text:
                        continue
                    if not is_word or _is_whole(data, begin, end):
                        found.add(kind)


def within_base64(raw: bytes) -> set[bytes]:
    """What base64 makes of some bytes wherever they stand in a longer text, in lower case.

    >>> import base64
    >>> text = base64.b64encode(b"a donor-17 b").lower()
    >>> any(form in text for form in within_base64(b"donor-17"))
    True
    """
    found = set()
    for shift in range(3):
        text = base64.b64encode(b"\0" * shift + raw + b"\0\0")
        first, (last, n_bits) = -(-shift * 8 // 6), divmod((shift + len(raw)) * 8, 6)
        # The letter that also holds bits of what follows: every one that it can be.
        begins = _ALPHABET.index(text[last]) if n_bits else 0
        ends = [_ALPHABET[begins + k : begins + k + 1] for k in range(1 << (6 - n_bits))]
        for end in ends if n_bits else [b""]:
            form = text[first:last] + end
            found |= {form.lower(), form.translate(_URL_SAFE).lower()}
    return found


_ALPHABET = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_URL_SAFE = bytes.maketrans(b"+/", b"-_")


def _slots(words: np.ndarray) -> np.ndarray:
    return (words * _MIX) >> np.uint64(64 - TABLE_BITS)


def _is_whole(data: bytes, begin: int, end: int) -> bool:
    """Whether no letter or digit goes on before or after."""
    before = data[begin - 1 : begin] if begin else b""
    return not before.isalnum() and not data[end : end + 1].isalnum()


def cell_prints(
    indptr: np.ndarray, values: np.ndarray, rows: Iterable[int] | None = None
) -> Iterator[tuple[int, bytes]]:
    """Row and print of each cell of a sparse matrix in rows that has enough genes and values."""
    for row in range(len(indptr) - 1) if rows is None else rows:
        part = values[indptr[row] : indptr[row + 1]]
        found = print_of(part)
        if found is not None:
            yield row, found


def print_of(values: np.ndarray) -> bytes | None:
    """The print of one cell's values; None where too few tell it from others.

    >>> import numpy as np
    >>> counts = np.repeat(np.arange(1, 11), np.arange(11, 1, -1))
    >>> print_of(counts) == print_of(np.log1p(counts[::-1]))
    True
    """
    values = values[values != 0]
    if values.size < MIN_GENES:
        return None
    _, times = np.unique(values, return_counts=True)
    if times.size < MIN_VALUES:
        return None
    return hashlib.blake2b(times.astype("<i8").tobytes(), digest_size=12).digest()


def donor_needles(
    own: Sequence[tuple[str, str]],
    others: Iterable[str],
    cells: Iterable[bytes],
    other_cells: Iterable[bytes],
) -> Needles:
    """Needles for one donor: nothing that somebody else has as well."""
    taken = {text.lower() for text in others}
    texts = {text: kind for text, kind in own if text and text.lower() not in taken}
    return Needles(texts, frozenset(cells) - frozenset(other_cells))


HEX_ESCAPE = re.compile(rb"\\u([0-9a-fA-F]{4})|%([0-9a-fA-F]{2})|&#(x[0-9a-fA-F]{1,6}|\d{1,7});")


def unescaped(data: bytes) -> bytes | None:
    r"""The text without its escapes (``\u0041``, ``%41``, ``&#65;``); None where it has none."""
    may = any(sign in data for sign in (b"\\u", b"%", b"&#"))
    if not may or not HEX_ESCAPE.search(data):
        return None

    def plain(match: re.Match[bytes]) -> bytes:
        if match[3]:
            text = match[3].decode()
            number = int(text[1:], 16) if text[0] == "x" else int(text)
        else:
            number = int(match[1] or match[2], 16)
        return chr(number).encode("utf-8", "replace") if number < 0x110000 else b"?"

    return HEX_ESCAPE.sub(plain, data)
