"""What a removal scan looks for, and the search for it in bytes.

Texts: ids, pseudonyms, names of samples and cells. They are found whole, in any
case, where letters and digits do not go on; in UTF-8, UTF-16, UTF-32 and EBCDIC,
backwards, in ROT13, hexadecimal, base32, base64, base85 and uuencode. Cells: how
often each value occurs in a cell, in order of the values. That stays the same when
genes or cells are put in another order or renamed, and under any increasing
transformation such as log1p of counts per ten thousand, so it finds a cell by its
numbers alone.
"""

from __future__ import annotations

import base64
import binascii
import codecs
import hashlib
import re
import struct
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from pmcell.consent.removal.gene_sets import GeneSets
from pmcell.core.byte_search import PART, WHOLE, WIDE, WIDER, Forms, compile_forms, search
from pmcell.core.value_counts import ALL_SHAPES, flags_of_shapes, times_of_values

MIN_BASE64 = 10
"""Letters of base64 below which chance, with the case left out, could write them."""
MIN_HEX = 12
"""Hexadecimal digits below which chance could write them."""
MIN_MARK, MIN_BYTES = 16, 10
"""Letters of base64, and bytes, by which a digest is known."""
DIGESTS = (
    *("md5", "sha1", "sha224", "sha256", "sha384", "sha512"),
    *("sha3_256", "sha3_512", "blake2b", "blake2s"),
)
CELL_NAME = "cell name"
"""The kind of what is one of very many."""
MIN_VALUES, MIN_GENES = 8, 60
"""Different values and genes of a cell, below which chance could make two cells alike."""
MAX_CELL = 1 << 18
"""Values of one cell, at most: more of them in one row are those of many."""
MIN_SPELLED = 6
"""Letters and digits of an id that is also looked for with other signs between them."""
_SHAPE = struct.Struct("<II")
PRINT_BYTES = _SHAPE.size + 12
_SIGNS = re.compile(r"[^\w]|_")


@dataclass(frozen=True)
class Needles:
    """Texts and cells to find: each text with what it is, such as `donor`.

    `cells` are known by their values, `genes` by the names of the genes that they express.
    `spellings` are what other programs make of the texts: found as they are, not packed or coded.
    """

    texts: Mapping[str, str]
    cells: frozenset[bytes] = field(default_factory=frozenset)
    genes: GeneSets | None = None
    spellings: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def _compiled(self) -> tuple[Forms, list[str]]:
        """Every form of every text, and the kind of each."""
        ways = ((self.spellings, plain_forms), (self.texts, forms_of))
        forms = {
            found: kind
            for texts, forms in ways
            for text, kind in texts.items()
            if text
            for found in forms(text)
        } | {
            found: kind
            for text, kind in self.texts.items()
            if kind != CELL_NAME
            for found in digests_of(text)
        }
        compiled = compile_forms([form for form, _ in forms], [stand for _, stand in forms])
        return compiled, list(forms.values())

    @cached_property
    def _shapes(self) -> NDArray[np.bool_]:
        shapes = np.frombuffer(b"".join(mark[: _SHAPE.size] for mark in self.cells), "<u4")
        return flags_of_shapes(shapes[::2], shapes[1::2])

    def prepare(self) -> None:
        """Compile the forms now, and not in the first of several threads that ask for them."""
        _ = self._compiled, self._shapes

    def are_among(self, indptr: np.ndarray, values: np.ndarray) -> bool:
        """Whether a cell to find is one of these, given by where its values begin and end."""
        found = cell_prints(indptr, values, self._shapes)
        return any(mark in self.cells for _, mark in found)

    def in_bytes(self, data: bytes, *, is_joined: bool = False) -> set[str]:
        """The kinds of those texts that occur in the bytes; `is_joined` as in `search`."""
        forms, kinds = self._compiled
        return {kinds[at] for at in search(data, forms, is_joined=is_joined)}


