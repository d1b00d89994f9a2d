"""Rows that rise are written as they are; all others are sorted, and repeated keys refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pmcell.errors import DataError
from pmcell.io.tables import conform, read_table, write_table
from pmcell.schema import EXPRESSION

ROWS = st.lists(
    st.tuples(st.sampled_from(["a", "b"]), st.sampled_from(["G1", "G10", "G2"]), st.integers(0, 3)),
    max_size=6,
)


def frame_of(rows: list[tuple[str, str, int]]) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=["cohort_id", "gene_id", "cell_row"])
    return frame.assign(counts=np.arange(1, len(rows) + 1))


@settings(max_examples=60, deadline=None)
@given(rows=ROWS)
def test_any_order_of_rows_gives_the_sorted_table_or_names_the_repeated_key(
    rows: list[tuple[str, str, int]],
) -> None:
    if len(set(rows)) < len(rows):
        with pytest.raises(DataError, match="one row for each"):
            conform(frame_of(rows), EXPRESSION)
        return
    found = conform(frame_of(rows), EXPRESSION)
    keys = [tuple(row) for row in found[["cohort_id", "gene_id", "cell_row"]].to_numpy()]
    assert keys == sorted(rows)
    assert list(found["counts"]) == [rows.index(key) + 1 for key in keys]
    # What rises already is the same table again.
    pd.testing.assert_frame_equal(conform(found, EXPRESSION), found)


@pytest.mark.parametrize(("n_rows", "sizes"), [(0, [0]), (4, [4]), (5, [4, 1]), (8, [4, 4])])
def test_a_table_is_handed_to_arrow_one_row_group_at_a_time(
    n_rows: int, sizes: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    handed: list[int] = []
    convert = pa.Table.from_pandas

    class Table:
        @staticmethod
        def from_pandas(frame: pd.DataFrame, **options: object) -> pa.Table:
            handed.append(len(frame))
            return convert(frame, **options)

    monkeypatch.setattr(pa, "Table", Table)
    frame = frame_of([("a", "G1", row) for row in range(n_rows)])
    write_table(tmp_path / "t.parquet", frame, replace(EXPRESSION, row_group_size=4))
    assert handed == sizes
    monkeypatch.undo()
    facts = pq.ParquetFile(tmp_path / "t.parquet").metadata
    assert [facts.row_group(at).num_rows for at in range(facts.num_row_groups)] == sizes
    assert read_table(tmp_path / "t.parquet")["cell_row"].tolist() == list(range(n_rows))
