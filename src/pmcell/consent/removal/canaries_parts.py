"""Canaries that stand in parts, were read wrongly on the way, or are known by a digest."""

from __future__ import annotations

import base64
import codecs
import gzip
import hashlib
import json
from pathlib import Path

import numpy as np

from pmcell.consent.removal.canary import NAME, TEXT, Plant, file_of

FIRST, LAST = NAME.split("-")


def _gif() -> bytes:
    """A comment whose first block of 255 bytes ends within the name."""
    said = b". " * 124 + NAME.encode()
    blocks = b"\xff" + said[:255] + bytes([len(said) - 255]) + said[255:]
    return b"GIF89a" + bytes(7) + b"!\xfe" + blocks + b"\0;"


def _png_name() -> bytes:
    """A profile of colours that has the name."""
    body = NAME.encode() + b"\0\0" + b"profile"
    return b"\x89PNG\r\n\x1a\n" + len(body).to_bytes(4, "big") + b"iCCP" + body + bytes(4)


def _parquet(home: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.table({"site": [FIRST] * 9, "number": [LAST] * 9})
    pq.write_table(table, home / "x.parquet", compression="zstd")


def _of_yaml() -> bytes:
    """Lines of base64 of which the last, short one holds the rest of the name."""
    text = base64.b64encode(b"q" * 40 + TEXT).decode()
    return "\n  ".join(["a: !!binary |", *(text[at : at + 40] for at in range(0, 88, 40))]).encode()


def _header() -> bytes:
    parts = (base64.b64encode(part.encode()).decode() for part in (f"of {NAME[:6]}", NAME[6:]))
    return "Subject: {}\n {}\n".format(*(f"=?utf-8?b?{part}?=" for part in parts)).encode()


def _columns(home: Path) -> None:
    import h5py

    letters = np.tile(np.frombuffer(NAME.encode(), np.uint8).astype(float), (3, 1))
    with h5py.File(home / "x.h5", "w") as file:
        file.create_dataset("a", data=letters.T)


def _pickle() -> bytes:
    """As protocol 4 writes an array of texts, each as long as the longest."""
    raw = np.array([NAME, "x" * len(NAME)]).tobytes()
    return b"\x80\x04B" + len(raw).to_bytes(4, "little") + raw + b"."


def _digest(name: str) -> bytes:
    return hashlib.new(name, NAME.encode(), usedforsecurity=False).digest()


PARTS: dict[str, Plant] = {
    "blocks of GIF": file_of("x.gif", _gif()),
    "profile of PNG": file_of("x.png", _png_name()),
    "name of PDF": file_of("x.pdf", f"%PDF-1.4 /F /{FIRST}#2d{LAST} ".encode()),
    "archive of cpio": file_of("x.cpio", b"070701" + b"0" * 104 + NAME.encode() + b"\0"),
    "two columns of Parquet": _parquet,
    "two keys": file_of("x.json", json.dumps({"site": FIRST, "number": LAST}).encode()),
    "texts of a notebook": file_of("x.ipynb", json.dumps([NAME[:6], f"{NAME[6:]}\n"]).encode()),
    "two cells in quotes": file_of("x.csv", f'"{FIRST}";"{LAST}"\n'.encode()),
    "two cells in a table of spaces": file_of("x.txt", f"a {FIRST:<12} {LAST:>12}\n".encode()),
    "letters of a list without quotes": file_of("x.yaml", f"[{', '.join(NAME)}]".encode()),
    "last line of base64": file_of("x.yaml", _of_yaml()),
    "lines of base64 in a text of JSON": file_of(
        "x.json", json.dumps(base64.encodebytes(b"." * 54 + TEXT).decode()).encode()
    ),
    "words of a header": file_of("x.eml", _header()),
    "a sign in UTF-7": file_of("x", f"{FIRST}+AC0-{LAST}".encode()),
    "escapes of old pages": file_of("x.js", "".join(f"%u{ord(c):04x}" for c in NAME).encode()),
    "UTF-8 that was read as Latin": file_of(
        "x.txt", NAME.replace("-", "\u2011").encode().decode("latin-1").encode()
    ),
    "bits with spaces": file_of("x", " ".join(f"{byte:08b}" for byte in TEXT).encode()),
    "numbers in octal": file_of("x.py", ", ".join(oct(byte) for byte in NAME.encode()).encode()),
    "letters in columns of numbers": _columns,
    "fields of a pickled array": file_of("x.pkl", _pickle()),
    "SHA-512": file_of("x", _digest("sha512").hex().encode()),
    "digest in base64": file_of("x", base64.b64encode(_digest("sha256"))),
    "bytes of a digest": file_of("x", b"\0" + _digest("blake2b")),
    "short digest": file_of("x", _digest("sha1").hex()[:12].encode()),
    "digest of a line": file_of("x", hashlib.sha256(f"{NAME}\n".encode()).hexdigest().encode()),
    "entities in packed base64": file_of(
        "x.html", codecs.encode(gzip.compress(TEXT * 9), "base64").replace(b"\n", b"&#10;")
    ),
}
"""How each canary is planted, by the place that it stands for."""
