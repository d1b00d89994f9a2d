"""Digests that the writer itself took are not taken again, and hide no change of a byte."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from pmcell.io.atomic import read_json
from pmcell.publish.manifest import file_entries
from pmcell.release import verify
from pmcell.release.verify import verify_release


@pytest.fixture
def copied(release: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(release, tmp_path / "release"))


def test_files_whose_digests_are_known_are_not_digested_again(
    copied: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entries = file_entries(copied)
    assert entries == read_json(copied / "manifest.json")["files"]
    read: list[str] = []
    content_sha256 = verify.content_sha256

    def noted(path: Path) -> str:
        read.append(path.relative_to(copied).as_posix())
        return content_sha256(path)

    monkeypatch.setattr(verify, "content_sha256", noted)
    assert not verify_release(copied, digested=entries)
    assert not read
    others = {name: entry for name, entry in entries.items() if name != "strata.json"}
    assert not verify_release(copied, digested=others)
    assert read == ["strata.json"]


def test_a_byte_that_changed_since_is_found_all_the_same(copied: Path) -> None:
    entries = file_entries(copied)
    path = copied / "cells" / "alpha.h5ad"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    faults = verify_release(copied, digested=entries)
    assert [(fault.file, fault.reason) for fault in faults] == [("cells/alpha.h5ad", "digest")]
