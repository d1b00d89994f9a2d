"""Files that are not read whole are read in windows and parts, and what cannot be so is named."""

from __future__ import annotations

import gzip
from pathlib import Path

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pmcell.consent.removal import places, places_hdf5
from pmcell.consent.removal.canary import COUNTS, NAME
from pmcell.consent.removal.needles import Needles, print_of
from pmcell.consent.removal.scan import ScanReport, scan

NEEDLES = Needles({NAME: "donor"}, frozenset([print_of(COUNTS)]))
SIZE = 1 << 16


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let files of 64 kB be large."""
    monkeypatch.setattr(places, "MAX_READ", SIZE)
    monkeypatch.setattr(places, "WINDOW", SIZE // 4)
    monkeypatch.setattr(places, "OVERLAP", 1 << 10)
    monkeypatch.setattr(places_hdf5, "FREE_PART", SIZE // 8)


def found(path: Path) -> ScanReport:
    assert path.stat().st_size > SIZE
    return scan([path], NEEDLES, base=path.parent)


@pytest.mark.parametrize("at", [0, SIZE // 4 - 7, SIZE // 2 - 1, 3 * SIZE // 4, 2 * SIZE - 40])
def test_a_name_is_found_wherever_the_windows_meet(tmp_path: Path, at: int) -> None:
    text = bytearray(b"some line of a log\n" * (2 * SIZE // 19))
    text[at : at + len(NAME) + 2] = f" {NAME} ".encode()
    (tmp_path / "x.log").write_bytes(text)
    assert {kind for _, _, kind in found(tmp_path / "x.log").hits} == {"donor"}


@pytest.mark.parametrize("shift", range(0, 2000, 111))
def test_escapes_and_packed_streams_are_read_across_windows(tmp_path: Path, shift: int) -> None:
    escaped = "".join(f"\\u{ord(c):04x}" for c in NAME).encode()
    begin = SIZE // 4 - 1000 + shift
    for inside in (escaped, gzip.compress(f"of {NAME}".encode() * 3)):
        text = b"z " * (begin // 2) + inside + b" y" * SIZE
        (tmp_path / "x").write_bytes(text)
        assert found(tmp_path / "x").hits


def test_nobody_is_found_where_a_window_cuts_a_longer_name(tmp_path: Path) -> None:
    longer = f"{NAME}2 ".encode()
    for at in range(SIZE // 4 + 1000, SIZE // 4 + 1024 + len(longer), 3):
        text = b"x " * (at // 2) + longer + b"y " * SIZE
        (tmp_path / "x").write_bytes(text)
        assert found(tmp_path / "x").hits == []


def test_groups_of_a_large_table_are_read_one_after_the_other(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    values = draw.normal(size=(300, 320))
    table = {f"g{n}": values[:, n] for n in range(300)}
    for n, count in enumerate(COUNTS.tolist()):
        table[f"g{n}"][250] = count
    names = pa.array([f"someone {n}" for n in range(299)] + [NAME])
    frame = pa.table({"who": names, **{name: pa.array(column) for name, column in table.items()}})
    pq.write_table(frame, tmp_path / "x.parquet", row_group_size=100)
    report = found(tmp_path / "x.parquet")
    assert {kind for _, _, kind in report.hits} == {"donor", "cells"}
    assert report.unread == []


def test_arrays_and_free_space_of_a_large_file_are_read(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["noise"] = draw.normal(size=(300, 300))
        file.create_dataset("who", data=[f"of {NAME}".encode()] * 50, compression="gzip")
        matrix = draw.integers(0, 9, (200, COUNTS.size))
        matrix[150] = COUNTS
        file.create_dataset("cells", data=matrix, compression="gzip", chunks=(20, COUNTS.size))
    report = found(tmp_path / "x.h5")
    assert {kind for _, _, kind in report.hits} == {"donor", "cells"}
    with h5py.File(tmp_path / "x.h5", "a") as file:
        del file["who"], file["cells"]
    report = found(tmp_path / "x.h5")
    assert {kind for _, _, kind in report.hits} == {"donor"}
    assert report.unread == []


def test_what_is_read_whole_or_not_at_all_is_named(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    (tmp_path / "x.gz").write_bytes(gzip.compress(draw.bytes(2 * SIZE)))
    [(name, why)] = found(tmp_path / "x.gz").unread
    assert (name, why) == ("x.gz", "content: read whole only, and over 0 MB")
    (tmp_path / "x.c4gh").write_bytes(b"crypt4gh" + draw.bytes(2 * SIZE))
    assert found(tmp_path / "x.c4gh").encrypted == ["x.c4gh"]