def plain_forms(text: str) -> Iterator[tuple[bytes, int]]:
    """Bytes that a text is, in letters of one byte, two and four, and how they must stand."""
    for letters in _cases(text):
        raw = letters.encode("utf-8", "surrogateescape").lower()
        yield raw, WHOLE
        if letters.isascii():
            # Also of the other order of bytes: the zeros between the letters are the same.
            yield b"\0".join(raw[at : at + 1] for at in range(len(raw))), WIDE
            yield b"\0\0\0".join(raw[at : at + 1] for at in range(len(raw))), WIDER


def _cases(text: str) -> set[str]:
    spelled = {unicodedata.normalize(form, text) for form in ("NFC", "NFD")} | {text}
    return {case for one in spelled for case in (one, one.lower(), one.upper())}


def forms_of(text: str) -> Iterator[tuple[bytes, int]]:
    """Bytes that a text may be written as, in lower case, and how they must stand."""
    yield from plain_forms(text)
    for kind in ("md5", "sha1", "sha256"):
        # Whoever has the id can make its digest: it hides nobody.
        mark = hashlib.new(kind, text.encode("utf-8", "surrogateescape"), usedforsecurity=False)
        yield mark.hexdigest().encode(), PART
    for letters in _cases(text):
        raw = letters.encode("utf-8", "surrogateescape")
        if len(raw) * 2 >= MIN_HEX:
            yield raw.hex().encode(), PART
        if letters.isascii():
            yield raw[::-1].lower(), WHOLE
            yield codecs.encode(letters, "rot13").encode().lower(), WHOLE
            yield letters.encode("cp037").lower(), PART
        for form in within_groups(raw):
            if len(form) >= MIN_BASE64:
                yield form, PART
    for form in within_base64(text.encode("utf-8", "surrogateescape")):
        if len(form) >= MIN_BASE64:
            yield form, PART


def digests_of(text: str) -> Iterator[tuple[bytes, int]]:
    """Begins of digests of a text, which whoever has the id can make, and how they must stand.

    In hexadecimal, base64 and as bytes; of the text, of its lower and upper case, and of its line.
    """
    for letters in {text, text.lower(), text.upper()}:
        for said in (letters, f"{letters}\n"):
            for name in DIGESTS:
                made = hashlib.new(
                    name, said.encode("utf-8", "surrogateescape"), usedforsecurity=False
                )
                mark = made.digest()
                yield mark.hex()[:MIN_HEX].encode(), PART
                yield base64.b64encode(mark)[:MIN_MARK].lower(), PART
                yield mark[:MIN_BYTES].lower(), PART


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


