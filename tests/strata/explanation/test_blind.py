"""Held-out donors are placed by other genes than those that are tested in them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest

import pmcell as pm
from pmcell.strata.explanation import blind, held_out
from pmcell.strata.explanation.blind import Blind, fold_of
from pmcell.strata.explanation.contrasts import Comparison
from pmcell.strata.explanation.groups import Group, group_of

if TYPE_CHECKING:
    from anndata import AnnData

N, N_GENES = 60, 80
GENES = np.array([f"ENSG{number:011d}" for number in range(N_GENES)], object)


@pytest.fixture(scope="module")
def donors() -> AnnData:
    """Sixty donors whose profile says nothing of them, and the channels in use."""
    cells = pm.simulate.simulate_latent(
        n_donors=N, n_types=2, n_dims=2, cells_per_donor=20, scenario="null", n_batches=1
    )
    profile = pm.strata.profile(cells, min_cells_donor=10, min_cells_type=2)
    channel = {"weight": 1.0}
    profile.uns["channels"] = {"used": ["state"], "state": channel, "composition": channel}
    profile.uns["channels"]["cluster_free"] = channel
    return profile


def made(donors: AnnData, level: np.ndarray, n_moved: int) -> pd.DataFrame:
    """Counts in which the first genes are higher in level 1, and every gene varies by itself."""
    rng = np.random.default_rng(1)
    log = rng.normal(4, 0.5, N_GENES) + rng.normal(0, 0.3, (N, N_GENES))
    log[:, :n_moved] += 0.8 * level[:, None] * rng.choice([-1, 1], n_moved)
    return pd.DataFrame(rng.poisson(np.exp(log)), donors.obs_names.astype(str), GENES)


def halves(donors: AnnData, level: np.ndarray) -> tuple[Group, Group]:
    """The first thirty donors and the rest."""
    return group_of(donors.obs[:30], level[:30], ()), group_of(donors.obs[30:], level[30:], ())


def placing(donors: AnnData, counts: pd.DataFrame, level: np.ndarray) -> Blind:
    first, rest = (
        group_of(donors.obs[:30], level[:30], ()),
        group_of(donors.obs[30:], level[30:], ()),
    )
    return Blind(donors, first, rest, {"T cell": counts})


def test_labels_are_those_that_many_genes_agree_on(donors: AnnData) -> None:
    level = np.random.default_rng(0).integers(0, 2, N)
    counts = made(donors, level, 20)
    placed = placing(donors, counts, level)
    for number in range(blind.N_FOLDS):
        found = placed.labels(GENES[fold_of(GENES) == number])
        assert (found == level[30:]).mean() > 0.9


def test_labels_do_not_change_with_the_genes_left_out(donors: AnnData) -> None:
    level = np.random.default_rng(0).integers(0, 2, N)
    counts = made(donors, level, 10)
    gone = GENES[:4]
    before = placing(donors, counts, level).labels(gone)
    changed = counts.copy()
    # The library sizes are corrected by medians, which so few genes do not move much.
    changed.iloc[30:, :4] = np.random.default_rng(3).poisson(60, (30, 4))
    placed = placing(donors, changed, level)
    assert (placed.labels(gone) == before).mean() > 0.95
    assert not np.array_equal(
        placed.labels(GENES[70:]), placing(donors, counts, level).labels(GENES[70:])
    )


def test_a_gene_that_alone_makes_the_strata_is_not_confirmed(
    donors: AnnData, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Strata are whether the first gene is high; nothing else knows of them."""
    counts = made(donors, np.zeros(N, np.int64), 0)
    counts.iloc[:, 0] = np.random.default_rng(2).poisson(np.where(np.arange(N) % 2, 200, 20))
    level = np.arange(N) % 2
    first, rest = (
        group_of(donors.obs[:30], level[:30], ()),
        group_of(donors.obs[30:], level[30:], ()),
    )
    compared = Comparison("stratum", ("S1", "S2"), None, first, rest, "by region", "")
    found = held_out.blind_tests(compared, counts, Blind(donors, first, rest, {"T": counts}))
    p = dict(zip(*(found[(1, (0,))][name] for name in ("names", "p")), strict=True))
    assert p[GENES[0]] > 0.05
    with_it = held_out.by_pair(held_out.prepare(rest, counts, 2, ("S1", "S2")))[(1, (0,))]
    assert with_it["p"][list(with_it["names"]).index(GENES[0])] < 1e-6


def test_composition_places_donors_where_only_that_is_used(donors: AnnData) -> None:
    own = donors.copy()
    level = np.arange(N) % 2
    own.X = np.where(level[:, None] == [0, 1], 15, 5)
    own.uns["channels"] = {**donors.uns["channels"], "used": ["composition"]}
    counts = made(own, level, 0)
    assert np.array_equal(placing(own, counts, level).labels(GENES), level[30:])


def test_batch_offsets_do_not_place_donors(donors: AnnData) -> None:
    own = donors.copy()
    level = np.random.default_rng(0).integers(0, 2, N)
    own.obs["batch_id"] = np.where(np.arange(N) % 3, "b1", "b2")
    counts = made(own, level, 20)
    moved = counts.copy()
    moved.iloc[::3] = (moved.iloc[::3] * np.random.default_rng(4).gamma(4, 0.25, N_GENES)).round()
    found = placing(own, moved, level).labels(GENES[70:])
    assert (found == level[30:]).mean() > 0.9
