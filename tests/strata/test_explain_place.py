"""PERMANOVA of donors, and intervals of the associations."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

import pmcell as pm
from pmcell.errors import UsageError

if TYPE_CHECKING:
    from anndata import AnnData


def test_strata_that_were_planted_explain_the_map(cells: AnnData, analysed: AnnData) -> None:
    donors = analysed.copy()
    planted = cells.obs.groupby("donor_id", observed=True)["stratum"].first().astype(str)
    donors.obs["planted"] = planted.loc[donors.obs["donor_id"].astype(str)].to_numpy(object)
    donors.obs["coin"] = np.random.default_rng(0).choice(["heads", "tails"], donors.n_obs)
    table = pm.strata.permanova(donors, covariates=("planted", "coin"), n_permutations=199)
    place = table[table["outcome"] == "map"].set_index("covariate")
    assert place.loc["planted", "effect"] > 0.3
    assert place.loc["planted", "p_value"] == pytest.approx(0.005)
    assert place.loc["coin", "p_value"] > 0.01


def test_associations_have_intervals_around_their_effects(analysed: AnnData) -> None:
    table = pm.strata.associate(analysed.copy(), n_permutations=99)
    tested = table[~table["outcome"].isin(["map", "map_within_donors", "dispersion"])]
    assert (tested["effect_low"] <= tested["effect"]).all()
    assert (tested["effect_high"] >= tested["effect"]).all()
    assert (tested["effect_high"] <= 1).all()
    assert "map" in set(table["outcome"])


def test_an_unknown_covariate_is_named(analysed: AnnData) -> None:
    with pytest.raises(UsageError, match=r"\['height'\] are not"):
        pm.strata.permanova(analysed, covariates=("height",))
