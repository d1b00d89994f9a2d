"""Differential expression between strata, and its confirmation in held-out donors."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest

import pmcell as pm
from pmcell.errors import UsageError

if TYPE_CHECKING:
    from anndata import AnnData

N_GENES, N_PLANTED = 60, 8


def counts_of(donors: AnnData) -> pd.DataFrame:
    """Negative binomial counts where the first genes are threefold up or down in stratum S1."""
    rng = np.random.default_rng(0)
    own = donors.obs[donors.obs["discovery"].to_numpy()]
    mean = np.tile(rng.gamma(2.0, 60.0, N_GENES) + 20, (len(own), 1))
    # As many up as down: otherwise the size factors move every other gene a little.
    factor = np.where(np.arange(N_PLANTED) % 2, 3.0, 1 / 3)
    mean[(own["candidate_stratum"] == "S1").to_numpy(), :N_PLANTED] *= factor
    values = rng.negative_binomial(10, 10 / (10 + mean))
    genes = [f"ENSG{number:011d}" for number in range(N_GENES)]
    return pd.DataFrame(values, own["donor_id"].astype(str).to_numpy(object), genes)


def test_planted_genes_are_found_and_others_are_not(analysed: AnnData) -> None:
    pytest.importorskip("pydeseq2")
    counts = counts_of(analysed)
    table = pm.strata.differential_expression(analysed, pseudobulk={"T cell": counts})
    own = table[table["stratum"] == "S1"].set_index("gene_id").loc[counts.columns]
    assert (own["q_value"].iloc[:N_PLANTED] < 0.05).all()
    change = own["log2_fold_change"].iloc[:N_PLANTED].abs()
    assert change.median() == pytest.approx(np.log2(3), abs=0.4)
    assert (own["q_value"].iloc[N_PLANTED:] < 0.05).mean() < 0.1
    assert (own["log2_fold_change_low"] < own["log2_fold_change"]).all()
    # Forty donors are too few to find three strata in half of them.
    assert set(table["inference"]) == {"descriptive"}


def test_held_out_donors_confirm_planted_genes() -> None:
    pytest.importorskip("pydeseq2")
    cells = pm.simulate.simulate_latent(n_donors=64, cells_per_donor=250, n_dims=8, seed=3)
    donors = pm.strata.profile(cells)
    pm.strata.distances(donors)
    pm.strata.cluster(donors, n_bootstraps=10)
    pm.strata.existence(donors, n_null=19)
    table = pm.strata.differential_expression(donors, pseudobulk={"T cell": counts_of(donors)})
    assert donors.uns["existence"]["decision"] == "strata"
    table = table[table["stratum"] == "S1"]
    confirmed = set(table.loc[table["inference"] == "confirmed", "gene_id"])
    planted = {f"ENSG{number:011d}" for number in range(N_PLANTED)}
    assert len(confirmed & planted) >= N_PLANTED - 1
    assert len(confirmed - planted) <= 2


def test_a_stratum_that_is_the_batch_is_not_tested(analysed: AnnData) -> None:
    donors = analysed.copy()
    donors.obs["batch_id"] = donors.obs["candidate_stratum"].astype(str)
    table = pm.strata.differential_expression(
        donors, pseudobulk={"T cell": counts_of(donors)}, confirm=False
    )
    assert len(table) == 0


def test_without_published_strata_there_are_no_rows(analysed: AnnData) -> None:
    donors = analysed.copy()
    donors.uns["existence"] = {**donors.uns["existence"], "decision": "continuum"}
    assert len(pm.strata.differential_expression(donors, pseudobulk={})) == 0


def test_a_wrong_level_is_refused(analysed: AnnData) -> None:
    with pytest.raises(UsageError, match=r"alpha must be in \(0, 1\), got 2"):
        pm.strata.differential_expression(analysed, pseudobulk={}, alpha=2)
