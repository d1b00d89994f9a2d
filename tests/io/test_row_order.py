"""Rows that rise are written as they are; all others are sorted, and repeated keys refused."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pmcell.errors import DataError
from pmcell.io.tables import conform
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
