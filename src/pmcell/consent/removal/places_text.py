"""What texts say otherwise than as it is: wide letters, escapes, tags, lines that broke, numbers.

Each way of writing is undone by itself and what comes out is a text again, so that
ways within ways are found, too.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import functools
import html
import re
import unicodedata
import zlib
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from pmcell.core.byte_around import around, around_joins, around_tags
from pmcell.core.byte_signs import (
    CALLED,
    ESCAPES,
    HYPHENS,
    JOINED,
    KERNED,
    LONG,
    MARKED,
    QUOTED,
    TAGS,
    rows_of_signs,
)  # fmt: skip
from pmcell.core.byte_texts import single_letters, spelled, unescaped, untagged

LOOKS: dict[int, str | None] = {
    **dict.fromkeys(
        (
            *(0xAD, 0x34F, 0x180E, 0xFEFF, *range(0x200B, 0x2010), *range(0x202A, 0x202F)),
            *(*range(0x2060, 0x2065), *range(0xFE00, 0xFE10)),
            *(*range(0x300, 0x370), *range(0x20D0, 0x2100)),
        )
    ),
    **{0xE0000 + sign: chr(sign) for sign in range(32, 127)},
    **dict.fromkeys((*range(0x2010, 0x2016), 0x2212, 0xFE58, 0xFE63, 0x2E3A, 0x2E3B), "-"),
    **dict(
        zip(
            map(ord, "АВЕЅІЈКМНОРСТУХаесорхуіјѕΑΒΕΖΗΙΚΜΝΟΡΤΥΧο"),
            "ABESIJKMHOPCTYXaecopxyijsABEZHIKMNOPTYXo",
            strict=True,
        )
    ),
    **{
        zero + digit: str(digit)
        for zero in (0x660, 0x6F0, 0x7C0, 0x966, 0x9E6, 0xE50, 0x1040)
        for digit in range(10)
    },
}
"""Letters of another script that look like one of ASCII; None for those that are not seen, and for
what strikes out or underlines the letter before it."""
_NOT_ASCII = re.compile("[^\x00-\x7f\udc80-\udcff]+")
"""Letters beyond ASCII; not what stands for bytes that are none."""
_JOINED = re.compile(
    rb"""["'][^"'\n]{0,64}(?:["'](?:\s{1,40}|\s{0,40}(?:\+|\|\|)\s{0,40})["'][^"'\n]{0,64}){1,20}["']"""
)
_JOIN = re.compile(rb"""["'](?:\s+|\s*(?:\+|\|\|)\s*)["']""")
_LETTERS = re.compile(rb"""(?:(["'])[^"'\\]\1\s*,\s*){5,}(["'])[^"'\\]\2""")
_SHOWN = re.compile(rb"BT(.*?)ET", re.DOTALL)
_STRING = re.compile(rb"\(((?:[^()\\]|\\.)*)\)", re.DOTALL)
_ASCII85 = re.compile(rb"(?:<~|stream\r?\n)([!-uz\s]{16,}?~>)")
_USED = re.compile(
    rb"""<use\b[^>]*?href=["']#[^"']*?-([0-9a-fA-F]{2,6})["'][^>]*>\s*(?:</use>)?\s*"""
)
_MARKED = re.compile(rb"\*\*|\\(?:text\w{2}|emph|underline)\{([^{}\n]{0,64})\}")
"""Bold of Markdown, and letters that LaTeX sets otherwise."""
_RTF = re.compile(rb"\\u(\d{1,5})\??")
_CALLS = re.compile(rb"(?i)\b(ch?a?r[wb]?\$?)\((\d+)\)(?:\s*[.+&|]{1,2}\s*\1\((\d+)\))+")
_NUMBER = re.compile(rb"\d+")
_LONG = re.compile(rb"\b(\d{1,3})L\b")
"""Whole numbers as R writes them."""
_PREFIX = re.compile(rb"\n[ \t]*(?:#+|//+|--|\*|>|;|%|\+)[ \t]?")
"""What stands before each line of a comment or a quotation."""
_NAMED = re.compile(rb"_x([0-9A-Fa-f]{4})_")
_DUMPED = re.compile(
    rb"^[0-9a-fA-F]{7,16}:? {1,2}((?:(?:[0-9a-fA-F]{2}){1,2} {1,2}){1,16}(?= |\|)"
    rb"|(?:(?:[0-9a-fA-F]{2}){1,2} {1,2}){0,15}(?:[0-9a-fA-F]{2}){1,2}$)",
    re.MULTILINE,
)
"""Bytes of a line of hexdump or xxd, behind its address."""
_DUMP_BEGINS = re.compile(rb"[0-9a-fA-F]{7,16}:? {1,2}[0-9a-fA-F]{2}")
_DUMP_GOES_ON = re.compile(rb"\n[0-9a-fA-F]{7,16}:? {1,2}[0-9a-fA-F]{2}")
_SECTION = re.compile(rb"<!\[CDATA\[|\]\]>")
"""Where a section of XML begins and ends, within which a name may begin or end."""
_SPACES = re.compile(rb" +")
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


@functools.cache
def _of(signs: bytes) -> NDArray[np.bool_]:
    """Flags of the 256 bytes, true for these."""
    found = np.zeros(256, np.bool_)
    found[list(signs)] = True
    return found


_UUENCODED = re.compile(rb"(?m)^begin 6\d\d [^\n]*\n((?:[!-`][ -`]{1,84}\r?\n)+)")
_PATCH = re.compile(rb"(?:literal|delta) \d+\n((?:[A-Za-z][!-~]{5,70}\n)+)")
_ENTITY = re.compile(rb"<!ENTITY\s+([\w.-]+)\s+[\"\']([^\"\']{0,200})[\"\']")
_NUMBERED = re.compile(rb"\*0\*?=[^;\r\n]{1,200}(?:;\s*[\w-]+\*\d+\*?=[^;\r\n]{1,200})+")
_VALUE = re.compile(rb"\*\d+\*?=\"?([^;\"\r\n]*)")
_JOINERS = (b"oncat", b"CONCAT", b"paste", b"str_c(", b"join(")
_TEXTS = rb"(?:\s*(?:\"[^\"\n]{0,64}\"|\'[^\'\n]{0,64}\')\s*,?){2,20}"
_CALL = re.compile(rb"(?i)(?:concat\w*|paste0?|str_c)\((" + _TEXTS + rb")")
_OF_ARRAY = re.compile(rb"\[(" + _TEXTS + rb")\]\s*\.join\(\s*[\"\']([^\"\']{0,3})[\"\']")
_OF_TEXT = re.compile(rb"[\"\']([^\"\'\n]{0,3})[\"\']\.join\([\[(](" + _TEXTS + rb")")
_TEXT = re.compile(rb"\"([^\"\n]{0,64})\"|\'([^\'\n]{0,64})\'")
_HYPHENATION = re.compile(rb"\\-|(?<=\w)\{\}(?=[\w-])")
_OF_PDF = re.compile(rb"#([0-9A-Fa-f]{2})")
_WORDS = re.compile(rb"=\?[\w-]+\?[bBqQ]\?[^?\s]*\?=(?:\s+=\?[\w-]+\?[bBqQ]\?[^?\s]*\?=)*")
_WORD = re.compile(rb"=\?[\w-]+\?([bBqQ])\?([^?\s]*)\?=")
_UTF7 = re.compile(rb"\+([A-Za-z0-9+/]{3,64})-")
_MISREAD = re.compile(rb"(?:[\xc2\xc3\xc5\xc6\xcb][\x80-\xbf]|\xe2[\x80-\x84][\x80-\xbf]){2,}")
_OCTAL = re.compile(rb"\b0o([0-7]{2,3})\b")
_BITS = re.compile(rb"[01]{7,8}")
_ROWS_OF_BITS = re.compile(rb"\b[01]{7,8}(?:[ ,;\n]{1,2}[01]{7,8}\b){5,}")
_ADDRESS = re.compile(rb"(?m)^[0-7]{7}[ \n]")
"""What `od` writes before each line."""
_QUOTED = re.compile(rb"=(?:([0-9A-Fa-f]{2})|[ \t]*\r?\n)")
_BROKEN_LINE = re.compile(rb"-\r?\n[ \t#>*|]*")
_OF_ESCAPES = _of(b"\\%")
_BEYOND = _of(bytes(range(128, 256)))
"""Signs around which a text is read in another way."""


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
    is_text = looks_like_text(data)
    if flags & KERNED and (is_text or b"%PDF" in data[:4096]):
        # In other bytes its signs stand by chance.
        yield "kerned text", re.sub(rb"\)\s*-?[\d.]+\s*\(", b"", data)
    if data.startswith(b"%PDF"):
        yield "names of PDF", _OF_PDF.sub(lambda sign: bytes.fromhex(sign[1].decode()), data)
        yield "base85", b"\n".join(_of_ascii85(word) for word in _ASCII85.findall(data))
    if data.startswith(b"%!PS"):
        yield "glyphs", _GLYPHS.sub(_written, data)
    if not is_text:
        return
    if flags & KERNED:
        shown = (b"".join(_STRING.findall(part)) for part in _SHOWN.findall(data))
        yield "shown text", b"\n".join(shown)
    if flags & ESCAPES and (plain := unescaped(around(data, _OF_ESCAPES))) is not None:
        yield "escapes", plain
    if flags & TAGS:
        near = around_tags(data)
        yield "without tags", _changed(near, untagged(_SECTION.sub(b"", near)))
    if flags & QUOTED:
        near = around(data, _of(b"="), _of(b"0123456789ABCDEFabcdef \t\r\n"))
        if b"=?" in data:
            # Within the words of a header an underscore is a space.
            near = around(data, _of(b"=")).replace(b"_", b" ")
        plain = _QUOTED.sub(lambda sign: bytes.fromhex((sign[1] or b"").decode()), near)
        yield "quoted-printable", _changed(near, plain)
    if flags & JOINED:
        near = around_joins(data)
        joined = (_JOIN.sub(b"", text[0]) for text in _JOINED.finditer(near))
        yield "joined texts", b"\n".join(joined)
        rows = (row[0] for row in _LETTERS.finditer(near))
        yield "lists of letters", b"\n".join(re.sub(rb"[\"',\s]", b"", row) for row in rows)
    if b"=?" in data:
        near = around(data, _of(b"="), _of(b"?"))
        yield "words of a header", _changed(near, _WORDS.sub(_of_header, near))
    if b"+A" in data and _UTF7.search(data):
        near = around(data, _of(b"+"))
        yield "UTF-7", _changed(near, _UTF7.sub(_of_utf7, near))
    if b"<use" in data:
        yield "glyphs that are used", _USED.sub(lambda use: _letter(use[1]), data)
    if b"_x00" in data:
        yield "escaped names", _NAMED.sub(lambda name: _letter(name[1]), data)
    if b"&" in data:
        near = around(data, _of(b"&"))
        yield "entities", _changed(near, _as_letters(near, html.unescape))
    if not data.isascii():
        near = around(data, _BEYOND)
        yield "letters that look alike", _changed(near, _as_letters(near, _seen))
        yield (
            "UTF-8 that was read as Latin",
            _changed(near, _MISREAD.sub(lambda part: _as_written(part[0]), near)),
        )
    if flags & MARKED:
        near = around(data, _of(b"*\\"))
        yield "marked letters", _changed(near, _MARKED.sub(rb"\1", near))
    if b"begin 6" in data:
        yield "uuencode", b"\n".join(_of_uuencode(part[1]) for part in _UUENCODED.finditer(data))
    if b"GIT binary patch" in data:
        yield "patch", b"\n".join(_of_patch(part[1]) for part in _PATCH.finditer(data))
    if b"<!ENTITY" in data:
        yield "own entities", _with_entities(data)
    if b"*0" in data:
        rows = (b"".join(_VALUE.findall(row[0])) for row in _NUMBERED.finditer(data))
        yield "numbered parts", b"\n".join(rows)
    if any(sign in data for sign in _JOINERS):
        yield "joined by a call", b"\n".join(_called(data))
    if b"\\-" in data or b"{}" in data:
        near = around(data, _of(b"\\{"))
        yield "hyphenation", _changed(near, _HYPHENATION.sub(b"", near))
    if data.startswith(b"{\\rtf"):
        yield "RTF", _RTF.sub(lambda sign: _letter(b"%x" % int(sign[1])), data)
    if flags & CALLED:
        calls = (
            bytes(int(n) % 256 for n in _NUMBER.findall(row[0])) for row in _CALLS.finditer(data)
        )
        yield "letters that are called", b"\n".join(calls)
    if flags & HYPHENS:
        near = around(data, _of(b"-"), _of(b"\r\n"))
        yield "lines broken at hyphens", _changed(near, _BROKEN_LINE.sub(b"-", near))
    has_numbers, has_singles = rows_of_signs(data)
    if has_singles:
        yield "single letters", single_letters(data)
    if flags & LONG:
        yield "decimal numbers of R", spelled(_LONG.sub(rb"\1", data), 10)
    if has_numbers and b"0000000 " in data:
        yield "octal numbers", spelled(_ADDRESS.sub(b"", data), 8)
    if b"0o1" in data:
        yield "octal numbers", spelled(_OCTAL.sub(lambda n: n[1].rjust(3, b"0"), data), 8)
    if b" 0110" in data or b",0110" in data:
        bits = (_BITS.findall(row[0]) for row in _ROWS_OF_BITS.finditer(data))
        yield "bits", b"\n".join(bytes(int(byte, 2) for byte in row) for row in bits)
    if has_numbers:
        yield "hexadecimal numbers", spelled(data, 16)
        yield "decimal numbers", spelled(data, 10)
        if _DUMP_BEGINS.match(data) or _DUMP_GOES_ON.search(data):
            lines = (line[1] for line in _DUMPED.finditer(data))
            yield "dump", b"".join(bytes.fromhex(_SPACES.sub(b"", line).decode()) for line in lines)


def looks_like_text(data: bytes) -> bool:
    r"""Whether bytes begin as a text does: else their signs stand by chance, and are not read.

    >>> looks_like_text("Spital ZürichP-17".encode()), looks_like_text(b"\x80\x03" * 99)
    (True, False)
    """
    head = data[:HEAD]
    if b"\0" in head:
        return False
    n_control = len(head) - len(head.translate(None, _CONTROL))
    if n_control <= MAX_CONTROL * len(head):
        return True
    n_broken = 0 if head.isascii() else head.decode("utf-8", "replace").count("\ufffd")
    return n_broken <= MAX_CONTROL * len(head) and n_control <= MAX_MARKS * len(head)


HEAD = 4096
"""Bytes by which a text is told from what is none."""
_CONTROL = bytes(byte for byte in range(32) if byte not in b"\b\t\n\f\r\x1b")
MAX_CONTROL, MAX_MARKS = 0.02, 0.25
"""Shares of signs of control: beyond the first one, other bytes must be those of UTF-8, as where
texts stand between marks of their length; beyond the second they are numbers."""


def _of_uuencode(lines: bytes) -> bytes:
    """What lines of uuencode say together."""
    found = []
    for line in lines.splitlines():
        with contextlib.suppress(binascii.Error):
            found.append(binascii.a2b_uu(line))
    return b"".join(found)


def _of_patch(lines: bytes) -> bytes:
    """What git packs in lines of base85, each with its length before it."""
    try:
        packed = b"".join(
            base64.b85decode(line[1:])[: line[0] - (64 if line[0] < 96 else 70)]
            for line in lines.splitlines()
        )
        return zlib.decompress(packed)
    except (ValueError, zlib.error):
        return b""


def _with_entities(data: bytes) -> bytes:
    """XML with the entities that it declares itself written out, once."""
    told = dict(_ENTITY.findall(data))
    return re.sub(rb"&([\w.-]+);", lambda name: told.get(name[1], name[0]), data)


def _called(data: bytes) -> Iterator[bytes]:
    """Texts that a call puts together: concat, paste, join."""
    for call in _CALL.finditer(data):
        parts = [one or other for one, other in _TEXT.findall(call[1])]
        yield from (b"".join(parts), b" ".join(parts), parts[0].join(parts[1:]))
    ways = [(way[1], way[2]) for way in _OF_ARRAY.finditer(data)]
    for texts, sign in ways + [(way[2], way[1]) for way in _OF_TEXT.finditer(data)]:
        yield sign.join(one or other for one, other in _TEXT.findall(texts))


def _of_header(words: re.Match[bytes]) -> bytes:
    """What words of a header of mail say that follow each other."""
    found = []
    for how, word in _WORD.findall(words[0]):
        with contextlib.suppress(binascii.Error):
            is_base64 = how in b"bB"
            found.append(
                binascii.a2b_base64(word) if is_base64 else binascii.a2b_qp(word, header=True)
            )
    return b"".join(found)


def _of_utf7(word: re.Match[bytes]) -> bytes:
    letters = base64.b64decode(
        word[1] + b"=" * (-len(word[1]) % 4) if len(word[1]) % 4 != 1 else b""
    )
    return letters[: len(letters) // 2 * 2].decode("utf-16-be", "replace").encode()


@functools.lru_cache(1 << 12)
def _as_written(letters: bytes) -> bytes:
    """Bytes of UTF-8 that were taken for letters of a byte each, and written as UTF-8 again."""
    try:
        return letters.decode().encode("cp1252")
    except UnicodeError:
        return letters.decode("utf-8", "ignore").encode("latin-1", "ignore")


def _changed(near: bytes, text: bytes) -> bytes:
    """What was read in another way; nothing where all of it stays as it was."""
    return b"" if text == near else text


def plain_lines(data: bytes) -> bytes:
    r"""Lines that end with a line feed alone, without what marks each as comment or quotation.

    >>> plain_lines(b"x\r\n# y\r\n")
    b'x\ny\n'
    """
    return _PREFIX.sub(b"\n", data.replace(b"\r\n", b"\n"))


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
    return _NOT_ASCII.sub(lambda part: _look(part[0]), text)


@functools.lru_cache(1 << 12)
def _look(part: str) -> str:
    """Letters beyond ASCII as they are seen: few different ones stand in a text, many times."""
    return unicodedata.normalize("NFKC", part.translate(LOOKS)).translate(LOOKS)


def _letter(digits: bytes) -> bytes:
    """The letter that a hexadecimal number stands for."""
    number = int(digits, 16)
    return chr(number).encode("utf-8", "replace") if number < 0x110000 else b""


def _of_ascii85(word: bytes) -> bytes:
    """What a text in ASCII85 says, unpacked where it is packed; nothing of what is none."""
    try:
        plain = base64.a85decode(b"<~" + word, adobe=True)
        return zlib.decompress(plain) if plain[:1] == b"x" else plain
    except (ValueError, zlib.error):
        return b""


def _written(row: re.Match[bytes]) -> bytes:
    names = _GLYPH.findall(row[0])
    return b"".join(name if len(name) == 1 else GLYPHS.get(name, b" ") for name in names) + b"\n"
