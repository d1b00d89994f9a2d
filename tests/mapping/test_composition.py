"""Whether types that every donor has are missing in a visit."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binom

from pmcell.mapping.composition import MAX_CHANCE, MIN_DONORS, contradicted, exceeds, lacks
from pmcell.schema.mapped import Labels, Surprise

TYPES = ["B cell", "T cell", "monocyte"]


def reference(monocytes: float, n_donors: int = MIN_DONORS) -> SimpleNamespace:
    """Donors who have this share of monocytes each."""
    shares = np.tile([0.1, 0.9 - monocytes, monocytes], (n_donors, 1))
    donors = SimpleNamespace(var_names=pd.Index(TYPES))
    return SimpleNamespace(donors=SimpleNamespace(shares=lambda: shares, donors=donors))


def visit(n_monocytes: int, n_cells: int) -> pd.DataFrame:
    others = n_cells - n_monocytes
    counts = [others // 10, others - others // 10, n_monocytes]
    return pd.DataFrame({"cell_type": TYPES, "n_cells": counts})


@pytest.mark.parametrize("share", [0.001, 0.01, 0.05, 0.3])
@pytest.mark.parametrize(("n_monocytes", "n_cells"), [(0, 30), (0, 300), (1, 300), (5, 3000)])
def test_types_are_missing_where_the_binomial_distribution_says_so(
    share: float, n_monocytes: int, n_cells: int
) -> None:
    said = lacks(reference(share), visit(n_monocytes, n_cells))
    assert bool(said) == (binom.cdf(n_monocytes, n_cells, share) < MAX_CHANCE)
    assert not said or said.startswith(f"{n_monocytes} of {n_cells:,} cells are of 1 types")


def test_some_of_these_cases_are_missing_and_some_are_not() -> None:
    assert lacks(reference(0.3), visit(0, 300))
    assert not lacks(reference(0.01), visit(0, 300))


def test_a_type_that_a_donor_lacks_may_be_missing() -> None:
    assert lacks(reference(0.0), visit(0, 3000)) == ""


def test_few_donors_say_nothing() -> None:
    assert lacks(reference(0.3, n_donors=MIN_DONORS - 1), visit(0, 300)) == ""


def test_a_visit_without_cells_lacks_nothing() -> None:
    assert lacks(reference(0.3), visit(0, 0)) == ""


@pytest.mark.parametrize(
    ("share", "n_cells", "is_told"), [(0.42, 156, True), (0.30, 156, False), (0.42, 20, False)]
)
def test_a_share_far_above_all_donors_is_told(share: float, n_cells: int, is_told: bool) -> None:
    found = (Surprise("B cell", 0.0, 0.01, 0.2, 43), Surprise("plasmablast", share, 0.0, 0.15, 43))
    said = exceeds(found, n_cells)
    assert bool(said) == is_told
    assert not said or "42% of the cells are of type plasmablast" in said


@pytest.mark.parametrize(
    ("n_vetoed", "n_cells", "is_told"), [(40, 200, True), (16, 200, False), (4, 20, False)]
)
def test_many_cells_with_markers_against_their_type_are_told(
    n_vetoed: int, n_cells: int, is_told: bool
) -> None:
    said = contradicted(Labels(n_cells - n_vetoed, 0, n_vetoed, 0, {"B cell": n_vetoed}), n_cells)
    assert bool(said) == is_told
    assert not said or said.startswith("40 of 200 cells lack the markers of their type")


def test_no_cells_contradict_nothing() -> None:
    assert contradicted(Labels(0, 0, 0, 0, {}), 0) == ""
