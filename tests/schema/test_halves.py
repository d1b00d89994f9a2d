from __future__ import annotations

import numpy as np
import pandas as pd

from pmcell.schema.halves import second_half

NAMES = pd.Index([f"cohort:cell-{number}" for number in range(4000)])


def test_about_half_of_the_cells_are_in_each_half() -> None:
    assert 0.47 < second_half(NAMES).mean() < 0.53


def test_the_half_of_a_cell_does_not_depend_on_other_cells() -> None:
    order = np.random.default_rng(0).permutation(len(NAMES))[:1000]
    np.testing.assert_array_equal(second_half(NAMES)[order], second_half(NAMES[order]))
