"""What texts say otherwise than as it is: wide letters, escapes, tags, lines that broke, numbers.

Each way of writing is undone by itself and what comes out is a text again, so that
ways within ways are found, too.
"""

from __future__ import annotations

import html
import quopri
import re
import unicodedata
from collections.abc import Callable, Iterator

from pmcell.core.byte_signs import ESCAPES, HYPHENS, KERNED, QUOTED, TAGS
from pmcell.core.byte_texts import spelled, unescaped, untagged

HIDDEN = re.compile("[\u00ad\u034f\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufeff]")
"""Letters that are not seen."""
GLYPHS = {
    **{name: str(digit).encode() for digit, name in enumerate(
        (b"zero", b"one", b"two", b"three", b"four", b"five", b"six", b"seven", b"eight", b"nine")
    )},
    b"hyphen": b"-", b"minus": b"-", b"underscore": b"_", b"period": b".", b"colon": b":",
    b"slash": b"/", b"space": b" ", b"plus": b"+",
}  # fmt: skip
"""Names of signs in PostScript; a letter is its own."""
_GLYPH = re.compile(rb"/(\w+) glyphshow\n")
_GLYPHS = re.compile(rb"(?:[^\n]*/\w+ glyphshow\n)+")


def readings(data: bytes, flags: int) -> Iterator[tuple[str, bytes]]:
    """Every other text that the bytes are, with the way in which it was written.

    Parameters
    ----------
    data
        The bytes.
    flags
        What `pmcell.core.byte_signs.signs` says of them.

    Examples
    --------
    >>> [text for _, text in readings(b"of Donor-\\n  0001 &amp; others", HYPHENS)][:2]
    [b'of Donor-\\n  0001 & others', b'of Donor-0001 &amp; others']
    """
    wide = narrowed(data)
    if wide is not None:
        yield "utf-16", wide
    if flags & KERNED:
        yield "kerned text", re.sub(rb"\)\s*-?[\d.]+\s*\(", b"", data)
    if data.startswith(b"%!PS"):
        yield "glyphs", _GLYPHS.sub(_written, data)
    if b"\0" in data[:4096]:
        return
    if flags & ESCAPES and (plain := unescaped(data)) is not None:
        yield "escapes", plain
    if flags & TAGS:
        yield "without tags", untagged(data)
    if flags & QUOTED:
        yield "quoted-printable", quopri.decodestring(data, header=b"=?" in data)
    if b"&" in data:
        yield "entities", _as_letters(data, html.unescape)
    if not data.isascii():
        yield "letters that look alike", _as_letters(data, _seen)
    if flags & HYPHENS:
        yield "lines broken at hyphens", re.sub(rb"-\r?\n[ \t#>*|]*", b"-", data)
    yield "hexadecimal numbers", spelled(data, 16)
    yield "decimal numbers", spelled(data, 10)


def narrowed(data: bytes) -> bytes | None:
    """Text of two bytes a letter as text of one; None for what looks like none."""
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return data.decode("utf-16", "replace").encode()
    for high in (0, 1):
        zeros, letters = data[high:4096:2], data[1 - high : 4096 : 2]
        if zeros and zeros.count(0) > 0.9 * len(zeros) and letters.count(0) < 0.1 * len(letters):
            return data[1 - high :: 2]
    return None


def _as_letters(data: bytes, change: Callable[[str], str]) -> bytes:
    text = data.decode("utf-8", "surrogateescape")
    return change(text).encode("utf-8", "surrogateescape")


def _seen(text: str) -> str:
    """A text as it is seen: letters of one look are one, those without a look are gone.

    >>> _seen("Do\\u200bno\\u00adr-１７")
    'Donor-17'
    """
    return HIDDEN.sub("", unicodedata.normalize("NFKC", text))


def _written(row: re.Match[bytes]) -> bytes:
    names = _GLYPH.findall(row[0])
    return b"".join(name if len(name) == 1 else GLYPHS.get(name, b" ") for name in names) + b"\n"
