"""The matrix with all raw counts is chosen; a part of them never is."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

from pmcell.io.submitted.readers import inspect
from pmcell.io.submitted.submission import summarise
from pmcell.registry.intake.count_layers import (
    choose_counts,
    counts_fault,
    describe_layer,
    is_part,
)
from submissions import barcode, write_h5ad

RNG = np.random.default_rng(5)
WHOLE = RNG.poisson(3.0, (30, 12))
AMBIGUOUS = RNG.binomial(WHOLE, 0.05)
UNSPLICED = RNG.binomial(WHOLE - AMBIGUOUS, 0.3)
SPLICED = WHOLE - AMBIGUOUS - UNSPLICED
LOGGED = np.log1p(WHOLE / WHOLE.sum(1, keepdims=True) * 1e4)
PARTS = {"ambiguous": AMBIGUOUS, "spliced": SPLICED, "unspliced": UNSPLICED}


def chosen(tmp_path, x, *, layout=sp.csr_matrix, raw=None, **layers):
    stored = {name: layout(layer.astype("f4")) for name, layer in layers.items()}
    path = write_h5ad(
        tmp_path / "a.h5ad", x, [barcode(k) for k in range(30)], layers=stored, raw=raw
    )
    return choose_counts(inspect(path))


@pytest.mark.parametrize("layout", [sp.csr_matrix, sp.csc_matrix, np.asarray])
@pytest.mark.parametrize("name", ["matrix", "counts", "raw_counts", "UMI"])
def test_the_whole_is_taken_beside_its_parts(tmp_path, name, layout):
    choice = chosen(tmp_path, LOGGED, layout=layout, **PARTS, **{name: WHOLE})
    assert choice.name == f"layers/{name}"


def test_x_is_taken_where_it_is_the_sum_of_the_parts(tmp_path):
    assert chosen(tmp_path, WHOLE, **PARTS).name == "X"


def test_x_that_is_one_of_the_parts_is_not_taken(tmp_path):
    assert chosen(tmp_path, SPLICED, **PARTS, matrix=WHOLE).name == "layers/matrix"
    choice = chosen(tmp_path, SPLICED, **PARTS)
    assert choice.name == ""
    assert set(choice.candidates) == {"X", *(f"layers/{name}" for name in PARTS)}


def test_parts_alone_are_never_taken_and_the_fix_adds_them_up(tmp_path):
    choice = chosen(tmp_path, LOGGED, **PARTS)
    assert choice.name == ""
    assert choice.candidates == ("layers/ambiguous", "layers/spliced", "layers/unspliced")
    assert "adata.layers['ambiguous'] + adata.layers['spliced']" in choice.fix
    assert chosen(tmp_path, LOGGED, spliced=SPLICED).name == ""


def test_counts_that_no_cell_can_hold_are_none(tmp_path):
    choice = chosen(tmp_path, np.where(WHOLE == 2, 2**31, WHOLE))
    assert choice.name == ""
    assert "not counts: a cell may hold 2147483647 in all" in choice.why
    assert "wrapped around" in choice.fix


def test_layers_of_single_samples_are_parts_of_the_counts(tmp_path):
    first, second = WHOLE.copy(), WHOLE.copy()
    first[::2], second[1::2] = 0, 0
    choice = chosen(tmp_path, LOGGED, **{"counts.S1": first, "counts.S2": second})
    assert choice.name == ""
    assert "adata.layers['counts.S1'] + adata.layers['counts.S2']" in choice.fix
    many = {f"counts.S{k}": first for k in range(12)}
    assert "for name in adata.layers if" in chosen(tmp_path, LOGGED, **many).fix
    assert chosen(tmp_path, LOGGED, **{"counts.S1": WHOLE}).name == "layers/counts.S1"


@pytest.mark.parametrize("name", ["spliced", "unspliced", "nascent", "mature", "Spliced_counts"])
def test_names_of_parts_are_known(name):
    assert is_part(f"layers/{name}")
    assert not is_part("layers/counts")


def test_several_whole_matrices_of_unknown_names_are_left_to_a_person(tmp_path):
    choice = chosen(tmp_path, LOGGED, one=WHOLE, two=SPLICED)
    assert (choice.name, choice.candidates) == ("", ("layers/one", "layers/two"))
    assert chosen(tmp_path, LOGGED, one=WHOLE).name == "layers/one"


def test_a_matrix_that_is_named_as_the_counts_comes_before_an_x_that_differs(tmp_path):
    assert chosen(tmp_path, SPLICED, counts=WHOLE).name == "layers/counts"
    assert chosen(tmp_path, WHOLE, counts=WHOLE).name == "X"
    assert chosen(tmp_path, (WHOLE > 1).astype(int), raw=WHOLE).name == "raw.X"


FRACTIONS = WHOLE * np.where(RNG.random(WHOLE.shape) < 0.3, 0.7, 1.0)
FEW = WHOLE + np.where(np.arange(WHOLE.size).reshape(WHOLE.shape) % 17 == 0, 0.125, 0.0)


@pytest.mark.parametrize("by_cell", [True, False])
@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (FRACTIONS, "fractions"),
        (FEW, "fractions"),
        (FRACTIONS * 41, "fractions"),
        (np.log2(WHOLE + 1), "log2"),
        (np.log1p(WHOLE), "log1p"),
        (LOGGED, "log1p"),
    ],
)
def test_counts_with_fractions_are_told_from_logarithms(values, kind, by_cell):
    cells = [row[row != 0] for row in (values if by_cell else values.T)]
    found = summarise("X", values.dtype, values.shape, values.size, cells, by_cell=by_cell)
    assert found.looks_like == kind


def test_what_helps_with_fractions_is_said_and_logarithms_are_not_spoken_of(tmp_path):
    choice = chosen(tmp_path, FRACTIONS)
    assert "roundToInt" in choice.fix
    assert "logarithm" not in choice.fix
    path = write_h5ad(tmp_path / "a.h5ad", FRACTIONS, [barcode(k) for k in range(30)])
    assert "counts with fractions" in describe_layer(inspect(path).summary_of("X"))


def test_all_parts_of_kb_count_are_added_up(tmp_path):
    parts = {"mature": SPLICED, "nascent": UNSPLICED, "ambiguous": AMBIGUOUS}
    added = "adata.layers['ambiguous'] + adata.layers['mature'] + adata.layers['nascent'];"
    assert added in chosen(tmp_path, LOGGED, **parts).fix


@pytest.mark.parametrize(
    "name", ["SCT_counts", "sct", "downsampled", "counts_imputed", "binarized"]
)
def test_counts_that_a_tool_changed_are_not_taken_for_those_that_were_counted(tmp_path, name):
    changed = np.minimum(WHOLE, 4)
    choice = chosen(tmp_path, LOGGED, **{name: changed})
    assert choice.name == ""
    assert f"a tool changed the counts of layers/{name}" in choice.why
    assert "assay RNA" in choice.fix
    assert chosen(tmp_path, changed, **{name: changed}).name == ""
    assert chosen(tmp_path, LOGGED, **{name: changed, "RNA_counts": WHOLE}).name == (
        "layers/RNA_counts"
    )


def test_whose_layer_of_changed_counts_is_chosen_all_the_same_is_warned(tmp_path):
    path = write_h5ad(
        tmp_path / "a.h5ad",
        LOGGED,
        [barcode(k) for k in range(30)],
        layers={"SCT_counts": sp.csr_matrix(WHOLE.astype("f4"))},
    )
    fault = counts_fault(inspect(path), "layers/SCT_counts")
    assert (fault.severity, "what a tool made of the counts" in fault.found) == ("warning", True)


def test_whole_numbers_below_zero_are_told_with_what_leaves_them(tmp_path):
    choice = chosen(tmp_path, WHOLE - (WHOLE == 9) * 10)
    assert "before anything was subtracted, or stored in 8 or 16 bits" in choice.fix
