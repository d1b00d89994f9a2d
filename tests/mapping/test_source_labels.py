"""As what a cell counts that has a label of its source."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from made_reference import new_donors, people, reference
from pmcell.mapping.mapper import map_cells
from pmcell.mapping.source_labels import types_of_source
from pmcell.schema.text import text_array

ALPHA_BETA = "mature alpha-beta T cell"
COMPARED = {
    "CL:0000895": ALPHA_BETA,  # naive CD4 and naive CD8: cohorts differ in how they call them
    "CL:0000900": ALPHA_BETA,
    "CL:0000897": "CD4-positive, alpha-beta memory T cell",
    "CL:0000787": "memory B cell",
    "CL:0000788": "naive B cell",
    "CL:0000542": "T or NK cell",
}


@pytest.mark.parametrize(
    ("term", "expected"),
    [
        ("CL:0000787", "memory B cell"),
        ("CL:0000895", ALPHA_BETA),  # compared at a level above its own
        ("CL:0000905", "CD4-positive, alpha-beta memory T cell"),  # effector memory: below one
        ("CL:0000909", ALPHA_BETA),  # memory CD8: below the level alone
        ("CL:0000236", ""),  # B cell, whose kinds are told apart
        ("CL:0000233", "platelet"),  # no type of the reference, and above none
        ("CL:0000623", "T or NK cell"),
        ("CL:0000000", ""),  # names no type
        ("unknown", ""),
        ("no term", ""),
    ],
)
def test_a_label_counts_as_in_a_run(term: str, expected: str) -> None:
    model = replace(
        reference().labels,
        terms=text_array(list(COMPARED)),
        profile_types=text_array(list(COMPARED.values())),
    )
    found = types_of_source(np.array(["unknown", term], object), model)
    assert list(found) == ["", expected]


def test_a_label_outweighs_the_reference_only_where_it_is_asked_for() -> None:
    cells = people(new_donors()[:1])
    plain = map_cells(cells, reference())
    model = reference().labels
    cells.obs["source_cell_type_ontology_term_id"] = model.terms[0]
    assert map_cells(cells, reference()).composition.equals(plain.composition)
    found = map_cells(cells, reference(), by_source=True)
    assert found.cells.equals(plain.cells)
    own = found.composition.set_index("cell_type")
    n_cells = int(found.cells["passes_qc"].sum())
    assert own.loc[model.profile_types[0], ["n_cells", "n_certain", "n_possible"]].eq(n_cells).all()
    assert own["n_possible"].sum() == n_cells
    assert set(found.located.counted_as) == {model.profile_types[0]}
    assert found.located.by_source.all()
