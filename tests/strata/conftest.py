"""Donors simulated once for the tests of the stratification."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import pmcell as pm
from pmcell.simulate import simulate_latent

if TYPE_CHECKING:
    from anndata import AnnData


@pytest.fixture(scope="session")
def cells() -> AnnData:
    """Forty donors in three strata, three batches, two visits."""
    return simulate_latent(
        scenario="both", n_donors=40, cells_per_donor=250, n_dims=8, n_visits=2, seed=3
    )


@pytest.fixture(scope="session")
def analysed(cells: AnnData) -> AnnData:
    """The same after every step."""
    return analyse(pm.strata.profile(cells))


def analyse(donors: AnnData, **options: int) -> AnnData:
    """All steps up to the existence test, with few draws."""
    pm.strata.distances(donors)
    pm.strata.cluster(donors, n_bootstraps=options.get("n_bootstraps", 20))
    pm.strata.existence(donors, n_null=options.get("n_null", 19))
    return donors
