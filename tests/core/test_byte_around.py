"""What stands around signs, beside a slow twin, and that no way of writing loses a name by it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pmcell.core.byte_around import APART, MAX_NEAR, NEAR, around, around_joins, around_tags

WORD = set(b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz+/_-:.#|")


def slowly(data: bytes, signs: bytes) -> bytes:
    """Every byte that is near a sign, or in the word that goes on there."""
    near = np.zeros(len(data), bool)
    for at in (at for at, byte in enumerate(data) if byte in signs):
        near[max(at - NEAR, 0) : at + NEAR + 1] = True
    goes_on = [byte in WORD or byte >= 128 for byte in data]
    for at in range(1, len(data)):
        near[at] |= near[at - 1] and goes_on[at]
    for at in range(len(data) - 2, -1, -1):
        near[at] |= near[at + 1] and goes_on[at]
    parts, last = [b""], -1
    for at in np.flatnonzero(near):
        if parts[-1] and at != last + 1:
            parts.append(b"")
        parts[-1] += data[at : at + 1]
        last = at
    return APART.join(parts)


@given(
    st.lists(
        st.one_of(
            st.integers(0, 400).map(lambda n: b" " * n), st.sampled_from([b"%", b"ab", b"<"])
        ),
        max_size=30,
    )
)
def test_all_that_is_near_a_sign_is_there_and_nothing_else(parts: list[bytes]) -> None:
    data = b"".join(parts)
    signs = np.zeros(256, bool)
    signs[ord("%")] = True
    expected = slowly(data, b"%")
    found = around(data, signs)
    assert found == expected or (found == data and len(expected) > MAX_NEAR * len(data))


def test_words_are_whole_where_a_part_ends() -> None:
    signs = np.zeros(256, bool)
    signs[ord("%")] = True
    word = b"A" * 5000
    assert word in around(b". " * 9000 + word + b"%" + b" ." * 9000, signs)
    assert b"donor-172" in around(b" " * 9000 + b"donor-172" + b" " * (NEAR - 1) + b"%", signs)


@pytest.mark.parametrize("n", [10, 90, 300, 5000])
def test_both_ends_of_a_long_tag_are_signs(n: int) -> None:
    data = b". " * 9000 + b"Do<a href='" + b"x " * n + b"'>nor" + b" ." * 9000
    near = around_tags(data)
    assert b"Do<a href=" in near
    assert b"'>nor" in near


def test_quotes_of_a_list_are_not_joined_and_those_of_a_sum_are() -> None:
    assert around_joins(b'["a1", "b2", {"c": "d"}]' * 50) == b""
    assert b'"Do" +\n "nor"' in around_joins(b'["a1", "b2"] ' * 90 + b'"Do" +\n "nor"')
    assert b'"D", "o"' in around_joins(b'"a1": "b2",' * 90 + b'"D", "o", "n"')
