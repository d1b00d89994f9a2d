"""Composition and whole profiles of donors who have several conditions."""

from __future__ import annotations

import numpy as np
import pytest
from anndata import AnnData

import pmcell as pm
from pmcell import schema
from pmcell.io.tables import conform
from pmcell.simulate import simulate_latent
from pmcell.strata.profiles import slots

N = 12


@pytest.fixture(scope="module")
def treated() -> AnnData:
    """Twelve donors at two visits; at the second, treated, the first type has three times more."""
    cells = simulate_latent(
        n_donors=N, n_visits=2, cells_per_donor=200, n_types=6, n_dims=4, n_batches=1, seed=4
    )
    donors = pm.strata.profile(cells)
    second = (donors.obs["visit"] != donors.obs["visit"].iloc[0]).to_numpy()
    rng = np.random.default_rng(1)
    own = rng.dirichlet(np.full(6, 4.0), N)[
        donors.obs["donor_id"].astype("category").cat.codes.to_numpy()
    ]
    share = own * np.where(second[:, None] & (np.arange(6) == 0), 3.0, 1.0)
    share /= share.sum(axis=1, keepdims=True)
    donors.X = np.stack([rng.multinomial(1000, row) for row in share]).astype(np.int64)
    donors.obsm[slots.HALF_N] = rng.binomial(donors.X, 0.5)
    donors.obs["condition"] = np.where(second, "treated", "before")
    pm.strata.distances(donors, channels=("composition",))
    pm.strata.cluster(donors)
    pm.strata.existence(donors)
    return donors


def test_a_type_that_grows_within_donors_is_told_from_their_own_shares(treated: AnnData) -> None:
    table = conform(
        pm.strata.composition_shifts(treated, contrasts=("condition",)), schema.COMPOSITION_SHIFTS
    )
    own = table.set_index("cell_type")
    grown, *others = treated.var_names
    assert own.loc[grown, "log2_ratio"] == pytest.approx(np.log2(3), abs=0.3)
    assert own.loc[grown, "q_value"] < 1e-3
    assert (own.loc[others, "q_value"] > 0.05).sum() >= 4
    assert set(own["n_donors_paired"]) == {N}
    assert table["level"].unique().tolist() == ["treated"]
    # As if each visit were another person, the donors' own shares are in the way.
    apart = treated.copy()
    apart.obs["donor_id"] = apart.obs_names
    wide = pm.strata.composition_shifts(apart, contrasts=("condition",)).set_index("cell_type")
    assert (wide["ratio_high"] - wide["ratio_low"]).median() > (
        own["ratio_high"] - own["ratio_low"]
    ).median()
    assert set(wide["n_donors_paired"]) == {0}


def test_a_contrast_that_nobody_knows_or_that_has_one_value_has_no_shifts(
    treated: AnnData,
) -> None:
    assert len(pm.strata.composition_shifts(treated, contrasts=("stratum", "unheard_of"))) == 0
    one = treated.copy()
    one.obs["condition"] = "before"
    assert len(pm.strata.composition_shifts(one, contrasts=("condition",))) == 0


def test_profiles_of_one_donor_are_compared_with_each_other(treated: AnnData) -> None:
    table = pm.strata.associate(treated, n_permutations=199)
    conform(table, schema.ASSOCIATIONS)
    row = table[(table["outcome"] == "map_within_donors") & (table["covariate"] == "condition")]
    assert row["p_value"].item() <= 0.02
    assert row["n_donors"].item() == N
    assert row["test"].item() == "permutation of PERMANOVA (Freedman-Lane, within donor)"
    assert "condition" not in treated.uns["not_tested"]


def test_random_labels_within_donors_have_even_p(treated: AnnData) -> None:
    rng = np.random.default_rng(3)
    p = []
    for number in range(30):
        own = treated.copy()
        turned = own.obs["donor_id"].isin(rng.permutation(own.obs["donor_id"].unique())[: N // 2])
        own.obs["condition"] = np.where(
            (own.obs["condition"] == "treated") ^ turned, "treated", "before"
        )
        table = pm.strata.associate(
            own, technical=(), clinical=("condition",), n_permutations=99, seed=number
        )
        within = table[table["outcome"] == "map_within_donors"]
        p.append(within["p_value"].item())
    assert np.mean(np.array(p) <= 0.05) <= 0.1


def test_donors_whose_visits_lie_in_other_batches_do_not_count(treated: AnnData) -> None:
    own = treated.copy()
    own.obs["batch_id"] = own.obs["visit"].to_numpy()
    table = pm.strata.associate(own, clinical=("condition",), n_permutations=99)
    assert "map_within_donors" not in set(table["outcome"])
    assert len(pm.strata.composition_shifts(own, contrasts=("condition",))) == 0
