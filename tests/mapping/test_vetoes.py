"""Markers take back the label of a type that the reference does not know."""

from __future__ import annotations

import numpy as np
import pytest

from pmcell.mapping.vetoes import MIN_OTHERS, find_vetoes

T, B, NK = "CL:0000084", "CL:0000236", "CL:0000623"
MARKERS = {
    T: ["CD3D", "CD3E", "CD3G", "CD2", "LCK"],
    B: ["MS4A1", "CD79A", "CD79B", "CD19"],
    NK: ["KLRF1", "TYROBP", "FCER1G", "NKG7", "GNLY"],
}
SYMBOLS = np.array([*(name for own in MARKERS.values() for name in own), "ACTB"])


def cells(term, n=200, *, leaking=0.0, also=()):
    """Cells that have most markers of a type, and few of others."""
    rng = np.random.default_rng(len(term) + n)
    own = np.isin(SYMBOLS, [*MARKERS[term], *also, "ACTB"])
    return (rng.random((n, SYMBOLS.size)) < np.where(own, 0.9, leaking)).astype(np.float32)


@pytest.fixture(scope="module")
def vetoes():
    """Of a reference of T and B cells, without NK cells."""
    x = np.concatenate([cells(T, also=["NKG7"], leaking=0.02), cells(B, leaking=0.02)])
    types = np.repeat(["T cell", "B cell"], 200)
    names, terms = np.array(["B cell", "T cell"]), np.array([B, T])
    return find_vetoes(x, types, names, terms, SYMBOLS)


def struck(vetoes, x, at, measured=None):
    everywhere = np.ones(SYMBOLS.size, bool)
    best = np.full(len(x), at, np.int64)
    return vetoes.struck(x, best, everywhere if measured is None else measured)


def test_cells_of_a_type_that_is_not_in_the_reference_lose_the_label_of_their_kin(vetoes):
    told = struck(vetoes, cells(NK, also=["CD2", "LCK"]), 1)
    assert (told != "").mean() > 0.95
    assert set(told) <= {"", "T cell", "not T cell"}


@pytest.mark.parametrize(("at", "term"), [(0, B), (1, T)])
def test_cells_of_the_type_keep_it(vetoes, at, term):
    assert (struck(vetoes, cells(term, 400, leaking=0.02), at) != "").mean() < 0.05


def test_cells_of_one_type_lose_the_label_of_the_other(vetoes):
    assert (struck(vetoes, cells(B), 1) != "").mean() > 0.95
    assert (struck(vetoes, cells(T), 0) != "").mean() > 0.95


def test_markers_that_were_not_measured_are_not_absent(vetoes):
    measured = ~np.isin(SYMBOLS, ["CD3D", "CD3E", "CD3G", "CD2", "LCK"])
    assert not (struck(vetoes, cells(T, leaking=0.0) * measured, 1, measured) != "").any()


def test_markers_that_the_types_own_cells_have_more_often_than_its_own_are_left_out():
    # T cells of which half have two markers of NK cells and few of their own, as effectors do.
    x = cells(T, leaking=0.02)
    effectors = np.isin(SYMBOLS, ["NKG7", "GNLY"])
    x[:100, effectors], x[:100, np.isin(SYMBOLS, ["CD3D", "CD3E"])] = 1.0, 0.0
    types = np.repeat("T cell", 200)
    found = find_vetoes(x, types, np.array(["T cell"]), np.array([T]), SYMBOLS)
    rivalries = found.own.any(axis=1) & found.others.any(axis=1)
    assert rivalries.any()
    assert not found.others[rivalries][:, effectors].all(axis=1).any()
    assert (found.others[rivalries].sum(axis=1) >= MIN_OTHERS).all()
