"""The channels in which groups show most clearly, and what choosing them costs."""

from __future__ import annotations

import numpy as np
import pytest

import pmcell as pm
from pmcell.errors import UsageError
from pmcell.simulate import simulate_latent
from pmcell.strata.discovery.refit import refit
from pmcell.strata.profiles import slots


@pytest.fixture(scope="module")
def chosen():
    """Strata in state alone, seen through the clearest channels."""
    cells = simulate_latent(
        scenario="state", effect=0.4, n_types=12, cells_per_donor=300, n_dims=20, seed=8
    )
    donors = pm.strata.profile(cells)
    pm.strata.distances(donors, channels="clearest")
    pm.strata.cluster(donors, n_bootstraps=3)
    return donors


def test_a_channel_without_strata_is_set_aside_and_it_is_said(chosen) -> None:
    channels = chosen.uns["channels"]
    assert channels["used"] == ["state"]
    assert not channels["cluster_free"]["dropped"]
    assert channels["cluster_free"]["why"] == "set aside: groups show more clearly through state"
    assert channels["composition"]["dropped"]
    scores = channels["view_scores"]
    assert max(scores, key=scores.get) == "state"
    assert set(scores) == {"state", "state+cluster_free"}
    assert channels["n_views"] == 2


def test_the_test_pays_for_every_view_looked_at(chosen) -> None:
    donors = chosen.copy()
    with pytest.raises(UsageError, match="n_null must be at least 39 with channels='clearest'"):
        pm.strata.existence(donors, n_null=38)
    pm.strata.existence(donors, n_null=39)
    report = donors.uns["existence"]
    null = np.asarray(report["null_statistics"])
    alone = (1 + (null >= report["statistic"]).sum()) / 40
    assert np.isclose(report["p"], min(2 * alone, 1.0))


def test_a_refit_keeps_the_view(chosen) -> None:
    donors = chosen.copy()
    pm.strata.existence(donors, n_null=39)
    training = np.arange(donors.n_obs) >= 4
    again = refit(donors, training).donors
    assert list(again.uns["channels"]["used"]) == list(donors.uns["channels"]["used"])


def test_strata_seen_without_cell_types_alone_come_with_a_warning(chosen, analysed) -> None:
    donors = chosen.copy()
    pm.strata.distances(donors, channels="cluster_free")
    pm.strata.existence(donors, n_null=19)
    said = "Only the cluster-free channel is used"
    assert any(said in text for text in pm.strata.summary(donors)["warnings"])
    assert not any(said in text for text in pm.strata.summary(analysed)["warnings"])


def test_channels_that_are_named_are_used(chosen) -> None:
    donors = chosen.copy()
    pm.strata.distances(donors, channels=("cluster_free",))
    assert donors.uns["channels"]["used"] == ["cluster_free"]
    assert np.array_equal(donors.obsp[slots.DISTANCE], donors.obsp["distance_cluster_free"])
    pm.strata.distances(donors, channels="all")
    assert donors.uns["channels"]["used"] == ["cluster_free", "state"]
    assert donors.uns["channels"]["n_views"] == 1


def test_a_channel_that_does_not_exist_is_refused(chosen) -> None:
    for channels in ("clerest", ("state", "clerest")):
        with pytest.raises(
            UsageError, match=r"composition, state, genes, cluster_free; got clerest"
        ):
            pm.strata.distances(chosen.copy(), channels=channels)


def test_channels_that_settings_do_not_name_never_stand_in_for_those_they_do():
    """A profile without gene counts, asked for genes alone: axes of another set, and no strata."""
    cells = pm.simulate.simulate_latent(n_donors=24, cells_per_donor=150, n_types=3)
    donors = pm.strata.profile(cells)
    pm.strata.distances(donors, channels="genes")
    told = donors.uns["channels"]
    assert not told["usable"]
    assert told["composition"]["why"] == "set aside: settings name only genes"
    pm.strata.cluster(donors, n_bootstraps=3)
    pm.strata.existence(donors, n_null=119)
    found = donors.uns["existence"]
    assert found["decision"] != "strata"
    assert "genes: the profile holds no counts of genes" in found["why"]
