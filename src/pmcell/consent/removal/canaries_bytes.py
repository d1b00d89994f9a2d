"""Canaries in texts, in what texts are packed in, and in names."""

from __future__ import annotations

import base64
import binascii
import bz2
import codecs
import gzip
import hashlib
import io
import json
import lzma
import os
import tarfile
import zipfile
import zlib
from pathlib import Path

from pmcell.consent.removal.canary import NAME, TEXT, Plant, file_of

_GLYPHS = {
    **{str(digit): name for digit, name in enumerate(
        (b"zero", b"one", b"two", b"three", b"four", b"five", b"six", b"seven", b"eight", b"nine")
    )},
    "-": b"hyphen",
}  # fmt: skip


def _dumped() -> bytes:
    """As hexdump -C writes bytes, sixteen a line."""
    data = b"0123456789" + TEXT
    lines = (
        f"{at:08x}  {data[at : at + 8].hex(' ')}  {data[at + 8 : at + 16].hex(' ')}  |x|"
        for at in range(0, len(data), 16)
    )
    return "\n".join(lines).encode()


def _raw_deflate(data: bytes) -> bytes:
    stream = zlib.compressobj(wbits=-15)
    return stream.compress(data) + stream.flush()


def _zip_of(
    members: dict[str, bytes], *, comment: bytes = b"", extra: bytes = b"", whole: bytes = b""
) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            item = zipfile.ZipInfo(name)
            item.compress_type = zipfile.ZIP_DEFLATED
            item.comment = comment
            item.extra = b"\x99\x99" + len(extra).to_bytes(2, "little") + extra if extra else b""
            archive.writestr(item, data)
        archive.comment = whole
    return stream.getvalue()


def _tar() -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        item = tarfile.TarInfo("a.txt")
        item.size = len(TEXT)
        archive.addfile(item, io.BytesIO(TEXT))
    return stream.getvalue()


def _png() -> bytes:
    body = b"Comment\0\0" + zlib.compress(TEXT)
    chunk = len(body).to_bytes(4, "big") + b"zTXt" + body
    chunk += zlib.crc32(b"zTXt" + body).to_bytes(4, "big")
    return b"\x89PNG\r\n\x1a\n" + chunk


def _link(home: Path) -> None:
    os.symlink(f"somewhere/{NAME}/x", home / "link")


def _forgotten_zip() -> bytes:
    """An archive whose directory names one of its two members."""
    both = _zip_of({"a.txt": TEXT * 3, "b.txt": b"x"})
    first = both.index(b"PK\x01\x02")
    second = both.index(b"PK\x01\x02", first + 4)
    tail = bytearray(both[both.index(b"PK\x05\x06") :])
    tail[8:12] = b"\1\0\1\0"
    tail[12:16] = (len(both) - len(tail) - second).to_bytes(4, "little")
    return (
        both[:first]
        + both[second : len(both) - len(tail)]
        + bytes(tail[:16] + first.to_bytes(4, "little") + tail[20:])
    )


def _brotli(home: Path) -> None:
    import pyarrow as pa

    (home / "x.br").write_bytes(pa.compress(TEXT * 9, codec="brotli", asbytes=True))


def _plain_tar(data: bytes) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        item = tarfile.TarInfo("a")
        item.size = len(data)
        archive.addfile(item, io.BytesIO(data))
    return stream.getvalue()


def _uuencoded(data: bytes) -> bytes:
    lines = (binascii.b2a_uu(data[at : at + 45]) for at in range(0, len(data), 45))
    return b"begin 644 x\n" + b"".join(lines) + b"`\nend\n"


def _binary_patch(data: bytes) -> bytes:
    """As git writes bytes: lines of base85 with a letter for their length before each."""
    lines = (
        bytes([len(part) + (64 if len(part) <= 26 else 70)]) + base64.b85encode(part, pad=True)
        for part in (data[at : at + 52] for at in range(0, len(data), 52))
    )
    return b"GIT binary patch\nliteral 99\n" + b"\n".join(lines) + b"\n\n"


