"""Numbers in text, beside Python's own reading of them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pmcell.core.byte_numbers import read_list, read_table

CELLS = st.one_of(
    st.integers(-(10**17), 10**17).map(str),
    st.floats(-1e200, 1e200, allow_subnormal=False).map(repr),
    st.floats(-1e6, 1e6).map(lambda number: f"{number:.3f}"),
    st.sampled_from(["", "a", "1.", ".5", "1e", "+", "-", "1 2", " 7 ", "0x1", "1_0", "1e+3"]),
)


def as_python(cell: str) -> float | None:
    """What Python reads; None of what is no number, or is one in another way of writing."""
    if "_" in cell or not cell.strip() or cell.strip()[0] not in "0123456789.+-":
        return None
    try:
        return float(cell)
    except ValueError:
        return None


@given(st.lists(st.lists(CELLS, min_size=1, max_size=5), min_size=1, max_size=6))
def test_cells_are_read_as_python_reads_them(rows: list[list[str]]) -> None:
    text = "\n".join(",".join(row) for row in rows)
    if not text.removesuffix("\n"):
        return
    table = read_table(text.encode(), b",")
    flat = [cell for row in text.removesuffix("\n").split("\n") for cell in row.split(",")]
    expected = [as_python(cell) for cell in flat]
    assert table.is_number.tolist() == [value is not None for value in expected]
    known = [0.0 if value is None else value for value in expected]
    np.testing.assert_allclose(table.values, known, rtol=1e-13)
    assert len(set(table.marks.tolist())) == len(set(flat))
    assert np.diff(table.bounds).tolist() == [
        len(row.split(",")) for row in text.removesuffix("\n").split("\n")
    ]


@given(st.decimals(-1000, 1000, places=6), st.integers(0, 4))
def test_zeros_behind_a_number_change_nothing(number, n_zeros: int) -> None:
    one, other = f"{number:f}", f"{number:f}" + "0" * n_zeros
    values = read_table(f"{one},{other}".encode(), b",").values
    assert values[0] == values[1] == float(one)


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        (b"1,2, 3", [1, 2, 3]),
        (b",1,\n2,", [1, 2]),
        (b"1,,2", None),
        (b"1,x", None),
        (b"", []),
    ],
)
def test_lists_are_read_whole_or_not_at_all(text: bytes, numbers) -> None:
    found = read_list(text)
    assert (found is None) == (numbers is None)
    if numbers is not None:
        assert found.tolist() == numbers
