"""What became of groups, told by their members; names follow from the older release alone."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pmcell.publish.lineage import groups_lineage


def series(text: Sequence[str]) -> pd.Series:
    """A letter is a group, a dot none."""
    return pd.Series([None if letter == "." else letter for letter in text], dtype=object)


def told(before: str, after: str) -> list[tuple[str | None, str | None, str, str | None]]:
    rows = groups_lineage(series(before), series(after), noun="stratum")
    return [(row["old"], row["new"], row["what"], row["name"]) for row in rows]


def test_equal_groups_are_the_same_and_keep_their_names() -> None:
    assert told("aaabbc", "zzzyyx") == [
        ("a", "z", "same", "a"),
        ("b", "y", "same", "b"),
        ("c", "x", "same", "c"),
    ]


def test_a_group_in_parts_was_split() -> None:
    assert told("aaaaaa", "xxyyzz") == [
        ("a", "x", "split", "a, part 1"),
        ("a", "y", "split", "a, part 2"),
        ("a", "z", "split", "a, part 3"),
    ]


def test_the_larger_part_is_the_same_and_keeps_the_name() -> None:
    assert told("aaaaaa", "xxxxyy") == [
        ("a", "x", "same", "a"),
        ("a", "y", "split", "a, part 1"),
    ]


def test_groups_that_became_one_were_merged() -> None:
    assert told("aabb", "xxxx") == [
        ("a", "x", "merged", "a and b"),
        ("b", "x", "merged", "a and b"),
    ]


def test_groups_without_members_of_the_other_side_are_new_or_gone() -> None:
    assert told("aaa...", "...xxx") == [
        ("a", None, "gone", None),
        (None, "x", "new", "new stratum 1"),
    ]


def test_exchanged_members_are_told_as_a_change() -> None:
    assert told("aaaa......", "..xxxx....")[0][2:] == ("changed", "a, changed")


def test_counts_are_of_members_that_both_have() -> None:
    (row,) = groups_lineage(series("aaaa."), series("xxx.x"))
    assert (row["n_old"], row["n_new"], row["n_shared"], row["jaccard"]) == (4, 4, 3, 0.6)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from("abcd."), st.sampled_from("abcd.")), max_size=60),
    st.permutations(range(4)),
)
def test_names_do_not_depend_on_what_the_newer_groups_are_called(
    pairs: list[tuple[str, str]], order: list[int]
) -> None:
    before, after = series([a for a, _ in pairs]), series([b for _, b in pairs])
    renamed = after.map(dict(zip("abcd", ["wxyz"[at] for at in order], strict=True)), "ignore")
    same = [
        sorted(
            (row["old"], row["name"])
            for row in groups_lineage(before, groups)
            if row["what"] == "same"
        )
        for groups in (after, renamed)
    ]
    assert same[0] == same[1]
    rows = groups_lineage(before, after)
    assert {row["old"] for row in rows if row["old"]} == set(before.dropna())
    assert {row["new"] for row in rows if row["new"]} == set(after.dropna())
    kept = [row["old"] for row in rows if row["what"] == "same"]
    assert len(kept) == len(set(kept))
    for row in rows:
        inside = (before == row["old"]) & (after == row["new"])
        assert row["n_shared"] == int(inside.sum())


def test_numbers_stand_in_their_order() -> None:
    names = [str(number) for number in (10, 9, 2)]
    rows = groups_lineage(pd.Series(names * 3), pd.Series(names * 3))
    assert [row["old"] for row in rows] == ["2", "9", "10"]


@pytest.mark.parametrize("n", [0, 1])
def test_nobody_and_one_are_groups_too(n: int) -> None:
    assert len(groups_lineage(pd.Series(["a"] * n), pd.Series(["b"] * n))) == n
    assert np.all([row["what"] == "same" for row in groups_lineage(series("a"), series("b"))])