def _grouped(digits: str) -> str:
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def _in_folders(home: Path) -> None:
    (home / NAME[:2] / NAME[2:4]).mkdir(parents=True)
    (home / NAME[:2] / NAME[2:4] / NAME[4:]).write_bytes(b"x")


BYTES: dict[str, Plant] = {
    "log": file_of("x.log", b"\n".join([b"line"] * 500 + [TEXT])),
    "other case": file_of("x.txt", TEXT.upper()),
    "binary file without a name": file_of("x", bytes(range(256)) * 9 + TEXT + b"\0" * 99),
    "HTML in base64": file_of(
        "x.html", b"<img src='data:;base64," + base64.b64encode(TEXT) + b"'>"
    ),
    "HTML in packed base64": file_of(
        "x.html", b"<script>d='" + base64.b64encode(gzip.compress(TEXT)) + b"'</script>"
    ),
    "HTML entities": file_of("x.html", "".join(f"&#{ord(c)};" for c in NAME).encode()),
    "JSON escapes": file_of("x.json", "".join(f"\\u{ord(c):04x}" for c in NAME).encode()),
    "address escapes": file_of("x.ttl", "".join(f"%{ord(c):02x}" for c in NAME).encode()),
    "UTF-16": file_of("x.csv", TEXT.decode().encode("utf-16")),
    "UTF-16 without a mark": file_of("x.csv", (TEXT * 5).decode().encode("utf-16-le")),
    "gzip": file_of("x.gz", gzip.compress(TEXT)),
    "bzip2": file_of("x", bz2.compress(TEXT)),
    "xz": file_of("x", lzma.compress(TEXT)),
    "zip in a zip": file_of(
        "x.zip", _zip_of({"a.zip": _zip_of({"b.json": json.dumps(NAME).encode()})})
    ),
    "name in a zip": file_of("x.zip", _zip_of({f"{NAME}.txt": b"x"})),
    "tar": file_of("x.tgz", _tar()),
    "PNG text": file_of("x.png", _png()),
    "file name": file_of(f"{NAME}.txt", b"x"),
    "folder name": lambda home: (home / NAME).mkdir(),
    "base64 file name": file_of(
        base64.urlsafe_b64encode(f"results/{NAME}/x".encode()).decode(), b"x"
    ),
    "link": _link,
    "terminal's colour": file_of("x.log", f"\x1b[1;32m{NAME}\x1b[0m".encode()),
    "line break in JSON": file_of("x.json", json.dumps(f"a\n{NAME}\tb").encode()),
    "UTF-16 in a binary file": file_of(
        "x.jpg", b"\xff\xd8\xff\xe1" * 99 + b"UNICODE\0" + NAME.encode("utf-16-le")
    ),
    "UTF-32": file_of("x.txt", NAME.encode("utf-32")),
    "hexadecimal": file_of("x.txt", b"id=" + NAME.encode().hex().encode()),
    "lines of base64": file_of("x.eml", base64.encodebytes(b"z" * 50 + TEXT + b"y" * 200)),
    "packed, lines of base64 in JSON": file_of(
        "x.ipynb", json.dumps(base64.encodebytes(zlib.compress(TEXT * 9)).decode()).encode()
    ),
    "base64 twice": file_of("x.txt", base64.b64encode(base64.b64encode(b"z" * 60 + TEXT))),
    "deflate in base64": file_of("x.html", base64.b64encode(_raw_deflate(TEXT + bytes(range(99))))),
    "deflate": file_of("x", _raw_deflate(TEXT * 3)),
    "a section of XML within": file_of(
        "x.xml", f"<p>{NAME[:4]}<![CDATA[{NAME[4:8]}]]>{NAME[8:]}</p>".encode()
    ),
    "tags within": file_of("x.html", f"<p>{NAME[:4]}<wbr><b>{NAME[4:]}</b></p>".encode()),
    "octal escapes": file_of("x.pdf", "".join(f"\\{ord(c):03o}" for c in NAME).encode()),
    "quoted-printable": file_of("x.eml", f"{NAME[:9]}=\n{NAME[9:]}".encode()),
    "signs exchanged": file_of("x.R", NAME.replace("-", ".").encode()),
    "hyphen of a word processor": file_of("x.md", NAME.replace("-", "\u2011").encode()),
    "zip behind a page": file_of("x.html", b"<html></html>" + _zip_of({"a": TEXT * 3})),
    "member that its zip forgot": file_of("x.zip", _forgotten_zip()),
    "pickle of the first kind": file_of("x.pkl", f"(lp0\nV{NAME}\np1\naVb\np2\na.".encode()),
    "pickle, a letter after a text": file_of(
        "x.pkl", b"\x80\2]q\0(X\x0f\0\0\0" + NAME.encode() + b"q\1X\1\0\0\0bq\2e."
    ),
    "texts by their length": file_of("x", b"\0\0\0\x0f" + NAME.encode() + b"and more"),
    "line broken at a hyphen": file_of("x.txt", f"of {NAME[:7]}\n    {NAME[7:]} more".encode()),
    "line broken at a width": file_of("x.log", f"{'z ' * 38}{NAME[:4]}\n{NAME[4:]} and".encode()),
    "colours of a terminal within": file_of("x.log", f"{NAME[:7]}\x1b[1;36m{NAME[7:]}".encode()),
    "letters that are not seen": file_of("x.md", f"{NAME[:3]}\u00ad{NAME[3:]}".encode()),
    "letters of another width": file_of(
        "x.md", "".join(chr(ord(letter) + 0xFEE0) for letter in NAME).encode()
    ),
    "named entities": file_of("x.html", NAME.replace("-", "&hyphen;").encode()),
    "long escapes": file_of("x.nt", "".join(f"\\U{ord(c):08X}" for c in NAME).encode()),
    "escapes in braces": file_of("x.js", "".join(f"\\u{{{ord(c):x}}}" for c in NAME).encode()),
    "escapes of a style sheet": file_of("x.css", "".join(f"\\{ord(c):x} " for c in NAME).encode()),
    "quoted-printable in one line": file_of("x", "".join(f"={ord(c):02X}" for c in NAME).encode()),
    "hexadecimal with spaces": file_of("x.txt", NAME.encode().hex(" ").encode()),
    "hexadecimal in a program": file_of("x.c", ", ".join(f"0x{ord(c):x}" for c in NAME).encode()),
    "numbers of letters": file_of("x.json", json.dumps(list(NAME.encode())).encode()),
    "packed in hexadecimal": file_of("x.sql", b"X'" + gzip.compress(TEXT).hex().encode() + b"'"),
    "kerned text of PDF": file_of("x.pdf", f"[({NAME[:3]})-20 ({NAME[3:]})] TJ".encode()),
    "glyphs of PostScript": file_of(
        "x.eps",
        b"%!PS\n" + b"".join(b"1 0 m /%s glyphshow\n" % _GLYPHS.get(c, c.encode()) for c in NAME),
    ),
    "behind a packed file": file_of("x.bz2", bz2.compress(b"x") + b"..." + gzip.compress(TEXT * 3)),
    "old lzma": file_of("x.lzma", lzma.compress(TEXT * 3, format=lzma.FORMAT_ALONE)),
    "comment in a zip": file_of("x.zip", _zip_of({"a": b"x"}, comment=NAME.encode())),
    "field in a zip": file_of("x.zip", _zip_of({"a": b"x"}, extra=NAME.encode())),
    "packed comment of a zip": file_of("x.zip", _zip_of({"a": b"x"}, whole=gzip.compress(TEXT))),
    "tar behind a tar": file_of("x.tar", _plain_tar(b"x") + _plain_tar(gzip.compress(TEXT))),
    "joined by a program": file_of("x.js", f'd = "{NAME[:5]}" + "{NAME[5:]}";'.encode()),
    "list of letters": file_of("x.json", json.dumps(list(NAME)).encode()),
    "letters apart": file_of("x.svg", "\n".join(f"  <t>{c}</t>" for c in NAME).encode()),
    "glyphs of SVG": file_of(
        "x.svg", "".join(f'<use xlink:href="#DejaVuSans-{ord(c):x}"/>\n' for c in NAME).encode()
    ),
    "letters of PDF one by one": file_of(
        "x.pdf", b"BT " + b" ".join(f"({c}) Tj 5 0 Td".encode() for c in NAME) + b" ET"
    ),
    "base85 of PDF": file_of(
        "x.pdf", b"%PDF stream\n" + base64.a85encode(zlib.compress(TEXT)) + b"~>\nendstream"
    ),
    "escaped hyphen": file_of("x.md", NAME.replace("-", "\\-").encode()),
    "escapes escaped": file_of("x.map", json.dumps(NAME.replace("-", "\\x2d")).encode()),
    "names of XML": file_of("x.xml", NAME.replace("-", "_x002D_").encode()),
    "written over": file_of("x.log", "".join(f"{c}\b{c}" for c in NAME).encode()),
    "link of a terminal": file_of("x", f"\x1b]8;;u\x1b\\{NAME[:7]}\x1b]8;;\x07{NAME[7:]}".encode()),
    "letters of another script": file_of("x.md", NAME.replace("a", "\u0430").encode()),
    "minus in place of a hyphen": file_of("x.md", NAME.replace("-", "\u2212").encode()),
    "MessagePack": file_of("x", b"\x81\xa1d\xaf" + NAME.encode() + b"abc"),
    "brotli": _brotli,
    "zip that begins within": file_of("x", b"." * 99 + _zip_of({f"a-{NAME}": b"1"}) + b"."),
    "base32": file_of("x", b"secret " + base64.b32encode(TEXT)),
    "base85": file_of("x", b"of git " + base64.b85encode(TEXT)),
    "Ascii85": file_of("x", base64.a85encode(TEXT)),
    "uuencode": file_of("x.uu", b"begin 644 x\n" + binascii.b2a_uu(TEXT) + b"`\nend\n"),
    "EBCDIC": file_of("x", TEXT.decode().encode("cp500")),
    "ROT13": file_of("x.txt", codecs.encode(TEXT.decode(), "rot13").encode()),
    "backwards": file_of("x.txt", TEXT[::-1]),
    "dump with addresses": file_of("x.log", _dumped()),
    "letters in cells": file_of("x.csv", ",".join(NAME).encode()),
    "folded lines": file_of("x.ics", f"NOTE:{'x' * 60} {NAME[:8]}\n {NAME[8:]} is y\n".encode()),
    "six digits of a style sheet": file_of(
        "x.css", "".join(f"\\{ord(c):06x}" for c in NAME).encode()
    ),
    "UTF-7": file_of("x", b"of +" + base64.b64encode(NAME.encode("utf-16-be")).rstrip(b"=") + b"-"),
    "base32 of another order": file_of("x", base64.b32hexencode(TEXT)),
    "bits": file_of("x.txt", "".join(f"{byte:08b}" for byte in TEXT).encode()),
    "numbers of R": file_of("x.R", f"c({', '.join(f'{ord(c)}L' for c in NAME)})".encode()),
    "letters that are called": file_of(
        "x.sql", " || ".join(f"CHAR({ord(c)})" for c in NAME).encode()
    ),
    "comment broken at a width": file_of(
        "x.py", f"# {'z ' * 38}{NAME[:4]}\n# {NAME[4:]} and\n".encode()
    ),
    "folded lines of a calendar": file_of(
        "x.ics", f"NOTE:{'x' * 60} {NAME[:8]}\r\n {NAME[8:]} is y\r\n".encode()
    ),
    "bold of Markdown": file_of("x.md", f"**{NAME[:6]}**{NAME[6:]}".encode()),
    "letters of LaTeX": file_of("x.tex", f"\\texttt{{{NAME[:6]}}}{NAME[6:]}".encode()),
    "letters of RTF": file_of("x.rtf", b"{\\rtf1 " + b"".join(b"\\u%d?" % c for c in TEXT) + b"}"),
    "struck out": file_of("x.md", "".join(f"{c}\u0336" for c in NAME).encode()),
    "xz behind a zip": file_of("x.zip", _zip_of({"a": b"x"}) + lzma.compress(TEXT)),
    "packed field in a zip": file_of("x.zip", _zip_of({"a": b"x"}, extra=zlib.compress(TEXT * 3))),
    "escaped file name": file_of(NAME.replace("-", "%2D"), b"x"),
    "parts of a parameter": file_of(
        "x.eml", f'filename*0="{NAME[:8]}"; filename*1="{NAME[8:]}.txt"'.encode()
    ),
    "array that is joined": file_of(
        "x.js", f'["{NAME[:6]}", "{NAME[7:]}"].join("{NAME[6]}")'.encode()
    ),
    "joined by a text": file_of("x.py", f"'{NAME[6]}'.join(['{NAME[:6]}', '{NAME[7:]}'])".encode()),
    "concatenated": file_of("x.sql", f"SELECT CONCAT('{NAME[:7]}', '{NAME[7:]}')".encode()),
    "pasted": file_of("x.R", f'paste("{NAME[:6]}", "{NAME[7:]}", sep="-")'.encode()),
    "line of a patch broken at a width": file_of(
        "x.diff", f"+{'z ' * 38}{NAME[:5]}\n+{NAME[5:]} is\n".encode()
    ),
    "uuencode over lines": file_of("x.uu", _uuencoded(b" " * 38 + TEXT)),
    "binary patch": file_of("x.patch", _binary_patch(zlib.compress(TEXT * 3))),
    "hexadecimal in groups": file_of("x", _grouped((b" " + NAME.encode()).hex()).encode()),
    "two cells": file_of("x.tsv", NAME.replace("-", "\t").encode()),
    "two cells of a list": file_of("x.csv", NAME.replace("-", ",").encode()),
    "letters of a name in folders": _in_folders,
    "CBOR": file_of("x", b"\0\xa1ad" + bytes([0x60 + len(NAME)]) + NAME.encode() + b"ab"),
    "Smile": file_of("x", b":)\n\1" + bytes([0x3F + len(NAME)]) + NAME.encode() + b"A"),
    "Ion": file_of("x", b"\xe0\1\0\xea\x8e" + bytes([0x80 + len(NAME)]) + NAME.encode() + b"ab"),
    "field of Stata": file_of("x.dta", b"<stata_dta><data>" + NAME.encode() + b"F34</data>"),
    "field of SAS": file_of(
        "x.sas7bdat",
        bytes(12)
        + bytes.fromhex("c2ea8160b31411cfbd92080009c7318c")
        + b"abc"
        + NAME.encode()
        + b"F",
    ),
    "field of dBase": file_of(
        "x.dbf",
        b"\3\x7c\1\1\1\0\0\0\x41\0\x14\0".ljust(64, b"\0") + b"\r " + NAME.encode() + b"FEM\x1a",
    ),
    "hyphenation of LaTeX": file_of("x.tex", f"{NAME[:3]}\\-{NAME[3:]}".encode()),
    "nothing of LaTeX within": file_of("x.tex", f"{NAME[:3]}{{}}{NAME[3:]}".encode()),
    "dump in octal numbers": file_of(
        "x.log", ("0000000 " + " ".join(f"{ord(c):03o}" for c in NAME) + "\n").encode()
    ),
    "dots between": file_of("x.txt", ".".join(NAME).encode()),
    "entity of its own": file_of(
        "x.xml", f'<!DOCTYPE a [<!ENTITY n "{NAME[:7]}">]><a>&n;{NAME[7:]}</a>'.encode()
    ),
    "digest": file_of("x", b"id=" + hashlib.sha256(NAME.encode()).hexdigest().encode()),
}
"""How each canary is planted, by the place that it stands for."""
