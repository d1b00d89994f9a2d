"""The nearest name is offered, at a cost that does not grow with what a stranger typed."""

from __future__ import annotations

import difflib

import pytest

from pmcell import spelling
from pmcell.spelling import MAX_LETTERS, as_seen, did_you_mean, folded, nearest


@pytest.mark.parametrize(
    ("word", "choices", "found"),
    [
        ("resolutoin", ["seed", "resolution"], "resolution"),
        ("RESOLUTION", ["resolution"], "resolution"),
        ("seed", ["Seed", "seed"], "Seed"),
        ("xyz", ["resolution"], None),
        ("", ["a"], None),
        ("a", [], None),
        (12, [13, 412], "412"),
    ],
)
def test_the_nearest_name_is_found_whatever_its_case(word, choices, found):
    assert nearest(word, choices) == found


def test_the_sentence_is_empty_where_nothing_is_near():
    assert did_you_mean("relese", ["release"]) == "Did you mean 'release'?"
    assert did_you_mean("relese", ["qc"]) == ""


def test_a_long_text_is_compared_with_nothing(monkeypatch):
    monkeypatch.setattr(difflib, "get_close_matches", lambda *args, **options: 1 / 0)
    assert nearest("x" * (MAX_LETTERS + 1), ["x" * MAX_LETTERS]) is None


def test_only_so_many_names_of_about_the_right_length_are_compared(monkeypatch):
    compared = []

    def matches(word, choices, **options):
        compared.extend(choices)
        return []

    monkeypatch.setattr(spelling.difflib, "get_close_matches", matches)
    monkeypatch.setattr(spelling, "MAX_CHOICES", 5)
    nearest("gene", ["a" * 500, "b", *(f"gen{n}" for n in range(50))])
    assert compared == [f"gen{n}" for n in range(5)]


def test_leaving_names_of_other_lengths_out_loses_no_match():
    words = ["s", "se", "seed", "seeds", "resolution", "min_cells_for_doublets", "n"]
    for word in words:
        for cutoff in (0.3, 0.6, 0.85):
            near = difflib.get_close_matches(word, words, n=1, cutoff=cutoff)
            assert nearest(word, words, cutoff) == (near[0] if near else None)


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("P1", "P1"),
        ("\u0420\u0421\u2212 1\u200b", "PC- 1"),
        ("\xa0P1\ufeff", "P1"),
        ("\uff301", "P1"),
        ("Mu\u0308ller", "M\xfcller"),
    ],
)
def test_what_nobody_can_tell_apart_is_one_text(text, seen):
    assert as_seen(text) == seen
    assert as_seen(seen) == seen


@pytest.mark.parametrize(
    ("text", "plain"),
    [("M\xc4RZ", "marz"), ("p\u0142e\u0107", "plec"), ("\u0662\u0660", "20"), ("x\xb2", "x2")],
)
def test_folded_text_has_no_accents_and_plain_digits(text, plain):
    assert folded(text) == plain
