"""A batch effect is no stratum, and strata that are the batch are not told from it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

import pmcell as pm
from pmcell.simulate import simulate_latent
from pmcell.strata.discovery.distances import fitted
from pmcell.strata.discovery.existence import CONTINUUM, NOT_SEPARABLE
from pmcell.strata.discovery.separable import groups_of_batches

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


def with_genes(added: np.ndarray) -> AnnData:
    """Thirty donors without strata, three types and 80 genes; batches add (batches, types, genes).

    Donors lie along an axis of genes, so that there is something to look at, and differ in each
    type a little.
    """
    rng = np.random.default_rng(3)
    donor, kind = (np.repeat(np.arange(30), 120), np.tile(np.arange(3), 1200))
    batch = np.arange(30) % 3
    axis = np.outer(rng.normal(0, 1, 30), rng.normal(0, 0.3, 80))
    own = rng.normal(0, 0.15, (30, 3, 80))
    log = rng.normal(0.5, 0.5, 80) + axis[donor] + own[donor, kind] + added[batch[donor], kind]
    obs = pd.DataFrame(
        {
            "donor_id": [f"d{number:02d}" for number in donor],
            "visit": "v",
            "batch_id": [f"b{code}" for code in batch[donor]],
            "cell_type": np.array(["a", "b", "c"])[kind],
        },
        index=[f"c{number}" for number in range(donor.size)],
    )
    cells = AnnData(rng.poisson(np.exp(log)).astype(np.float32), obs=obs)
    cells.var_names = [f"ENSG{number:011d}" for number in range(80)]
    cells.obsm["X_integrated"] = rng.normal(4.0 * kind[:, None], 1.0, (donor.size, 4))
    donors = pm.strata.profile(cells)
    pm.strata.add_genes(donors, cells=cells)
    pm.strata.distances(donors, channels="genes")
    assert list(donors.uns["channels"]["used"]) == ["genes"]
    return donors


def test_batches_that_move_genes_alike_in_all_types_are_no_groups() -> None:
    of_gene = np.random.default_rng(5).normal(0, 0.6, (3, 1, 80))
    donors = with_genes(np.broadcast_to(of_gene, (3, 3, 80)))
    assert donors.uns["channels"]["genes"]["q"] > 0.5
    assert groups_of_batches(donors, fitted(donors), **LIMITS) is None


def test_batches_that_move_genes_of_one_type_are_groups_of_batches() -> None:
    added = np.random.default_rng(5).normal(0, 1.2, (3, 3, 80))
    added[:, 1:] = 0.0
    donors = with_genes(added)
    found = groups_of_batches(donors, fitted(donors), **LIMITS)
    assert found is not None
    assert found["v"] == pytest.approx(1.0, abs=0.15)


@pytest.mark.parametrize(
    ("shift", "n_types_moved", "said"), [(1.2, 3, CONTINUUM), (2.0, 1, NOT_SEPARABLE)]
)
def test_what_makes_nearly_all_of_expression_may_still_be_the_laboratory(
    shift: float, n_types_moved: int, said: str
) -> None:
    of_gene = shift * np.random.default_rng(5).standard_normal((3, 1, 80))
    added = np.repeat(of_gene, 3, axis=1)
    added[:, n_types_moved:] = 0.0
    donors = with_genes(added)
    assert donors.uns["channels"]["genes"]["q"] > 0.9
    assert donors.uns["channels"]["genes"]["dropped"] == (said == NOT_SEPARABLE)
    pm.strata.cluster(donors, n_bootstraps=2)
    pm.strata.existence(donors, n_null=19)
    assert donors.uns["existence"]["decision"] == said


@pytest.mark.parametrize(("n_types_moved", "dropped"), [(6, False), (2, True)])
def test_a_feature_set_is_kept_whatever_batches_add_to_all_types_alike(
    n_types_moved: int, dropped: bool
) -> None:
    told = profiled(2.0, n_types_moved).uns["channels"]["state"]
    assert told["q"] > 0.9
    assert told["dropped"] == dropped


def test_batches_that_move_all_types_alike_are_no_groups() -> None:
    donors = profiled(0.8, 6)
    assert donors.uns["channels"]["state"]["q"] > 0.5
    assert groups_of_batches(donors, fitted(donors), **LIMITS) is None


def test_batches_that_move_some_types_are_groups_of_batches() -> None:
    donors = profiled(0.8, 2)
    found = groups_of_batches(donors, fitted(donors), **LIMITS)
    assert found is not None
    assert found["v"] == pytest.approx(1.0, abs=0.15)