def within_groups(raw: bytes) -> set[bytes]:
    """The same of base32, base85 in its three alphabets and uuencode: of whole groups of letters.

    >>> text = base64.b32encode(b"a donor-0017 b").lower()
    >>> any(form in text for form in within_groups(b"donor-0017"))
    True
    """
    found = set()
    for size, letters, encode in _GROUPS:
        for shift in range(size):
            # Groups that begin and end within the bytes: what stands around them is in none.
            first = -shift % size
            inner = raw[first : first + (len(raw) - first) // size * size]
            if size == 5:
                # Of the groups at the ends those letters that hold bits of these bytes alone.
                head, tail = raw[:first], raw[first + len(inner) :]
                begin = encode(head.rjust(5, b"\0"))[8 - 8 * len(head) // 5 :]
                end = encode(tail.ljust(5, b"\0"))[: 8 * len(tail) // 5]
                found.add((begin + encode(inner) + end).lower())
            elif len(inner) // size * letters >= MIN_BASE64:
                found.add(encode(inner).lower())
    return found


def _uu(raw: bytes) -> bytes:
    return binascii.b2a_uu(raw[:45], backtick=True)[1:-1]


_Z85 = bytes.maketrans(
    b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!#$%&()*+-;<=>?@^_`{|}~",
    b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#",
)
_GROUPS: Sequence[tuple[int, int, Callable[[bytes], bytes]]] = (
    (5, 8, base64.b32encode),
    (5, 8, base64.b32hexencode),
    (4, 5, base64.b85encode),
    (4, 5, base64.a85encode),
    (4, 5, lambda raw: base64.b85encode(raw).translate(_Z85)),
    (3, 4, _uu),
)
"""Bytes and letters of a group, and what writes it."""
_ALPHABET = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_URL_SAFE = bytes.maketrans(b"+/", b"-_")


def cell_prints(
    indptr: np.ndarray, values: np.ndarray, shapes: NDArray[np.bool_] = ALL_SHAPES
) -> Iterator[tuple[int, bytes]]:
    """Row and print of each cell of a sparse matrix in rows that has enough genes and values.

    A print begins with its shape: how many values the cell has, and how many times the lowest of
    them. Of cells with a shape that is none of `shapes` nothing else is made.
    """
    times, bounds = times_of_values(
        np.asarray(indptr, np.int64),
        np.asarray(values),
        MIN_GENES,
        MAX_CELL,
        shapes,
    )
    said, ends = memoryview(times.astype("<i8", copy=False).tobytes()), (bounds * 8).tolist()
    for row in np.flatnonzero(np.diff(bounds) >= MIN_VALUES).tolist():
        begin, end = bounds[row], bounds[row + 1]
        shape = _SHAPE.pack(times[begin:end].sum(), times[begin])
        part = said[ends[row] : ends[row + 1]]
        yield row, shape + hashlib.blake2b(part, digest_size=12).digest()


def print_of(values: np.ndarray) -> bytes | None:
    """The print of one cell's values; None where too few tell it from others.

    >>> import numpy as np
    >>> counts = np.repeat(np.arange(1, 11), np.arange(11, 1, -1))
    >>> print_of(counts) == print_of(np.log1p(counts[::-1]))
    True
    """
    return next((mark for _, mark in cell_prints(np.array([0, values.size]), values)), None)


def donor_needles(
    own: Sequence[tuple[str, str]],
    others: Iterable[str],
    cells: Iterable[bytes],
    other_cells: Iterable[bytes],
    genes: GeneSets | None = None,
) -> Needles:
    """Needles for one donor, also as other programs spell them: nothing that somebody else has."""
    taken = {text.lower() for text in others}
    kinds = {text: kind for text, kind in own if text and text.lower() not in taken}
    spellings = {
        spelled: kind
        for text, kind in kinds.items()
        for spelled in other_spellings(text)
        if spelled.lower() not in taken
    }
    return Needles(kinds, frozenset(cells) - frozenset(other_cells), genes, spellings)


def other_spellings(text: str) -> set[str]:
    """How other programs write an id: R's make.names, word processors' hyphens, file names.

    >>> sorted(other_spellings("c1:Anna_7"))  # doctest: +NORMALIZE_WHITESPACE
    ['c1\\tAnna\\t7', 'c1  Anna  7', 'c1 - Anna - 7', 'c1 Anna 7', 'c1,Anna,7', 'c1-Anna-7',
     'c1.Anna.7', 'c1/Anna/7', 'c1:Anna:7', 'c1;Anna;7', 'c1Anna7', 'c1_Anna_7', 'c1|Anna|7']
    """
    if len(_SIGNS.sub("", text)) < MIN_SPELLED or not _SIGNS.search(text):
        return set()
    signs = [".", "_", "-", " ", "", "/", ":", "  ", " - "]
    if not _SIGNS.sub("", text).isdigit():
        # In two cells of a table; of digits alone such are numbers.
        signs += ["\t", ",", ";", "|"]
    found = {_SIGNS.sub(sign, text) for sign in signs}
    found |= {text.replace("-", hyphen) for hyphen in ("\u2010", "\u2011", "\u2013")}
    return found - {text}
