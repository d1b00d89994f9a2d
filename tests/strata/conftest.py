"""Donors simulated once for the tests of the stratification."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import pmcell as pm
from pmcell.simulate import simulate_latent

if TYPE_CHECKING:
    from collections.abc import Callable

    from anndata import AnnData


@pytest.fixture(scope="session")
def cells() -> AnnData:
    """Forty donors in three strata, three batches, two visits."""
    return simulate_latent(
        scenario="both", n_donors=40, cells_per_donor=250, n_dims=8, n_visits=2, seed=3
    )


@pytest.fixture(scope="session")
def analyse() -> Callable[..., AnnData]:
    """All steps up to the existence test, with few draws."""

    def run(donors: AnnData, n_bootstraps: int = 20, n_null: int = 19) -> AnnData:
        pm.strata.distances(donors, channels="all")
        pm.strata.cluster(donors, n_bootstraps=n_bootstraps)
        pm.strata.existence(donors, n_null=n_null)
        return donors

    return run


@pytest.fixture(scope="session")
def analysed(cells: AnnData, analyse: Callable[..., AnnData]) -> AnnData:
    """The forty donors after every step."""
    return analyse(pm.strata.profile(cells))
