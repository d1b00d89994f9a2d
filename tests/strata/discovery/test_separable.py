"""A batch effect is no stratum, and strata that are the batch are not told from it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

import pmcell as pm
from pmcell.simulate import simulate_latent
from pmcell.strata.discovery.distances import fitted
from pmcell.strata.discovery.separable import groups_of_batches

if TYPE_CHECKING:
    from anndata import AnnData

LIMITS = {"ks": range(2, 4), "n_null": 19, "alpha": 0.05, "limit": 0.6, "seed": 0}


def profiled(shift: float, n_types_moved: int) -> AnnData:
    """Thirty donors without strata; each of three batches moves some types its own way."""
    cells = simulate_latent(
        scenario="null", n_donors=30, cells_per_donor=200, n_types=6, n_dims=8, seed=4
    )
    rng = np.random.default_rng(1)
    batch = cells.obs["batch_id"].astype(str).str[-1].astype(int).to_numpy() - 1
    kind = cells.obs["cell_type"].astype(str).str[-1].astype(int).to_numpy() - 1
    added = shift * rng.standard_normal((3, 8))
    x = np.array(cells.obsm["X_integrated"])
    x += np.where((kind < n_types_moved)[:, None], added[batch], 0.0).astype(x.dtype)
    cells.obsm["X_integrated"] = x
    donors = pm.strata.profile(cells)
    pm.strata.distances(donors, channels="all")
    return donors


def test_batches_that_move_all_types_alike_are_no_groups() -> None:
    donors = profiled(0.8, 6)
    assert donors.uns["channels"]["state"]["q"] > 0.5
    assert groups_of_batches(donors, fitted(donors), **LIMITS) is None


def test_batches_that_move_some_types_are_groups_of_batches() -> None:
    donors = profiled(0.8, 2)
    found = groups_of_batches(donors, fitted(donors), **LIMITS)
    assert found is not None
    assert found["v"] == pytest.approx(1.0, abs=0.15)
