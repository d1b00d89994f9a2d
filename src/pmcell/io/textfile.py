"""Open a submitted text file, gzip or not, with a bound on what it may unpack to."""

from __future__ import annotations

import gzip
import io
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pmcell.errors import DataError

MAX_RATIO = 600
"""Unpacked over packed bytes; gzip itself stops at 1032, sparse count tables stay below 200."""
RATIO_FROM = 64 * 2**20

_OTHER_PACKERS = {
    b"PK\x03\x04": "zip",
    b"BZh": "bzip2",
    b"\xfd7zXZ": "xz",
    b"\x28\xb5\x2f\xfd": "zstd",
}


@contextmanager
def open_text(path: Path) -> Iterator[io.TextIOWrapper]:
    """The text of `path` as UTF-8 (a byte order mark is skipped); damage raises `DataError`."""
    with path.open("rb") as packed:
        head = packed.read(6)
        packed.seek(0)
        _refuse_packed(path.name, head)
        if head.startswith(b"\x89HDF"):
            raise DataError(
                f"{path.name}: the file must be text; found HDF5. Set matrix.format in cohort.yaml "
                "to h5ad or 10x_h5.",
                reason="format_unknown",
            )
        limit = max(RATIO_FROM, MAX_RATIO * path.stat().st_size)
        raw = gzip.GzipFile(fileobj=packed) if head.startswith(b"\x1f\x8b") else packed
        bounded = io.BufferedReader(_Bounded(raw, limit, path.name), 2**20)
        text = io.TextIOWrapper(bounded, encoding="utf-8-sig", newline="")
        try:
            if raw is not packed:
                _refuse_packed(path.name, bounded.peek(6), within=True)
            yield text
        except (EOFError, gzip.BadGzipFile, OSError) as error:
            raise DataError(
                f"{path.name}: the file must be complete; unpacking it failed ({error}). "
                "Copy it again from the source and compare checksums.",
                reason="truncated",
            ) from error
        except UnicodeDecodeError as error:
            seen, encoding = _encoding(error)
            packed_too = head.startswith(b"\x1f\x8b")
            old, new = path.name, f"utf8_{path.name.removesuffix('.gz')}"
            unpack = f"gunzip -c {shlex.quote(old)} | " if packed_too else ""
            source = "" if packed_too else f" {shlex.quote(old)}"
            raise DataError(
                f"{path.name}: the file must be UTF-8 text; found {seen}. Save it as UTF-8: "
                f"{unpack}iconv -f {encoding} -t UTF-8{source} > {shlex.quote(new)}.",
                reason="not_text",
            ) from error


def _refuse_packed(name: str, head: bytes, *, within: bool = False) -> None:
    """`DataError` for what is packed by another program than gzip, or `within` gzip once more."""
    for magic, packer in (_OTHER_PACKERS | ({b"\x1f\x8b": "gzip"} if within else {})).items():
        if head.startswith(magic):
            found, fix = packer, "Unpack it first."
            if within:
                found = f"{packer} within gzip"
                fix = f"Unpack it: gunzip -c {shlex.quote(name)} > unpacked, and then that."
            raise DataError(
                f"{name}: a text file must be plain, or packed once by gzip; found {found}. {fix}",
                reason="format_unknown",
            )


def _encoding(error: UnicodeDecodeError) -> tuple[str, str]:
    """What was seen instead of UTF-8, and the likely encoding by iconv's name."""
    if error.start == 0 and error.object.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "UTF-16", "UTF-16"
    # Bytes from 0x80 to 0x9f are control characters in ISO 8859, letters and signs in Windows.
    return f"byte {error.object[error.start]:#04x}", "WINDOWS-1252"


class _Bounded(io.RawIOBase):
    def __init__(self, raw: io.BufferedIOBase | gzip.GzipFile, limit: int, name: str) -> None:
        self._raw, self._limit, self._name, self._read = raw, limit, name, 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        piece = self._raw.read(len(buffer))
        self._read += len(piece)
        if self._read > self._limit:
            raise DataError(
                f"{self._name}: the file may unpack to {MAX_RATIO} times its size; it unpacks to "
                "more "
                f"than {self._limit / 1e6:.0f} MB. Write it again without padding.",
                reason="bomb",
            )
        buffer[: len(piece)] = piece
        return len(piece)
