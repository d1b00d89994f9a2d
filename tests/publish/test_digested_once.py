"""Digests that the writer itself took are not taken again, and hide no change of a byte."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from pmcell.io.atomic import read_json
from pmcell.io.h5ad import CsrWriter, create_h5ad
from pmcell.publish.manifest import file_entries
from pmcell.release import verify
from pmcell.release.digest import content_sha256
from pmcell.release.table_digest import TableDigest
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


def _digest(table: pa.Table, rows: int) -> str:
    digest = TableDigest(table.schema)
    for batch in table.to_batches(max_chunksize=rows):
        digest.add(batch)
    return digest.hexdigest()


@pytest.mark.parametrize("texts", ["aaaaaaaaaaaaaaaaéé", "abcabcabcabcabcabc", "a" * 18])
def test_text_has_the_same_digest_however_it_is_held(texts: str) -> None:
    plain = pa.table({"gene_id": list(texts), "counts": range(len(texts))})
    coded = plain.set_column(0, "gene_id", plain["gene_id"].dictionary_encode())
    found = {_digest(table, rows) for table in (plain, coded) for rows in (1, 5, 18)}
    # The type is told by the schema of what was written, which is that of plain text.
    digest = TableDigest(plain.schema)
    digest.add(coded)
    assert digest.hexdigest() in found
    assert len(found) == 2


def test_where_text_begins_is_part_of_the_content() -> None:
    texts = (["a", "a", "b"], ["a", "b", "b"], ["ab", "", "a"], ["a", "b", ""], ["", "ab", "a"])
    tables = [pa.table({"gene_id": own}) for own in texts]
    for rows in (1, 2, 3):
        assert len({_digest(table, rows) for table in tables}) == len(texts)


def test_lists_of_text_have_the_same_digest_in_any_batches() -> None:
    lists = [["a", "a"], [], None, ["a"], ["a", "b"], ["b"]]
    table = pa.table({"cell_type_set": pa.array(lists, pa.list_(pa.string()))})
    assert len({_digest(table, rows) for rows in (1, 2, 4, 6)}) == 1
    other = pa.array([["a"], ["a"], None, ["a"], ["a", "b"], ["b"]], pa.list_(pa.string()))
    assert _digest(pa.table({"cell_type_set": other}), 6) != _digest(table, 6)


def test_a_matrix_is_digested_alike_when_written_and_when_read(tmp_path: Path) -> None:
    path, rng = tmp_path / "x.h5ad", np.random.default_rng(0)
    lengths = rng.integers(0, 90_000, 7)
    with create_h5ad(path) as file:
        form = {"dtype": np.float32, "is_digested": True}
        raw = CsrWriter(file, "X", (7, 100_000), **form)
        other = CsrWriter(file["layers"], "double", (7, 100_000), **form, like=raw)
        for length in lengths:
            values = rng.integers(0, 9, length)
            raw.append([length], np.arange(length), values)
            other.append_data(2 * values)
        raw.close()
        other.close()
        digests = raw.digests | other.digests
    assert sorted(digests) == [
        f"{name}/{part}" for name in ("X", "layers/double") for part in ("data", "indices")
    ]
    assert content_sha256(path, digests) == content_sha256(path)


def test_missing_text_is_not_empty_text() -> None:
    schema = pa.schema([("gene_id", pa.string())])
    digests = set()
    for values in (["a", None], ["a", ""]):
        column = pa.array(values, pa.string())
        for held in (column, column.dictionary_encode()):
            digest = TableDigest(schema)
            digest.add(pa.table({"gene_id": held}))
            digests.add(digest.hexdigest())
    assert len(digests) == 2
