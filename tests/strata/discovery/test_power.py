"""How many donors find strata of a stated distance: said beside a continuum, and true."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

import pmcell as pm
from pmcell.core.donors.resample import DonorModel
from pmcell.strata.discovery.distances import fitted
from pmcell.strata.discovery.null import compare_with_null
from pmcell.strata.discovery.power import N_DONORS, donors_needed
from pmcell.strata.profiles.model import DonorMap


def cells_of(n_donors: int, spread: float, seed: int = 0, n_cells: int = 150) -> AnnData:
    """Donors along a line, in the state of three types."""
    rng = np.random.default_rng(seed)
    donor = np.repeat(np.arange(n_donors), n_cells)
    kind = rng.integers(0, 3, donor.size)
    moved = rng.normal(0, spread, n_donors)[:, None] * rng.normal(0, 1, 6)
    x = 4.0 * kind[:, None] + moved[donor] + rng.normal(0, 1, (donor.size, 6))
    obs = pd.DataFrame(
        {
            "donor_id": [f"d{number}" for number in donor],
            "visit": "v",
            "batch_id": "b",
            "cell_type": np.array(["a", "b", "c"])[kind],
        },
        index=[f"c{number}" for number in range(donor.size)],
    )
    cells = AnnData(np.zeros((donor.size, 1), np.float32), obs=obs)
    cells.obsm["X_integrated"] = x.astype(np.float32)
    return cells


def analysed(cells: AnnData) -> AnnData:
    donors = pm.strata.profile(cells)
    pm.strata.distances(donors, channels="state")
    pm.strata.cluster(donors, n_bootstraps=2)
    pm.strata.existence(donors, n_null=39)
    return donors


def with_model(cells: AnnData) -> tuple[DonorMap, DonorModel]:
    opened = fitted(analysed(cells))
    return opened, compare_with_null(opened, range(2, 3), 19, 0).model


def test_a_continuum_says_how_many_donors_would_find_two_strata() -> None:
    donors = analysed(cells_of(30, 0.4))
    assert donors.uns["existence"]["decision"] == "continuum"
    told = donors.uns["existence"]["power"]
    number = re.match(r"(\d+) donors like these are enough to find, in 80% of studies, two", told)
    assert number is not None
    assert int(number[1]) in N_DONORS
    assert told.endswith("30 were used.")
    assert pm.strata.verdict(donors).power == told


def test_a_smaller_level_needs_no_fewer_donors() -> None:
    opened, model = with_model(cells_of(30, 0.4))
    needed = [int(donors_needed(opened, model, alpha, 0).split()[0]) for alpha in (0.2, 0.02)]
    assert needed[0] <= needed[1]


def test_the_same_seed_says_the_same() -> None:
    opened, model = with_model(cells_of(24, 0.4))
    assert donors_needed(opened, model, 0.05, 3) == donors_needed(opened, model, 0.05, 3)


@pytest.mark.parametrize("seed", [1, 2])
def test_donors_that_do_not_differ_have_no_axis_to_speak_of_or_a_number(seed: int) -> None:
    donors = analysed(cells_of(24, 0.0, seed=seed))
    assert donors.uns["existence"]["decision"] == "continuum"
    told = donors.uns["existence"].get("power", "")
    assert told == "" or "donors like these" in told
