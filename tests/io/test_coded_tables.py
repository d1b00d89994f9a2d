"""Tables written from codes are those written from frames, and as strictly checked."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from pmcell.errors import DataError
from pmcell.io.coded_tables import coded, plain_frame, read_coded_chunks, rises, write_coded_chunks
from pmcell.io.tables import read_table, write_table
from pmcell.release.digest import content_sha256
from pmcell.schema import PSEUDOBULK


def chunk(samples: list[int], genes: list[int]) -> pa.Table:
    texts, types, names = (np.array(text) for text in (["a", "b"], ["T cell"], ["E1", "E2", "E3"]))
    counts = np.arange(1, len(genes) + 1)
    return pa.table(
        {
            "sample_id": coded(np.array(samples), texts),
            "cell_type": coded(np.zeros(len(genes), int), types),
            "gene_id": coded(np.array(genes), names),
            "counts": counts,
            "n_cells_detected": counts,
            "n_cells": counts,
        }
    )


def test_codes_give_the_table_that_a_frame_gives(tmp_path: Path) -> None:
    whole, parts = tmp_path / "whole.parquet", tmp_path / "parts.parquet"
    chunks = [chunk([0, 0, 1], [0, 2, 0]), chunk([], []), chunk([1], [1])]
    assert write_coded_chunks(parts, chunks, PSEUDOBULK) == 4
    rows = read_table(parts)
    assert rows["sample_id"].tolist() == ["a", "a", "b", "b"]
    write_table(whole, rows, PSEUDOBULK)
    assert content_sha256(parts) == content_sha256(whole)
    assert plain_frame(chunks[0]).equals(rows.iloc[:3])
    again = tmp_path / "again.parquet"
    assert write_coded_chunks(again, read_coded_chunks(parts, PSEUDOBULK), PSEUDOBULK) == 4
    assert content_sha256(again) == content_sha256(parts)


@pytest.mark.parametrize(
    "chunks",
    [
        [chunk([0, 0], [1, 0])],
        [chunk([0, 0], [1, 1])],
        [chunk([1, 0], [0, 1])],
        [chunk([0], [1]), chunk([0], [1])],
    ],
    ids=["falling", "repeated", "other sample", "repeated in the next chunk"],
)
def test_rows_out_of_order_are_refused(tmp_path: Path, chunks: list[pa.Table]) -> None:
    with pytest.raises(DataError, match="rows of table 'pseudobulk' must be unique and in the"):
        write_coded_chunks(tmp_path / "x.parquet", chunks, PSEUDOBULK)
    assert not (tmp_path / "x.parquet").exists()


def test_other_columns_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="must have the columns sample_id, cell_type"):
        write_coded_chunks(tmp_path / "x.parquet", [chunk([0], [0]).drop(["counts"])], PSEUDOBULK)


@pytest.mark.parametrize(
    ("texts", "numbers", "ascends"),
    [
        ("ab", [0, 0], True),
        ("ba", [0, 1], False),
        ("aab", [0, 1, 0], True),
        ("aa", [1, 0], False),
        ("aa", [1, 1], False),
        ("a", [0], True),
        ("", [], True),
        ("aéz", [0, 0, 0], False),
    ],
)
def test_rows_ascend_by_their_text_whatever_its_codes_are(
    texts: str, numbers: list[int], ascends: bool
) -> None:
    # Two codes may stand for the same text, and codes follow no order.
    names = [*sorted(set(texts), reverse=True), *texts[:1]]
    codes = [names.index(text) if at else len(names) - 1 for at, text in enumerate(texts)]
    column = pa.DictionaryArray.from_arrays(
        pa.array(codes, pa.int32()), pa.array(names, pa.string())
    )
    for same in (column, column.dictionary_decode().dictionary_encode()):
        assert rises([same, pa.array(numbers, pa.int64())]) is ascends
